//! A model that answers from a function, for tests and for measuring the system without a real model.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Completion, Error, FinishReason, LanguageModel, Meter, Request, Timing};
use crate::plan::Usage;

/// What a [`Scripted`] model answers.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub text: String,
    pub usage: Usage,
    /// How long the call takes, on tokio's clock.
    pub delay: Duration,
}

impl Reply {
    /// An immediate reply of `completion_tokens` tokens.
    pub fn new(text: impl Into<String>, completion_tokens: u64) -> Self {
        let usage = Usage { completion_tokens, ..Usage::default() };
        Reply { text: text.into(), usage, delay: Duration::ZERO }
    }

    /// The same reply after `delay`.
    pub fn after(self, delay: Duration) -> Self {
        Reply { delay, ..self }
    }
}

type Script = dyn Fn(&Request) -> Result<Reply, Error> + Send + Sync;

/// Completes every request as its script says. A pure script keeps a model's promise of equal completions.
pub struct Scripted {
    id: String,
    script: Box<Script>,
}

impl Scripted {
    /// A model named `id`.
    pub fn new(
        id: impl Into<String>,
        script: impl Fn(&Request) -> Result<Reply, Error> + Send + Sync + 'static,
    ) -> Self {
        Scripted { id: id.into(), script: Box::new(script) }
    }
}

/// A reply in progress, which is written at an even pace.
struct Writing<'a> {
    meter: &'a Meter,
    usage: Usage,
    delay: Duration,
    begun: Instant,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let share = (self.begun.elapsed().as_secs_f64() / self.delay.as_secs_f64()).min(1.0);
        let written = (self.usage.completion_tokens as f64 * share).floor() as u64;
        self.meter.came_to(Usage { completion_tokens: written, ..self.usage }, written);
    }
}

#[async_trait]
impl LanguageModel for Scripted {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        let Reply { text, usage, delay } = (self.script)(request)?;
        meter.sent(Usage { completion_tokens: 0, ..usage });
        if !delay.is_zero() {
            let _writing = Writing { meter, usage, delay, begun: Instant::now() };
            tokio::time::sleep(delay).await;
        }
        let seconds = delay.as_secs_f64();
        let timing = Timing { first_token: seconds, total: seconds, ..Timing::default() };
        Ok(Completion { text, usage, finish: FinishReason::Stop, timing, hedged: None })
    }

    fn has_virtual_time(&self) -> bool {
        true
    }

    fn id(&self) -> &str {
        &self.id
    }
}
