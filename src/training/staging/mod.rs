//! Stages, learned from what each operator does alone: the branches of every problem can be followed without a call.

mod fit_vote;
mod replay;

use std::collections::BTreeMap;

use crate::decide::{Proposal, Said, Set, Stages, Then, Vote, subsets};
use crate::objective::Objective;
use crate::plan::{OperatorId, Plan};
use crate::training::measured::{Measured, Outcome};

/// Most operators that a query asks.
const MOST: u32 = 4;
/// Most operators of a start, and of what follows.
const START: u32 = 3;
const FURTHER: u32 = 2;

/// What an operator does alone on a problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reply {
    pub answer: Option<String>,
    pub outcome: Outcome,
}

/// The replies of some operators, `[O][N]`.
pub(super) struct Replies {
    pub operators: Vec<OperatorId>,
    /// Equal answers to one problem have one number.
    said: Vec<Vec<Said>>,
    outcomes: Vec<Vec<Outcome>>,
}

/// What was learned, and what each start would have come to.
pub(super) struct Staging {
    pub stages: Stages,
    pub starts: Vec<Proposal>,
    /// What each came to by what was learned from other problems, `[S]`.
    pub measured: Vec<Measured>,
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

    fn problems(&self) -> usize {
        self.said.first().map_or(0, Vec::len)
    }

    fn all(&self) -> Set {
        (0..self.operators.len()).fold(0, |set, at| set | 1 << at)
    }

    /// What is heard on a problem where these were asked.
    fn said(&self, problem: usize, asked: Set) -> Vec<Said> {
        let said = |(at, said): (usize, &Vec<Said>)| if asked >> at & 1 == 1 { said[problem] } else { Said::Unasked };
        self.said.iter().enumerate().map(said).collect()
    }

    /// The score of an answer to a problem.
    fn score(&self, problem: usize, answer: u32) -> f64 {
        let own = self.said.iter().zip(&self.outcomes).filter(|(said, _)| said[problem] == Said::Answer(answer));
        own.map(|(_, outcomes)| outcomes[problem].score).fold(0.0, f64::max)
    }
}

/// Votes without each fold of the problems and, last, that of all.
pub(super) fn votes(replies: &Replies, folds: &[usize], seed: u64) -> Vec<Vote> {
    fit_vote::by_fold(replies, folds, seed)
}

/// Learns when to ask on, by the votes that were fitted without each fold of the problems.
pub(super) fn learn(replies: &Replies, votes: &[Vote], objective: &Objective, folds: &[usize]) -> Staging {
    let mut replay = replay::Replay::new(replies, objective, folds, votes);
    let mut states = Vec::new();
    let sets = subsets(replies.all(), MOST);
    for size in (1..=MOST).rev() {
        for &asked in sets.iter().filter(|set| set.count_ones() == size) {
            let ways = subsets(replies.all() & !asked, FURTHER.min(MOST - size));
            states.extend(replay.learn(asked, &ways));
        }
    }
    states.sort_by_key(|state| state.asked);
    let stages = Stages {
        operators: replies.operators.clone(),
        vote: votes.last().cloned().unwrap_or_default(),
        states,
        latency_weight: objective.latency_weight,
        cost_weight: objective.cost_weight,
        unit: objective.unit,
    };
    let starts = subsets(replies.all(), START);
    let measured = starts.iter().map(|&start| replay.start(start)).collect();
    let proposal = |&start: &Set| Proposal { plan: Plan { layers: vec![stages.layer(start)] }, then: Then::Ask };
    let starts = starts.iter().map(proposal).collect();
    Staging { stages, starts, measured }
}
