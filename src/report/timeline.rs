//! When each operator of a query ran, and which operators are on the critical path.

use serde::Serialize;

use crate::plan::{Plan, Span, Status, Trace, Unit};

use super::names::operator_name;

/// The name of the finish.
pub(super) const FINISH: &str = "finish";

/// One query over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    pub unit: Unit,
    pub bars: Vec<Bar>,
    /// End of the last bar.
    pub end: f64,
    /// Length of the critical path in `unit`. It differs from `end` by time that no operator accounts for.
    pub path: f64,
}

/// One operator of a timeline, or the finish.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bar {
    pub operator: String,
    /// Counted from 1; the finish has a layer of its own.
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

impl Timeline {
    /// The timeline of a plan that ran; `names` are the operators in catalogue order.
    pub fn new(plan: &Plan, trace: &Trace, names: &[String], unit: Unit) -> Self {
        let spans = &trace.spans;
        let durations = trace.durations(unit);
        let path = trace.path(unit);
        let waits_for = &trace.dependencies.0;
        let mut ends: Vec<f64> = Vec::with_capacity(durations.len());
        let mut bars = Vec::with_capacity(durations.len());
        for (choice, (layer, operator)) in plan.choices().enumerate() {
            let span = spans.get(choice);
            let earlier = waits_for.get(choice).into_iter().flatten();
            let ready = earlier.filter_map(|&earlier| ends.get(earlier).copied()).fold(0.0, f64::max);
            let start = match unit {
                Unit::Tokens => ready,
                Unit::Seconds => span.map_or(ready, |span| span.started),
            };
            let end = start + durations.get(choice).copied().unwrap_or_default();
            ends.push(end);
            let on_path = path.on_path.get(choice).is_some_and(|on_path| *on_path);
            let bar = Bar {
                operator: operator_name(names, operator),
                layer: layer + 1,
                start,
                end,
                on_path,
                ..Bar::default()
            };
            bars.push(bar.with(span));
        }
        if let Some(finish) = &trace.finish {
            let (duration, started) = match unit {
                Unit::Tokens => (finish.latency.tokens, path.length - finish.latency.tokens),
                Unit::Seconds => (finish.latency.seconds, finish.started),
            };
            let end = started + duration;
            ends.push(end);
            let layer = finish.layer + 1;
            let bar = Bar { operator: FINISH.into(), layer, start: started, end, on_path: true, ..Bar::default() };
            bars.push(bar.with(Some(finish)));
        }
        Timeline { unit, bars, end: ends.into_iter().fold(0.0, f64::max), path: path.length }
    }
}

impl Bar {
    /// The bar with the figures of its span, if it ran.
    fn with(self, span: Option<&Span>) -> Self {
        Bar {
            calls: span.map_or(0, |span| span.calls),
            tokens: span.map_or(0.0, |span| span.latency.tokens),
            seconds: span.map_or(0.0, |span| span.latency.seconds),
            cost: span.map_or(0.0, |span| span.cost),
            fault: span.map_or(Some("not run".into()), |span| fault(&span.outcome)),
            ..self
        }
    }
}

/// Why an operator has no result, if it has none.
pub(super) fn fault(outcome: &Status) -> Option<String> {
    match outcome {
        Status::Done => None,
        Status::Failed(reason) => Some(format!("failed: {reason}")),
        Status::Cancelled => Some("cancelled".into()),
        Status::Skipped => Some("skipped".into()),
    }
}
