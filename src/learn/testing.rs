//! Made-up episodes for the unit tests of this folder.

use crate::execute::Episode;
use crate::plan::{Latency, Plan, Schedule, Span, Status, Trace, Usage};

/// An episode, layer after layer, whose choices took `tokens` each and cost `cost` dollars together.
pub fn episode(problem: &str, layers: &[&[u16]], tokens: &[f64], score: f64, cost: f64) -> Episode {
    let plan = Plan::from_indices(layers);
    let share = cost / tokens.len() as f64;
    let span = |((layer, operator), &tokens): ((usize, _), &f64)| Span {
        layer,
        operator,
        calls: 1,
        usage: Usage { completion_tokens: tokens as u64, ..Usage::default() },
        cost: share,
        tool_seconds: 0.0,
        latency: Latency { tokens, seconds: 0.0 },
        started: 0.0,
        outcome: Status::Done,
        ..Span::default()
    };
    let spans = plan.choices().zip(tokens).map(span).collect();
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    Episode {
        problem: problem.into(),
        plan,
        trace: Trace { spans, dependencies, finish: None },
        answer: None,
        confidence: None,
        score,
    }
}
