//! Warnings about likely mistakes; they do not stop the command.

use std::collections::BTreeSet;

use crate::operation::Catalogue;

/// One line for each operator that should answer a question although its prompt does not contain it.
pub fn of_prompts(catalogue: &Catalogue) -> Vec<String> {
    let signatures = catalogue.signatures();
    let answers = catalogue.operators().iter().zip(&signatures).filter(|(_, signature)| !signature.reads_solutions);
    let is_blind = |prompt: &str| !mentions(prompt, "question");
    let blind = answers.filter(|(operator, _)| operator.prompt.as_deref().is_some_and(is_blind));
    let said = blind.map(|(operator, _)| {
        format!(
            "warning: the prompt of operator `{}` does not contain the question; hint: write `{{{{ question }}}}` where it belongs",
            operator.name
        )
    });
    said.collect()
}

/// One line if operators find context that no prompt and no command reads.
pub fn of_context(catalogue: &Catalogue) -> Option<String> {
    let signatures = catalogue.signatures();
    let (operator, _) = catalogue.operators().iter().zip(&signatures).find(|(_, signature)| signature.informs)?;
    let is_read = signatures.iter().any(|signature| signature.reads_context);
    (!is_read).then(|| {
        format!(
            "warning: no operator reads the context that `{}` finds; hint: write `{{{{ context }}}}` into a prompt",
            operator.name
        )
    })
}

/// Whether a template uses a variable.
fn mentions(prompt: &str, variable: &str) -> bool {
    let environment = minijinja::Environment::new();
    // A template that does not parse is reported elsewhere.
    environment
        .template_from_str(prompt)
        .map_or(true, |template| template.undeclared_variables(false).contains(variable))
}

/// One line for each pair of splits that share questions; each split comes with its name.
pub fn of_splits(splits: &[(&str, &[String])]) -> Vec<String> {
    let sets: Vec<(&str, BTreeSet<&str>)> =
        splits.iter().map(|(name, questions)| (*name, questions.iter().map(|it| it.trim()).collect())).collect();
    let pairs = sets.iter().enumerate().flat_map(|(at, one)| sets[at + 1..].iter().map(move |other| (one, other)));
    let said = pairs.filter_map(|((one, ours), (other, theirs))| {
        let shared = ours.intersection(theirs).count();
        match shared {
            0 => None,
            _ if shared == ours.len() && shared == theirs.len() => Some(format!(
                "warning: the splits `{one}` and `{other}` contain the same questions: neither can test what was learned on the other"
            )),
            _ => Some(format!(
                "warning: {shared} of {} questions of split `{other}` are in split `{one}` too",
                theirs.len()
            )),
        }
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_without_the_question_are_named() {
        let generator = |name: &str, prompt: &str| {
            format!(
                "[[operator]]\nname = \"{name}\"\nkind = \"generate\"\ndescription = \"d\"\nmax_tokens = 9\nprompt = \"{prompt}\"\n"
            )
        };
        let check = |text: String, expected: &[&str]| {
            let catalogue = Catalogue::parse(text, "c.toml").expect("a catalogue");
            let found = of_prompts(&catalogue);
            let named: Vec<&str> = found.iter().filter_map(|line| line.split('`').nth(1)).collect();
            assert_eq!(named, expected);
        };
        check(generator("Sees", "{{ question }}"), &[]);
        check(generator("Sees", "{% if question %}{{ question | upper }}{% endif %}"), &[]);
        check(generator("Blind", "Think about the question."), &["Blind"]);
        let both = [generator("Blind", "{# {{ question }} #} hm"), generator("Sees", "q: {{question}}")];
        check(both.concat(), &["Blind"]);
    }

    #[test]
    fn context_that_nobody_reads_is_said() {
        let finds = "[[operator]]\nname = \"Find\"\nkind = \"command\"\ndescription = \"d\"\ncommand = [\"x\"]\ngives = \"context\"\n";
        let answers = |prompt: &str| {
            format!(
                "[[operator]]\nname = \"Answer\"\nkind = \"generate\"\ndescription = \"d\"\nmax_tokens = 9\nprompt = \"{prompt}\"\n"
            )
        };
        let check = |text: String, expected: bool| {
            let catalogue = Catalogue::parse(text, "c.toml").expect("a catalogue");
            assert_eq!(of_context(&catalogue).is_some_and(|line| line.contains("`Find`")), expected);
        };
        check([finds, &answers("{{ question }}")].concat(), true);
        check([finds, &answers("{{ context }} {{ question }}")].concat(), false);
        check(answers("{{ question }}"), false);
    }

    #[test]
    fn shared_questions_are_counted() {
        let [one, two, three] = [&["a", "b "][..], &["b", "a"], &["b", "c", "d"]]
            .map(|texts| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>());
        let check = |splits: &[(&str, &[String])], expected: &[&str]| {
            let found = of_splits(splits);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            found.iter().zip(expected).for_each(|(line, part)| assert!(line.contains(part), "{line}"));
        };
        check(&[("train", &one), ("test", &two)], &["`train` and `test` contain the same questions"]);
        check(&[("train", &one), ("test", &three)], &["1 of 3 questions of split `test` are in split `train` too"]);
        check(&[("train", &one[..1]), ("test", &three)], &[]);
        check(&[], &[]);
    }
}
