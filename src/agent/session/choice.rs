//! A committed operator that somebody else executes.

use super::report::{Told, Used};
use crate::evidence::{Charge, Chosen, Stage};
use crate::model::Price;
use crate::operation::{Board, Call, Effect, Solution};
use crate::plan::{Latency, OperatorId, Signature, Usage};

/// A committed operator.
pub(super) struct Choice {
    pub layer: usize,
    pub operator: OperatorId,
    pub signature: Signature,
    /// How often the operator occurs in the plan before it.
    pub turn: usize,
    /// False behind a stop.
    pub runs: bool,
    pub waits_for: Vec<usize>,
    pub committed: Latency,
    pub phase: Phase,
    /// What it read.
    pub board: Board,
    /// The solutions that it has given so far.
    pub given: Vec<Given>,
    /// What it used besides them.
    pub calls: Vec<Call>,
}

pub(super) enum Phase {
    Waiting,
    Running { start: Latency },
    Ended { start: Latency, end: Latency, effect: Effect },
    Skipped,
}

/// A solution that has been given.
pub(super) struct Given {
    pub solution: Solution,
    pub score: Option<f64>,
    pub call: Call,
    /// From the start of the choice.
    pub arrival: Latency,
}

impl Choice {
    /// When it started; none before.
    pub fn start(&self) -> Option<Latency> {
        match self.phase {
            Phase::Running { start } | Phase::Ended { start, .. } => Some(start),
            Phase::Waiting | Phase::Skipped => None,
        }
    }

    pub fn effect(&self) -> Option<&Effect> {
        if let Phase::Ended { effect, .. } = &self.phase { Some(effect) } else { None }
    }

    /// When it ended; none before.
    pub fn end(&self) -> Option<Latency> {
        if let Phase::Ended { end, .. } = self.phase { Some(end) } else { None }
    }

    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Running { .. })
    }

    /// Tokens that it has written one after another: those of solutions side by side count once.
    fn written(&self) -> f64 {
        let tokens = |call: &Call| call.usage.completion_tokens as f64;
        let given = self.given.iter().map(|given| tokens(&given.call));
        let solutions = if self.signature.is_side_by_side { given.fold(0.0, f64::max) } else { given.sum() };
        solutions + self.calls.iter().map(tokens).sum::<f64>()
    }

    /// Takes a solution that has arrived `seconds` after the start of the query.
    pub fn give(&mut self, told: Told, answer: Option<String>, seconds: f64) {
        let Some(start) = self.start() else { return };
        let Told { text, executed, score, used, .. } = told;
        let after = (seconds - start.seconds).max(0.0);
        let call = used.call(!self.signature.asks_model, after);
        let solution = Solution { text, answer, executed, ..Solution::default() };
        self.given.push(Given { solution, score, call, arrival: Latency::default() });
        let arrival = Latency { tokens: self.written(), seconds: after };
        self.given.iter_mut().last().into_iter().for_each(|given| given.arrival = arrival);
    }

    /// Takes what it used besides its solutions.
    pub fn use_up(&mut self, used: &Used, seconds: f64) {
        let after = self.start().map_or(0.0, |start| (seconds - start.seconds).max(0.0));
        let is_told = !used.is_nothing() || (self.given.is_empty() && self.signature.is_at_work());
        self.calls.extend(is_told.then(|| used.call(!self.signature.asks_model, after)));
    }

    /// Ends it `seconds` after the start of the query.
    pub fn ends(&mut self, effect: Effect, seconds: f64) {
        let Some(start) = self.start() else { return };
        let end = Latency { tokens: start.tokens + self.written(), seconds: seconds.max(start.seconds) };
        self.phase = Phase::Ended { start, end, effect };
    }

    /// What it appended, given what has arrived.
    pub fn appended(&self) -> Effect {
        let solutions: Vec<Solution> = self.given.iter().map(|given| given.solution.clone()).collect();
        if solutions.is_empty() { Effect::Keep } else { Effect::Append(solutions) }
    }

    /// All that was called, solutions first.
    pub fn all_calls(&self) -> impl Iterator<Item = &Call> {
        self.given.iter().map(|given| &given.call).chain(&self.calls)
    }

    pub fn charge(&self, price: Price) -> Charge {
        let mut charge = Charge { usage: Usage::default(), cost: 0.0 };
        for call in self.all_calls() {
            charge.usage += call.usage;
            charge.cost += call.cost(price);
        }
        charge
    }

    /// What a decider knows of it.
    pub fn known(&self) -> Chosen<'_> {
        let added = match self.phase {
            Phase::Running { .. } => self.given.iter().map(|given| Some(&given.solution)).collect(),
            _ => Vec::new(),
        };
        let stage = match self.phase {
            Phase::Waiting if self.runs => Stage::Waiting,
            Phase::Waiting | Phase::Skipped => Stage::Skipped,
            Phase::Running { .. } => Stage::Running,
            Phase::Ended { .. } => Stage::Ended,
        };
        let chosen = Chosen {
            layer: self.layer,
            operator: self.operator,
            signature: self.signature,
            stage,
            started: self.start(),
            added,
            replaced: None,
            marks: &[],
        };
        match &self.phase {
            Phase::Ended { effect, .. } => chosen.ended(effect),
            _ => chosen,
        }
    }
}
