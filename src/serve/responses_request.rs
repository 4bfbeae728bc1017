//! A request for a response, in terms of a chat completion. Only text is served here, and nothing is kept: a field that asks
//! for more is refused by name.

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::fields::Fields;

/// A request for a response.
#[derive(Clone, Debug)]
pub struct ResponsesRequest {
    /// The same as a request for a chat completion.
    pub chat: Map<String, Value>,
    /// What is echoed.
    pub echo: Map<String, Value>,
}

/// Fields that ask for what is kept, or for more than text.
const REFUSED: [(&str, &str); 6] = [
    ("previous_response_id", "nothing is kept: send all messages in `input`"),
    ("conversation", "nothing is kept: send all messages in `input`"),
    ("prompt", "no prompts are kept: send all messages in `input`"),
    ("background", "answers are given at once"),
    ("tools", "only text is answered here; `/v1/chat/completions` passes tools on"),
    ("top_logprobs", "only text is answered here; `/v1/chat/completions` passes log-probabilities on"),
];
/// Fields that mean the same in a chat completion.
const SAME: [&str; 7] = ["model", "stream", "temperature", "top_p", "seed", "user", "lamas"];
/// Fields of the response that say what was asked, with what they say where nothing was.
const ECHOED: [&str; 7] =
    ["instructions", "max_output_tokens", "metadata", "temperature", "top_p", "user", "truncation"];

impl ResponsesRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// Names the field at fault.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Fault> {
        let fields = Fields::new(body, "");
        for (name, why) in REFUSED {
            let asks = match fields.get(name) {
                None | Some(Value::Bool(false)) => false,
                Some(Value::Array(list)) => !list.is_empty(),
                Some(_) => true,
            };
            if asks {
                return Err(Fault::of(name, format!("`{name}`: {why}")).coded("unsupported_parameter"));
            }
        }
        if let Some(text) = fields.object("text")?
            && let Some(format) = Fields::new(text, "text.").object("format")?
        {
            let format = Fields::new(format, "text.format.");
            if format.text("type")?.is_some_and(|kind| kind != "text") {
                let message = "`text.format`: only text is answered here; `/v1/chat/completions` passes formats on";
                return Err(Fault::of("text.format", message).coded("unsupported_parameter"));
            }
        }
        let mut messages = Vec::new();
        if let Some(instructions) = fields.text("instructions")? {
            messages.push(json!({ "role": "system", "content": instructions }));
        }
        match fields.get("input") {
            Some(Value::String(text)) => messages.push(json!({ "role": "user", "content": text })),
            Some(Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    messages.push(message(at, item)?);
                }
            }
            _ => return Err(fields.expected("input", "a text or a list of messages")),
        }
        let mut chat: Map<String, Value> =
            SAME.iter().filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone()))).collect();
        chat.insert("messages".into(), messages.into());
        if let Some(most) = fields.count("max_output_tokens")? {
            if most == 0 {
                return Err(fields.expected("max_output_tokens", "at least 1"));
            }
            chat.insert("max_completion_tokens".into(), most.into());
        }
        if let Some(effort) = fields.object("reasoning")?.and_then(|reasoning| reasoning.get("effort")) {
            chat.insert("reasoning_effort".into(), effort.clone());
        }
        fields.object("metadata")?;
        fields.flag("store")?;
        fields.text("truncation")?;
        let echo =
            ECHOED.iter().map(|name| ((*name).to_owned(), body.get(*name).cloned().unwrap_or_default())).collect();
        Ok(ResponsesRequest { chat, echo })
    }
}

fn message(at: usize, item: &Value) -> Result<Value, Fault> {
    let path = format!("input[{at}].");
    let fault = |field: &str, expected: &str| {
        let path = if field.is_empty() { format!("input[{at}]") } else { format!("{path}{field}") };
        Fault::of(path.clone(), format!("`{path}`: expected {expected}"))
    };
    let fields = item.as_object().ok_or_else(|| fault("", "an object"))?;
    let fields = Fields::new(fields, &path);
    match fields.text("type")? {
        None | Some("message") => {}
        Some(_) => return Err(fault("type", "`message`: only text is answered here").coded("unsupported_parameter")),
    }
    let role = fields.text("role")?.ok_or_else(|| fields.expected("role", "who speaks"))?;
    if !["system", "developer", "user", "assistant"].contains(&role) {
        return Err(fault("role", "system, developer, user or assistant, found another"));
    }
    let content = fields.get("content").ok_or_else(|| fields.expected("content", "a text or a list of parts"))?;
    if let Value::Array(parts) = content {
        for (number, part) in parts.iter().enumerate() {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
            if !["input_text", "output_text", "text", "refusal"].contains(&kind) {
                let field = format!("content[{number}].type");
                return Err(fault(&field, "text: only text is answered here").coded("unsupported_parameter"));
            }
        }
    }
    Ok(json!({ "role": role, "content": content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: Value) -> Result<ResponsesRequest, Fault> {
        let mut body = json!({ "model": "m", "input": "?" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ResponsesRequest::read(body.as_object().expect("an object"))
    }

    #[test]
    fn a_request_becomes_one_for_a_completion() {
        let input = json!([{ "role": "user", "content": [{ "type": "input_text", "text": "a" }] },
            { "type": "message", "role": "assistant", "content": "b" }, { "role": "user", "content": "c" }]);
        let read = read(json!({ "input": input, "instructions": "i", "max_output_tokens": 5, "stream": true,
            "store": true, "tools": [], "background": false, "reasoning": { "effort": "low" } }));
        let chat = Value::Object(read.expect("a request").chat);
        let messages = json!([
            { "role": "system", "content": "i" },
            { "role": "user", "content": [{ "type": "input_text", "text": "a" }] },
            { "role": "assistant", "content": "b" },
            { "role": "user", "content": "c" },
        ]);
        let expected = json!({ "model": "m", "messages": messages, "max_completion_tokens": 5, "stream": true,
            "reasoning_effort": "low" });
        assert_eq!(chat, expected);
    }

    #[test]
    fn what_is_more_than_text_is_refused_by_name() {
        let check = |more: Value, param: &str| {
            let fault = read(more.clone()).expect_err("a fault");
            assert_eq!((fault.status.as_u16(), fault.param.as_deref()), (400, Some(param)), "{more}");
        };
        check(json!({ "previous_response_id": "r" }), "previous_response_id");
        check(json!({ "conversation": "c" }), "conversation");
        check(json!({ "background": true }), "background");
        check(json!({ "tools": [{ "type": "web_search" }] }), "tools");
        check(json!({ "text": { "format": { "type": "json_schema" } } }), "text.format");
        check(json!({ "input": 3 }), "input");
        check(json!({ "input": [7] }), "input[0]");
        check(json!({ "input": [{ "type": "function_call" }] }), "input[0].type");
        check(json!({ "input": [{ "role": "king", "content": "a" }] }), "input[0].role");
        check(
            json!({ "input": [{ "role": "user", "content": [{ "type": "input_image" }] }] }),
            "input[0].content[0].type",
        );
        check(json!({ "max_output_tokens": 0 }), "max_output_tokens");
    }
}
