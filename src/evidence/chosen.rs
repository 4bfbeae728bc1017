//! A committed operator, as a decider sees it.

use crate::operation::{Effect, Mark, Solution};
use crate::plan::{Latency, OperatorId, Signature, Usage};

/// A committed operator.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    pub layer: usize,
    pub operator: OperatorId,
    pub signature: Signature,
    pub stage: Stage,
    /// Start time, from the start of the query; none while it waits.
    pub started: Option<Latency>,
    /// The solutions that it has added so far, by position.
    pub added: Vec<Option<&'a Solution>>,
    /// The solution with which it replaced all that it read.
    pub replaced: Option<&'a Solution>,
    /// The marks it gave to the solutions that it read, in their order.
    pub marks: &'a [Option<Mark>],
}

/// How far a choice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For its inputs, or for its turn.
    Waiting,
    Running,
    /// By itself, or because it was dropped.
    Ended,
    /// It never runs: it follows a stop, or was dropped before it started.
    Skipped,
}

/// What a choice has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    pub usage: Usage,
    /// Dollars.
    pub cost: f64,
}

impl<'a> Chosen<'a> {
    /// The solutions it has given.
    pub fn solutions(&self) -> impl Iterator<Item = &'a Solution> + '_ {
        self.added.iter().flatten().copied().chain(self.replaced)
    }

    /// The ended choice, with the effect of its operator.
    pub fn ended(self, effect: &'a Effect) -> Self {
        let ended = Chosen { stage: Stage::Ended, added: Vec::new(), replaced: None, marks: &[], ..self };
        match effect {
            Effect::Append(solutions) => Chosen { added: solutions.iter().map(Some).collect(), ..ended },
            Effect::Replace(solution) => Chosen { replaced: Some(solution), ..ended },
            Effect::Judge(marks) => Chosen { marks, ..ended },
            Effect::Inform(_) | Effect::Keep | Effect::Unusable(_) => ended,
        }
    }
}
