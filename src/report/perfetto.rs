//! A trace as Perfetto and Chrome's tracing page read it: a track for each operator, a slice for what it did.

use serde_json::{Value, json};

use super::names::operator_name;
use crate::plan::{Span, Status, Trace};

/// Microseconds in a second.
const MICRO: f64 = 1e6;

/// The operators' spans as trace events, one process for the question.
pub fn events(question: &str, trace: &Trace, names: &[String]) -> Value {
    let mut events = vec![named("process_name", 0, question)];
    for (place, span) in trace.all().enumerate() {
        let (track, name) = (place + 1, operator_name(names, span.operator));
        events.push(named("thread_name", track, &name));
        events.push(slice(track, &name, span));
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

/// What a track, or the process, is called.
fn named(what: &str, track: usize, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": 1, "tid": track, "args": { "name": name } })
}

fn slice(track: usize, name: &str, span: &Span) -> Value {
    let outcome = match &span.outcome {
        Status::Done => "done",
        Status::Failed(reason) => reason,
        Status::Cancelled => "cancelled",
        Status::Skipped => "skipped",
    };
    json!({
        "name": name,
        "cat": "operator",
        "ph": "X",
        "pid": 1,
        "tid": track,
        "ts": span.started * MICRO,
        "dur": span.latency.seconds * MICRO,
        "args": {
            "layer": span.layer + 1,
            "outcome": outcome,
            "tokens": span.latency.tokens,
            "calls": span.calls,
            "retries": span.retries,
            "prompt_tokens": span.usage.prompt_tokens,
            "completion_tokens": span.usage.completion_tokens,
            "dollars": span.cost,
            "queued_seconds": span.queued,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Latency, OperatorId};

    #[test]
    fn each_operator_has_a_track_and_a_slice() {
        let span = |operator, started, seconds, outcome| Span {
            operator: OperatorId(operator),
            started,
            latency: Latency { tokens: 3.0, seconds },
            outcome,
            ..Span::default()
        };
        let spans = vec![span(1, 0.0, 0.25, Status::Done), span(0, 0.25, 1.5, Status::Failed("away".into()))];
        let trace = Trace { spans, ..Trace::default() };
        let found = events("why ?", &trace, &["A".to_owned(), "B".to_owned()]);
        let events = found["traceEvents"].as_array().cloned().unwrap_or_default();
        let told: Vec<_> =
            events.iter().map(|it| (it["ph"].as_str(), it["tid"].as_u64(), it["name"].as_str())).collect();
        let (meta, slice) = (Some("M"), Some("X"));
        let expected = [
            (meta, Some(0), Some("process_name")),
            (meta, Some(1), Some("thread_name")),
            (slice, Some(1), Some("B")),
            (meta, Some(2), Some("thread_name")),
            (slice, Some(2), Some("A")),
        ];
        assert_eq!((told.as_slice(), &events[0]["args"]["name"]), (&expected[..], &json!("why ?")));
        let last = &events[4];
        assert_eq!(
            (&last["ts"], &last["dur"], &last["args"]["outcome"]),
            (&json!(250_000.0), &json!(1_500_000.0), &json!("away"))
        );
    }
}
