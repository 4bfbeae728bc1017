//! When a request is sent again: which failures may pass, and how long to wait. All retry logic stands here.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::config::{EndpointConfig, duration};
use super::wire::{Dialect, Fault};
use crate::llm::Error;

/// Longest pause between two attempts, unless the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that asks for a longer wait than this is out of reach for now.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Codes of an account that has nothing left; they come with status 429, but waiting does not help.
const EMPTY: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// Why an attempt came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The same request would fail again.
    Permanent(String),
    /// There is not enough left to spend.
    Capped(String),
    /// The server lacks a parameter; the same request can be sent at once in another dialect.
    Dialect { next: Dialect, message: String },
    /// Trying again may help.
    Transient {
        message: String,
        /// How long the server asks everyone to wait.
        wait: Option<Duration>,
        /// Whether there were too many requests.
        is_rate_limit: bool,
    },
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(message: String) -> Self {
        Failure::Transient { message, wait: None, is_rate_limit: false }
    }

    /// What an answer with an error status means.
    pub fn of(status: StatusCode, headers: &HeaderMap, fault: &Fault, dialect: Dialect) -> Self {
        let message = format!("{}: {}", status.as_u16(), fault.message);
        if fault.has_code(&EMPTY) || status == StatusCode::PAYMENT_REQUIRED {
            return Failure::Permanent(format!("{message}; hint: the account has nothing left to spend"));
        }
        if may_pass(status) {
            let wait = wait(headers, SystemTime::now());
            if let Some(wait) = wait.filter(|&wait| wait > LONGEST_WAIT) {
                let seconds = wait.as_secs();
                return Failure::Permanent(format!("{message}; the server asks to wait {seconds} s: go on later"));
            }
            return Failure::Transient { message, wait, is_rate_limit: status == StatusCode::TOO_MANY_REQUESTS };
        }
        let is_refusal = matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        if let Some(next) = dialect.without(fault).filter(|_| is_refusal) {
            return Failure::Dialect { next, message };
        }
        Failure::Permanent(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("{message}; hint: set OPENAI_API_KEY (or LAMAS_API_KEY) to a key of this endpoint")
            }
            StatusCode::NOT_FOUND => format!("{message}; hint: check `--endpoint` and `--model-name`"),
            _ if fault.is_too_long() => {
                format!(
                    "{message}; hint: prompt and `max_tokens` of the operator must fit into the model's context together"
                )
            }
            _ => message,
        })
    }

    /// What an error inside an answer that began well means.
    pub fn within(fault: &Fault) -> Self {
        let status = fault.codes.iter().find_map(|code| StatusCode::from_bytes(code.as_bytes()).ok());
        let status = status.filter(|status| !status.is_success()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match Failure::of(status, &HeaderMap::new(), fault, Dialect::new(false)) {
            Failure::Dialect { message, .. } => Failure::Permanent(message),
            failure => failure,
        }
    }

    /// The same failure in other words.
    pub fn reworded(self, reword: impl FnOnce(&str) -> String) -> Self {
        match self {
            Failure::Permanent(message) => Failure::Permanent(reword(&message)),
            Failure::Capped(message) => Failure::Capped(message),
            Failure::Dialect { next, message } => Failure::Dialect { next, message: reword(&message) },
            Failure::Transient { message, wait, is_rate_limit } => {
                Failure::Transient { message: reword(&message), wait, is_rate_limit }
            }
        }
    }
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS)
}

/// The wait that a server asks for: milliseconds, seconds, or a date; some gateways pass on only their provider's.
fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let date = || httpdate::parse_http_date(text("retry-after")?).ok();
    let seconds = number("retry-after-ms").map(|milliseconds| milliseconds / 1e3);
    let seconds = seconds.or_else(|| number("retry-after"));
    let seconds = seconds.or_else(|| Some(date()?.duration_since(now).unwrap_or_default().as_secs_f64()));
    let seconds = seconds.or_else(|| number("llm_provider-retry-after"))?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

/// The attempts of one call.
pub struct Attempts {
    pauses: ExponentialBackoff,
    requests: u32,
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
        Attempts { pauses: pauses.build(), requests: 0 }
    }

    /// Requests sent in vain.
    pub fn retries(&self) -> u32 {
        self.requests
    }

    /// Waits before the next attempt; a wait that the server asked for is the governor's, since all must keep it.
    ///
    /// # Errors
    /// Another attempt cannot help, or there were enough.
    pub async fn failed(&mut self, failure: Failure) -> Result<(), Error> {
        self.requests += 1;
        match failure {
            Failure::Permanent(message) => Err(Error::Permanent(message)),
            Failure::Capped(message) => Err(Error::Capped(message)),
            Failure::Dialect { .. } => Ok(()),
            Failure::Transient { message, .. } => match self.pauses.next() {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    Ok(())
                }
                None => Err(Error::Exhausted { message, requests: self.requests }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Failure {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Failure::of(StatusCode::from_u16(status).unwrap(), &headers, &Fault::read(body), Dialect::new(true))
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
        for (too_long, body) in [
            (true, r#"{"error": {"message": "shorten it", "code": "context_length_exceeded"}}"#),
            (true, r#"{"message": "This model's maximum context length is 4096 tokens.", "code": 400}"#),
            (true, r#"{"error": {"message": "too many tokens", "type": "exceed_context_size_error"}}"#),
            (true, r#"{"error": {"message": "litellm.ContextWindowExceededError"}}"#),
            (false, r#"{"error": {"message": "no such role in this context"}}"#),
        ] {
            let Failure::Permanent(message) = judged(400, body, &[]) else { panic!("{body} is permanent") };
            assert_eq!(message.contains("hint: prompt and `max_tokens`"), too_long, "{message}");
        }
        assert!(matches!(judged(429, "", &[("retry-after", "86400")]), Failure::Permanent(_)));
        let within = |code| Failure::within(&Fault { codes: vec![code], ..Fault::default() });
        assert!(matches!(within("404".into()), Failure::Permanent(_)));
        assert!(matches!(within("overloaded".into()), Failure::Transient { is_rate_limit: false, .. }));
        assert!(matches!(within("429".into()), Failure::Transient { is_rate_limit: true, .. }));
    }

    #[track_caller]
    fn check_wait(headers: &[(&'static str, &'static str)], seconds: Option<f64>) {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(wait(&headers, now).map(|wait| wait.as_secs_f64()), seconds, "{headers:?}");
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_read() {
        check_wait(&[], None);
        check_wait(&[("retry-after", "0")], Some(0.0));
        check_wait(&[("retry-after", "2"), ("retry-after-ms", "1500")], Some(1.5));
        check_wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30.0));
        check_wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(0.0));
        check_wait(&[("llm_provider-retry-after", "7")], Some(7.0));
        check_wait(&[("retry-after", "soon"), ("llm_provider-retry-after", "7")], Some(7.0));
        check_wait(&[("retry-after", "-3")], Some(0.0));
        check_wait(&[("retry-after", "inf")], None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_attempts_are_bounded() {
        let config = EndpointConfig { attempts: 4, backoff_seconds: 1.0, ..Default::default() };
        let mut attempts = Attempts::new(&config, 7);
        let mut pauses = Vec::new();
        let last = loop {
            let started = tokio::time::Instant::now();
            match attempts.failed(Failure::transient("busy".into())).await {
                Ok(()) => pauses.push(started.elapsed().as_secs_f64()),
                Err(error) => break error,
            }
        };
        assert!(matches!(&last, Error::Exhausted { requests: 4, .. }) && last.retries() == 3, "{last:?}");
        assert!(
            matches!(pauses[..], [a, b, c] if (1.0..2.0).contains(&a) && (2.0..4.0).contains(&b) && (4.0..8.0).contains(&c))
        );
    }
}
