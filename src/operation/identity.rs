//! What an operator is, whatever its name and its place in the catalogue: what keys its draws and the record of its calls.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::board::{Board, Solution};
use super::catalogue::Catalogue;
use super::operator::Operator;
use super::tools::{Checker, Language};
use crate::plan::Kind;
use crate::random;

/// What decides what an operator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Of its kind, prompt, sampling, model, rounds, checker and language. Of operators that are alike in these, and whose
    /// calls are random, each in a catalogue has one of its own, by their order.
    pub fingerprint: u128,
    pub reads: Reads,
    /// Whether it runs the public tests of the question.
    pub runs_tests: bool,
    /// Whether equal calls may end differently.
    pub is_random: bool,
}

/// What an operator reads beside the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    #[default]
    Nothing,
    /// The text of the current solution.
    Current,
    /// The texts of all solutions, in plan order.
    Texts,
    /// All solutions, with their answers.
    Solutions,
}

impl Reads {
    /// A digest of what is read of the board; none where that is nothing.
    pub fn of(self, board: &Board) -> Option<u128> {
        match self {
            Reads::Nothing => None,
            Reads::Current => board.current().map(|solution| random::digest(&[solution.text.as_bytes()])),
            Reads::Texts => {
                let texts: Vec<&[u8]> = board.solutions.iter().map(|solution| solution.text.as_bytes()).collect();
                Some(random::digest(&texts))
            }
            Reads::Solutions => {
                let mut parts: Vec<&[u8]> = Vec::with_capacity(3 * board.solutions.len());
                for Solution { text, answer, executed } in &board.solutions {
                    let marks: &[u8] = match (answer, executed) {
                        (None, false) => b"unanswered",
                        (None, true) => b"executed, unanswered",
                        (Some(_), false) => b"answered",
                        (Some(_), true) => b"executed, answered",
                    };
                    parts.extend([text.as_bytes(), marks, answer.as_deref().unwrap_or_default().as_bytes()]);
                }
                Some(random::digest(&parts))
            }
        }
    }
}

/// Which of the calls of an operator for one query this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// How often the plan holds the operator before.
    Plan(usize),
    /// What follows the plan.
    Finish,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Turn::Plan(occurrence) => occurrence.fmt(f),
            Turn::Finish => f.write_str("finish"),
        }
    }
}

/// All that an operator does is decided by, but for what it reads. Not its name, its description or its number of samples:
/// the first of many are the few.
#[derive(Serialize)]
struct Content<'a> {
    kind: Kind,
    prompt: Option<&'a str>,
    temperature: f32,
    top_p: f32,
    max_tokens: u32,
    model: [&'a str; 2],
    rounds: u32,
    checker: Option<Checker>,
    language: Language,
}

impl Catalogue {
    /// What each operator is, where the back end `model` answers.
    pub fn identities(&self, model: &str) -> Vec<Identity> {
        let models: Vec<[&str; 2]> = self.operators().iter().map(|operator| [model, operator.model.as_str()]).collect();
        self.identities_by(&models)
    }

    /// What each operator is, where for each this back end and this of its models answers.
    pub fn identities_by(&self, models: &[[&str; 2]]) -> Vec<Identity> {
        let mut alike: HashMap<u128, u64> = HashMap::new();
        let identity = |((operator, &model), [current, all]): ((&Operator, &[&str; 2]), [bool; 2])| {
            let content = random::digest(&[content(operator, model).as_bytes()]);
            let is_random = operator.prompt.is_some() && operator.temperature > 0.0;
            let rank = alike.entry(content).or_default();
            let fingerprint = random::digest(&[&content.to_be_bytes(), &rank.to_be_bytes()]);
            *rank += u64::from(is_random);
            let reads = match operator.kind {
                // Its choice falls back on the vote.
                Kind::Ensemble => Reads::Solutions,
                _ if all => Reads::Texts,
                Kind::Test => Reads::Current,
                _ if current => Reads::Current,
                _ => Reads::Nothing,
            };
            Identity { fingerprint, reads, runs_tests: operator.checker == Some(Checker::Tests), is_random }
        };
        self.operators().iter().zip(models).zip(self.solutions_read()).map(identity).collect()
    }
}

fn content(operator: &Operator, model: [&str; 2]) -> String {
    let Operator { kind, temperature, top_p, max_tokens, rounds, checker, language, .. } = *operator;
    let prompt = operator.prompt.as_deref();
    let content = Content { kind, prompt, temperature, top_p, max_tokens, model, rounds, checker, language };
    // Numbers, names and text: there is nothing in it that could not be written.
    serde_json::to_string(&content).unwrap_or_default()
}

#[cfg(test)]
mod tests {
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

    /// Expects that a change makes another operator of the first one, or that it does not.
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
        // As it was before models had tables: records and completions of then are found.
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
        // What is not random is one.
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
    fn what_is_read_is_hashed_in_order() {
        let solution = |text: &str, answer: Option<&str>| Solution {
            text: text.to_owned(),
            answer: answer.map(str::to_owned),
            executed: false,
        };
        let board = |solutions: Vec<Solution>| Board { solutions };
        let (one, other) = (solution("a", Some("1")), solution("b", None));
        let boards = [
            board(vec![one.clone(), other.clone()]),
            board(vec![other.clone(), one.clone()]),
            board(vec![other.clone()]),
            board(vec![one.clone(), solution("b", Some(""))]),
        ];
        let alike = |reads: Reads| -> Vec<usize> {
            let keys: Vec<_> = boards.iter().map(|board| reads.of(board)).collect();
            keys.iter().map(|key| keys.iter().position(|first| first == key).unwrap_or_default()).collect()
        };
        assert_eq!(alike(Reads::Nothing), [0, 0, 0, 0]);
        assert_eq!(alike(Reads::Current), [0, 1, 0, 0]);
        assert_eq!(alike(Reads::Texts), [0, 1, 2, 0]);
        assert_eq!(alike(Reads::Solutions), [0, 1, 2, 3]);
    }
}
