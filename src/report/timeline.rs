//! When each operator of a query ran, and which of them made it last as long as it did.

use serde::{Deserialize, Serialize};

use crate::evaluation::Objective;
use crate::plan::{Outcome, critical_path};
use crate::system::Episode;

use super::operator_name;

/// What time is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The paper's unit (E3): each operator starts when those it waits for have ended.
    #[default]
    Tokens,
    /// As measured by the wall clock.
    Seconds,
}

/// One query over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    pub unit: Unit,
    pub bars: Vec<Bar>,
    /// End of the last bar.
    pub end: f64,
    /// Length of the critical path in `unit`; differs from `end` by what no operator accounts for.
    pub path: f64,
}

/// One operator of a timeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bar {
    pub operator: String,
    /// From 1.
    pub layer: usize,
    pub start: f64,
    pub end: f64,
    /// Whether the critical path goes through it.
    pub on_path: bool,
    pub calls: u32,
    pub tokens: f64,
    pub seconds: f64,
    /// Dollars.
    pub cost: f64,
    /// Why the operator has no result, if it has none.
    pub fault: Option<String>,
}

impl Unit {
    /// The unit's name after a number.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Tokens => "tokens",
            Unit::Seconds => "s",
        }
    }
}

impl Timeline {
    /// The timeline of an episode; `names` are the operators in catalogue order.
    pub fn new(episode: &Episode, names: &[String], objective: &Objective, unit: Unit) -> Self {
        let spans = &episode.trace.spans;
        let mut durations: Vec<f64> = match unit {
            Unit::Tokens => episode.trace.tokens(),
            Unit::Seconds => spans.iter().map(|span| span.latency.seconds).collect(),
        };
        durations.resize(episode.plan.len(), 0.0);
        let dependencies = objective.schedule.dependencies(&episode.plan);
        let path = critical_path(&dependencies, &durations);
        let mut ends: Vec<f64> = Vec::with_capacity(durations.len());
        let mut bars = Vec::with_capacity(durations.len());
        for (choice, (layer, operator)) in episode.plan.choices().enumerate() {
            let span = spans.get(choice);
            let ready = dependencies.0[choice].iter().map(|&earlier| ends[earlier]).fold(0.0, f64::max);
            let start = match unit {
                Unit::Tokens => ready,
                Unit::Seconds => span.map_or(ready, |span| span.started),
            };
            let end = start + durations[choice];
            ends.push(end);
            bars.push(Bar {
                operator: operator_name(names, operator),
                layer: layer + 1,
                start,
                end,
                on_path: path.on_path[choice],
                calls: span.map_or(0, |span| span.calls),
                tokens: span.map_or(0.0, |span| span.latency.tokens),
                seconds: span.map_or(0.0, |span| span.latency.seconds),
                cost: span.map_or(0.0, |span| span.cost),
                fault: match span.map(|span| &span.outcome) {
                    Some(Outcome::Done) => None,
                    Some(Outcome::Failed(reason)) => Some(format!("failed: {reason}")),
                    Some(Outcome::Cancelled) => Some("cancelled".into()),
                    None => Some("not run".into()),
                },
            });
        }
        Timeline { unit, bars, end: ends.into_iter().fold(0.0, f64::max), path: path.length }
    }
}
