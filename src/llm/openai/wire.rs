//! What goes over the wire: the request, the answer whole or in pieces, and what servers say when they refuse.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::llm::{Finish, Message, Request};
use crate::plan::Usage;
use crate::random;

/// Longest part of a server's error that is shown.
const SHOWN: usize = 300;

/// What a server understands beyond what all do; learned from its refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub stream: bool,
    /// Whether a stream may be asked to end with its usage.
    pub stream_options: bool,
    pub seed: bool,
    /// Whether the limit is called `max_completion_tokens` rather than `max_tokens`.
    pub max_completion_tokens: bool,
}

impl Dialect {
    pub fn new(stream: bool) -> Self {
        Dialect { stream, stream_options: true, seed: true, max_completion_tokens: false }
    }

    /// The dialect without what `fault` says is unknown; none if it complains of something else.
    pub fn without(self, fault: &Fault) -> Option<Dialect> {
        let next = if fault.does_not_know("stream_options") {
            Dialect { stream_options: false, ..self }
        } else if fault.does_not_know("seed") {
            Dialect { seed: false, ..self }
        } else if fault.does_not_know("max_tokens") {
            Dialect { max_completion_tokens: true, ..self }
        } else {
            return None;
        };
        (next != self).then_some(next)
    }
}

#[derive(Serialize)]
pub struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    temperature: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Body<'a> {
    pub fn new(request: &'a Request, model: &'a str, dialect: Dialect) -> Self {
        let sampling = &request.sampling;
        let limit = Some(sampling.max_tokens);
        Body {
            model,
            messages: &request.messages,
            temperature: sampling.temperature,
            top_p: (sampling.top_p < 1.0).then_some(sampling.top_p),
            max_tokens: limit.filter(|_| !dialect.max_completion_tokens),
            max_completion_tokens: limit.filter(|_| dialect.max_completion_tokens),
            stop: &sampling.stop,
            // Servers keep seeds in 32 signed bits, or read the top one as "none".
            seed: dialect.seed.then(|| draw_key(request) >> 33),
            stream: dialect.stream,
            stream_options: (dialect.stream && dialect.stream_options).then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// Names the draw: depends on the messages, the sampling and the sample's number, as in the local back end.
pub fn draw_key(request: &Request) -> u64 {
    let content = serde_json::json!([request.messages, request.sampling]);
    random::key(&[&content, &request.sample])
}

/// An answer, or one piece of it.
#[derive(Deserialize)]
pub struct Piece {
    #[serde(default)]
    pub choices: Vec<Choice>,
    pub usage: Option<Counted>,
}

#[derive(Deserialize)]
pub struct Choice {
    delta: Option<Part>,
    message: Option<Part>,
    pub finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
pub struct Part {
    content: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
}

impl Choice {
    /// What it adds to the answer.
    pub fn part(&mut self) -> Part {
        self.delta.take().or(self.message.take()).unwrap_or_default()
    }
}

impl Part {
    pub fn text(&self) -> &str {
        self.content.as_deref().unwrap_or_default()
    }

    /// Whether it holds a token. What a reasoning model thinks before it answers is no part of the answer.
    pub fn has_token(&self) -> bool {
        self.texts().any(|text| !text.is_empty())
    }

    /// The answer and the thoughts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.content, &self.reasoning, &self.reasoning_content].into_iter().flatten().map(String::as_str)
    }
}

/// Tokens as the server counted them.
#[derive(Clone, Copy, Deserialize)]
pub struct Counted {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Counted {
    /// None where the server only pretends to count.
    pub fn usage(self) -> Option<Usage> {
        Some(Usage {
            prompt_tokens: self.prompt_tokens.filter(|&count| count > 0)?,
            completion_tokens: self.completion_tokens?,
            cached_tokens: self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            estimated_tokens: 0,
        })
    }
}

/// Why an answer ended.
pub fn finish(reason: &str) -> Finish {
    if reason == "length" { Finish::Length } else { Finish::Stop }
}

/// What a server says instead of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    /// Its `code` and its `type`, in whatever form.
    pub codes: Vec<String>,
    pub parameter: Option<String>,
}

impl Fault {
    /// Reads `{"error": {..}}`, `{"error": ".."}`, `{"detail": ..}`, `{"message": ..}` or plain text.
    pub fn read(body: &str) -> Self {
        let value = serde_json::from_str::<Value>(body).ok();
        value.as_ref().and_then(Fault::of).unwrap_or_else(|| Fault { message: shortened(body), ..Fault::default() })
    }

    /// The fault that an object speaks of, if it speaks of one.
    pub fn of(value: &Value) -> Option<Self> {
        let field = |name: &str| value.get(name).filter(|field| !field.is_null());
        let itself = || field("choices").is_none().then(|| field("message").map(|_| value)).flatten();
        let inner = field("error").or_else(|| field("detail")).or_else(itself)?;
        let text = |name: &str| match inner.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let message = match inner {
            Value::String(message) => message.clone(),
            _ => text("message").unwrap_or_else(|| inner.to_string()),
        };
        let codes = ["code", "type"].into_iter().filter_map(text).collect();
        Some(Fault { message: shortened(&message), codes, parameter: text("param") })
    }

    pub fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    /// Whether the prompt, or what may be written after it, is beyond the model's context; each server says it in its own way.
    pub fn is_too_long(&self) -> bool {
        let said = format!("{} {}", self.codes.join(" "), self.message).to_lowercase();
        said.contains("context") && ["length", "window", "size"].iter().any(|word| said.contains(word))
    }

    fn does_not_know(&self, parameter: &str) -> bool {
        const UNKNOWN: [&str; 6] = ["support", "recogni", "unknown", "permitted", "unexpected", "extra"];
        let message = self.message.to_lowercase();
        let named = self.parameter.as_deref() == Some(parameter)
            || message.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == parameter);
        let unknown = UNKNOWN.iter().any(|word| message.contains(word) || self.codes.iter().any(|c| c.contains(word)));
        named && unknown
    }
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Role, Sampling};

    #[track_caller]
    fn check(body: &str, message: &str, codes: &[&str]) {
        let fault = Fault::read(body);
        assert_eq!(
            (fault.message.as_str(), fault.codes.iter().map(String::as_str).collect()),
            (message, codes.to_vec())
        );
    }

    #[test]
    fn faults_are_read_in_all_their_forms() {
        check(
            r#"{"error": {"message": "no", "type": "t", "code": "insufficient_quota"}}"#,
            "no",
            &["insufficient_quota", "t"],
        );
        check(r#"{"error": {"message": "no", "type": null, "code": 429}}"#, "no", &["429"]);
        check(r#"{"error": "no"}"#, "no", &[]);
        check(r#"{"detail": "no"}"#, "no", &[]);
        check(r#"{"detail": [{"msg": "no"}]}"#, r#"[{"msg":"no"}]"#, &[]);
        check(r#"{"object": "error", "message": "no", "code": 404}"#, "no", &["404"]);
        check("<html>\n no </html>", "<html> no </html>", &[]);
        check("", "", &[]);
        assert_eq!(Fault::read(&"é".repeat(400)).message, format!("{}...", "é".repeat(300)));
        assert_eq!(Fault::of(&serde_json::json!({ "choices": [], "error": null })), None);
    }

    #[test]
    fn a_dialect_loses_what_the_server_does_not_know() {
        let without = |message: &str| {
            let body = serde_json::json!({ "error": { "message": message } });
            Dialect::new(true).without(&Fault::read(&body.to_string()))
        };
        let all = Dialect::new(true);
        let renamed = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.";
        assert_eq!(without(renamed), Some(Dialect { max_completion_tokens: true, ..all }));
        assert_eq!(without("Unrecognized request argument supplied: seed"), Some(Dialect { seed: false, ..all }));
        assert_eq!(without("extra inputs: stream_options"), Some(Dialect { stream_options: false, ..all }));
        assert_eq!(without("max_tokens is too large: 9000"), None);
        assert_eq!(without("max_completion_tokens is not supported"), None);
        assert_eq!(without("temperature is not supported"), None);
    }

    #[test]
    fn the_request_says_what_is_meant_and_no_more() -> Result<(), serde_json::Error> {
        let messages = vec![Message { role: Role::User, content: "2 + 2".into() }];
        let sampling = Sampling { temperature: 0.7, top_p: 1.0, max_tokens: 9, stop: Vec::new() };
        let request = Request { model: String::new(), messages, sampling, sample: 1 };
        let body = serde_json::to_value(Body::new(&request, "m", Dialect::new(true)))?;
        let seed = body["seed"].as_u64().filter(|&seed| seed < 1 << 31);
        assert_eq!(
            serde_json::to_string(&Body::new(&request, "m", Dialect::new(true)))?,
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"2 + 2"}}],"temperature":0.7,"max_tokens":9,"seed":{},"stream":true,"stream_options":{{"include_usage":true}}}}"#,
                seed.unwrap_or_default()
            )
        );
        assert_ne!(draw_key(&request), draw_key(&Request { sample: 2, ..request.clone() }));
        let plain = Dialect { seed: false, max_completion_tokens: true, ..Dialect::new(false) };
        let body = serde_json::to_value(Body::new(&request, "m", plain))?;
        assert_eq!(
            (&body["max_completion_tokens"], &body["stream"], body.get("seed")),
            (&9.into(), &false.into(), None)
        );
        Ok(())
    }
}
