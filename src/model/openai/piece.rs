//! An answer, or one piece of it, reduced to what is used.

use super::fault::Fault;
use super::json;
use super::redact::Key;
use super::size::likely;
use crate::model::FinishReason;
use crate::plan::Usage;

/// Longest piece of a stream, in bytes, that is taken for one token.
const LONGEST_TOKEN: usize = 16;
/// More tokens than this no request comes to, whatever a server counts.
const PLAUSIBLE: u64 = u32::MAX as u64;

/// An answer, or one piece of it.
#[derive(Debug, Default, PartialEq)]
pub struct Piece {
    pub fault: Option<Fault>,
    /// The choice of the lowest index, wherever it stands.
    pub choice: Option<Delta>,
    pub usage: Option<Usage>,
    /// Tokens of all choices, thoughts included, by estimate.
    pub written: u64,
}

#[derive(Debug, Default, PartialEq)]
pub struct Delta {
    pub index: u64,
    pub text: String,
    /// Whether it holds a token, if only one of a thought.
    pub has_token: bool,
    pub end: Option<End>,
}

/// Why an answer ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Finish(FinishReason),
    /// The server could not go on. What has come is no answer.
    Broken(Fault),
}

impl Piece {
    /// Reads a JSON object; what is of the wrong kind in it counts as absent.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn read(text: &str, key: &Key) -> serde_json::Result<Self> {
        let [choices, usage] = json::fields(text, ["choices", "usage"])?;
        let mut piece = Piece { fault: Fault::within(text, key), usage: usage.and_then(counted), ..Piece::default() };
        json::each(choices.unwrap_or("[]"), |text| {
            let Some((choice, written)) = Delta::read(text, key) else { return };
            piece.written = piece.written.saturating_add(written);
            if piece.choice.as_ref().is_none_or(|first| choice.index < first.index) {
                piece.choice = Some(choice);
            }
        })?;
        Ok(piece)
    }
}

impl Delta {
    /// The choice, and the tokens that it holds by estimate; none for what is no object.
    fn read(text: &str, key: &Key) -> Option<(Self, u64)> {
        if json::kind(text) != b'{' {
            return None;
        }
        let names = ["index", "delta", "message", "text", "finish_reason", "native_finish_reason", "error"];
        let [index, delta, message, plain, reason, native, error] = json::fields(text, names).ok()?;
        let names = ["content", "reasoning", "reasoning_content", "refusal"];
        let part = delta.or(message).and_then(|part| json::fields(part, names).ok());
        let [content, thought, other_thought, refusal] = part.unwrap_or_default();
        let text = content.or(plain).map_or(String::new(), words);
        let text = if text.is_empty() { refusal.map_or(text, words) } else { text };
        let thoughts = [thought, other_thought].map(|thought| thought.map_or(String::new(), words));
        // Several names for one thought.
        let thought = thoughts.iter().map(|thought| tokens(thought)).max().unwrap_or(0);
        let written = tokens(&text).saturating_add(thought);
        let broken = error.filter(|error| !matches!(*error, "{}" | "false" | "\"\"" | "[]"));
        let end = match broken {
            Some(error) => Some(End::Broken(Fault::inner(error, key))),
            None => end(reason, native, key),
        };
        let index = index.and_then(count).map_or(0, |(index, _)| index);
        Some((Delta { index, text, has_token: written > 0, end }, written))
    }
}

/// A text, or the texts of a list of parts, without those of thoughts.
fn words(content: &str) -> String {
    let mut text = String::new();
    // Whatever is no text is left out, and so is a list that is broken off: it cannot be, inside an object that is whole.
    let _ = json::each(content, |part| {
        if let Some(words) = json::string(part) {
            text.push_str(&words);
            return;
        }
        let [kind, words] = json::fields(part, ["type", "text"]).unwrap_or_default();
        let is_thought = kind.is_some_and(|kind| kind.contains("think") || kind.contains("reason"));
        if let Some(words) = words.and_then(json::string).filter(|_| !is_thought) {
            text.push_str(&words);
        }
    });
    text
}

/// Tokens of a piece. Most servers send a piece for each token; who sends several words at once is measured by length.
fn tokens(piece: &str) -> u64 {
    let holds_more = piece.len() > LONGEST_TOKEN || piece.trim().contains(char::is_whitespace);
    if holds_more { likely(piece.len() as u64) } else { u64::from(!piece.is_empty()) }
}

fn end(reason: Option<&str>, native: Option<&str>, key: &Key) -> Option<End> {
    // Some servers wrap the reason into an object, or say nothing in so many letters.
    let word = |field: Option<&str>| {
        let field = field?;
        let inner = json::fields(field, ["type"]).ok().and_then(|[kind]| kind);
        let word = json::string(inner.unwrap_or(field))?.trim().to_lowercase();
        (!word.is_empty() && word != "null" && word != "none").then_some(word)
    };
    let (reason, native) = (word(reason), word(native));
    let broken = [&native, &reason].into_iter().flatten().find(|reason| is_failure(reason));
    if let Some(broken) = broken {
        return Some(End::Broken(Fault::new(&format!("the answer ended with `{broken}`"), key)));
    }
    let is_length = |reason: &str| reason.contains("length") || reason.contains("max") && reason.contains("token");
    let is_filter =
        |reason: &str| ["filter", "safety", "prohibited", "blocklist"].iter().any(|word| reason.contains(word));
    reason.map(|reason| {
        End::Finish(match () {
            () if is_length(&reason) => FinishReason::Length,
            () if is_filter(&reason) => FinishReason::Filtered,
            () => FinishReason::Stop,
        })
    })
}

/// Whether a server gave up rather than the model.
fn is_failure(reason: &str) -> bool {
    const FAILURES: [&str; 8] =
        ["error", "abort", "cancel", "timeout", "timed_out", "insufficient", "overload", "unavailable"];
    FAILURES.iter().any(|failure| reason.contains(failure))
}

/// Tokens as the server counted them; none where it did not, or only pretends to. Counts that are written in an odd way
/// are taken, and marked.
fn counted(usage: &str) -> Option<Usage> {
    let names = ["prompt_tokens", "completion_tokens", "prompt_tokens_details"];
    let [prompt, completion, details] = json::fields(usage, names).ok()?;
    let (prompt, completion) = (count(prompt?)?, count(completion?)?);
    let cached = details.and_then(|details| json::fields(details, ["cached_tokens"]).ok()).and_then(|[cached]| cached);
    let marked = [prompt, completion].into_iter().filter(|(_, is_odd)| *is_odd).map(|(count, _)| count);
    (prompt.0 > 0).then(|| Usage {
        prompt_tokens: prompt.0,
        completion_tokens: completion.0,
        cached_tokens: cached.and_then(count).map_or(0, |(count, _)| count.min(prompt.0)),
        estimated_tokens: marked.sum(),
    })
}

/// A count of at most [`PLAUSIBLE`], and whether it is written other than as a whole number.
fn count(text: &str) -> Option<(u64, bool)> {
    if let Ok(count) = text.parse::<u64>() {
        return (count <= PLAUSIBLE).then_some((count, false));
    }
    let word = json::string(text);
    let number: f64 = word.as_deref().unwrap_or(text).trim().parse().ok()?;
    let is_count = number >= 0.0 && number <= PLAUSIBLE as f64 && number.fract() == 0.0;
    is_count.then_some((number as u64, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Piece {
        Piece::read(text, &Key::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn check_text(choices: &str, text: &str, written: u64) {
        let piece = read(&format!(r#"{{"choices": {choices}}}"#));
        let found = piece.choice.map(|choice| choice.text).unwrap_or_default();
        assert_eq!((found.as_str(), piece.written), (text, written), "{choices}");
    }

    #[test]
    fn texts_are_found_wherever_servers_put_them() {
        check_text(r#"[{"delta": {"content": "a"}}]"#, "a", 1);
        check_text(r#"[{"message": {"content": "a b"}}]"#, "a b", 1);
        check_text(
            r#"[{"message": {"content": [{"type": "text", "text": "a"}, "b", {"text": "c"}, 4, null]}}]"#,
            "abc",
            1,
        );
        let thinking = r#"{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}"#;
        check_text(&format!(r#"[{{"delta": {{"content": [{thinking}, {{"type": "text", "text": "8"}}]}}}}]"#), "8", 1);
        check_text(r#"[{"message": {"content": null, "reasoning_content": "hm", "reasoning": "hm"}}]"#, "", 1);
        check_text(r#"[{"message": {"content": null, "refusal": "no"}}]"#, "no", 1);
        check_text(r#"[{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]"#, "a", 2);
        check_text(r#"[{"index": 1, "delta": {"content": "b"}}]"#, "b", 1);
        check_text(r#"[{"text": "a"}]"#, "a", 1);
        check_text(r#"{"message": {"content": "a"}}"#, "a", 1);
        for nothing in ["[]", "null", "[null]", "3", r#"[{"delta": null}]"#, r#"[{"delta": {"content": 7}}]"#, "[[]]"] {
            check_text(nothing, "", 0);
        }
    }

    #[test]
    fn an_answer_that_the_server_broke_off_is_none() {
        let check = |fields: &str, expected: Option<End>| {
            let choice = read(&format!(r#"{{"choices": [{{"delta": {{"content": "a"}}, {fields}}}]}}"#)).choice;
            assert_eq!(choice.and_then(|choice| choice.end), expected, "{fields}");
        };
        check(r#""finish_reason": null"#, None);
        check(r#""finish_reason": """#, None);
        check(
            r#""finish_reason": "stop", "native_finish_reason": "STOP", "error": null"#,
            Some(End::Finish(FinishReason::Stop)),
        );
        check(r#""finish_reason": "length""#, Some(End::Finish(FinishReason::Length)));
        check(r#""finish_reason": {"type": "length", "length": 9}"#, Some(End::Finish(FinishReason::Length)));
        check(r#""finish_reason": "MAX_TOKENS""#, Some(End::Finish(FinishReason::Length)));
        for broken in [
            r#""finish_reason": "error""#,
            r#""finish_reason": "stop", "native_finish_reason": "network_error""#,
            r#""finish_reason": "abort""#,
            r#""finish_reason": {"type": "abort"}"#,
            r#""finish_reason": "insufficient_system_resource""#,
            r#""error": {"code": 502, "message": "lost"}"#,
        ] {
            let choice = read(&format!(r#"{{"choices": [{{{broken}}}]}}"#)).choice;
            assert!(matches!(choice, Some(Delta { end: Some(End::Broken(_)), .. })), "{broken}: {choice:?}");
        }
    }

    #[test]
    fn counts_are_taken_as_far_as_they_can_be_true() {
        let check = |usage: &str, expected: Option<[u64; 4]>| {
            let found = read(&format!(r#"{{"usage": {usage}}}"#)).usage;
            let fields = |usage: Usage| {
                [usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.estimated_tokens]
            };
            assert_eq!(found.map(fields), expected, "{usage}");
        };
        let both = |prompt: &str, completion: &str| {
            format!(r#"{{"prompt_tokens": {prompt}, "completion_tokens": {completion}, "total_tokens": 0}}"#)
        };
        check(&both("12", "5"), Some([12, 5, 0, 0]));
        check(&both("11.0", "\"5\""), Some([11, 5, 0, 16]));
        check(&both("12", "5e0"), Some([12, 5, 0, 5]));
        for (prompt, completion) in [
            ("-1", "5"),
            ("12", "-5"),
            ("0", "5"),
            ("null", "null"),
            ("[]", "5"),
            ("12", "{}"),
            ("12", "true"),
            ("12.5", "5"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "5"),
            ("\"NaN\"", "5"),
        ] {
            check(&both(prompt, completion), None);
        }
        for usage in ["[]", "false", "\"11\"", "11", "null", "{}"] {
            check(usage, None);
        }
        let cached = r#"{"prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}"#;
        check(cached, Some([12, 5, 12, 0]));
    }

    #[test]
    fn other_texts_are_no_pieces() {
        for text in ["", "{", "no", r#"{"choices": [}"#, "{} {}"] {
            assert!(Piece::read(text, &Key::default()).is_err(), "{text}");
        }
        assert_eq!(read("3"), Piece::default());
        assert!(read(r#"{"error": {"message": "no", "code": 429}}"#).fault.is_some());
    }
}
