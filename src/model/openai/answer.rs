//! Reads an answer: a stream of events or one body, as the response declares.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::dialect::Dialect;
use super::events::{Event, Events, LONGEST_EVENT};
use super::fault::Fault;
use super::incoming::{Cut, Incoming, LONGEST_BODY};
use super::piece::{End, Piece};
use super::redact::Key;
use super::retry::{Cause, Failure};
use crate::model::FinishReason;
use crate::plan::Usage;

/// How long the usage, and the end of the stream, are waited for once the text is whole.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of a stream for each token that was asked for, all that is around it included.
const BYTES_OF_TOKEN: usize = 1 << 10;
/// Fields with which a stream of events may begin.
const FIELDS: [&str; 6] = ["data", "event", "id", "retry", "error", ""];

/// How long an answer may take and be.
pub struct Terms<'a> {
    /// Longest silence before the first token, and between two.
    pub stall: Duration,
    /// When, and after what time, an answer is given up.
    pub until: Instant,
    pub total: Duration,
    /// Tokens that were asked for.
    pub max_tokens: u32,
    pub key: &'a Key,
    /// What was asked in.
    pub dialect: Dialect,
    /// Is told of the answer, or each of its pieces, as it came.
    pub hear: Option<&'a (dyn Fn(&str) + Send + Sync)>,
}

/// What has come so far.
#[derive(Debug, Default)]
pub struct Reply {
    pub text: String,
    /// As the server counted; none where it did not.
    pub usage: Option<Usage>,
    pub finish: Option<FinishReason>,
    pub first_token: Option<Instant>,
    /// When the text was whole.
    pub last_token: Option<Instant>,
    /// Whether the server has certainly done no work for the request.
    pub refused: bool,
    /// Tokens of the answer that have come, thoughts included, by estimate.
    pub written: u64,
    /// Whether the answer comes in pieces.
    pub is_streamed: bool,
    /// The index of the choice that the text is of; none before one has been seen, if only an empty one.
    chosen: Option<u64>,
}

/// How a body is to be read.
enum Form {
    Events,
    Whole,
}

impl Reply {
    /// Reads a successful response to its end. What has come stays in the answer, whatever becomes of the rest.
    pub async fn read(&mut self, response: Response, terms: &Terms<'_>) -> Result<(), Failure> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let claims_events = kind.trim_start().to_lowercase().starts_with("text/event-stream");
        let mut incoming = Incoming::new(response, terms.until);
        let mut start = Vec::new();
        let quiet = if claims_events { later(terms.stall) } else { terms.until };
        let form = loop {
            match incoming.next(quiet).await {
                Ok(Some(bytes)) => start.extend(bytes),
                Ok(None) => break Form::Whole,
                Err(cut) => return Err(terms.failure(cut)),
            }
            // White space and byte-order marks.
            let blank = start.iter().take_while(|byte| b" \t\r\n\xef\xbb\xbf".contains(byte)).count();
            start.drain(..blank);
            if let Some(form) = form(&start, claims_events) {
                break form;
            }
        };
        match form {
            Form::Events => self.read_events(incoming, &start, terms).await?,
            Form::Whole => {
                self.is_streamed = false;
                self.read_whole(incoming, start, terms).await?;
            }
        }
        if self.chosen.is_none() {
            return Err(Failure::transient("expected an answer with `choices`, found none".into()));
        }
        Ok(())
    }

    async fn read_whole(&mut self, mut incoming: Incoming, start: Vec<u8>, terms: &Terms<'_>) -> Result<(), Failure> {
        // Joined at the end: a buffer that grows holds up to three times as much while it moves.
        let mut pieces = vec![start];
        let cut = loop {
            match incoming.next(terms.until).await {
                Ok(Some(bytes)) => pieces.push(bytes),
                Ok(None) => break None,
                Err(cut @ (Cut::Late | Cut::TooLong { .. })) => return Err(terms.failure(cut)),
                Err(cut) => break Some(cut),
            }
        };
        let mut body = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
        pieces.into_iter().for_each(|piece| body.extend(piece));
        let taken = self.take(&String::from_utf8_lossy(&body), terms);
        self.last_token = Some(Instant::now());
        match (taken, cut) {
            // A connection that breaks after the answer does no harm.
            (Ok(()), _) => Ok(()),
            (Err(Failure::Transient { .. }), Some(cut)) => Err(terms.failure(cut)),
            (Err(failure), _) => Err(failure),
        }
    }

    async fn read_events(&mut self, mut incoming: Incoming, start: &[u8], terms: &Terms<'_>) -> Result<(), Failure> {
        incoming.most = LONGEST_BODY.max(BYTES_OF_TOKEN.saturating_mul(terms.max_tokens as usize));
        let mut events = Events::default();
        let mut bytes = start.to_vec();
        let mut quiet = later(terms.stall);
        loop {
            let (mut is_done, mut fault, mut seen) = (false, None, false);
            let pushed = events.push(&bytes, |event| {
                seen = true;
                match self.take_event(&event, terms) {
                    Ok(done) => is_done = done,
                    Err(failure) => fault = Some(failure),
                }
                !is_done && fault.is_none()
            });
            // Once the text is whole, a stream that breaks off or never ends does no harm.
            let is_whole = self.finish.is_some();
            match (fault, pushed) {
                (Some(failure), _) => return Err(failure),
                _ if is_done => return Ok(()),
                (None, Err(_)) if is_whole => return Ok(()),
                (None, Err(_)) => {
                    let message = format!("expected events of at most {} MB, found a longer one", LONGEST_EVENT >> 20);
                    return Err(Failure::transient(message));
                }
                (None, Ok(())) => {}
            }
            if seen {
                quiet = later(if is_whole { GRACE.min(terms.stall) } else { terms.stall });
            }
            bytes = match incoming.next(quiet).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return self.end_stream(&mut events, terms),
                Err(_) if is_whole => return Ok(()),
                Err(cut) => return Err(terms.failure(cut)),
            };
        }
    }

    /// The connection has ended as it should; whether the answer has is another question.
    fn end_stream(&mut self, events: &mut Events, terms: &Terms<'_>) -> Result<(), Failure> {
        let early = "cut stream: it ended before the answer did";
        let is_done = match events.finish() {
            None => false,
            Some(event) => match self.take_event(&event, terms) {
                Ok(is_done) => is_done,
                Err(_) if self.finish.is_some() => true,
                // Half an event.
                Err(Failure::Transient { cause: Cause::Reply, .. }) => false,
                Err(failure) => return Err(failure),
            },
        };
        let is_whole = is_done || self.finish.is_some();
        if is_whole { Ok(()) } else { Err(Failure::transient(early.into())) }
    }

    /// Takes in one event; says whether it was the last.
    fn take_event(&mut self, event: &Event, terms: &Terms<'_>) -> Result<bool, Failure> {
        let data = event.data.trim();
        if data == "[DONE]" {
            self.last_token.get_or_insert_with(Instant::now);
            return Ok(true);
        }
        // Events that no empty line parts; JSON of several lines looks otherwise.
        let is_event = |line: &str| line == "[DONE]" || line.starts_with('{') && line.ends_with('}');
        if data.contains('\n') && data.lines().all(|line| is_event(line.trim())) {
            for line in data.lines() {
                if self.take_event(&Event { name: event.name.clone(), data: line.to_owned() }, terms)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let is_error = event.name == "error";
        let is_other = !matches!(event.name.as_str(), "" | "message" | "error");
        if is_error && !data.is_empty() {
            return Err(Failure::within(&Fault::read(data, terms.key), terms.dialect));
        }
        match self.take(data, terms) {
            _ if data.is_empty() => Ok(false),
            // What is no JSON under a name of its own is for others, and after the text for nobody.
            Err(Failure::Transient { cause: Cause::Reply, .. })
                if !data.starts_with('{') && (is_other || self.finish.is_some()) =>
            {
                Ok(false)
            }
            taken => taken.map(|()| false),
        }
    }

    /// Takes in an answer, or a piece of one.
    fn take(&mut self, text: &str, terms: &Terms<'_>) -> Result<(), Failure> {
        let garbage = |error| Failure::transient(format!("expected an answer in JSON, found something else: {error}"));
        let piece = Piece::read(text, terms.key).map_err(garbage)?;
        self.written = self.written.saturating_add(piece.written);
        self.usage = piece.usage.or(self.usage);
        if let Some(fault) = piece.fault {
            return Err(Failure::within(&fault, terms.dialect));
        }
        if let Some(hear) = terms.hear {
            hear(text);
        }
        let Some(choice) = piece.choice else { return Ok(()) };
        match self.chosen {
            // The text of another choice, which nobody asked for.
            Some(chosen) if choice.index > chosen => return Ok(()),
            Some(chosen) if choice.index < chosen => (self.text, self.finish) = (String::new(), None),
            _ => {}
        }
        self.chosen = Some(choice.index);
        if choice.has_token || choice.end.is_some() {
            let now = Instant::now();
            self.first_token.get_or_insert(now);
            // The piece that only says how the answer ended comes right after the last token.
            if self.finish.is_none() {
                self.last_token = Some(now);
            }
        }
        self.text.push_str(&choice.text);
        match choice.end {
            Some(End::Broken(fault)) => return Err(Failure::within(&fault, terms.dialect)),
            Some(End::Finish(finish)) => self.finish = self.finish.or(Some(finish)),
            None => {}
        }
        Ok(())
    }
}

impl Terms<'_> {
    fn failure(&self, cut: Cut) -> Failure {
        Failure::transient(match cut {
            Cut::Late => late(self.total),
            Cut::Quiet => format!("no token for {} s", self.stall.as_secs_f64()),
            Cut::TooLong { most } => format!("expected an answer of at most {} MB, found a longer one", most >> 20),
            Cut::Broken(why) => format!("cut answer: {why}"),
        })
    }
}

/// What is said of an answer that took longer than it may.
pub fn late(total: Duration) -> String {
    format!("no answer within {} s", total.as_secs_f64())
}

/// The moment after some time; one that never comes where there is no such moment.
pub fn later(time: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(1 << 30);
    Instant::now() + time.min(LONG)
}

/// The form of a body that begins so, whatever its header claims; none where more of it is needed.
fn form(start: &[u8], claims_events: bool) -> Option<Form> {
    let first = start.first()?;
    if matches!(first, b'{' | b'[') {
        return Some(Form::Whole);
    }
    if claims_events {
        return Some(Form::Events);
    }
    let end = start.iter().position(|byte| matches!(byte, b':' | b'\n' | b'\r'));
    let is_decided = end.is_some() || start.len() >= 8;
    let field = std::str::from_utf8(&start[..end.unwrap_or(0)]).unwrap_or("?");
    let is_event = end.is_some_and(|end| start[end] == b':') && FIELDS.contains(&field);
    is_decided.then_some(if is_event { Form::Events } else { Form::Whole })
}
