//! Replay: a model that remembers completions, so that no request is paid for twice.

mod mode;
mod record;
mod rows;
mod store;
mod writer;

pub use mode::Mode;
pub use record::Record;
pub use store::{Holding, Store};

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::record::{Address, address};
use super::{Completion, Error, LanguageModel, Meter, Request, Timing};

/// Remembers the completions of `M` by model id, messages, sampling and sample: in memory, and in a [`Store`] if there
/// is one.
///
/// Equal requests made at the same time run once. A completion is returned as it was recorded, usage and timing
/// included, and only once it is safely in the store. Errors are not remembered.
pub struct Replay<M> {
    model: M,
    store: Option<Arc<Store>>,
    mode: Mode,
    /// Whether equal requests are made again each time.
    forgets: bool,
    calls: Mutex<HashMap<Address, Call>>,
    requests: AtomicU64,
    misses: AtomicU64,
}

/// A completion in progress, or one that only memory keeps.
#[derive(Default)]
struct Call {
    completion: Arc<OnceCell<Completion>>,
    waiting: usize,
}

impl<M: LanguageModel> Replay<M> {
    /// An empty memory in front of `model`.
    pub fn new(model: M) -> Self {
        let (requests, misses) = Default::default();
        Replay { model, store: None, mode: Mode::Off, forgets: false, calls: Mutex::default(), requests, misses }
    }

    /// No memory in front of `model`: every request is made, even if the same one was made before.
    pub fn forgetting(model: M) -> Self {
        Replay { forgets: true, ..Self::new(model) }
    }

    /// A memory in front of `model` that outlives the process, in the database at `path`.
    ///
    /// # Errors
    /// Those of [`Store::open`] and, for [`Mode::Replay`], [`Store::open_existing`].
    pub fn open(model: M, path: &Path, mode: Mode) -> Result<Self> {
        match mode {
            Mode::Off => Ok(Self::new(model)),
            mode => Ok(Self::sharing(model, Arc::new(Store::open_for(path, mode)?), mode)),
        }
    }

    /// A memory in front of `model` whose store may be shared with others.
    pub fn sharing(model: M, store: Arc<Store>, mode: Mode) -> Self {
        Replay { store: Some(store), mode, ..Self::new(model) }
    }

    /// Requests answered from memory or the store.
    pub fn hits(&self) -> u64 {
        self.requests.load(Ordering::Relaxed).saturating_sub(self.misses())
    }

    /// Requests sent to the model, or not found when only recordings are replayed.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Where completions outlive the process.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    async fn obtain(&self, request: &Request, meter: &Meter, waited: &mut Timing) -> Result<Completion, Error> {
        let Some(store) = &self.store else { return self.ask(request, meter, waited).await };
        if self.mode != Mode::Record {
            for identity in self.model.identities(request) {
                if let Some(recorded) = store.read(&address(&identity, request)?).map_err(refused)? {
                    return Ok(recorded);
                }
            }
        }
        if self.mode == Mode::Replay {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return Err(missing(request, self.model.id(), store.path()));
        }
        let completion = self.ask(request, meter, waited).await?;
        let identity = self.model.identity(request);
        let record = Record::new(&identity, request, completion);
        store.write(address(&identity, request)?, record, self.mode == Mode::Record).await
    }

    async fn ask(&self, request: &Request, meter: &Meter, waited: &mut Timing) -> Result<Completion, Error> {
        self.misses.fetch_add(1, Ordering::Relaxed);
        let mut completion = self.model.complete_metered(request, meter).await?;
        // A caller who drops the call while it is being recorded has paid for all of it.
        meter.came_to_answer(completion.usage, completion.hedged);
        // Waiting belongs to the call, not to the completion: a caller who gets it again has not waited.
        waited.queued = std::mem::take(&mut completion.timing.queued);
        waited.retries = std::mem::take(&mut completion.timing.retries);
        Ok(completion)
    }
}

impl<M> Replay<M> {
    fn calls(&self) -> MutexGuard<'_, HashMap<Address, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, address: Address) -> Waiting<'_, M> {
        let mut calls = self.calls();
        let call = calls.entry(address).or_default();
        call.waiting += 1;
        Waiting { replay: self, address, completion: call.completion.clone() }
    }

    /// Whether an answered request can be answered again without memory.
    fn finds_again(&self) -> bool {
        matches!(self.mode, Mode::Use | Mode::Replay)
    }
}

/// A caller waiting for a completion. The last one to leave takes the call out of memory, unless only memory keeps it.
struct Waiting<'a, M> {
    replay: &'a Replay<M>,
    address: Address,
    completion: Arc<OnceCell<Completion>>,
}

impl<M> Drop for Waiting<'_, M> {
    fn drop(&mut self) {
        let mut calls = self.replay.calls();
        let Some(call) = calls.get_mut(&self.address) else { return };
        call.waiting -= 1;
        if call.waiting == 0 && (self.replay.finds_again() || !call.completion.initialized()) {
            calls.remove(&self.address);
        }
    }
}

fn refused(error: anyhow::Error) -> Error {
    Error::Broken(error.to_string())
}

fn missing(request: &Request, model: &str, path: &Path) -> Error {
    const SHOWN: usize = 160;
    let model = if request.model.is_empty() { model } else { &request.model };
    let prompt = request.messages.last().map_or("", |message| &message.content);
    let shown: String = prompt.chars().take(SHOWN).collect();
    let more = if shown.len() < prompt.len() { "..." } else { "" };
    Error::Permanent(format!(
        "expected a recorded completion in `{}`, found none for model `{model}`, sample {}, prompt `{shown}{more}`; \
         hint: record it with `--cache-mode use`",
        path.display(),
        request.sample
    ))
}

#[async_trait]
impl<M: LanguageModel> LanguageModel for Replay<M> {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.forgets {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return self.model.complete_metered(request, meter).await;
        }
        let waiting = self.join(address(self.model.id(), request)?);
        let mut waited = Timing::default();
        let completion = waiting.completion.get_or_try_init(|| self.obtain(request, meter, &mut waited));
        let mut completion = completion.await?.clone();
        completion.timing = Timing { queued: waited.queued, retries: waited.retries, ..completion.timing };
        Ok(completion)
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
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        (**self).complete_metered(request, meter).await
    }

    fn has_virtual_time(&self) -> bool {
        (**self).has_virtual_time()
    }

    fn id(&self) -> &str {
        (**self).id()
    }

    fn identity(&self, request: &Request) -> Cow<'_, str> {
        (**self).identity(request)
    }

    fn identities(&self, request: &Request) -> Vec<Cow<'_, str>> {
        (**self).identities(request)
    }
}

#[cfg(test)]
mod tests;
