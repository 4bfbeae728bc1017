//! The fingerprint of an operator: a digest of everything that determines what it does.

use std::collections::HashMap;

use serde::Serialize;

use super::catalogue::Catalogue;
use super::identity::Identity;
use super::kind;
use super::kinds::Operation;
use super::operator::Operator;
use super::tools::{Checker, Language};
use crate::random;

/// Everything that determines what an operator does, except what it reads. The name, the description and the number of
/// samples are not part of it: the first samples of many equal those of few.
#[derive(Serialize)]
struct Content<'a> {
    kind: &'a str,
    prompt: Option<&'a str>,
    temperature: f32,
    top_p: f32,
    max_tokens: u32,
    model: [&'a str; 2],
    rounds: u32,
    checker: Option<Checker>,
    language: Language,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<serde_json::Value>,
}

impl Catalogue {
    /// The identity of each operator if the back end `model` answers.
    pub fn identities(&self, model: &str) -> Vec<Identity> {
        let models: Vec<[&str; 2]> = self.operators().iter().map(|operator| [model, operator.model.as_str()]).collect();
        self.identities_by(&models)
    }

    /// The identity of each operator if, for each, this back end and this of its models answers.
    pub fn identities_by(&self, models: &[[&str; 2]]) -> Vec<Identity> {
        let mut alike: HashMap<u128, u64> = HashMap::new();
        let identity = |((operator, operation), &model): ((&Operator, &Operation), &[&str; 2])| {
            let kind = operation.as_kind();
            let content = random::digest(&[content(operator, kind.content(), model).as_bytes()]);
            let signature = kind.signature(operator);
            let is_random = match signature.asks_model {
                true => operator.prompt.is_some() && operator.temperature > 0.0,
                false => !signature.is_deterministic,
            };
            let rank = alike.entry(content).or_default();
            let fingerprint = random::digest(&[&content.to_be_bytes(), &rank.to_be_bytes()]);
            *rank += u64::from(is_random);
            let prompt = self.prompts().reads(&operator.name);
            Identity {
                fingerprint,
                reads: kind.reads(prompt),
                reads_context: signature.reads_context || prompt.context,
                runs_tests: kind.checker() == Some(Checker::Tests),
                is_random,
            }
        };
        self.operators().iter().zip(self.operations()).zip(models).map(identity).collect()
    }
}

fn content(operator: &Operator, content: kind::Content, model: [&str; 2]) -> String {
    let Operator { temperature, top_p, max_tokens, .. } = *operator;
    let (kind, prompt) = (operator.kind.as_str(), operator.prompt.as_deref());
    let kind::Content { rounds, checker, language, settings } = content;
    let content = Content { kind, prompt, temperature, top_p, max_tokens, model, rounds, checker, language, settings };
    // It holds only numbers, names and text, so serialisation cannot fail.
    serde_json::to_string(&content).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::identity::Reads;
    use super::*;

    const TWO: &str = r#"
        [[operator]]
        name = "One"
        kind = "generate"
        description = "Answers."
        prompt = "{{ question }}"
        max_tokens = 9
        temperature = 1.0
        [[operator]]
        name = "Two"
        kind = "refine"
        description = "Improves."
        prompt = "{{ question }} {{ solution }}"
        max_tokens = 9
    "#;

    fn of(text: &str, model: &str) -> Vec<Identity> {
        Catalogue::parse(text.to_owned(), "c.toml").expect("a sound catalogue").identities(model)
    }

    /// Expects that a change to the first operator makes a different operator, or that it does not.
    #[track_caller]
    fn check(from: &str, to: &str, is_another: bool) {
        let (before, after) = (of(TWO, "m"), of(&TWO.replacen(from, to, 1), "m"));
        assert_eq!(before[0].fingerprint != after[0].fingerprint, is_another, "{from} -> {to}");
        assert_eq!(before[1], after[1], "{from} -> {to}");
    }

    #[test]
    fn an_operator_is_what_it_does() {
        check("{{ question }}", "Q: {{ question }}", true);
        check("max_tokens = 9", "max_tokens = 8", true);
        check("temperature = 1.0", "temperature = 0.5", true);
        check("temperature = 1.0", "temperature = 1.0\ntop_p = 0.5", true);
        check("temperature = 1.0", "temperature = 1.0\nmodel = \"other\"", true);
        check("kind = \"generate\"", "kind = \"program\"", true);
        check("One", "Another", false);
        check("Answers.", "Replies.", false);
        check("temperature = 1.0", "temperature = 1.0\nsamples = 5", false);
        assert!(of(TWO, "m").iter().zip(of(TWO, "n")).all(|(one, other)| one.fingerprint != other.fingerprint));
    }

    #[test]
    fn an_operator_is_another_where_its_model_is() {
        let catalogue = Catalogue::parse(TWO.to_owned(), "c.toml").expect("a sound catalogue");
        let by = |models: [[&str; 2]; 2]| catalogue.identities_by(&models);
        let before = by([["m", ""]; 2]);
        assert_eq!(before, of(TWO, "m"), "where one answers for all, operators are what they were");
        let after = by([["m", ""], ["n", ""]]);
        assert_eq!((before[0] == after[0], before[1] == after[1]), (true, false));
        // The same value as before models had tables, so older records and completions are still found.
        assert_eq!(format!("{:032x}", before[0].fingerprint), "c0e21a3be0d2534e49d571a71e1c41d5");
    }

    #[test]
    fn twins_draw_independently_and_places_do_not_count() {
        let (first, second) = TWO.split_at(TWO.rfind("[[operator]]").expect("a second operator"));
        let turned = of(&format!("{second}{first}"), "m");
        assert_eq!([turned[1], turned[0]], of(TWO, "m")[..]);
        let twins =
            of(&format!("{first}{}{second}{}", first.replace("One", "Three"), second.replace("Two", "Four")), "m");
        assert_eq!(twins[0], of(TWO, "m")[0]);
        assert_ne!(twins[0].fingerprint, twins[1].fingerprint);
        // An operator that is not random has one identity.
        assert_eq!(twins[2], twins[3]);
    }

    #[test]
    fn what_is_read_is_what_prompt_and_kind_read() {
        let check = |from: &str, to: &str, expected: [Reads; 2]| {
            assert_eq!(of(&TWO.replacen(from, to, 1), "m").iter().map(|it| it.reads).collect::<Vec<_>>(), expected);
        };
        check("", "", [Reads::Nothing, Reads::Current]);
        check("{{ solution }}", "{{ solutions }}", [Reads::Nothing, Reads::Texts]);
        check("{{ solution }}", "", [Reads::Nothing, Reads::Nothing]);
        check("{{ question }}", "{{ solution }}", [Reads::Current, Reads::Current]);
        check("kind = \"generate\"", "kind = \"ensemble\"", [Reads::Solutions, Reads::Current]);
        let test = "kind = \"test\"\nchecker = \"tests\"";
        check("kind = \"generate\"", test, [Reads::Current, Reads::Current]);
        assert!(of(&TWO.replacen("kind = \"generate\"", test, 1), "m")[0].runs_tests);
    }

    #[test]
    fn operators_of_the_shipped_catalogues_are_what_records_and_checkpoints_know() -> anyhow::Result<()> {
        let check = |file: &str, expected: &str| -> anyhow::Result<()> {
            let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
            let identities = Catalogue::parse(text, file)?.identities("m");
            let told = identities.iter().map(|it| {
                let Identity { fingerprint, reads, runs_tests, is_random, .. } = it;
                format!("{fingerprint:032x} {reads:?} {runs_tests} {is_random}\n")
            });
            let found = random::digest(&[told.collect::<String>().as_bytes()]);
            assert_eq!(format!("{found:032x}"), expected, "{file}");
            Ok(())
        };
        check("data/arithmetic/catalogue.toml", "914a0ac8ef127db5d5d2a607502c5166")?;
        check("data/gsm8k/catalogue.toml", "846216299bd148c087527960233bd398")?;
        check("data/math/catalogue.toml", "1bd3033778ed113387c9421e8f008d65")?;
        check("data/humaneval/catalogue.toml", "bd99a34e52b91e676af599a01f556fd8")?;
        check("data/catalogues/two-models.toml", "a27d6e8554ebfd5aba02f3923689a63f")?;
        check("tests/benchmarks/tiny/catalogue.toml", "09828adf6a90612e412aaa3a51fdfd81")
    }
}
