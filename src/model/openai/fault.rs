//! Error messages of a server, in whatever form.

use super::json;
use super::redact::Key;

/// Longest text that is kept of what a server says, in bytes.
const LONGEST: usize = 1 << 16;

/// What a server says instead of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// As it may be shown: shortened, without the key.
    pub message: String,
    /// As the server said it. Never shown.
    pub said: String,
    /// Its `code`, its `type` and its `status`, in whatever form.
    pub codes: Vec<String>,
    pub parameter: Option<String>,
}

impl Fault {
    /// Reads `{"error": {..}}`, `{"error": ".."}`, `{"detail": ..}`, `{"message": ..}`, a list of these, or plain text.
    pub fn read(body: &str, key: &Key) -> Self {
        Fault::within(body, key).unwrap_or_else(|| Fault::new(body, key))
    }

    /// A fault of these words.
    pub fn new(said: &str, key: &Key) -> Self {
        let end = said.char_indices().nth(LONGEST).map_or(said.len(), |(at, _)| at);
        Fault { message: key.said(&said[..end]), said: said[..end].to_owned(), ..Fault::default() }
    }

    /// The fault that an object speaks of, or the first of a list of them, if it speaks of one.
    pub fn within(text: &str, key: &Key) -> Option<Self> {
        let mut first = None;
        if json::kind(text) == b'[' {
            json::each(text, |element| first = first.or(Some(element))).ok()?;
        }
        let names = ["error", "detail", "errors", "message", "choices", "object"];
        let [error, detail, errors, message, choices, object] = json::fields(first.unwrap_or(text), names).ok()?;
        let is_error = object.and_then(json::string).is_some_and(|object| object == "error");
        let itself = message.filter(|_| choices.is_none() || is_error).map(|_| first.unwrap_or(text));
        let said = |field: &&str| !matches!(*field, "false" | "\"\"" | "[]" | "{}" | "0");
        let inner = [error, detail, errors, itself].into_iter().flatten().find(said)?;
        Some(Fault::inner(inner, key))
    }

    /// Reads what stands in the place of an error: an object or some words.
    pub fn inner(text: &str, key: &Key) -> Self {
        if let Some(words) = json::string(text) {
            return Fault::new(&words, key);
        }
        let names = ["message", "code", "type", "status", "param", "metadata"];
        let [message, code, kind, status, parameter, metadata] = json::fields(text, names).unwrap_or_default();
        let word = |field: Option<&str>| match (json::string(field?), json::kind(field?)) {
            (Some(word), _) => Some(word.into_owned()),
            (None, b'0'..=b'9') => field.map(str::to_owned),
            _ => None,
        };
        let message = message.and_then(json::string).filter(|message| !message.trim().is_empty());
        let mut said = message.map_or_else(|| text.to_owned(), |message| message.into_owned());
        // Where a gateway passes on what the server behind it said.
        let behind = metadata.and_then(|metadata| json::fields(metadata, ["raw"]).ok()).and_then(|[raw]| raw);
        if let Some(behind) = behind.and_then(json::string) {
            said = format!("{said}: {behind}");
        }
        let codes = [code, kind, status].into_iter().filter_map(word).collect();
        Fault { codes, parameter: word(parameter), ..Fault::new(&said, key) }
    }

    pub fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    /// The status that an error within an answer stands for, where it names one.
    pub fn status(&self) -> Option<u16> {
        let number = |code: &String| code.parse().ok().filter(|status| (400..600).contains(status));
        let names: [(&[&str], u16); 4] = [
            (&["rate_limit", "RESOURCE_EXHAUSTED", "too_many_requests", "throttl"], 429),
            (&["api_key", "authentication", "permission", "unauthorized", "UNAUTHENTICATED"], 401),
            (&["not_found"], 404),
            (&["context_length", "invalid_request", "bad_request", "INVALID_ARGUMENT", "BadRequest"], 400),
        ];
        let means = |code: &String| names.iter().find(|(words, _)| words.iter().any(|word| code.contains(word)));
        self.codes.iter().find_map(number).or_else(|| self.codes.iter().find_map(means).map(|&(_, status)| status))
    }

    /// Whether the server refuses what this prompt says or what would answer it, as it will each time.
    pub fn is_filtered(&self) -> bool {
        const CODES: [&str; 6] = [
            "content_filter",
            "content_policy",
            "moderation",
            "prohibited_content",
            "data_inspection",
            "responsibleai",
        ];
        const WORDS: [&str; 5] =
            ["content management policy", "content filter", "content policy", "safety system", "flagged by moderation"];
        let said = self.said.to_lowercase();
        self.has_code_like(&CODES) || CODES.iter().chain(&WORDS).any(|word| said.contains(word))
    }

    /// Whether one of its codes holds one of these words, in small letters.
    pub fn has_code_like(&self, words: &[&str]) -> bool {
        self.codes.iter().map(|code| code.to_lowercase()).any(|code| words.iter().any(|word| code.contains(word)))
    }

    /// Whether the prompt, or what may be written after it, is beyond the model's context; each server says it in its own way.
    pub fn is_too_long(&self) -> bool {
        let said = format!("{} {}", self.codes.join(" "), self.said).to_lowercase();
        said.contains("context") && ["length", "window", "size"].iter().any(|word| said.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, message: &str, codes: &[&str]) {
        let fault = Fault::read(body, &Key::default());
        assert_eq!(
            (fault.message.as_str(), fault.codes.iter().map(String::as_str).collect()),
            (message, codes.to_vec()),
            "{body}"
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
        check(r#"{"detail": [{"msg": "no"}]}"#, r#"[{"msg": "no"}]"#, &[]);
        check(r#"{"object": "error", "message": "no", "code": 404}"#, "no", &["404"]);
        check(r#"[{"error": {"code": 400, "message": "no", "status": "INVALID"}}]"#, "no", &["400", "INVALID"]);
        check(r#"{"error": {"message": "no", "metadata": {"raw": "because"}}}"#, "no: because", &[]);
        check(r#"{"error": {"message": {"a": 1}}}"#, r#"{"message": {"a": 1}}"#, &[]);
        check("<html>\n no </html>", "<html> no </html>", &[]);
        check("", "", &[]);
        for fine in [
            r#"{"choices": [], "error": null}"#,
            r#"{"choices": [], "error": ""}"#,
            r#"{"choices": [], "error": false, "message": "hello"}"#,
            "[]",
            "3",
            "no",
        ] {
            assert_eq!(Fault::within(fine, &Key::default()), None, "{fine}");
        }
    }

    #[test]
    fn filters_are_told_from_other_refusals() {
        for (is_filtered, body) in [
            (true, r#"{"error": {"message": "no", "code": "content_filter"}}"#),
            (true, r#"{"error": {"message": "no", "code": null, "type": "content_policy_violation"}}"#),
            (true, r#"{"error": {"message": "triggering Azure OpenAI's content management policy"}}"#),
            (true, r#"{"error": {"code": 400, "message": "no", "status": "PROHIBITED_CONTENT"}}"#),
            (true, r#"{"error": {"message": "Your request was rejected by our safety system"}}"#),
            (false, r#"{"error": {"message": "no such content", "code": "invalid_request_error"}}"#),
            (false, r#"{"error": {"message": "`content` must be text"}}"#),
        ] {
            assert_eq!(Fault::read(body, &Key::default()).is_filtered(), is_filtered, "{body}");
        }
    }

    #[test]
    fn an_error_in_an_answer_names_its_status() {
        let status = |codes: &[&str]| {
            Fault { codes: codes.iter().map(|&code| code.into()).collect(), ..Fault::default() }.status()
        };
        assert_eq!(status(&["502", "x"]), Some(502));
        assert_eq!(status(&["200", "rate_limit_exceeded"]), Some(429));
        assert_eq!(status(&["context_length_exceeded"]), Some(400));
        assert_eq!(status(&["invalid_api_key"]), Some(401));
        assert_eq!((status(&["overloaded"]), status(&["99999999999"]), status(&[])), (None, None, None));
    }
}
