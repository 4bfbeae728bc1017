//! What came of a request, whoever answered it.

use serde_json::{Value, json};

use crate::plan::{Latency, Usage};

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub text: String,
    /// Whether the text was cut for its length.
    pub is_cut: bool,
    /// Of all calls, dropped ones included.
    pub usage: Usage,
    /// Completion tokens of the answer itself, as far as it is known which call gave it.
    pub answer_tokens: u64,
    /// Dollars.
    pub cost: f64,
    /// The upstream model that answered a plain call in the place of the one that was asked.
    pub fallback: Option<String>,
    /// How a plan came to it; none of a plain call.
    pub planned: Option<Planned>,
}

/// How a plan came to an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The plan as people type it.
    pub plan: String,
    pub operators: usize,
    pub answer: Option<String>,
    /// Of all solutions.
    pub answers: Vec<String>,
    pub confidence: Option<f64>,
    pub path: Latency,
    pub predicted: Option<Latency>,
    pub latency_weight: Option<f64>,
    /// Whether the plan was predicted to keep the budget.
    pub is_within: bool,
    pub draw: u64,
    /// Calls that were dropped, and requests that were sent again.
    pub dropped: usize,
    pub retries: u32,
    /// What happened, where the request asks for that.
    pub events: Vec<Value>,
}

impl Outcome {
    /// Why the text ends.
    pub fn finish_reason(&self) -> &'static str {
        if self.is_cut { "length" } else { "stop" }
    }

    /// What the answer came to, in OpenAI's form.
    pub fn usage(&self) -> Value {
        let Usage { prompt_tokens, completion_tokens, cached_tokens, .. } = self.usage;
        let thoughts = completion_tokens.saturating_sub(self.answer_tokens);
        json!({
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.usage.tokens(),
            "prompt_tokens_details": { "cached_tokens": cached_tokens },
            "completion_tokens_details": { "reasoning_tokens": thoughts },
        })
    }

    /// What only this server says.
    pub fn own(&self) -> Value {
        let mut own = json!({ "cost": self.cost, "estimated_tokens": self.usage.estimated_tokens });
        if let (Some(fallback), Some(fields)) = (&self.fallback, own.as_object_mut()) {
            fields.insert("fallback".into(), json!(fallback));
        }
        let (Some(planned), Some(fields)) = (&self.planned, own.as_object_mut()) else { return own };
        let Planned { plan, answer, confidence, path, predicted, latency_weight, is_within, draw, .. } = planned;
        fields.insert("plan".into(), json!(plan));
        fields.insert("answer".into(), json!(answer));
        fields.insert("critical_path".into(), json!(path));
        fields.insert("draw".into(), json!(draw));
        fields.insert("dropped".into(), json!(planned.dropped));
        fields.insert("retries".into(), json!(planned.retries));
        fields.insert("within_budget".into(), json!(is_within));
        fields.extend(confidence.map(|confidence| ("confidence".into(), json!(confidence))));
        fields.extend(predicted.map(|predicted| ("predicted".into(), json!(predicted))));
        fields.extend(latency_weight.map(|weight| ("latency_weight".into(), json!(weight))));
        if !planned.events.is_empty() {
            fields.insert("events".into(), json!(planned.events));
        }
        own
    }
}
