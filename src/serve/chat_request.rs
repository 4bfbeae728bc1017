//! A request for a chat completion: fields are obeyed, told of as not applied, passed on, or refused by name.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::fields::Fields;
use super::talk::Talk;
use super::wishes::Wishes;

/// A request for a chat completion.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub model: String,
    pub talk: Talk,
    pub stream: bool,
    /// Whether the stream ends with what it came to.
    pub include_usage: bool,
    pub cut: Cut,
    /// Fields that a plan does not obey.
    pub not_applied: Vec<&'static str>,
    /// Why only a plain call of a model can serve it.
    pub beyond: Option<&'static str>,
    pub seed: Option<u64>,
    pub wishes: Wishes,
    /// As it came, without `lamas`.
    pub body: Map<String, Value>,
}

/// Where the text of an answer ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cut {
    pub max_tokens: Option<u64>,
    pub stop: Vec<String>,
}

/// Numbers that say how a model draws, each with its range: operators draw as their catalogue says.
const SAMPLING: [(&str, f64, f64); 7] = [
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("top_k", -1.0, f64::MAX),
    ("min_p", 0.0, 1.0),
    ("repetition_penalty", 0.0, f64::MAX),
];
const WORDS: [&str; 2] = ["reasoning_effort", "verbosity"];

impl ChatRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// Names the field at fault.
    pub fn read(mut body: Map<String, Value>, headers: &HeaderMap) -> Result<Self, Fault> {
        let lamas = body.remove("lamas");
        let wishes = Wishes::read(lamas.as_ref(), headers)?;
        let fields = Fields::new(&body, "");
        let model = fields.text("model")?.filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| fields.expected("model", "the name of a model"))?.to_owned();
        let messages = fields.list("messages")?.ok_or_else(|| fields.expected("messages", "a list of messages"))?;
        let talk = Talk::read(messages)?;
        let not_applied = not_applied(&fields)?;
        let stream = fields.flag("stream")?.unwrap_or(false);
        let options = fields.object("stream_options")?;
        if options.is_some() && !stream {
            return Err(Fault::of("stream_options", "`stream_options`: expected it with `stream`, found it without"));
        }
        let options = options.map(|options| Fields::new(options, "stream_options."));
        let include_usage = options.map_or(Ok(None), |options| options.flag("include_usage"))?.unwrap_or(false);
        let cut = Cut { max_tokens: most(&fields)?, stop: stops(&fields)? };
        let beyond = beyond(&fields)?.or(talk.beyond);
        let seed = fields.get("seed").map(|seed| {
            let whole = seed.as_u64().or_else(|| seed.as_i64().map(|seed| seed as u64));
            whole.ok_or_else(|| fields.expected("seed", "a whole number"))
        });
        let seed = seed.transpose()?;
        for name in ["user", "service_tier", "safety_identifier", "prompt_cache_key"] {
            fields.text(name)?;
        }
        fields.object("metadata")?;
        fields.flag("store")?;
        Ok(ChatRequest { model, talk, stream, include_usage, cut, not_applied, beyond, seed, wishes, body })
    }
}

impl ChatRequest {
    /// That a plan answers, which obeys no sampling field.
    ///
    /// # Errors
    /// There is one, and the request is strict.
    pub fn check_strict(&self) -> Result<(), Fault> {
        let Some(name) = self.not_applied.first().filter(|_| self.wishes.strict) else { return Ok(()) };
        let message = format!("`{name}` does not apply to plans, whose operators sample as their catalogue says");
        Err(Fault::of(*name, message).coded("not_applied"))
    }
}

impl Cut {
    /// The text up to where it ends, and whether it was cut for its length. `tokens` is how long the text is, as its model
    /// counted.
    pub fn apply(&self, mut text: String, tokens: u64) -> (String, bool) {
        let stops = self.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(end) = stops.filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        let (Some(most), true) = (self.max_tokens, tokens > 0) else { return (text, false) };
        // What a token is only the model knows; of a text with so many, each has its share of the letters.
        if most >= tokens {
            return (text, false);
        }
        let letters = text.chars().count() as u64;
        let kept = (letters.saturating_mul(most) / tokens).max(most.min(letters)) as usize;
        match text.char_indices().nth(kept) {
            Some((end, _)) => {
                text.truncate(end);
                (text, true)
            }
            None => (text, false),
        }
    }
}

/// The sampling fields that are there.
fn not_applied(fields: &Fields<'_>) -> Result<Vec<&'static str>, Fault> {
    let mut found = Vec::new();
    for (name, low, high) in SAMPLING {
        found.extend(fields.number(name, low, high)?.map(|_| name));
    }
    for name in WORDS {
        found.extend(fields.text(name)?.map(|_| name));
    }
    found.extend(fields.object("logit_bias")?.filter(|bias| !bias.is_empty()).map(|_| "logit_bias"));
    Ok(found)
}

fn most(fields: &Fields<'_>) -> Result<Option<u64>, Fault> {
    let mut most = None;
    for name in ["max_completion_tokens", "max_tokens"] {
        let count = fields.count(name)?;
        if count == Some(0) {
            return Err(fields.expected(name, "at least 1"));
        }
        most = most.or(count);
    }
    Ok(most)
}

fn stops(fields: &Fields<'_>) -> Result<Vec<String>, Fault> {
    let expected = || fields.expected("stop", "a text, or a list of at most 16 texts");
    match fields.get("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop.clone()]),
        Some(Value::Array(stops)) if stops.len() <= 16 => {
            stops.iter().map(|stop| stop.as_str().map(str::to_owned).ok_or_else(expected)).collect()
        }
        Some(_) => Err(expected()),
    }
}

/// What of a request a plan cannot serve.
fn beyond(fields: &Fields<'_>) -> Result<Option<&'static str>, Fault> {
    let mut found = None;
    for name in ["tools", "functions"] {
        found = found.or(fields.list(name)?.filter(|tools| !tools.is_empty()).map(|_| "tools"));
    }
    match fields.get("tool_choice") {
        None | Some(Value::Object(_)) => {}
        Some(Value::String(choice)) if ["none", "auto", "required"].contains(&choice.as_str()) => {}
        Some(_) => return Err(fields.expected("tool_choice", "none, auto, required or an object")),
    }
    fields.flag("parallel_tool_calls")?;
    if let Some(format) = fields.object("response_format")? {
        let format = Fields::new(format, "response_format.");
        match format.text("type")?.ok_or_else(|| format.expected("type", "a kind of format"))? {
            "text" => {}
            "json_object" | "json_schema" => found = found.or(Some("a format of the answer")),
            _ => return Err(format.expected("type", "text, json_object or json_schema")),
        }
    }
    match fields.count("n")? {
        Some(0) => return Err(fields.expected("n", "at least 1")),
        Some(n) if n > 128 => return Err(fields.expected("n", "at most 128")),
        Some(n) if n > 1 => found = found.or(Some("several answers")),
        _ => {}
    }
    let logprobs = fields.flag("logprobs")?.unwrap_or(false) || fields.count("top_logprobs")?.is_some();
    found = found.or(logprobs.then_some("log-probabilities"));
    if let Some(modalities) = fields.list("modalities")? {
        found = found.or(modalities.iter().any(|kind| kind != "text").then_some("audio"));
    }
    found = found.or(fields.object("audio")?.map(|_| "audio"));
    found = found.or(fields.object("prediction")?.map(|_| "a predicted answer"));
    Ok(found.or(fields.object("web_search_options")?.map(|_| "a search")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(more: Value) -> Result<ChatRequest, Fault> {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "?" }] });
        let fields = body.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        ChatRequest::read(body.as_object().expect("an object").clone(), &HeaderMap::new())
    }

    #[test]
    fn fields_are_obeyed_told_of_or_passed_on() {
        let check = |more: Value, not_applied: &[&str], beyond: Option<&str>| {
            let read = read(more.clone()).expect("a request");
            assert_eq!((&read.not_applied[..], read.beyond), (not_applied, beyond), "{more}");
        };
        check(json!({}), &[], None);
        check(json!({ "unknown": { "a": 1 }, "user": "u", "n": 1, "tools": [], "logprobs": false }), &[], None);
        check(json!({ "temperature": 0.3, "logit_bias": { "5": 1 } }), &["temperature", "logit_bias"], None);
        check(json!({ "temperature": null, "logit_bias": {} }), &[], None);
        check(json!({ "tools": [{}] }), &[], Some("tools"));
        check(json!({ "n": 2 }), &[], Some("several answers"));
        check(json!({ "response_format": { "type": "text" } }), &[], None);
        check(json!({ "response_format": { "type": "json_schema" } }), &[], Some("a format of the answer"));
        check(json!({ "logprobs": true }), &[], Some("log-probabilities"));
    }

    #[test]
    fn fields_at_fault_are_named() {
        let check = |more: Value, param: &str| {
            let fault = read(more.clone()).expect_err("a fault");
            assert_eq!((fault.status.as_u16(), fault.param.as_deref()), (400, Some(param)), "{more}");
        };
        check(json!({ "model": 7 }), "model");
        check(json!({ "model": "" }), "model");
        check(json!({ "messages": "hi" }), "messages");
        check(json!({ "stream": "yes" }), "stream");
        check(json!({ "stream_options": {} }), "stream_options");
        check(json!({ "stream": true, "stream_options": { "include_usage": 1 } }), "stream_options.include_usage");
        check(json!({ "temperature": 3 }), "temperature");
        check(json!({ "temperature": "hot" }), "temperature");
        check(json!({ "max_tokens": 0 }), "max_tokens");
        check(json!({ "max_completion_tokens": -1 }), "max_completion_tokens");
        check(json!({ "stop": 7 }), "stop");
        check(json!({ "stop": ["a", 7] }), "stop");
        check(json!({ "n": 0 }), "n");
        check(json!({ "seed": "x" }), "seed");
        check(json!({ "response_format": { "type": "xml" } }), "response_format.type");
    }

    #[test]
    fn texts_end_where_the_request_says() {
        let check = |max_tokens: Option<u64>, stop: &[&str], tokens: u64, expected: (&str, bool)| {
            let cut = Cut { max_tokens, stop: stop.iter().map(|&stop| stop.to_owned()).collect() };
            let (text, is_cut) = cut.apply("one two three".to_owned(), tokens);
            assert_eq!((text.as_str(), is_cut), expected);
        };
        check(None, &[], 3, ("one two three", false));
        check(Some(3), &[], 3, ("one two three", false));
        check(Some(1), &[], 3, ("one ", true));
        check(Some(1), &[], 0, ("one two three", false));
        check(None, &["three", "two"], 3, ("one ", false));
        check(None, &[""], 3, ("one two three", false));
        check(Some(1), &["two"], 1, ("one ", false));
    }
}
