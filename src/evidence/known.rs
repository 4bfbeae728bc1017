//! What a decider knows: the committed choices, what they have given so far, and what that has cost.

use super::chosen::{Charge, Chosen, Stage};
use super::standing::Standing;
use crate::operation::Solution;
use crate::plan::Latency;

/// A query at one moment.
pub struct Known<'a> {
    /// Time since the start of the query.
    pub now: Latency,
    /// Layers committed so far.
    pub layers: usize,
    /// In plan order.
    pub choices: &'a [Chosen<'a>],
    /// Says what the choice with this number has cost by now.
    pub charges: &'a dyn Fn(usize) -> Charge,
}

impl<'a> Known<'a> {
    /// Whether nothing has been committed yet.
    pub fn is_start(&self) -> bool {
        self.layers == 0
    }

    /// Whether something has ended or given a solution.
    pub fn has_news(&self) -> bool {
        self.choices.iter().any(|choice| choice.stage == Stage::Ended || choice.solutions().next().is_some())
    }

    /// Whether something is still to come.
    pub fn is_under_way(&self) -> bool {
        self.choices.iter().any(|choice| matches!(choice.stage, Stage::Waiting | Stage::Running))
    }

    /// The current solutions, and those to come.
    pub fn standing(&self) -> Standing<'a> {
        Standing::of(self.choices)
    }

    /// The answer that a vote would give now.
    pub fn answer(&self) -> Option<&'a str> {
        self.standing().leader()?.answer
    }

    /// The answers so far, in plan order; none for a solution without one.
    pub fn answers(&self) -> Vec<Option<&'a str>> {
        self.choices.iter().flat_map(Chosen::solutions).map(|solution: &Solution| solution.answer.as_deref()).collect()
    }

    /// What all choices have cost by now.
    pub fn spent(&self) -> Charge {
        let mut spent = Charge::default();
        for choice in 0..self.choices.len() {
            let Charge { usage, cost } = (self.charges)(choice);
            spent.usage += usage;
            spent.cost += cost;
        }
        spent
    }
}
