//! Measures a call while it is in progress, for whoever may drop it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::hedged::Hedged;
use crate::plan::Usage;

/// The back end writes it while it serves a call; whoever dropped the call reads it. One for each call.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

/// What a call used, if it was not waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Requests sent; 0 if the call was still waiting for its turn.
    pub requests: u32,
    /// What must be paid for the last request.
    pub usage: Usage,
    /// Tokens of the answer received so far.
    pub written: u64,
    /// When the last request was sent; `None` if it failed.
    pub sent: Option<Instant>,
    /// What the other requests used, for a call that was sent several times at once.
    pub hedged: Option<Hedged>,
}

impl Meter {
    /// A request is sent that will cost at least `usage`.
    pub fn sent(&self, usage: Usage) {
        let mut reading = self.lock();
        let requests = reading.requests + 1;
        *reading = Reading { requests, usage, sent: Some(Instant::now()), ..Reading::default() };
    }

    /// The request has used `usage` so far, and `written` tokens of its answer have arrived.
    pub fn came_to(&self, usage: Usage, written: u64) {
        let mut reading = self.lock();
        (reading.usage, reading.written) = (usage, written);
    }

    /// The request failed; another may follow.
    pub fn failed(&self) {
        let mut reading = self.lock();
        *reading = Reading { requests: reading.requests, ..Reading::default() };
    }

    /// Sets the reading of the whole call.
    pub fn shows(&self, reading: Reading) {
        *self.lock() = reading;
    }

    /// The call used everything that its answer says.
    pub fn came_to_answer(&self, usage: Usage, hedged: Option<Hedged>) {
        let mut reading = self.lock();
        (reading.usage, reading.written, reading.hedged) = (usage, usage.completion_tokens, hedged);
    }

    /// What the call has used so far.
    pub fn read(&self) -> Reading {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
