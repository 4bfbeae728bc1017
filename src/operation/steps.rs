//! What an operator has done so far: its calls of models and tools, and what they took.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::{Hedged, Price};
use crate::plan::{Latency, Unit, Usage};

/// A call of the model or of a tool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// Since the start of the operator.
    pub begins: Latency,
    pub lasts: Latency,
    /// Calls of the model.
    pub calls: u32,
    pub retries: u32,
    /// Seconds that the call waited to be served.
    pub queued: f64,
    pub usage: Usage,
    /// The additional usage of a call whose request was sent several times at once; the dollars that a tool says it
    /// spent.
    pub hedged: Option<Hedged>,
    pub tool_seconds: f64,
    pub recorded_cost: f64,
}

/// A call of the model, or one use of a tool, by an operator that has ended: what it took, but not what was charged for
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Whether this was a tool, with no model asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tool: bool,
    #[serde(default)]
    pub usage: Usage,
    /// As measured.
    pub seconds: f64,
    /// The additional usage of a call whose request was sent several times at once; the dollars that a tool says it
    /// spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedged: Option<Hedged>,
}

impl Call {
    /// Dollars, if the operator's model has this price.
    pub fn cost(&self, price: Price) -> f64 {
        self.hedged.map_or_else(|| price.cost(self.usage), |hedged| hedged.cost)
    }
}

/// What an operator has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Model calls started.
    pub calls: u32,
    /// Requests that were sent again, beyond one for each call.
    pub retries: u32,
    pub usage: Usage,
    /// The part of it that is charged at the price of the operator's model.
    pub priced: Usage,
    /// Seconds charged for tools.
    pub tool_seconds: f64,
    /// (E3) Parallel calls count once, successive calls add up.
    pub latency: Latency,
    /// Seconds that the calls waited to be served, added up.
    pub queued: f64,
    /// Dollars known from elsewhere: of recorded outputs, and of calls that were sent several times at once.
    pub known_cost: f64,
}

impl Spent {
    /// Dollars, if the operator's model has this price.
    pub fn cost(&self, price: Price) -> f64 {
        self.known_cost + price.cost(self.priced)
    }
}

impl Step {
    /// A step that took nothing but its time.
    pub fn new(begins: Latency, lasts: Latency) -> Self {
        Step { begins, lasts, ..Step::default() }
    }

    fn ends(&self) -> Latency {
        self.begins.then(self.lasts)
    }
}

/// The steps of one operator, in the order in which they began. A copy shows them even after the operator was dropped.
#[derive(Clone, Debug, Default)]
pub struct Steps(Arc<Mutex<Vec<Step>>>);

impl Steps {
    pub(super) fn extend(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().extend(steps);
    }

    /// The calls of an operator that has ended.
    pub fn taken(&self) -> Vec<Call> {
        let call = |&Step { calls, usage, lasts, hedged, .. }: &Step| {
            let (tool, seconds) = (calls == 0, lasts.seconds);
            Call { tool, usage, seconds, hedged }
        };
        self.lock().iter().map(call).collect()
    }

    /// What was used in the first `until` of virtual time, counted in `unit` from the start. For a step still in
    /// progress then, this is the prompt and the tokens written so far.
    pub fn spent(&self, unit: Unit, until: f64) -> Spent {
        self.sum(unit, until, |begins, ends, lasts| if ends <= until { 1.0 } else { (until - begins) / lasts })
    }

    /// The same, but every step that had begun counts in full.
    pub fn begun(&self, unit: Unit, until: f64) -> Spent {
        self.sum(unit, until, |_, _, _| 1.0)
    }

    fn sum(&self, unit: Unit, until: f64, share: impl Fn(f64, f64, f64) -> f64) -> Spent {
        let mut spent = Spent::default();
        for step in self.lock().iter() {
            let (begins, ends) = (unit.of(step.begins), unit.of(step.ends()));
            if begins >= until && ends > until {
                continue;
            }
            let share = share(begins, ends, unit.of(step.lasts));
            let written = (step.usage.completion_tokens as f64 * share).floor() as u64;
            spent.calls += step.calls;
            spent.retries += step.retries;
            spent.queued += step.queued;
            let usage = Usage { completion_tokens: written, ..step.usage };
            spent.usage += usage;
            match step.hedged {
                None => spent.priced += usage,
                Some(hedged) => {
                    spent.usage += hedged.usage;
                    spent.known_cost += hedged.cost * share;
                }
            }
            spent.tool_seconds += step.tool_seconds * share;
            spent.known_cost += step.recorded_cost * share;
            let lasts = Latency { tokens: step.lasts.tokens * share, seconds: step.lasts.seconds * share };
            spent.latency = spent.latency.beside(step.begins.then(lasts));
        }
        spent
    }

    /// When each of `solutions` came into being, for an operator that began at `start`. Parallel solutions come as each
    /// call ended, others at the end.
    pub fn arrivals(&self, start: Latency, solutions: usize, side_by_side: bool) -> Vec<Latency> {
        let steps = self.lock();
        match side_by_side && steps.len() == solutions {
            true => steps.iter().map(|step| start.then(step.ends())).collect(),
            false => vec![start.then(latency(&steps)); solutions],
        }
    }

    /// From the start of the operator to the end of its last step.
    pub fn latency(&self) -> Latency {
        latency(&self.lock())
    }

    /// Model calls made.
    pub(super) fn calls(&self) -> u32 {
        self.lock().iter().map(|step| step.calls).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn latency(steps: &[Step]) -> Latency {
    steps.iter().fold(Latency::default(), |latest, step| latest.beside(step.ends()))
}

/// What using a tool is charged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tariff {
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// Seconds charged for one run; the measured ones if absent.
    pub tool_seconds: Option<f64>,
}

impl Tariff {
    /// Records one use of a tool that took `measured` seconds, and what else it says it used, after everything done
    /// before.
    pub fn charge(self, steps: &Steps, measured: f64, usage: Usage, hedged: Option<Hedged>) {
        let tool_seconds = self.tool_seconds.unwrap_or(measured);
        let lasts = Latency { tokens: self.gamma * tool_seconds, seconds: measured };
        steps.extend([Step { tool_seconds, usage, hedged, ..Step::new(steps.latency(), lasts) }]);
    }
}
