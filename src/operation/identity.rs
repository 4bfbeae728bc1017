//! The identity of an operator, independent of its name and position: its random draws and the record of its calls are
//! keyed by it.

use std::fmt;

use super::board::{Board, Solution};
use crate::random;

/// What determines what an operator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// A digest of its kind, prompt, sampling, model and settings. If several operators of a catalogue agree in these
    /// and their calls are random, each has a fingerprint of its own, by their order.
    pub fingerprint: u128,
    pub reads: Reads,
    /// Whether it reads context.
    pub reads_context: bool,
    /// Whether it runs the public tests of the question.
    pub runs_tests: bool,
    /// Whether equal calls may give different results.
    pub is_random: bool,
}

impl Identity {
    /// A digest of what it reads of the board; `None` if it reads nothing there.
    pub fn read(&self, board: &Board) -> Option<u128> {
        let solutions = self.reads.of(board);
        if !self.reads_context || board.context.is_empty() {
            return solutions;
        }
        let solutions = solutions.map(u128::to_be_bytes);
        let solutions: &[u8] = solutions.as_ref().map_or(&[], |digest| digest);
        let context = board.context.iter().map(String::as_bytes);
        Some(random::digest(&[solutions, b"context"].into_iter().chain(context).collect::<Vec<_>>()))
    }

    /// Whether it reads only the question.
    pub fn reads_nothing(&self) -> bool {
        self.reads == Reads::Nothing && !self.reads_context
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
    /// A digest of what is read; `None` if that is nothing.
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
                let weights: Vec<_> = board.solutions.iter().map(|it| it.weight.thousandths().to_be_bytes()).collect();
                for (Solution { text, answer, executed, weight }, thousandths) in board.solutions.iter().zip(&weights) {
                    let marks: &[u8] = match (answer, executed) {
                        (None, false) => b"unanswered",
                        (None, true) => b"executed, unanswered",
                        (Some(_), false) => b"answered",
                        (Some(_), true) => b"executed, answered",
                    };
                    parts.extend([text.as_bytes(), marks, answer.as_deref().unwrap_or_default().as_bytes()]);
                    parts.extend(weight.is_judged().then_some(thousandths.as_slice()));
                }
                Some(random::digest(&parts))
            }
        }
    }
}

/// Which of an operator's calls for one query this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// In the plan; the number of times the operator occurs before it there.
    Plan(usize),
    /// In the finish, which follows the plan.
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
    use crate::operation::{Mark, Weight};

    #[test]
    fn what_is_read_is_hashed_in_order() {
        let solution = |text: &str, answer: Option<&str>| Solution {
            text: text.to_owned(),
            answer: answer.map(str::to_owned),
            ..Solution::default()
        };
        let board = |solutions: Vec<Solution>| Board { solutions, ..Board::default() };
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

    #[test]
    fn context_and_weights_are_hashed_where_they_are_read() {
        let text = |text: &str| Solution { text: text.to_owned(), ..Solution::default() };
        let judged = Solution { weight: Weight::default().with(Mark::new(0.5).expect("a mark")), ..text("a") };
        let plain = Board { solutions: vec![text("a")], ..Board::default() };
        let weighed = Board { solutions: vec![judged], ..Board::default() };
        let informed = |context: &[&str]| Board {
            context: context.iter().map(|text| (*text).to_owned()).collect(),
            ..plain.clone()
        };
        let read = |reads: Reads, reads_context: bool, board: &Board| {
            Identity { reads, reads_context, ..Identity::default() }.read(board)
        };
        assert_ne!(read(Reads::Solutions, false, &plain), read(Reads::Solutions, false, &weighed));
        assert_eq!(read(Reads::Texts, false, &plain), read(Reads::Texts, false, &weighed));
        assert_eq!(read(Reads::Texts, false, &informed(&["c"])), read(Reads::Texts, false, &plain));
        assert_eq!(read(Reads::Texts, true, &plain), read(Reads::Texts, false, &plain), "no context is none");
        let boards = [plain.clone(), informed(&["c"]), informed(&["d"]), informed(&["c", "d"]), informed(&["cd"])];
        for reads in [Reads::Nothing, Reads::Current, Reads::Texts, Reads::Solutions] {
            let digests: std::collections::BTreeSet<_> = boards.iter().map(|board| read(reads, true, board)).collect();
            assert_eq!(digests.len(), boards.len(), "{reads:?}");
        }
    }
}
