//! A request that has been sent. Whatever happens to it, the books record what it cost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::answer::Reply;
use super::governor::Turn;
use super::retry::Failure;
use super::size::likely;
use crate::model::{Meter, Price, Timing};
use crate::plan::Usage;

/// Prompts whose length is remembered.
const REMEMBERED: usize = 1024;

/// How many tokens prompts have, as the server counted them when it last answered: what a sample that is dropped has read
/// is then known from those that were answered.
#[derive(Debug, Default)]
pub struct Prompts(Mutex<HashMap<u64, u64>>);

impl Prompts {
    /// Tokens of the prompt of this key, or else `estimate`.
    fn tokens(&self, prompt: u64, estimate: u64) -> u64 {
        self.lock().get(&prompt).copied().unwrap_or(estimate)
    }

    fn learn(&self, prompt: u64, tokens: u64) {
        let mut counted = self.lock();
        if counted.len() >= REMEMBERED {
            counted.clear();
        }
        counted.insert(prompt, tokens);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a request before it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Key of its prompt.
    pub prompt: u64,
    /// Bytes of its prompt.
    pub size: u64,
    /// Tokens that were asked for.
    pub max_tokens: u64,
}

impl Sent {
    /// A request that reads `prompt`, which has so many bytes.
    pub fn new(prompt: &impl Hash, size: u64, max_tokens: u64) -> Self {
        let mut key = DefaultHasher::new();
        prompt.hash(&mut key);
        Sent { prompt: key.finish(), size, max_tokens }
    }
}

/// A request in flight with what has come of its answer.
///
/// Dropped before it is settled, its answer is no longer needed: the connection closes, and what the request came to by
/// then is counted as lost and told to the meter. That is the prompt and what has come; of an answer that was not
/// streamed the most that it may be charged, since a server may write it to its end. Where the server did not count, this
/// is an estimate.
pub struct Underway<'a> {
    turn: Option<Turn<'a>>,
    pub answer: Reply,
    meter: &'a Meter,
    price: Price,
    prompts: &'a Prompts,
    /// Key of its prompt.
    prompt: u64,
    /// Bytes of its prompt.
    size: u64,
    max_tokens: u64,
}

impl<'a> Underway<'a> {
    pub fn new(turn: Turn<'a>, sent: Sent, price: Price, prompts: &'a Prompts, meter: &'a Meter) -> Self {
        let (turn, answer, Sent { prompt, size, max_tokens }) = (Some(turn), Reply::default(), sent);
        let underway = Underway { turn, answer, meter, price, prompts, prompt, size, max_tokens };
        meter.sent(underway.estimated(0));
        underway
    }

    /// What the request came to, by the server's count or else by estimate.
    pub fn usage(&self) -> Usage {
        let Some(mut usage) = self.answer.usage else { return self.estimated(self.answer.written) };
        if usage.completion_tokens == 0 {
            // A server that counts none where some have come does not count.
            usage.completion_tokens = self.answer.written;
            usage.estimated_tokens = usage.estimated_tokens.saturating_add(self.answer.written);
        }
        usage
    }

    /// The whole answer came.
    pub fn answered(mut self, timing: Timing) {
        let usage = self.usage();
        if usage.estimated_tokens == 0 {
            self.prompts.learn(self.prompt, usage.prompt_tokens);
        }
        if let Some(turn) = self.turn.take() {
            turn.answered(usage, self.price.cost(usage), timing);
        }
    }

    /// No answer came, or not all of it; what did come is to be paid for all the same.
    pub fn failed(mut self, failure: &Failure) {
        let lost = if self.answer.refused { Usage::default() } else { self.usage() };
        self.meter.failed();
        if let Some(turn) = self.turn.take() {
            turn.failed(failure, (lost, self.price.cost(lost)));
        }
    }

    fn estimated(&self, completion_tokens: u64) -> Usage {
        let prompt_tokens = self.prompts.tokens(self.prompt, likely(self.size));
        let estimated_tokens = prompt_tokens.saturating_add(completion_tokens);
        Usage { prompt_tokens, completion_tokens, estimated_tokens, ..Usage::default() }
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let most = || self.estimated(self.max_tokens);
        let usage = match self.answer.usage {
            None if self.answer.refused => Usage::default(),
            None if !self.answer.is_streamed => most(),
            _ => self.usage(),
        };
        self.meter.came_to(usage, self.answer.written);
        turn.dropped((usage, self.price.cost(usage)));
    }
}
