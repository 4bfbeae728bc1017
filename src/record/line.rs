//! A line of the record, as people and programs read it.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::operation::{Call, Effect, Mark, Solution};
use crate::plan::Latency;

/// What a call of an operator came to. Fields of later versions are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub key: Key,
    /// Id of the problem, for readers; of a question that a server was asked, the id of its answer; empty of other questions.
    pub problem: String,
    /// Name of the operator, for readers.
    pub operator: String,
    /// What answered, for readers.
    pub model: String,
    /// Which of the independent runs of the query, such as `training 0`; `0` where equal calls end alike.
    pub draw: String,
    /// Which of the operator's calls in its plan, or `finish`.
    pub turn: String,
    /// Digest of what it read beside the question; absent where that is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Key>,
    pub effect: Change,
    pub solutions: Vec<Given>,
    /// What it said of the solutions that it read, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Option<Mark>>,
    /// What it found for others to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The reply, if nothing in it could be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// What was done, one after another; of an operator that gives several solutions side by side, one call for each, and where
    /// it does so in rounds, as many for each round.
    pub calls: Vec<Call>,
    /// Dollars of all calls, at the prices of then.
    pub cost: f64,
    /// Of what the scores are against; absent where nothing was graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Key>,
}

/// What became of the solutions before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Append,
    Replace,
    Judge,
    Inform,
    Keep,
}

/// A solution. What it took is for readers: plans are computed from the calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Given {
    pub text: String,
    pub answer: Option<String>,
    /// None where nobody graded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether the answer was computed by a program that ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executed: bool,
    /// Tokens written.
    pub tokens: u64,
    pub prompt_tokens: u64,
    pub seconds: f64,
    /// Dollars, at the prices of then.
    pub cost: f64,
    /// From the start of the operator.
    pub arrival: Latency,
}

/// The score of an answer that no line of a call says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    pub problem: String,
    pub reference: Key,
    pub answer: String,
    pub score: f64,
}

impl Given {
    pub fn solution(&self) -> Solution {
        let (text, answer) = (self.text.clone(), self.answer.clone());
        Solution { text, answer, executed: self.executed, ..Solution::default() }
    }
}

impl Line {
    /// What the call did to the solutions; of several solutions side by side the first `samples`.
    pub fn effect(&self, samples: usize) -> Effect {
        match (self.effect, self.solutions.first()) {
            (Change::Append, Some(_)) => {
                Effect::Append(self.solutions.iter().take(samples).map(Given::solution).collect())
            }
            (Change::Replace, Some(solution)) => Effect::Replace(solution.solution()),
            (Change::Judge, _) => Effect::Judge(self.marks.clone()),
            (Change::Inform, _) => self.context.clone().map_or(Effect::Keep, Effect::Inform),
            (Change::Keep, _) => self.unusable.clone().map_or(Effect::Keep, Effect::Unusable),
            (_, None) => Effect::Keep,
        }
    }

    /// # Errors
    /// It is not what a call comes to.
    pub(super) fn check(&self) -> Result<()> {
        let (solutions, calls) = (self.solutions.len(), self.calls.len());
        ensure!(
            solutions < 2 || calls > 0 && calls % solutions == 0,
            "expected calls for each of {solutions} solutions, found {calls}"
        );
        ensure!(
            matches!(self.effect, Change::Append | Change::Replace) == (solutions > 0)
                && (self.effect != Change::Replace || solutions == 1),
            "expected solutions that fit the effect, found {solutions}"
        );
        let (marks, context) = (self.effect == Change::Judge, self.effect == Change::Inform);
        ensure!(marks != self.marks.is_empty(), "expected marks of a judge, and of nobody else");
        ensure!(context == self.context.is_some(), "expected context of who informs, and of nobody else");
        Ok(())
    }

    /// Takes what was measured from a line of the same call: of who recorded it first.
    pub(super) fn measured_by(&mut self, first: &Line) {
        if self.calls.len() == first.calls.len() {
            self.cost = first.cost;
        }
        for (call, first) in self.calls.iter_mut().zip(&first.calls) {
            call.seconds = first.seconds;
        }
        for (given, first) in self.solutions.iter_mut().zip(&first.solutions) {
            (given.seconds, given.cost, given.arrival) = (first.seconds, first.cost, first.arrival);
        }
    }

    /// What contradicts a line of the same key, as far as both go; measured fields do not.
    pub(super) fn contradicts(&self, other: &Line) -> Option<&'static str> {
        let shared = self.solutions.len().min(other.solutions.len());
        let several = self.solutions.len().max(other.solutions.len()) > 1;
        let content = |line: &Line| -> Vec<_> {
            line.solutions[..shared].iter().map(|it| (it.text.clone(), it.answer.clone(), it.executed)).collect()
        };
        let written = |line: &Line| -> Vec<_> {
            line.solutions[..shared].iter().map(|given| [given.tokens, given.prompt_tokens]).collect()
        };
        let tokens = |line: &Line| {
            let calls = if several { line.calls.get(..shared).unwrap_or_default() } else { &line.calls };
            let calls: Vec<_> = calls.iter().map(|call| (call.tool, call.usage)).collect();
            (written(line), calls)
        };
        let scores = |line: &Line| -> Vec<_> { line.solutions[..shared].iter().map(|given| given.score).collect() };
        let differ = self.reference == other.reference
            && self.reference.is_some()
            && scores(self).iter().zip(scores(other)).any(|(one, other)| one.zip(other).is_some_and(|(a, b)| a != b));
        match () {
            () if self.effect != other.effect => Some("effect"),
            () if !several && self.solutions.len() != other.solutions.len() => Some("solutions"),
            () if content(self) != content(other) => Some("solutions"),
            () if self.marks != other.marks => Some("marks"),
            () if self.context != other.context => Some("context"),
            () if tokens(self) != tokens(other) => Some("tokens"),
            () if differ => Some("score"),
            () => None,
        }
    }
}
