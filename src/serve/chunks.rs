//! Chat completions as OpenAI's clients read them, whole or in chunks.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::fault::Fault;
use super::outcome::Outcome;

/// The last event of a stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// What all pieces of one completion have in common.
#[derive(Clone, Debug)]
pub struct Completion {
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// As it was asked for.
    pub model: String,
    /// Whether the stream ends with what it came to.
    pub include_usage: bool,
}

impl Completion {
    /// The whole answer.
    pub fn whole(&self, outcome: &Outcome) -> Value {
        let Completion { id, created, model, .. } = self;
        let message = json!({ "role": "assistant", "content": outcome.text, "refusal": null });
        json!({
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": outcome.finish_reason() }],
            "usage": outcome.usage(),
            "system_fingerprint": null,
            "lamas": outcome.own(),
        })
    }

    /// The chunk that begins an answer.
    pub fn begin(&self) -> Bytes {
        self.delta(json!({ "role": "assistant", "content": "" }))
    }

    /// What is told of how the answer comes about.
    pub fn thought(&self, text: &str) -> Bytes {
        self.delta(json!({ "reasoning_content": text }))
    }

    /// Text of the answer.
    pub fn text(&self, text: &str) -> Bytes {
        self.delta(json!({ "content": text }))
    }

    /// The chunks that end an answer, and the stream.
    pub fn end(&self, outcome: &Outcome) -> Bytes {
        let mut chunk = self.chunk(json!([{
            "index": 0,
            "delta": {},
            "logprobs": null,
            "finish_reason": outcome.finish_reason(),
        }]));
        if !self.include_usage {
            chunk["lamas"] = outcome.own();
        }
        let mut bytes = event(&chunk).to_vec();
        if self.include_usage {
            bytes.extend(self.usage(outcome.usage(), outcome));
        }
        bytes.extend(DONE);
        bytes.into()
    }

    /// The chunk that says what an answer came to.
    pub fn usage(&self, usage: Value, outcome: &Outcome) -> Bytes {
        let mut chunk = self.chunk(json!([]));
        chunk["usage"] = usage;
        chunk["lamas"] = outcome.own();
        event(&chunk)
    }

    fn delta(&self, delta: Value) -> Bytes {
        event(&self.chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }])))
    }

    fn chunk(&self, choices: Value) -> Value {
        let Completion { id, created, model, .. } = self;
        let mut chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "system_fingerprint": null,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// A piece of a model's own answer as a chunk of this one, and what it says of its usage.
    pub fn passed(&self, piece: &str) -> (Option<Bytes>, Option<Value>) {
        let Ok(mut piece) = serde_json::from_str::<Value>(piece) else { return (None, None) };
        let Some(fields) = piece.as_object_mut() else { return (None, None) };
        let usage = fields.remove("usage").filter(|usage| !usage.is_null());
        let choices = fields.get_mut("choices").and_then(Value::as_array_mut);
        let Some(choices) = choices.filter(|choices| !choices.is_empty()) else { return (None, usage) };
        for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
            // A server that answered at once, asked for a stream.
            if let Some(message) = choice.remove("message").filter(|_| !choice.contains_key("delta")) {
                choice.insert("delta".into(), message);
            }
        }
        fields.insert("object".into(), "chat.completion.chunk".into());
        fields.insert("model".into(), self.model.as_str().into());
        fields.entry("id").or_insert_with(|| self.id.as_str().into());
        fields.entry("created").or_insert_with(|| self.created.into());
        if self.include_usage {
            fields.insert("usage".into(), Value::Null);
        }
        (Some(event(&piece)), usage)
    }
}

/// An event that ends a stream with what went wrong.
pub fn failed(fault: &Fault) -> Bytes {
    let mut value = fault.value();
    value["error"]["status"] = fault.status.as_u16().into();
    if fault.cost > 0.0 {
        value["lamas"] = json!({ "cost": fault.cost });
    }
    event(&value)
}

/// One event of a stream.
pub fn event(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_other_servers_become_chunks() {
        let chunk = |include_usage| Completion { id: "i".into(), created: 1, model: "m".into(), include_usage };
        let check = |include_usage, piece: &str, expected: Option<&str>, usage: Option<Value>| {
            let (bytes, found) = chunk(include_usage).passed(piece);
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!((text.as_deref(), found), (expected, usage), "{piece}");
        };
        let fields = r#""created":1,"id":"i","model":"m","object":"chat.completion.chunk""#;
        let passed = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}}}}],{fields}}}\n\n");
        check(false, r#"{"choices":[{"delta":{"content":"a"}}],"model":"x"}"#, Some(&passed), None);
        check(false, r#"{"choices":[{"message":{"content":"a"}}]}"#, Some(&passed), None);
        check(false, r#"{"choices":[],"usage":{"a":1}}"#, None, Some(json!({ "a": 1 })));
        check(true, r#"{"choices":[],"usage":null}"#, None, None);
        check(false, "[]", None, None);
        let with = format!("data: {{\"choices\":[{{\"delta\":{{}}}}],{fields},\"usage\":null}}\n\n");
        check(true, r#"{"choices":[{"delta":{}}],"usage":{"a":1}}"#, Some(&with), Some(json!({ "a": 1 })));
    }
}
