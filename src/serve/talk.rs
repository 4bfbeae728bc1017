//! The messages of a request: the question asked now, and what was said before it.

use serde_json::Value;

use super::fault::Fault;
use super::fields::Fields;
use crate::model::{Message, Role};
use crate::random::digest;

/// A conversation, as far as it is text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Talk {
    pub question: String,
    /// What was said before it.
    pub before: Vec<Message>,
    /// What of it is no text, or no question: only a model that is asked plainly may know what to do.
    pub beyond: Option<&'static str>,
}

/// Who speaks, and what a plan cannot read of it.
struct Turn {
    role: Role,
    text: String,
    beyond: Option<&'static str>,
}

impl Talk {
    /// A digest of what was said before the question, in hexadecimal digits; none where nothing was.
    pub fn digest(&self) -> Option<String> {
        let parts: Vec<String> = self.before.iter().map(|it| format!("{:?} {}", it.role, it.content)).collect();
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        (!parts.is_empty()).then(|| format!("{:032x}", digest(&parts)))
    }

    /// Reads `messages`.
    ///
    /// # Errors
    /// Names the message at fault.
    pub fn read(messages: &[Value]) -> Result<Self, Fault> {
        let turn = |(number, message)| turn(number, message);
        let mut turns = messages.iter().enumerate().map(turn).collect::<Result<Vec<Turn>, Fault>>()?;
        let beyond = turns.iter().find_map(|turn| turn.beyond);
        let Some(asked) = turns.iter().rposition(|turn| turn.role == Role::User) else {
            if let Some(beyond) = beyond {
                return Ok(Talk { beyond: Some(beyond), ..Talk::default() });
            }
            return Err(Fault::of("messages", "`messages`: expected a user message, found none"));
        };
        let is_begun = turns[asked..].iter().any(|turn| turn.role == Role::Assistant);
        let beyond = beyond.or(is_begun.then_some("an answer that is begun"));
        let question = turns.remove(asked).text;
        if question.trim().is_empty() && beyond.is_none() {
            let path = format!("messages[{asked}].content");
            return Err(Fault::of(path.clone(), format!("`{path}`: expected a question, found an empty one")));
        }
        let message = |Turn { role, text, .. }| Message { role, content: text };
        let before = turns.into_iter().filter(|turn| !turn.text.is_empty()).map(message).collect();
        Ok(Talk { question, before, beyond })
    }
}

fn turn(number: usize, message: &Value) -> Result<Turn, Fault> {
    let path = format!("messages[{number}].");
    let fault = |field: &str, expected: &str| {
        let path = if field.is_empty() { format!("messages[{number}]") } else { format!("{path}{field}") };
        Fault::of(path.clone(), format!("`{path}`: expected {expected}"))
    };
    let fields = message.as_object().ok_or_else(|| fault("", "an object"))?;
    let fields = Fields::new(fields, &path);
    let said = fields.text("role")?.ok_or_else(|| fault("role", "who speaks, found nothing"))?;
    let (role, mut beyond) = match said {
        "system" | "developer" => (Role::System, None),
        "user" => (Role::User, None),
        "assistant" => (Role::Assistant, None),
        "tool" | "function" => (Role::User, Some("what a tool gave")),
        _ => return Err(fault("role", "system, developer, user, assistant or tool, found another")),
    };
    fields.text("name")?;
    if fields.get("tool_calls").is_some() || fields.get("function_call").is_some() {
        beyond = beyond.or(Some("tools"));
    }
    if fields.get("audio").is_some() {
        beyond = beyond.or(Some("audio"));
    }
    let text = match fields.get("content") {
        None if role == Role::Assistant => fields.text("refusal")?.unwrap_or_default().to_owned(),
        None => return Err(fault("content", "a text or a list of parts, found nothing")),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let mut text = String::new();
            for (at, part) in parts.iter().enumerate() {
                let path = format!("{path}content[{at}].");
                let part = part.as_object().ok_or_else(|| fault(&format!("content[{at}]"), "an object"))?;
                let part = Fields::new(part, &path);
                match part.text("type")?.ok_or_else(|| part.expected("type", "a kind of part"))? {
                    kind @ ("text" | "input_text" | "output_text" | "refusal") => {
                        let name = if kind == "refusal" { "refusal" } else { "text" };
                        text.push_str(part.text(name)?.ok_or_else(|| part.expected(name, "a string"))?);
                    }
                    "image_url" | "input_image" => beyond = beyond.or(Some("images")),
                    "input_audio" => beyond = beyond.or(Some("audio")),
                    "file" | "input_file" => beyond = beyond.or(Some("files")),
                    _ => return Err(part.expected("type", "text, image_url, input_audio, file or refusal")),
                }
            }
            text
        }
        Some(_) => return Err(fields.expected("content", "a text or a list of parts")),
    };
    // A role of its own is no user's.
    let role = if matches!(said, "tool" | "function") { Role::Assistant } else { role };
    Ok(Turn { role, text, beyond })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(messages: Value, question: &str, before: &[(Role, &str)], beyond: Option<&str>) {
        let talk = Talk::read(messages.as_array().expect("a list")).expect("a conversation");
        let said: Vec<(Role, &str)> = talk.before.iter().map(|said| (said.role, said.content.as_str())).collect();
        assert_eq!((talk.question.as_str(), &said[..], talk.beyond), (question, before, beyond));
    }

    #[test]
    fn the_question_is_what_the_user_said_last() {
        let user = |text: &str| json!({ "role": "user", "content": text });
        check(json!([user("a")]), "a", &[], None);
        check(
            json!([{ "role": "developer", "content": "d" }, user("a"), { "role": "assistant", "content": "b" }, user("c")]),
            "c",
            &[(Role::System, "d"), (Role::User, "a"), (Role::Assistant, "b")],
            None,
        );
        check(json!([user("a"), { "role": "system", "content": "s" }]), "a", &[(Role::System, "s")], None);
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }]);
        check(json!([{ "role": "user", "content": parts, "name": "n" }]), "ab", &[], None);
        let image = json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "x" } }]);
        check(json!([{ "role": "user", "content": image }]), "a", &[], Some("images"));
        check(
            json!([user("a"), { "role": "assistant", "content": "b" }]),
            "a",
            &[(Role::Assistant, "b")],
            Some("an answer that is begun"),
        );
        let calls = json!([user("a"), { "role": "assistant", "content": null, "tool_calls": [{}] },
            { "role": "tool", "content": "1", "tool_call_id": "x" }]);
        check(calls, "a", &[(Role::Assistant, "1")], Some("tools"));
    }

    #[test]
    fn messages_at_fault_are_named() {
        let check = |messages: Value, param: &str| {
            let fault = Talk::read(messages.as_array().expect("a list")).expect_err("a fault");
            assert_eq!((fault.status.as_u16(), fault.param.as_deref()), (400, Some(param)), "{messages}");
        };
        check(json!([]), "messages");
        check(json!([{ "role": "system", "content": "s" }]), "messages");
        check(json!([1]), "messages[0]");
        check(json!([{ "content": "s" }]), "messages[0].role");
        check(json!([{ "role": "king", "content": "s" }]), "messages[0].role");
        check(json!([{ "role": 7, "content": "s" }]), "messages[0].role");
        check(json!([{ "role": "user" }]), "messages[0].content");
        check(json!([{ "role": "user", "content": 3 }]), "messages[0].content");
        check(json!([{ "role": "user", "content": " " }]), "messages[0].content");
        check(json!([{ "role": "user", "content": [] }]), "messages[0].content");
        check(json!([{ "role": "user", "content": ["a"] }]), "messages[0].content[0]");
        check(json!([{ "role": "user", "content": [{ "type": "text" }] }]), "messages[0].content[0].text");
        check(json!([{ "role": "user", "content": [{ "type": "smell" }] }]), "messages[0].content[0].type");
    }
}
