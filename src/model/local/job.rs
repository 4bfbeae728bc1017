//! What goes into the model's thread, and what comes out.

use std::time::Instant;

use tokio::sync::oneshot;

use super::sampler::Sampler;
use crate::model::{Error, Meter, Timing};

/// A request, ready to run.
pub struct Job {
    pub prompt: Vec<u32>,
    pub sampler: Sampler,
    /// At least 1.
    pub max_tokens: usize,
    pub stop: Vec<String>,
    pub sent: Instant,
    /// Told of each token.
    pub meter: Meter,
    /// Closed once nobody waits any more.
    pub reply: oneshot::Sender<Result<Decoded, Error>>,
}

impl Job {
    /// The most tokens that it may reach.
    pub fn room(&self) -> usize {
        self.prompt.len() + self.max_tokens
    }
}

/// What became of a job.
pub struct Decoded {
    /// The end-of-text token included.
    pub tokens: Vec<u32>,
    pub timing: Timing,
}

/// Limits of the scheduler.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Requests that decode together.
    pub rows: usize,
    /// The most tokens that these may reach, if there is more than one request.
    pub tokens: usize,
    /// Tokens of prompts kept for requests to come.
    pub kept_tokens: usize,
}
