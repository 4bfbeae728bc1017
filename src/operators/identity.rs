//! What an operator is, whatever its name and its place in the catalogue: what keys its draws and the record of its calls.

use std::fmt;

use super::board::{Board, Solution};
use crate::random;

/// What decides what an operator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Of its kind, prompt, sampling, model and settings. Of operators that are alike in these, and whose
    /// calls are random, each in a catalogue has one of its own, by their order.
    pub fingerprint: u128,
    pub reads: Reads,
    /// Whether it runs the public tests of the question.
    pub runs_tests: bool,
    /// Whether equal calls may end differently.
    pub is_random: bool,
}

impl Identity {
    /// A digest of what it reads of the board; none where that is nothing.
    pub fn read(&self, board: &Board) -> Option<u128> {
        self.reads.of(board)
    }
}

/// What an operator reads of the solutions.
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
    /// A digest of what is read; none where that is nothing.
    fn of(self, board: &Board) -> Option<u128> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
