//! Replay: a model that remembers, so that an equal request is never paid for twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::{Completion, Error, LanguageModel, Request};

/// Digest of all that a completion depends on.
type Address = [u8; 32];

/// Remembers the completions of `M` in memory, by model id, messages, sampling and sample.
///
/// Equal requests that meet run once. A completion is returned as it was recorded, usage and timing included;
/// an error is not remembered.
pub struct Replay<M> {
    model: M,
    recorded: Mutex<HashMap<Address, Arc<OnceCell<Completion>>>>,
    requests: AtomicU64,
    misses: AtomicU64,
}

impl<M: LanguageModel> Replay<M> {
    /// An empty memory in front of `model`.
    pub fn new(model: M) -> Self {
        Replay { model, recorded: Mutex::default(), requests: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Requests answered from memory.
    pub fn hits(&self) -> u64 {
        self.requests.load(Ordering::Relaxed).saturating_sub(self.misses())
    }

    /// Requests that the model was asked.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    fn address(&self, request: &Request) -> Result<Address, Error> {
        let mut hash = Sha256::new();
        hash.update(self.model.id());
        hash.update([0]);
        serde_json::to_writer(&mut hash, request).map_err(|error| Error::Permanent(error.to_string()))?;
        Ok(hash.finalize().into())
    }

    fn cell(&self, address: Address) -> Arc<OnceCell<Completion>> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.entry(address).or_default().clone()
    }
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Replay<M> {
    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let cell = self.cell(self.address(request)?);
        let completion = cell.get_or_try_init(|| {
            self.misses.fetch_add(1, Ordering::Relaxed);
            self.model.complete(request)
        });
        completion.await.cloned()
    }

    fn has_virtual_time(&self) -> bool {
        self.model.has_virtual_time()
    }

    fn id(&self) -> &str {
        self.model.id()
    }
}

#[async_trait]
impl<M: LanguageModel + ?Sized> LanguageModel for Arc<M> {
    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        (**self).complete(request).await
    }

    fn has_virtual_time(&self) -> bool {
        (**self).has_virtual_time()
    }

    fn id(&self) -> &str {
        (**self).id()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::llm::{Message, Reply, Role, Sampling, Scripted};

    fn request(content: &str, sample: u64) -> Request {
        Request {
            model: String::new(),
            messages: vec![Message { role: Role::User, content: content.to_owned() }],
            sampling: Sampling { temperature: 0.8, top_p: 1.0, max_tokens: 9, stop: Vec::new() },
            sample,
        }
    }

    fn counting() -> Scripted {
        let calls = AtomicU64::new(0);
        Scripted::new("counting", move |request| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            match request.messages.first().map(|message| message.content.as_str()) {
                Some("fails once") if call == 0 => Err(Error::Transient("busy".into())),
                _ => Ok(Reply::new(call.to_string(), 2).after(Duration::from_secs(3))),
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn equal_requests_run_once() -> Result<(), Error> {
        let model = Replay::new(counting());
        let (one, other) = (request("2 + 2", 0), request("2 + 2", 1));
        let (first, again, second) = tokio::join!(model.complete(&one), model.complete(&one), model.complete(&other));
        let (first, again, second) = (first?, again?, second?);
        assert_eq!(first, again);
        assert_ne!(first.text, second.text);
        assert_eq!(model.complete(&one).await?.timing.total, 3.0);
        assert_eq!((model.hits(), model.misses()), (2, 2));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_cancelled_calls_are_asked_again() -> Result<(), Error> {
        let model = Replay::new(counting());
        assert!(model.complete(&request("fails once", 0)).await.is_err());
        assert_eq!(model.complete(&request("fails once", 0)).await?.text, "1");
        let dropped = tokio::time::timeout(Duration::from_secs(1), async { model.complete(&request("slow", 0)).await });
        assert!(dropped.await.is_err());
        assert_eq!(model.complete(&request("slow", 0)).await?.text, "3");
        Ok(())
    }
}
