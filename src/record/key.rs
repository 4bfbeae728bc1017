//! The keys of calls and scores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Message, Role};
use crate::operation::{Identity, Solution, Turn};
use crate::random::{self, Draw};
use crate::task::{AnswerForm, Problem, Tests};

/// What identifies a call; written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = is_hexadecimal.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        digits.map(Key).ok_or_else(|| format!("expected 32 hexadecimal digits, found `{text}`"))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl serde::de::Visitor<'_> for Digits {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Key, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

/// What all calls for one question have in common.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    question: u128,
    tests: u128,
    draw: Draw,
}

impl Asked {
    /// A question whose answers have this form, what code that answers it must pass, and one of its runs.
    pub fn new(question: &str, form: AnswerForm, tests: Option<&Tests>, draw: Draw) -> Self {
        let public: Vec<&[u8]> = match tests {
            Some(tests) => tests.public.iter().chain([&tests.entry_point]).map(|text| text.as_bytes()).collect(),
            None => Vec::new(),
        };
        let question = random::digest(&[question.as_bytes(), name_of(form).as_bytes()]);
        let tests = if public.is_empty() { 0 } else { random::digest(&public) };
        Asked { question, tests, draw }
    }

    /// The same question after these messages; unchanged if there are none.
    pub fn after(self, conversation: &[Message]) -> Self {
        if conversation.is_empty() {
            return self;
        }
        let question = self.question.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&question];
        for Message { role, content } in conversation {
            let role: &[u8] = match role {
                Role::System => b"system",
                Role::User => b"user",
                Role::Assistant => b"assistant",
            };
            parts.extend([role, content.as_bytes()]);
        }
        Asked { question: random::digest(&parts), ..self }
    }

    /// The key of a call by an operator that reads `read`.
    pub fn key(&self, identity: &Identity, read: Option<u128>, turn: Turn) -> Key {
        let [draw, turn] = self.which(identity, turn);
        let tests = if identity.runs_tests { self.tests } else { 0 };
        let [question, fingerprint, read, tests] =
            [self.question, identity.fingerprint, read.unwrap_or_default(), tests].map(u128::to_be_bytes);
        Key(random::digest(&[&question, &fingerprint, &read, &tests, draw.as_bytes(), turn.as_bytes()]))
    }

    /// Which of an operator's independent calls this is: its draw and its turn. If equal calls give equal results,
    /// there is only one.
    pub fn which(&self, identity: &Identity, turn: Turn) -> [String; 2] {
        match turn {
            Turn::Plan(_) if !identity.is_random => ["0".to_owned(), "0".to_owned()],
            Turn::Finish if !identity.is_random => ["0".to_owned(), turn.to_string()],
            _ => [self.draw.to_string(), turn.to_string()],
        }
    }
}

/// A digest of what a finish reads when it may make this many improvements to the standing solution.
pub fn read_by_finish(standing: &Solution, improve: u32) -> u128 {
    random::digest(&[standing.text.as_bytes(), b"finish", &improve.to_be_bytes()])
}

/// What answers to a problem are judged against. A score belongs to its reference and is not used with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference(pub Key);

/// Incremented whenever a change to grading makes earlier scores wrong.
const GRADING: &[u8] = b"grading 1";

impl Reference {
    pub fn new(problem: &Problem, form: AnswerForm) -> Self {
        let tests = problem.tests.as_ref().map_or("", |tests| &tests.test);
        let parts = [&problem.question, &problem.answer, tests, name_of(form)].map(str::as_bytes);
        Reference(Key(random::digest(&[GRADING, parts[0], parts[1], parts[2], parts[3]])))
    }

    /// The key of an answer's score.
    pub(super) fn score_of(reference: Key, answer: &str) -> Key {
        Key(random::digest(&[&reference.0.to_be_bytes(), answer.as_bytes()]))
    }
}

fn name_of(form: AnswerForm) -> &'static str {
    match form {
        AnswerForm::Integer => "integer",
        AnswerForm::Number => "number",
        AnswerForm::Mathematics => "mathematics",
        AnswerForm::Exact => "exact",
        AnswerForm::MultipleChoice => "choice",
        AnswerForm::Python => "python",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn identity(is_random: bool) -> Identity {
        Identity { fingerprint: 7, is_random, ..Identity::default() }
    }

    fn asked(question: &str, draw: u64) -> Asked {
        Asked::new(question, AnswerForm::Integer, None, Purpose::Training.draw(draw))
    }

    #[test]
    fn a_key_is_of_all_that_a_call_depends_on() {
        let own = asked("?", 0).key(&identity(true), None, Turn::Plan(0));
        let differs = |other: Key| assert_ne!(own, other);
        differs(asked("!", 0).key(&identity(true), None, Turn::Plan(0)));
        differs(asked("?", 1).key(&identity(true), None, Turn::Plan(0)));
        differs(asked("?", 0).key(&identity(true), Some(1), Turn::Plan(0)));
        differs(asked("?", 0).key(&identity(true), None, Turn::Plan(1)));
        differs(asked("?", 0).key(&identity(true), None, Turn::Finish));
        differs(asked("?", 0).key(&Identity { fingerprint: 8, ..identity(true) }, None, Turn::Plan(0)));
        let evaluated = Asked::new("?", AnswerForm::Integer, None, Purpose::Evaluation.draw(0));
        differs(evaluated.key(&identity(true), None, Turn::Plan(0)));
        differs(Asked { question: asked("?", 0).question, ..evaluated }.key(&identity(true), None, Turn::Plan(0)));
        differs(Asked::new("?", AnswerForm::Exact, None, Purpose::Training.draw(0)).key(
            &identity(true),
            None,
            Turn::Plan(0),
        ));
        // An operator that is not random has one call, apart from the finish.
        let one = asked("?", 0).key(&identity(false), None, Turn::Plan(0));
        assert_eq!(one, asked("?", 5).key(&identity(false), None, Turn::Plan(3)));
        assert_ne!(one, asked("?", 5).key(&identity(false), None, Turn::Finish));
        assert_eq!(own.to_string().parse(), Ok(own));
        assert!("7".parse::<Key>().is_err() && "+0000000000000000000000000000000".parse::<Key>().is_err());
    }

    #[test]
    fn tests_count_for_who_runs_them() {
        let tests = |public: &str| Tests {
            entry_point: "f".to_owned(),
            test: "hidden".to_owned(),
            public: vec![public.to_owned()],
        };
        let key = |public: &str, runs_tests: bool| {
            let asked = Asked::new("?", AnswerForm::Python, Some(&tests(public)), Purpose::Training.draw(0));
            asked.key(&Identity { runs_tests, ..identity(true) }, None, Turn::Plan(0))
        };
        assert_ne!(key("assert 1", true), key("assert 2", true));
        assert_eq!(key("assert 1", false), key("assert 2", false));
    }

    #[test]
    fn a_finish_reads_what_stands_and_how_often_it_may_improve() {
        let standing = |text: &str| Solution { text: text.to_owned(), ..Solution::default() };
        assert_ne!(read_by_finish(&standing("a"), 1), read_by_finish(&standing("a"), 2));
        assert_ne!(read_by_finish(&standing("a"), 1), read_by_finish(&standing("b"), 1));
    }
}
