//! What happened when a plan ran: one span for each chosen operator, and one for the benchmark's finish.

use serde::{Deserialize, Serialize};

use super::OperatorId;
use super::billing::{Billing, Dropped};
use super::critical_path::{Cause, CriticalPath, critical_path};
use super::latency::{Latency, Unit};
use super::schedule::Dependencies;
use super::written::Written;

/// Tokens read and written by model calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Prompt tokens that an endpoint read from its cache, which have a separate price.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// Tokens that the endpoint did not count and the client estimated.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub estimated_tokens: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// Tokens read and written.
    pub fn tokens(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.estimated_tokens = self.estimated_tokens.saturating_add(other.estimated_tokens);
    }
}

/// How an operator ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Done,
    /// The operator failed, for example because an endpoint was unreachable; the query continued without it.
    Failed(String),
    /// Its result was no longer needed while it ran.
    Cancelled,
    /// It never started: its result could not reach the answer.
    Skipped,
}

/// The run of one operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub layer: usize,
    pub operator: OperatorId,
    /// Model calls made.
    pub calls: u32,
    /// Repeated requests, beyond one for each call.
    #[serde(default)]
    pub retries: u32,
    pub usage: Usage,
    /// Dollars.
    pub cost: f64,
    /// Both of what it may cost, where it was dropped; `cost` is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// Seconds charged for tools (programs, tests); part of `latency.tokens` through gamma.
    pub tool_seconds: f64,
    /// Parallel calls count once; sequential calls add up.
    pub latency: Latency,
    /// Total seconds that the calls waited: for their turn, and on requests that failed. Not part of `latency`, which is the
    /// model's own.
    #[serde(default)]
    pub queued: f64,
    /// Seconds from the start of the query to the start of the operator, as if no call had waited.
    pub started: f64,
    /// The same in the unit of the plan's clock.
    #[serde(default)]
    pub start: f64,
    /// What had arrived when the choice was committed; nothing if it was committed at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    pub outcome: Status,
    /// The texts that it wrote, if texts are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrote: Vec<Written>,
}

/// The spans of one query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// In the order of [`super::Plan::choices`].
    pub spans: Vec<Span>,
    /// Which spans waited for which.
    pub dependencies: Dependencies,
    /// The finish after the plan. It is not a choice, so it has no log-probability and no utility. It waited for all spans; its
    /// layer is the number of layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Span>,
}

impl Trace {
    /// The spans of the choices, then that of the finish.
    pub fn all(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().chain(&self.finish)
    }

    /// Dollars spent on the query.
    pub fn cost(&self) -> f64 {
        self.all().map(|span| span.cost).sum()
    }

    /// Dollars spent on the query where dropped calls are billed so.
    pub fn billed(&self, billing: Billing) -> f64 {
        self.all().map(|span| span.dropped.map_or(span.cost, |dropped| dropped.cost(billing))).sum()
    }

    /// Tokens of all model calls.
    pub fn usage(&self) -> Usage {
        let mut total = Usage::default();
        self.all().for_each(|span| total += span.usage);
        total
    }

    /// Repeated requests.
    pub fn retries(&self) -> u32 {
        self.all().map(|span| span.retries).sum()
    }

    /// Total seconds that calls waited.
    pub fn queued(&self) -> f64 {
        self.all().map(|span| span.queued).sum()
    }

    /// Seconds charged for tools.
    pub fn tool_seconds(&self) -> f64 {
        self.all().map(|span| span.tool_seconds).sum()
    }

    /// Why an operator failed, if one did.
    pub fn failure(&self) -> Option<&str> {
        self.all().find_map(|span| match &span.outcome {
            Status::Failed(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    /// The durations, in the order of [`Trace::all`].
    pub fn durations(&self, unit: Unit) -> Vec<f64> {
        self.all().map(|span| unit.of(span.latency)).collect()
    }

    /// Seconds from the start of the query to the end of all that ran.
    pub fn end(&self) -> f64 {
        self.all().map(|span| span.started + span.latency.seconds).fold(0.0, f64::max)
    }

    /// The critical path (E4): the longest path through the spans, over dependencies and causes. Nothing waited for the end of a
    /// cancelled span. The finish follows the longest path, whatever it is: it makes the path longer, but changes no operator's
    /// place on it.
    pub fn path(&self, unit: Unit) -> CriticalPath {
        self.path_of(unit, self.durations(unit))
    }

    /// The length of the critical path if `choice` had taken no time. Decisions stay the same: what a choice caused comes as soon
    /// as the other causes have arrived.
    pub fn path_without(&self, unit: Unit, choice: usize) -> f64 {
        let mut durations = self.durations(unit);
        if let Some(duration) = durations.get_mut(choice) {
            *duration = 0.0;
        }
        self.path_of(unit, durations).length
    }

    fn path_of(&self, unit: Unit, mut durations: Vec<f64>) -> CriticalPath {
        let finish: f64 = durations.iter().skip(self.spans.len()).sum();
        durations.truncate(self.spans.len());
        durations.resize(self.dependencies.0.len(), 0.0);
        let causes = |choice: usize| self.spans.get(choice).map_or(&[][..], |span| &span.causes);
        let is_dropped = |choice: usize| self.spans.get(choice).is_some_and(|span| span.outcome == Status::Cancelled);
        let path = critical_path(&self.dependencies, causes, is_dropped, unit, &durations);
        CriticalPath { length: path.length + finish, ..path }
    }
}
