//! Reading an answer: a stream of events, or one body.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::StreamExt;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::likely;
use super::retry::Failure;
use super::wire::{self, Fault, Piece};
use crate::llm::Finish;
use crate::plan::Usage;

/// Longest piece of a stream, in bytes, that is taken for one token.
const LONGEST_TOKEN: usize = 16;
/// How long the usage, and the end of the stream, are waited for once the text is whole.
const GRACE: Duration = Duration::from_secs(2);

/// What has come so far.
#[derive(Debug, Default)]
pub struct Answer {
    pub text: String,
    /// As the server counted; none where it did not.
    pub usage: Option<Usage>,
    pub finish: Option<Finish>,
    pub first_token: Option<Instant>,
    /// When the text was whole.
    pub last_token: Option<Instant>,
    /// Whether the server has certainly done no work for the request.
    pub refused: bool,
    /// Tokens of the answer that have come, thoughts included, by estimate.
    pub written: u64,
    /// Whether the answer comes in pieces.
    pub is_streamed: bool,
    /// Whether a choice has been seen, if only an empty one.
    chosen: bool,
}

impl Answer {
    /// Reads a successful response to its end. What has come stays in the answer, whatever becomes of the rest.
    pub async fn read(&mut self, response: Response, stall: Duration) -> Result<(), Failure> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            self.read_events(response, stall).await?;
        } else {
            self.is_streamed = false;
            let body =
                response.text().await.map_err(|error| Failure::transient(format!("cut answer: {}", told(error))))?;
            self.take(&body)?;
            self.last_token = Some(Instant::now());
        }
        if !self.chosen {
            return Err(Failure::transient("expected an answer with `choices`, found none".into()));
        }
        Ok(())
    }

    async fn read_events(&mut self, response: Response, stall: Duration) -> Result<(), Failure> {
        let mut events = response.bytes_stream().eventsource();
        loop {
            // Once the text is whole, a stream that breaks off or never ends does no harm.
            let is_whole = self.finish.is_some();
            let patience = if is_whole { GRACE.min(stall) } else { stall };
            let cut = |why: String| if is_whole { Ok(()) } else { Err(Failure::transient(why)) };
            let event = match timeout(patience, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return cut(format!("cut stream: {error}")),
                Ok(None) => return cut("cut stream: it ended before the answer did".into()),
                Err(_) => return cut(format!("no token for {} s", stall.as_secs_f64())),
            };
            if event.data.trim() == "[DONE]" {
                self.last_token.get_or_insert_with(Instant::now);
                return Ok(());
            }
            self.take(&event.data)?;
        }
    }

    /// Takes in an answer, or a piece of one.
    fn take(&mut self, text: &str) -> Result<(), Failure> {
        let garbage = |error| Failure::transient(format!("expected an answer in JSON, found something else: {error}"));
        let value: Value = serde_json::from_str(text).map_err(garbage)?;
        if let Some(fault) = Fault::of(&value) {
            return Err(Failure::within(&fault));
        }
        let piece: Piece = serde_json::from_value(value).map_err(garbage)?;
        self.usage = piece.usage.and_then(wire::Counted::usage).or(self.usage);
        let Some(mut choice) = piece.choices.into_iter().next() else { return Ok(()) };
        self.chosen = true;
        let part = choice.part();
        self.written += part.texts().map(tokens).sum::<u64>();
        if part.has_token() || choice.finish_reason.is_some() {
            let now = Instant::now();
            self.first_token.get_or_insert(now);
            // The piece that only says how the answer ended comes right after the last token.
            if self.finish.is_none() {
                self.last_token = Some(now);
            }
        }
        self.text.push_str(part.text());
        self.finish = self.finish.or(choice.finish_reason.as_deref().map(wire::finish));
        Ok(())
    }
}

/// Tokens of a piece. Most servers send a piece for each token; who sends several words at once is measured by length.
fn tokens(piece: &str) -> u64 {
    let holds_more = piece.len() > LONGEST_TOKEN || piece.trim().contains(char::is_whitespace);
    if holds_more { likely(piece.len() as u64) } else { u64::from(!piece.is_empty()) }
}

/// What went wrong, without the URL, which the caller names, but with the causes.
pub fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
