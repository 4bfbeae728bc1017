//! Language models: one request in, one completion out.

mod cache;
mod definition;
mod fallback;
mod hedge;
mod hedged;
pub mod local;
mod meter;
pub mod openai;
mod prices;
mod scripted;
mod thoughts;

pub use cache::{Holding, Mode, Record, Replay, Store};
pub use definition::{Definition, Definitions, definitions};
pub use fallback::Fallback;
pub use hedge::{Hedge, Hedger};
pub use hedged::Hedged;
pub use meter::{Meter, Reading};
pub use prices::{Price, Prices};
pub use scripted::{Reply, Scripted};

use std::borrow::Cow;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::plan::Usage;

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// How a completion is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the likeliest token every time.
    pub temperature: f32,
    /// Share of the probability mass that is drawn from, in (0, 1].
    pub top_p: f32,
    pub max_tokens: u32,
    /// The completion ends before the first of these.
    pub stop: Vec<String>,
}

/// Everything a completion depends on. Equal requests to the same weights give equal completions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the model; empty for the back end's own.
    pub model: String,
    /// A local model without a chat template reads the contents one after another, as they stand.
    pub messages: Vec<Message>,
    pub sampling: Sampling,
    /// Which of the independent draws of this request is meant; the draw's seed is derived from it.
    pub sample: u64,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it, or a stop text was met.
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The back end suppressed it, or its rest, for what it says or what it was asked.
    Filtered,
    /// Prompt and answer do not fit into the model's context together: there is no text.
    ContextExceeded,
}

/// Wall-clock seconds of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From sending the request to the first token.
    pub first_token: f64,
    /// From sending the request to the last token.
    pub total: f64,
    /// Before the request that was answered was sent: waiting for its turn, and for requests sent in vain.
    #[serde(default)]
    pub queued: f64,
    /// Requests sent in vain.
    #[serde(default)]
    pub retries: u32,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    pub text: String,
    /// As counted by the model's tokenizer; the end-of-text token counts as one.
    pub usage: Usage,
    pub finish: FinishReason,
    pub timing: Timing,
    /// What else the call came to, where its request was sent several times at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedged: Option<Hedged>,
}

impl Completion {
    /// The text without the thoughts that some models write before it.
    pub fn answer(&self) -> &str {
        thoughts::without_thoughts(&self.text)
    }

    /// Mean seconds from one token to the next; none where there are fewer than two.
    pub fn seconds_per_token(&self) -> Option<f64> {
        let steps = self.usage.completion_tokens.checked_sub(1).filter(|&steps| steps > 0)?;
        Some((self.timing.total - self.timing.first_token) / steps as f64)
    }
}

/// Why no completion came; callers branch on [`Error::is_permanent`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Trying again cannot help (a prompt longer than the context, an unknown model).
    #[error("{0}")]
    Permanent(String),
    /// Trying again later may help (an overloaded or unreachable back end).
    #[error("{0}")]
    Transient(String),
    /// As [`Error::Transient`], after as many requests as are allowed.
    #[error("{message} (after {requests} requests)")]
    Exhausted { message: String, requests: u32 },
    /// This machine or the way to the server is at fault (a disk, a thread that ended, nobody there), and trying again cannot
    /// help.
    #[error("{0}")]
    Broken(String),
    /// The call might cost more than what is left to spend. Nothing is wrong: the work stops and can be resumed.
    #[error("{0}")]
    Capped(String),
}

impl Error {
    /// Whether the same request would fail again.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Error::Permanent(_) | Error::Broken(_) | Error::Capped(_))
    }

    /// Whether neither the request nor the settings are at fault.
    pub fn is_outside(&self) -> bool {
        matches!(self, Error::Transient(_) | Error::Exhausted { .. } | Error::Broken(_))
    }

    /// Requests that were sent again before the call was given up.
    pub fn retries(&self) -> u32 {
        match self {
            Error::Exhausted { requests, .. } => requests.saturating_sub(1),
            _ => 0,
        }
    }
}

/// A back end that completes requests. Dropping the future of `complete` cancels the work.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// Completes one request. Where the returned future is dropped before its end, `meter` tells what was spent by then.
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error>;

    /// As [`LanguageModel::complete_metered`], for who waits to the end.
    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        self.complete_metered(request, &Meter::default()).await
    }

    /// Whether tokens are this model's time, the same on every machine, so that a run may take back what it would have
    /// cancelled. An endpoint's calls are billed for what they wrote; they can only be cancelled in fact.
    fn has_virtual_time(&self) -> bool {
        false
    }

    /// Names the weights or the endpoint; part of what identifies a recorded completion.
    fn id(&self) -> &str;

    /// Part of what identifies the answer that `request` has just got: [`LanguageModel::id`], and how the answer was drawn
    /// where the back end could not draw it as the request says.
    fn identity(&self, _request: &Request) -> Cow<'_, str> {
        self.id().into()
    }

    /// All that [`LanguageModel::identity`] may come to: where an answer to `request` may be recorded, the best first.
    fn identities(&self, _request: &Request) -> Vec<Cow<'_, str>> {
        vec![self.id().into()]
    }
}
