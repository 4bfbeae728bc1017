//! What all requests of a server share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::caps::{Caps, Today};
use super::explore::Explorer;
use super::gate::Gate;
use super::journal::Journal;
use super::keys::Keys;
use super::limits::Limits;
use super::live::Live;
use super::metrics::{Metrics, Now};
use super::run::Runs;
use crate::model::openai::{Books, Circuit};

/// Opens the runs again.
pub type Reopen = Box<dyn Fn() -> BoxFuture<'static, Result<Runs>> + Send + Sync>;

/// What all requests share. Runs are swapped as a whole; all that counts stays.
pub struct Service {
    pub limits: Limits,
    pub keys: Keys,
    /// Names by which a server without keys may be asked, beside those of the loopback interface.
    pub hosts: Vec<String>,
    pub gate: Arc<Gate>,
    pub caps: Arc<Caps>,
    pub metrics: Arc<Metrics>,
    /// What is kept of what is served; none where nothing is.
    pub journal: Option<Arc<Journal>>,
    /// Asks what was not asked; none where nothing is explored.
    pub explorer: Option<Arc<Explorer>>,
    /// Whether plain models answer in the place of plans, of which only is written down what they would have done.
    pub shadows: bool,
    /// What people see on the page.
    pub live: Arc<Live>,
    books: Arc<Books>,
    runs: RwLock<Arc<Runs>>,
    reopen: Option<Reopen>,
    /// Held while runs are opened again.
    reloading: tokio::sync::Mutex<()>,
    is_draining: AtomicBool,
}

impl Service {
    /// A server of these runs, whose models are governed by these books.
    pub fn new(limits: Limits, keys: Keys, runs: Runs, books: Arc<Books>) -> Self {
        Service {
            gate: Arc::new(Gate::new(limits.in_flight, limits.waiting)),
            limits,
            keys,
            hosts: Vec::new(),
            caps: Arc::default(),
            metrics: Arc::default(),
            journal: None,
            explorer: None,
            shadows: false,
            live: Arc::default(),
            books,
            runs: RwLock::new(Arc::new(runs)),
            reopen: None,
            reloading: tokio::sync::Mutex::default(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// The same server, which may be asked by these names too.
    pub fn named(self, hosts: Vec<String>) -> Self {
        Service { hosts, ..self }
    }

    /// The same server, whose keys go on from what they asked and spent before.
    pub fn capped(self, caps: Caps) -> Self {
        Service { caps: Arc::new(caps), ..self }
    }

    /// The same server, which keeps what it serves.
    pub fn keeping(self, journal: Option<Arc<Journal>>) -> Self {
        Service { journal, ..self }
    }

    /// The same server, which explores what it serves.
    pub fn exploring(self, explorer: Option<Arc<Explorer>>) -> Self {
        Service { explorer, ..self }
    }

    /// Explores what is served, for as long as the server is there; nothing where nothing is explored or kept.
    pub async fn explore(&self) {
        if let (Some(explorer), Some(journal)) = (&self.explorer, &self.journal) {
            explorer.work(&self.gate, &self.metrics, journal).await;
        }
    }

    /// The same server, whose plans answer nothing if so.
    pub fn shadowing(self, shadows: bool) -> Self {
        Service { shadows, ..self }
    }

    /// The same server, which shows this of what it does.
    pub fn showing(self, live: Live) -> Self {
        Service { live: Arc::new(live), ..self }
    }

    /// What happens now, for the page.
    pub fn told(&self) -> Value {
        let explored = |explorer: &Arc<Explorer>| explorer.caps().today().values().map(|today| today.cost).sum::<f64>();
        let Today { requests, cost, .. } = self.live.today();
        let circuits = self.circuits().into_iter();
        json!({
            "status": if self.is_ready() { "ready" } else { "draining" },
            "models": self.runs().models().len(),
            "in_flight": self.gate.in_flight(),
            "waiting": self.gate.waiting(),
            "today": { "requests": requests, "cost": cost, "explored": self.explorer.as_ref().map(explored) },
            "circuits": circuits.map(|(upstream, circuit)| json!({ "upstream": upstream, "circuit": circuit })).collect::<Vec<_>>(),
            "requests": self.live.requests(),
        })
    }

    /// The same server, whose runs can be opened again.
    pub fn reopening(self, reopen: Reopen) -> Self {
        Service { reopen: Some(reopen), ..self }
    }

    /// The runs as they are now.
    pub fn runs(&self) -> Arc<Runs> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the runs again, and answers by those from now on. What is being answered goes on by those of before.
    ///
    /// # Errors
    /// They cannot be opened: those of before stay.
    pub async fn reload(&self) -> Result<()> {
        let reopen = self.reopen.as_ref().context("expected runs that can be reopened, found none")?;
        let _one_at_a_time = self.reloading.lock().await;
        let runs = reopen().await?;
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(runs);
        Ok(())
    }

    /// Whether new requests are welcome.
    pub fn is_ready(&self) -> bool {
        !self.is_draining.load(Ordering::Relaxed)
    }

    /// From now on the server says that it is not ready.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// How each upstream model is asked, by the words for it; of several servers, how the worst is.
    pub fn circuits(&self) -> BTreeMap<String, &'static str> {
        let mut circuits: BTreeMap<String, Circuit> = BTreeMap::new();
        for (client, circuit) in self.books.circuits() {
            // Not where it is: whoever asks may be anybody.
            let name = client.rsplit_once('@').map_or(client.as_str(), |(name, _)| name);
            let known = circuits.entry(name.to_owned()).or_insert(circuit);
            *known = circuit.max(*known);
        }
        circuits.into_iter().map(|(name, circuit)| (name, circuit.name())).collect()
    }

    /// The counters in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let (in_flight, waiting, upstream) = (self.gate.in_flight(), self.gate.waiting(), self.books.account());
        let lost = self.journal.as_ref().map_or(0, |journal| journal.lost());
        self.metrics.text(Now { in_flight, waiting, lost, upstream, circuits: self.books.circuits() })
    }
}
