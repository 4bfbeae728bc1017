//! When a request is sent again: which failures may pass, and how long to wait. All retry logic is here.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::asked_wait::asked_wait;
use super::config::{EndpointConfig, duration};
use super::dialect::Dialect;
use super::fault::Fault;
use super::patience::{Notice, Patience};
use crate::model::{Error, FinishReason};

/// Longest pause between two attempts, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that asks for a longer wait than this is out of reach for now.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Codes of an account that has nothing left; they come with status 429, but waiting does not help.
const EMPTY: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

const KEY_HINT: &str =
    "hint: set OPENAI_API_KEY (or LAMAS_API_KEY, or the variable that its `key_env` names) to a key for this endpoint";

/// Whether a call came to nothing because of its key.
pub fn is_of_key(error: &Error) -> bool {
    matches!(error, Error::Permanent(message) if message.contains(KEY_HINT))
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The same request would fail again.
    Permanent(String),
    /// There is not enough left to spend.
    Capped(String),
    /// What this prompt comes to, each time: an answer without text.
    Unanswerable { finish: FinishReason, message: String },
    /// The server lacks a parameter; the same request can be sent at once in another dialect.
    Dialect { next: Dialect, message: String },
    /// Trying again may help.
    Transient {
        message: String,
        /// How long the server asks everyone to wait.
        wait: Option<Duration>,
        cause: Cause,
    },
}

/// What kind of failure may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There were too many requests.
    Limit,
    /// The server answered with an error, and with nothing else.
    Refusal,
    /// There was no connection.
    Connection,
    /// Something is wrong with the answer, or none came.
    Reply,
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(message: String) -> Self {
        Failure::Transient { message, wait: None, cause: Cause::Reply }
    }

    /// What an answer with an error status means.
    pub fn of(status: StatusCode, headers: &HeaderMap, fault: &Fault, dialect: Dialect) -> Self {
        let said = match fault.message.as_str() {
            "" => status.canonical_reason().unwrap_or("no reason given"),
            message => message,
        };
        let message = format!("{}: {said}", status.as_u16());
        if fault.has_code(&EMPTY) || status == StatusCode::PAYMENT_REQUIRED {
            return Failure::Permanent(format!("{message}; hint: the account has nothing left to spend"));
        }
        if let Some(next) = dialect.without(fault).filter(|_| may_be_of_parameters(status, fault)) {
            return Failure::Dialect { next, message };
        }
        if let Some(finish) = outcome(status, fault) {
            let hint = "; hint: the operator's prompt and `max_tokens` together must fit into the model's context";
            let hint = if finish == FinishReason::ContextExceeded { hint } else { "" };
            return Failure::Unanswerable { finish, message: format!("{message}{hint}") };
        }
        if may_pass(status) {
            let is_rate_limit = status == StatusCode::TOO_MANY_REQUESTS;
            let wait = asked_wait(headers, is_rate_limit, SystemTime::now());
            if let Some(wait) = wait.filter(|&wait| wait > LONGEST_WAIT) {
                let seconds = wait.as_secs();
                return Failure::Permanent(format!("{message}; the server asks to wait {seconds} s: continue later"));
            }
            let cause = if is_rate_limit { Cause::Limit } else { Cause::Refusal };
            return Failure::Transient { message, wait, cause };
        }
        Failure::Permanent(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("{message}; {KEY_HINT}")
            }
            StatusCode::NOT_FOUND => {
                format!("{message}; hint: check `--endpoint` and `--model-name`, or its `[[model]]` table")
            }
            _ => message,
        })
    }

    /// What an error inside an answer that began well means.
    pub fn within(fault: &Fault, dialect: Dialect) -> Self {
        let status = fault.status().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match Failure::of(status, &HeaderMap::new(), fault, dialect) {
            Failure::Transient { message, wait, cause: Cause::Refusal } => {
                Failure::Transient { message, wait, cause: Cause::Reply }
            }
            failure => failure,
        }
    }

    /// The same failure in other words.
    pub fn reworded(self, reword: impl FnOnce(&str) -> String) -> Self {
        match self {
            Failure::Permanent(message) => Failure::Permanent(reword(&message)),
            Failure::Capped(message) => Failure::Capped(message),
            Failure::Unanswerable { finish, message } => Failure::Unanswerable { finish, message: reword(&message) },
            Failure::Dialect { next, message } => Failure::Dialect { next, message: reword(&message) },
            Failure::Transient { message, wait, cause } => {
                Failure::Transient { message: reword(&message), wait, cause }
            }
        }
    }
}

/// What a refusal of this prompt alone comes to: the next prompt may be answered.
fn outcome(status: StatusCode, fault: &Fault) -> Option<FinishReason> {
    const ELSEWHERE: [StatusCode; 6] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::NOT_FOUND,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::PAYMENT_REQUIRED,
    ];
    // A server that breaks must say so in its codes: words are many then.
    let is_of_prompt = match status.is_client_error() {
        true => !ELSEWHERE.contains(&status),
        false => fault.has_code_like(&["content_filter", "context_length", "contextwindow", "context_size"]),
    };
    match is_of_prompt {
        true if fault.is_filtered() => Some(FinishReason::Filtered),
        true if fault.is_too_long() => Some(FinishReason::ContextExceeded),
        _ => None,
    }
}

/// Whether an error may complain of a parameter. Some servers break over one rather than refuse it, but what breaks may
/// have many causes.
fn may_be_of_parameters(status: StatusCode, fault: &Fault) -> bool {
    const BROKEN_OVER: [&str; 4] = ["keyword argument", "not support", "unsupported", "not implemented"];
    match status {
        StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNPROCESSABLE_ENTITY => true,
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_IMPLEMENTED => {
            let said = fault.said.to_lowercase();
            BROKEN_OVER.iter().any(|words| said.contains(words))
        }
        _ => false,
    }
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS)
}

/// The attempts of one call.
pub struct Attempts {
    pauses: ExponentialBackoff,
    requests: u32,
    /// After which the call is given up.
    most: u32,
    /// Requests that were sent in another dialect, which are no tries.
    dialects: u32,
}

impl Attempts {
    /// `draw` keys the jitter.
    pub fn new(config: &EndpointConfig, draw: u64) -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(duration(config.backoff_seconds))
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(config.attempts.saturating_sub(1) as usize)
            .with_jitter()
            .with_jitter_seed(draw);
        Attempts { pauses: pauses.build(), requests: 0, most: config.attempts, dialects: 0 }
    }

    /// Requests sent in vain.
    pub fn retries(&self) -> u32 {
        self.requests
    }

    /// Waits before the next attempt; a wait that the server asked for is the governor's, since all must keep it.
    ///
    /// # Errors
    /// Another attempt cannot help, or there were enough, or nobody waits any longer.
    pub async fn failed(&mut self, failure: Failure, patience: &Patience) -> Result<(), Error> {
        self.requests += 1;
        let (message, wait) = match failure {
            // An outcome is none of the attempts, and never comes here.
            Failure::Permanent(message) | Failure::Unanswerable { message, .. } => {
                return Err(Error::Permanent(message));
            }
            Failure::Capped(message) => return Err(Error::Capped(message)),
            Failure::Dialect { .. } => {
                self.dialects += 1;
                return Ok(());
            }
            Failure::Transient { message, wait, .. } => (message, wait),
        };
        let Some(pause) = self.pauses.next() else {
            return Err(Error::Exhausted { message, requests: self.requests });
        };
        let request = self.requests - self.dialects + 1;
        let pause = pause.max(wait.unwrap_or_default());
        patience.tell(&Notice::Waiting { pause, request, requests: self.most, reason: message });
        patience.until(Instant::now() + pause).await.map_err(Error::Capped)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::patience::Listener;
    use super::super::redact::Key;
    use super::*;

    fn judged(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Failure {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Failure::of(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            &Fault::read(body, &Key::default()),
            Dialect::new(true),
        )
    }

    #[track_caller]
    fn check(status: u16, body: &str, is_permanent: bool) {
        let failure = judged(status, body, &[]);
        assert_eq!(matches!(failure, Failure::Permanent(_)), is_permanent, "{status} {body}: {failure:?}");
    }

    #[test]
    fn what_cannot_pass_is_permanent() {
        for status in [300, 400, 401, 402, 403, 404, 405, 413, 422] {
            check(status, "", true);
        }
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            check(status, "", false);
        }
        check(429, r#"{"error": {"message": "no", "code": "insufficient_quota"}}"#, true);
        check(429, r#"{"error": {"message": "no", "type": "insufficient_quota", "code": null}}"#, true);
        assert!(matches!(judged(400, "unknown field: seed", &[]), Failure::Dialect { .. }));
        assert!(matches!(judged(500, "got an unexpected keyword argument 'seed'", &[]), Failure::Dialect { .. }));
        check(500, "unexpected end of stream", false);
        for (too_long, body) in [
            (true, r#"{"error": {"message": "shorten it", "code": "context_length_exceeded"}}"#),
            (true, r#"{"message": "This model's maximum context length is 4096 tokens.", "code": 400}"#),
            (true, r#"{"error": {"message": "too many tokens", "type": "exceed_context_size_error"}}"#),
            (true, r#"{"error": {"message": "litellm.ContextWindowExceededError"}}"#),
            (false, r#"{"error": {"message": "no such role in this context"}}"#),
        ] {
            match judged(400, body, &[]) {
                Failure::Unanswerable { finish: FinishReason::ContextExceeded, message } => {
                    assert!(too_long && message.contains("hint: the operator's prompt and `max_tokens`"), "{message}");
                }
                found => assert!(!too_long && matches!(found, Failure::Permanent(_)), "{body}: {found:?}"),
            }
        }
        assert!(matches!(judged(429, "", &[("retry-after", "86400")]), Failure::Permanent(_)));
        let within = |code| Failure::within(&Fault { codes: vec![code], ..Fault::default() }, Dialect::new(true));
        assert!(matches!(within("404".into()), Failure::Permanent(_)));
        assert!(matches!(within("overloaded".into()), Failure::Transient { cause: Cause::Reply, .. }));
        assert!(matches!(within("429".into()), Failure::Transient { cause: Cause::Limit, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_attempts_are_bounded() {
        let config = EndpointConfig { attempts: 4, backoff_seconds: 1.0, ..Default::default() };
        let mut attempts = Attempts::new(&config, 7);
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let listener: Listener = Box::new(move |notice| heard.lock().unwrap().push(notice.to_string()));
        let patience = Patience::telling(listener);
        let mut pauses = Vec::new();
        let last = loop {
            let started = tokio::time::Instant::now();
            match attempts.failed(Failure::transient("busy".into()), &patience).await {
                Ok(()) => pauses.push(started.elapsed().as_secs_f64()),
                Err(error) => break error,
            }
        };
        assert!(matches!(&last, Error::Exhausted { requests: 4, .. }) && last.retries() == 3, "{last:?}");
        assert!(
            matches!(pauses[..], [a, b, c] if (1.0..2.0).contains(&a) && (2.0..4.0).contains(&b) && (4.0..8.0).contains(&c))
        );
        let notices = notices.lock().unwrap();
        assert_eq!(notices.len(), 3, "{notices:?}");
        assert!(notices.iter().zip(2..).all(|(line, request)| line.ends_with(&format!("try {request} of 4: busy"))));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_who_was_told_to_stop() {
        let mut attempts = Attempts::new(&EndpointConfig::default(), 7);
        let patience = Patience::default();
        patience.end("Ctrl-C");
        let started = Instant::now();
        let ended = attempts.failed(Failure::transient("busy".into()), &patience).await;
        assert!(matches!(ended, Err(Error::Capped(why)) if why == "Ctrl-C") && started.elapsed().is_zero());
    }

    #[test]
    fn waits_beyond_reason_are_given_up() {
        let hopeless = ["86400", "100000000000000000000"];
        for wait in hopeless {
            let failure = judged(429, "", &[("retry-after", wait)]);
            assert!(
                matches!(&failure, Failure::Permanent(why) if why.contains("429: Too Many Requests; the server asks to wait")),
                "{failure:?}"
            );
        }
        let kept = judged(429, "", &[("x-ratelimit-reset-requests", "6m0s")]);
        assert!(matches!(kept, Failure::Transient { wait: Some(wait), .. } if wait.as_secs() == 360), "{kept:?}");
    }
}
