//! Chat messages: their texts, and the question among them.

use serde_json::Value;

/// The text of a message's content: plain text, or parts, some of which are text.
pub(super) fn content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let part = |part: &Value| match part {
                Value::String(text) => Some(text.clone()),
                _ => part.get("text").and_then(Value::as_str).map(str::to_owned),
            };
            let texts: Vec<String> = parts.iter().filter_map(part).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}

/// The question: plain text, or the user's last message in a list.
pub(super) fn question(prompt: &Value) -> Option<String> {
    let Value::Array(messages) = prompt else { return content(prompt) };
    let said = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let last = messages.iter().rfind(said).and_then(|message| content(message.get("content")?));
    last.or_else(|| content(prompt))
}

/// Total bytes of all texts in a prompt.
pub(super) fn bytes(prompt: &Value) -> usize {
    match prompt {
        Value::Array(messages) => {
            let of = |message: &Value| message.get("content").and_then(content).or_else(|| content(message));
            messages.iter().filter_map(of).map(|text| text.len()).sum()
        }
        _ => content(prompt).map_or(0, |text| text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_the_user_is_the_question() {
        let check = |prompt: &str, asked: Option<&str>, size: usize| {
            let prompt: Value = serde_json::from_str(prompt).expect("JSON");
            assert_eq!((question(&prompt).as_deref(), bytes(&prompt)), (asked, size), "{prompt}");
        };
        check(r#""1 + 1?""#, Some("1 + 1?"), 6);
        let chat = r#"[{"role": "system", "content": "be"}, {"role": "user", "content": [{"type": "text", "text": "why"}]},
            {"role": "assistant", "content": "?"}]"#;
        check(chat, Some("why"), 6);
        check(r#"["a", "b"]"#, Some("a\nb"), 2);
        check(r#"[{"role": "user", "content": null}]"#, None, 0);
        check("{}", None, 0);
    }
}
