//! Replies of single operators: one recorded output of each on every problem.

use std::collections::BTreeMap;

use crate::decide::{Said, Set};
use crate::learn::measured::Outcome;
use crate::plan::OperatorId;

/// Most operators that one query asks.
pub(super) const MOST: u32 = 4;

/// The reply of a single operator to a problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub answer: Option<String>,
    pub outcome: Outcome,
}

/// The replies of some operators, `[O][N]`.
pub struct Replies {
    pub operators: Vec<OperatorId>,
    /// Equal answers to one problem share a number.
    said: Vec<Vec<Said>>,
    pub outcomes: Vec<Vec<Outcome>>,
}

impl Replies {
    /// Of the operators' replies, `[O][N]`.
    pub fn new(operators: Vec<OperatorId>, replies: &[Vec<Reply>]) -> Self {
        let problems = replies.first().map_or(0, Vec::len);
        let mut said: Vec<Vec<Said>> = vec![Vec::with_capacity(problems); replies.len()];
        for problem in 0..problems {
            let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
            for (said, row) in said.iter_mut().zip(replies) {
                let next = numbers.len() as u32;
                said.push(match &row[problem].answer {
                    Some(answer) => Said::Answer(*numbers.entry(answer).or_insert(next)),
                    None => Said::Nothing,
                });
            }
        }
        let outcomes = replies.iter().map(|row| row.iter().map(|reply| reply.outcome).collect()).collect();
        Replies { operators, said, outcomes }
    }

    pub fn problems(&self) -> usize {
        self.said.first().map_or(0, Vec::len)
    }

    pub fn all(&self) -> Set {
        (0..self.operators.len()).fold(0, |set, at| set | 1 << at)
    }

    /// What these operators said on a problem.
    pub fn said(&self, problem: usize, asked: Set) -> Vec<Said> {
        let said = |(at, said): (usize, &Vec<Said>)| if asked >> at & 1 == 1 { said[problem] } else { Said::Unasked };
        self.said.iter().enumerate().map(said).collect()
    }

    /// The score of an answer to a problem.
    pub fn score(&self, problem: usize, answer: u32) -> f64 {
        let own = self.said.iter().zip(&self.outcomes).filter(|(said, _)| said[problem] == Said::Answer(answer));
        own.map(|(_, outcomes)| outcomes[problem].score).fold(0.0, f64::max)
    }
}
