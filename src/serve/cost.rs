//! What an answer cost, in the headers where clients look for it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Ours, and the one that LiteLLM reads and passes on.
const NAMES: [&str; 2] = ["x-lamas-cost", "x-litellm-response-cost"];

/// Writes dollars into the headers.
pub fn note(headers: &mut HeaderMap, dollars: f64) {
    for name in NAMES {
        if let Ok(value) = HeaderValue::from_str(&format!("{dollars:.9}")) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
