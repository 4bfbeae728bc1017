//! Meters a call while it is under way, for whoever may drop it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::hedged::Hedged;
use crate::plan::Usage;

/// Written by a back end while it serves a call, read by who has dropped the call. One for each call.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

/// What a call came to that was not waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Requests sent; 0 where the call still waited for its turn.
    pub requests: u32,
    /// Of the last request: what is to be paid for it.
    pub usage: Usage,
    /// Tokens of the answer that had come.
    pub written: u64,
    /// When the last request was sent; none where it has come to nothing.
    pub sent: Option<Instant>,
    /// Of a call that was sent several times at once: what the other requests came to.
    pub hedged: Option<Hedged>,
}

impl Meter {
    /// A request goes out that is going to cost `usage` at least.
    pub fn sent(&self, usage: Usage) {
        let mut reading = self.lock();
        let requests = reading.requests + 1;
        *reading = Reading { requests, usage, sent: Some(Instant::now()), ..Reading::default() };
    }

    /// The request has come to `usage`, and `written` tokens of its answer are here.
    pub fn came_to(&self, usage: Usage, written: u64) {
        let mut reading = self.lock();
        (reading.usage, reading.written) = (usage, written);
    }

    /// The request has come to nothing; another one may follow.
    pub fn failed(&self) {
        let mut reading = self.lock();
        *reading = Reading { requests: reading.requests, ..Reading::default() };
    }

    /// The call has come to this.
    pub fn shows(&self, reading: Reading) {
        *self.lock() = reading;
    }

    /// The call has come to all that its answer says.
    pub fn came_to_answer(&self, usage: Usage, hedged: Option<Hedged>) {
        let mut reading = self.lock();
        (reading.usage, reading.written, reading.hedged) = (usage, usage.completion_tokens, hedged);
    }

    /// What the call came to so far.
    pub fn read(&self) -> Reading {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
