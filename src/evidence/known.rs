//! What a decider is told: which choices were committed, what they have given by now, and what that took.

use super::Standing;
use crate::operators::{Effect, Solution};
use crate::plan::{Latency, OperatorId, Signature, Usage};

/// A query at one moment.
pub struct Known<'a> {
    /// From the start of the query.
    pub now: Latency,
    /// Layers committed so far.
    pub layers: usize,
    /// In plan order.
    pub choices: &'a [Chosen<'a>],
    /// Says what the choice of that number has taken by now.
    pub charges: &'a dyn Fn(usize) -> Charge,
}

/// An operator that was committed.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    pub layer: usize,
    pub operator: OperatorId,
    pub signature: Signature,
    /// Whether a program computes its answers.
    pub executes: bool,
    pub stage: Stage,
    /// From the start of the query; none while it waits.
    pub started: Option<Latency>,
    /// The solutions that it has added so far, by place.
    pub added: Vec<Option<&'a Solution>>,
    /// What it put in the place of all that it read.
    pub replaced: Option<&'a Solution>,
}

/// How far a choice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For what it reads, or for its turn.
    Waiting,
    Running,
    /// By itself, or because it was dropped.
    Ended,
    /// It never runs: it follows a stop, or was dropped before it started.
    Skipped,
}

/// What a choice has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    pub usage: Usage,
    /// Dollars.
    pub cost: f64,
}

impl<'a> Chosen<'a> {
    /// The solutions that are there.
    pub fn solutions(&self) -> impl Iterator<Item = &'a Solution> + '_ {
        self.added.iter().flatten().copied().chain(self.replaced)
    }

    /// The choice with what its operator did once it has ended.
    pub fn ended(self, effect: &'a Effect) -> Self {
        let (added, replaced) = match effect {
            Effect::Append(solutions) => (solutions.iter().map(Some).collect(), None),
            Effect::Replace(solution) => (Vec::new(), Some(solution)),
            Effect::Keep => (Vec::new(), None),
        };
        Chosen { stage: Stage::Ended, added, replaced, ..self }
    }
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

    /// The solutions that stand, and those to come.
    pub fn standing(&self) -> Standing<'a> {
        Standing::of(self.choices)
    }

    /// The answer that a vote gives now.
    pub fn answer(&self) -> Option<&'a str> {
        self.standing().leader()?.answer
    }

    /// The answers that are there, in plan order; none for a solution without one.
    pub fn answers(&self) -> Vec<Option<&'a str>> {
        self.choices.iter().flat_map(Chosen::solutions).map(|solution| solution.answer.as_deref()).collect()
    }

    /// What all choices have taken by now.
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
