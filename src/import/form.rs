//! The form of the answers in an import.

use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;

use super::join::Joined;
use super::source::{excerpt, listed};
use crate::task::AnswerForm;

/// How answers are read and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub answers: AnswerForm,
    /// Whether outputs are free text, so that each is its own answer.
    pub is_free: bool,
}

/// The requested form, or the one that fits all references. Without references, outputs are free text.
///
/// # Errors
/// Lists references in which the requested form finds no answer. Refuses code, since logs do not contain its tests.
pub(super) fn choose(wanted: Option<AnswerForm>, joined: &Joined) -> Result<Form> {
    let references = || joined.problems.iter().filter_map(|problem| problem.reference.as_ref());
    if wanted == Some(AnswerForm::Python) {
        bail!("expected answers that can be compared, found `python`: logs do not contain the tests that judge code");
    }
    let is_free = wanted.is_none() && references().next().is_none();
    let answers = wanted.unwrap_or_else(|| guess(references().map(|reference| reference.text.as_str())));
    let blank = references().filter(|reference| answers.reference(&reference.text).is_none_or(|text| text.is_empty()));
    let blank: Vec<String> = blank.map(|said| format!("{}: `{}`", said.place, excerpt(&said.text))).collect();
    if !blank.is_empty() {
        bail!(
            "expected references of the form {}, found no answer in {}:{}\nhint: `--answer exact` compares them as text",
            name(answers),
            blank.len(),
            listed(&blank)
        );
    }
    Ok(Form { answers, is_free })
}

/// Its name in `benchmark.toml`.
pub(super) fn name(form: AnswerForm) -> String {
    toml::Value::try_from(form).map(|name| name.to_string()).unwrap_or_default()
}

fn guess<'a>(references: impl Iterator<Item = &'a str>) -> AnswerForm {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[-+−]?[$€£]?[0-9][0-9,]*(\.[0-9]+)?%?$").expect("a valid pattern"));
    static LETTER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\(?[A-J]\)?$").expect("a valid pattern"));
    let references: Vec<&str> = references.map(str::trim).collect();
    let all = |is: &dyn Fn(&str) -> bool| !references.is_empty() && references.iter().all(|reference| is(reference));
    if all(&|reference| NUMBER.is_match(reference) || reference.contains("####")) {
        AnswerForm::Number
    } else if all(&|reference| LETTER.is_match(reference)) {
        AnswerForm::MultipleChoice
    } else if references.iter().any(|reference| reference.contains("\\boxed") || reference.contains("\\frac")) {
        AnswerForm::Mathematics
    } else {
        AnswerForm::Exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_show_what_they_are() {
        let check = |references: &[&str], form: AnswerForm| {
            assert_eq!(guess(references.iter().copied()), form, "{references:?}");
        };
        check(&["18", "-3.5", "$1,200"], AnswerForm::Number);
        check(&["9 * 2 = 18\n#### 18"], AnswerForm::Number);
        check(&["A", "(C)"], AnswerForm::MultipleChoice);
        check(&["so $\\boxed{3}$", "4"], AnswerForm::Mathematics);
        check(&["Paris", "4"], AnswerForm::Exact);
        check(&[], AnswerForm::Exact);
    }
}
