//! Final answers: found in a text, and compared.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::final_answer::before_next_question;
use super::{choice, code, mathematics, number, verbatim};

/// A minus sign that does not follow an operand, digits with or without group commas, and decimals.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"((?:^|[^\w)])[-−])?([0-9]{1,3}(?:,[0-9]{3})+\b|[0-9]+)(?:\.([0-9]+))?").expect("a valid pattern")
});

/// The form of a benchmark's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// A number; decimals that equal an integer count as that integer.
    Integer,
    /// A number, which may have fractions, currencies and units around it, marked as in GSM8K or announced.
    Number,
    /// A mathematical answer, boxed as in MATH or announced.
    Mathematics,
    /// Text, compared as written except for spaces.
    Exact,
    /// The letter of a choice.
    #[serde(rename = "choice")]
    MultipleChoice,
    /// Python code, judged by running tests.
    Python,
}

impl AnswerForm {
    /// The reference answer in a data set's field, which may hold a worked solution.
    pub fn reference(self, field: &str) -> Option<String> {
        match self {
            AnswerForm::Integer | AnswerForm::Exact => Some(field.trim().to_owned()),
            // The body of a function begins with spaces that matter.
            AnswerForm::Python => Some(field.to_owned()),
            AnswerForm::Number | AnswerForm::Mathematics | AnswerForm::MultipleChoice => self.find(field),
        }
    }

    /// The final answer of `text` as written there, as far as its spelling matters for comparing it.
    ///
    /// Further questions that a model asks itself after its answer, and answers, are ignored.
    pub fn find(self, text: &str) -> Option<String> {
        let text = if self == AnswerForm::Python { text } else { before_next_question(text) };
        match self {
            AnswerForm::Integer => announced_integer(text),
            AnswerForm::Number => number::extract(text),
            AnswerForm::Mathematics => mathematics::find(text),
            AnswerForm::Exact => verbatim::find(text),
            AnswerForm::MultipleChoice => choice::extract(text),
            AnswerForm::Python => code::extract(text),
        }
    }

    /// The final answer of `text` in its canonical spelling, which makes equal answers count together in votes.
    pub fn extract(self, text: &str) -> Option<String> {
        let found = self.find(text)?;
        Some(if self == AnswerForm::Mathematics { mathematics::spelling(&found) } else { found })
    }

    /// A bare answer in its canonical spelling. One that cannot be read is left as it is.
    pub fn spelled(self, answer: &str) -> String {
        match self {
            AnswerForm::Mathematics => mathematics::spelling(answer),
            AnswerForm::Exact => answer.split_whitespace().collect::<Vec<_>>().join(" "),
            AnswerForm::Python => answer.to_owned(),
            _ => self.find(answer).unwrap_or_else(|| answer.trim().to_owned()),
        }
    }

    /// Whether both are the same answer in any spelling: `10`, `10.0` and `$10` are.
    pub fn equal(self, reference: &str, answer: &str) -> bool {
        match self {
            AnswerForm::Mathematics => mathematics::equal(reference, answer),
            AnswerForm::Exact => reference.split_whitespace().eq(answer.split_whitespace()),
            _ => match (self.find(reference), self.find(answer)) {
                (Some(reference), Some(answer)) => reference == answer,
                _ => reference.trim() == answer.trim(),
            },
        }
    }
}

/// The number after the last "answer is" or "answer:", or else the last number.
fn announced_integer(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let announced = ["answer is", "answer:"].iter().filter_map(|words| Some(lower.rfind(words)? + words.len())).max();
    announced.and_then(|at| numbers(&text[at..]).next()).or_else(|| numbers(text).last())
}

/// The numbers in a text, each in its canonical spelling.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    NUMBER.captures_iter(text).map(|found| {
        let part = |group| found.get(group).map_or("", |part| part.as_str());
        let whole = part(2).replace(',', "");
        let (whole, decimals) = (whole.trim_start_matches('0'), part(3).trim_end_matches('0'));
        let sign = if part(1).is_empty() || (whole.is_empty() && decimals.is_empty()) { "" } else { "-" };
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if decimals.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{decimals}")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, answer: Option<&str>) {
        assert_eq!(AnswerForm::Integer.extract(text).as_deref(), answer, "{text}");
    }

    #[test]
    fn recorded_answers_have_one_spelling() {
        let check = |form: AnswerForm, answer: &str, expected: &str| {
            assert_eq!(form.spelled(answer), expected, "{form:?} {answer}");
        };
        check(AnswerForm::Number, "$1,200.50", "1200.5");
        check(AnswerForm::Number, "18.00", "18");
        check(AnswerForm::Integer, "007", "7");
        check(AnswerForm::Number, " nothing ", "nothing");
        check(AnswerForm::Exact, " a  b ", "a b");
        check(AnswerForm::MultipleChoice, "(b)", "B");
    }

    #[test]
    fn the_final_answer_is_found() {
        check("13 + 7 = 20 . 20 / 2 = 10 . the answer is 10", Some("10"));
        check("42", Some("42"));
        check("so 3 plus 4 makes 7 .", Some("7"));
        check("The answer is 5. No: the Answer is $1,200.50, for 3 days", Some("1200.5"));
        check("Answer: -7", Some("-7"));
        check("20 / 2 = 10 . the answer is", Some("10"));
        check("10-3", Some("3"));
        check("x = −4", Some("-4"));
        check("1,0", Some("0"));
        check("1,0000", Some("0"));
        check("007.00", Some("7"));
        check("-0.0", Some("0"));
        check("٣ apples", None);
        check("no idea", None);
        check("", None);
    }

    #[test]
    fn answers_compare_as_numbers() {
        let equal = |reference, answer| AnswerForm::Integer.equal(reference, answer);
        assert!(equal("10", "10.0") && equal("1000", "1,000") && equal("10", "$10") && equal("-3", "-3"));
        assert!(!equal("10", "1,0") && !equal("10", "-10") && !equal("10", "10.5") && !equal("10", "ten"));
        assert!(!equal("10", "") && equal("none", "none"));
    }

    #[test]
    fn equal_answers_have_one_spelling() {
        let check = |form: AnswerForm, texts: &[&str], spelling: Option<&str>| {
            for text in texts {
                assert_eq!(form.extract(text).as_deref(), spelling, "{form:?}: {text}");
            }
        };
        check(AnswerForm::Number, &["The answer is $0.50.", "#### 1/2", "\\boxed{\\frac{1}{2}}"], Some("0.5"));
        check(AnswerForm::Number, &["1,000", "The answer is 1000.00 dollars", "#### 1 000"], Some("1000"));
        check(AnswerForm::Mathematics, &["\\boxed{0.5}", "\\boxed{\\frac12}", "The answer is $x = 2/4$."], Some("1/2"));
        check(AnswerForm::Mathematics, &["\\boxed{1,000}", "\\boxed{1{,}000}", "\\boxed{10^3}"], Some("1000"));
        check(AnswerForm::Mathematics, &["\\boxed{2, 1}", "\\boxed{\\{1, 2\\}}"], Some("1, 2"));
        check(
            AnswerForm::MultipleChoice,
            &["The answer is (B).", "\\boxed{\\text{B}}", "b", "Answer: B) five"],
            Some("B"),
        );
        check(AnswerForm::Exact, &["Some thought.\nThe answer is  Paris .", "Paris", "**Paris**"], Some("Paris"));
    }

    proptest! {
        #[test]
        fn extraction_never_panics(text in "\\PC{0,60}", near in "[aA]nswer( is|:)[-−0-9., $é]{0,20}") {
            let forms = ["integer", "number", "mathematics", "exact", "choice"];
            for form in forms.map(|form| serde_json::from_str::<AnswerForm>(&format!("{form:?}")).expect("a form")) {
                for text in [&text, &near] {
                    let answer = form.extract(text).unwrap_or_default();
                    form.equal(text, &answer);
                }
            }
        }

        #[test]
        fn every_integer_is_found(number: i64) {
            check(&format!("the answer is {number} ."), Some(&number.to_string()));
            check(&number.to_string(), Some(&number.to_string()));
        }
    }
}
