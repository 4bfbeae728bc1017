//! Learns stages from what each operator does alone. All branches of every problem can be followed without a call.

mod fit_vote;
mod replay;
mod replies;

pub(super) use fit_vote::by_fold as votes;
pub(super) use replies::{Replies, Reply};

use self::replies::MOST;
use crate::decide::{Proposal, Set, Stages, Then, Vote, subsets};
use crate::learn::measured::Measured;
use crate::objective::Objective;
use crate::plan::Plan;

/// Most operators of a start, and of each further step.
const START: u32 = 3;
const FURTHER: u32 = 2;

/// The learned stages, and the outcomes of each start.
pub(super) struct Staging {
    pub stages: Stages,
    pub starts: Vec<Proposal>,
    /// The outcomes of each start, by what was learned from other problems, `[S]`.
    pub measured: Vec<Measured>,
}

/// Learns when to keep asking, with the votes that were fitted without each fold of the problems.
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
