//! Forwards a caller's request to the server as it came. Whether to accept its tools, images or formats is up to the server. The
//! request is governed, counted and capped like all others.

use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::answer::{Terms, late, later};
use super::config::duration;
use super::dialect::Dialect;
use super::governor::Estimate;
use super::purse::Amount;
use super::retry::{Attempts, Failure};
use super::size::likely;
use super::underway::{Sent, Underway};
use super::{OpenAi, TEMPLATE};
use crate::model::{Error, FinishReason, Meter, Price, Timing};
use crate::plan::Usage;
use crate::random;

/// Tokens of an answer whose request names no limit, where what may be spent is capped.
const UNLIMITED: u64 = 4096;
/// Bytes that an image or a recording counts as.
const ATTACHMENT: u64 = 4096;
/// How the two fields are called that limit an answer.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// A request of somebody else.
pub struct Relay<'a> {
    /// Of a chat completion; `model` and `stream_options` are put in.
    pub body: Map<String, Value>,
    /// What the endpoint calls the model; empty for the client's own.
    pub model: &'a str,
    /// Is told of the answer, or of each of its pieces, in JSON, as it came.
    pub hear: &'a (dyn Fn(&str) + Send + Sync),
}

/// Why there is no answer, or not all of one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    pub error: Error,
    /// Whether prompt and answer do not fit into the model's context, or the server refuses what they say.
    pub finish: Option<FinishReason>,
    /// The status that the server gave, if it gave one.
    pub status: Option<u16>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused { error, finish: None, status: None }
    }
}

impl OpenAi {
    /// Sends a request on, and again where the server gave nothing; from the first piece of an answer on it is not sent
    /// again.
    ///
    /// # Errors
    /// The server refuses it, gives nothing that is an answer, or the caps are met.
    pub async fn relay(&self, relay: Relay<'_>, meter: &Meter) -> Result<Usage, Refused> {
        let model = if relay.model.is_empty() { &self.model } else { relay.model };
        let price = self.prices.of(model).map_err(|error| Error::Permanent(error.to_string()))?;
        let contact = self.contact().await?;
        let mut attempts = Attempts::new(&self.config, random::key(&[&Value::Object(relay.body.clone())]));
        loop {
            let heard = std::sync::atomic::AtomicBool::new(false);
            let hear = |text: &str| {
                heard.store(true, std::sync::atomic::Ordering::Relaxed);
                (relay.hear)(text);
            };
            let pass = self.pass()?;
            let outcome = self.relay_once(&relay, model, price, meter, &hear).await;
            self.judge(pass, outcome.as_ref().err());
            let failure = match outcome {
                Ok(usage) => return Ok(usage),
                Err(failure) => failure,
            };
            let failure =
                if self.governor.account().answered == 0 { contact.judge(failure, model, &self.key) } else { failure };
            let status = status(&failure);
            let finish = if let Failure::Unanswerable { finish, .. } = &failure { Some(*finish) } else { None };
            let failure = match failure {
                Failure::Transient { message, .. } if heard.into_inner() => {
                    return Err(Refused { error: Error::Transient(message), finish: None, status });
                }
                // What the caller asked for is the caller's; what was put in is taken out.
                Failure::Dialect { next, message } if next.stream_options == self.dialect(model).stream_options => {
                    Failure::Permanent(message)
                }
                Failure::Dialect { next, message } => {
                    self.learn(model, next);
                    Failure::Dialect { next, message }
                }
                failure => failure,
            };
            if let Some(error) = self.refused(&failure, &attempts) {
                return Err(Refused { error, finish: None, status });
            }
            let next = attempts.failed(failure, &self.patience).await;
            next.map_err(|error| Refused { error, finish, status })?;
        }
    }

    async fn relay_once(
        &self,
        relay: &Relay<'_>,
        model: &str,
        price: Price,
        meter: &Meter,
        hear: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Usage, Failure> {
        let stream = relay.body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        let dialect = Dialect { stream, ..self.dialect(model) };
        let mut body = relay.body.clone();
        body.insert("model".into(), model.into());
        body.remove("stream_options");
        if stream && dialect.stream_options {
            body.insert("stream_options".into(), json!({ "include_usage": true }));
        }
        let named = LIMITS.iter().find_map(|name| body.get(*name)?.as_u64());
        if named.is_none() && self.config.is_capped() {
            let name = LIMITS[usize::from(!dialect.max_completion_tokens)];
            body.insert(name.into(), UNLIMITED.into());
        }
        let choices = body.get("n").and_then(Value::as_u64).unwrap_or(1).max(1);
        let max_tokens = named.unwrap_or(UNLIMITED).saturating_mul(choices);
        let messages = body.get("messages").cloned().unwrap_or_default();
        let size = bytes(&messages).saturating_add(body.get("tools").map_or(0, bytes));
        let template = TEMPLATE * messages.as_array().map_or(1, |messages| messages.len() as u64);
        let most = Usage { prompt_tokens: size + template, completion_tokens: max_tokens, ..Usage::default() };
        let estimate = Estimate {
            tokens: likely(size).saturating_add(template).saturating_add(max_tokens),
            most: Amount { tokens: most.tokens(), cost: price.cost(most) },
        };
        let turn = self.governor.admit(estimate, &self.patience).await?;
        let sent = turn.sent;
        let known = Sent::new(&(model, messages.to_string()), size, max_tokens);
        let mut underway = Underway::new(turn, known, price, &self.counted, meter);
        let total = duration(self.config.total_seconds);
        let terms = Terms {
            stall: duration(self.config.stall_seconds),
            until: later(total),
            total,
            max_tokens: u32::try_from(max_tokens).unwrap_or(u32::MAX),
            key: &self.key,
            dialect,
            hear: Some(hear),
        };
        let sending = self.send(&body, &terms, &mut underway.answer);
        let outcome = match timeout_at(terms.until, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::transient(late(total))),
        };
        if let Err(failure) = outcome {
            underway.failed(&failure);
            return Err(failure);
        }
        let usage = underway.usage();
        let since = |moment: Option<Instant>| moment.unwrap_or_else(Instant::now).duration_since(sent).as_secs_f64();
        let total = since(underway.answer.last_token);
        let first_token = underway.answer.first_token.map_or(total, |moment| since(Some(moment)));
        meter.came_to_answer(usage, None);
        underway.answered(Timing { first_token, total, ..Timing::default() });
        Ok(usage)
    }
}

/// The status that a failure begins with, as [`Failure::of`] words it.
fn status(failure: &Failure) -> Option<u16> {
    let (Failure::Permanent(message)
    | Failure::Unanswerable { message, .. }
    | Failure::Dialect { message, .. }
    | Failure::Transient { message, .. }) = failure
    else {
        return None;
    };
    message.split_once(':')?.0.parse().ok()
}

/// Bytes of the texts in a value; what is attached counts as little.
fn bytes(value: &Value) -> u64 {
    match value {
        Value::String(text) if text.starts_with("data:") => ATTACHMENT,
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + bytes(value)).sum(),
        _ => 1,
    }
}
