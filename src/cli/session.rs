//! Everything that a command needs to solve queries, opened once from the settings.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::progress::Progress;
use super::warnings;
use crate::decide::HaltingHead;
use crate::encoder::{self, Embeddings};
use crate::execute::{ExecutionConfig, SolveOptions, Solver};
use crate::model::openai::{Account, Key, Listener, Notice};
use crate::objective::Objective;
use crate::plan::{Plan, Prepared, Signature};
use crate::record::Record;
use crate::sandbox;
use crate::settings::{Endpoints, Host, Own, Parts, Recording, Settings};
use crate::task::Problem;

/// The parts of a run.
pub struct Session {
    pub runtime: Runtime,
    pub parts: Parts,
    /// How plans run.
    pub execution: ExecutionConfig,
    pub objective: Objective,
    pub concurrency: usize,
    pub progress: Progress,
    closing: Closing,
}

impl Session {
    /// Opens the device, the encoder, the benchmark and the model.
    ///
    /// # Errors
    /// Says which part cannot be opened, and why.
    pub fn open(settings: &Settings) -> Result<Self> {
        let runtime = runtime()?;
        let parts = runtime.block_on(Parts::open(settings, &host()))?;
        Ok(Self::new(runtime, parts, settings))
    }

    /// A session from parts that were opened on `runtime`.
    pub fn new(runtime: Runtime, parts: Parts, settings: &Settings) -> Self {
        let mut blind = warnings::of_prompts(parts.solver.catalogue());
        blind.extend(warnings::of_context(parts.solver.catalogue()));
        let is_asked = parts.solver.record().is_some() || !parts.recordings.is_empty();
        parts.remarks.iter().chain(blind.iter().filter(|_| is_asked)).for_each(|remark| eprintln!("{remark}"));
        let execution = settings.execution(parts.solver.benchmark());
        let (objective, concurrency) = (settings.training.objective, settings.training.concurrency);
        let closing = Closing::of(&parts);
        let progress = Progress::new(parts.endpoints.clone());
        Session { runtime, parts, execution, objective, concurrency, progress, closing }
    }

    /// Keeps a record in the file `path`, unless there is already a record, or recorded outputs replace the model.
    ///
    /// # Errors
    /// Those of [`Record::open`].
    pub fn keep_record(&mut self, path: &Path) -> Result<()> {
        if self.solver().record().is_none() && !self.parts.recordings.is_empty() {
            let record = Arc::new(Record::open(path)?);
            record.remark().iter().for_each(|remark| eprintln!("{remark}"));
            self.closing.record = Some(record.clone());
            self.parts.solver.set_record(Some(record));
        }
        Ok(())
    }

    /// The solver of queries.
    pub fn solver(&self) -> &Solver {
        &self.parts.solver
    }

    /// The options of queries for a method whose plans run under `execution` and are ended by this head.
    pub fn options(&self, execution: ExecutionConfig, head: Option<&Arc<HaltingHead>>) -> SolveOptions<'static> {
        SolveOptions::new(execution, head, self.objective.unit)
    }

    /// Signatures of the operators, in catalogue order.
    pub fn signatures(&self) -> Vec<Signature> {
        self.solver().catalogue().signatures()
    }

    /// Names of the operators, in catalogue order.
    pub fn names(&self) -> Vec<String> {
        self.solver().catalogue().operators().iter().map(|operator| operator.name.clone()).collect()
    }

    /// How a plan will run.
    pub fn prepare(&self, plan: &Plan) -> Prepared {
        self.execution.schedule.prepare(plan, &self.solver().catalogue().signatures())
    }

    /// Embeddings of the operators' descriptions `[O, 384]`.
    pub fn operators(&self) -> Result<Embeddings> {
        let operators = self.solver().catalogue().operators();
        self.parts.encoder.encode(&operators.iter().map(|operator| operator.description.as_str()).collect::<Vec<_>>())
    }

    /// These problems, with the embeddings of their questions `[N, 384]`, cached where possible.
    pub fn embedded(&self, problems: Vec<Problem>) -> Result<(Vec<Problem>, Embeddings)> {
        let questions: Vec<&str> = problems.iter().map(|problem| problem.question.as_str()).collect();
        let embeddings = encoder::encode_cached(&*self.parts.encoder, &questions, encoder::cache_folder().as_deref())?;
        Ok((problems, embeddings))
    }
}

/// However a command ends, this reports what it spent and what it found recorded.
pub struct Closing {
    endpoints: Endpoints,
    recordings: Vec<Arc<Recording>>,
    record: Option<Arc<Record>>,
}

impl Closing {
    pub fn of(parts: &Parts) -> Self {
        let record = parts.solver.record().cloned();
        Closing { endpoints: parts.endpoints.clone(), recordings: parts.recordings.clone(), record }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        books(&self.endpoints).iter().for_each(|line| eprintln!("{line}"));
        if let Some(record) = &self.record {
            let (found, added) = (record.found(), record.added());
            if found + added > 0 {
                eprintln!("operator calls: {found} found in `{}`, {added} added", record.path().display());
            }
        }
        let sum = |of: fn(&Recording) -> u64| self.recordings.iter().map(|recording| of(recording)).sum::<u64>();
        if let Some(store) = self.recordings.iter().find_map(|recording| recording.store()) {
            let (hits, misses) = (sum(Recording::hits), sum(Recording::misses));
            if hits + misses > 0 {
                eprintln!("model calls: {hits} answered from `{}`, {misses} not", store.path().display());
            }
        }
    }
}

/// One line for each endpoint about what was asked of it, and one for all if there are several.
pub(super) fn books(endpoints: &Endpoints) -> Vec<String> {
    let line = |(name, account): (Option<&str>, Account)| match name {
        Some(name) => format!("model `{name}`: {}", spent(&account)),
        None => format!("endpoint: {}", spent(&account)),
    };
    let books = endpoints.books();
    let (several, all) = (books.len() > 1, endpoints.account());
    let mut lines: Vec<String> = books.into_iter().filter(|(_, account)| account.requests > 0).map(line).collect();
    lines.extend((several && all.requests > 0).then(|| {
        let (answered, requests, cost) = (all.answered, all.requests, all.cost);
        format!("all models: {answered} of {requests} requests answered, {} tokens, {cost:.6} $", all.tokens())
    }));
    lines
}

fn spent(account: &Account) -> String {
    let Account { requests, answered, usage, lost, cost, .. } = account;
    let estimated = if usage.estimated_tokens > 0 { " (partly estimated)" } else { "" };
    format!(
        "{answered} of {requests} requests answered, {} + {} tokens{estimated}, {} lost, {cost:.6} $; \
         first token after {:.3} s, then {:.4} s each",
        usage.prompt_tokens,
        usage.completion_tokens,
        lost.tokens(),
        account.first_token(),
        account.seconds_per_token()
    )
}

/// What this process's environment supplies.
pub fn host() -> Host {
    Host {
        key: Key::from_environment(),
        variable: Some(|name| std::env::var(name).ok()),
        cache_folder: encoder::cache_folder(),
        state_folder: state_folder(),
        own: Own::default(),
        books: None,
        forgets: false,
        shows_progress: true,
        listener: Some(listener),
    }
}

/// The user's state folder, for files that matter less than data and more than a cache.
fn state_folder() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set.or_else(|| std::env::home_dir().map(|home| home.join(".local").join("state")));
    state.map(|state| state.join("lamas"))
}

/// Prints a client's notices: waits only if they are long enough, and at most one every few seconds.
fn listener() -> Listener {
    const WORTH: Duration = Duration::from_secs(1);
    const EVERY: Duration = Duration::from_secs(2);
    let last: Mutex<Option<Instant>> = Mutex::default();
    Box::new(move |notice| {
        if let Notice::Waiting { pause, .. } = notice {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if *pause < WORTH || last.is_some_and(|last| last.elapsed() < EVERY) {
                return;
            }
            *last = Some(Instant::now());
        }
        eprintln!("endpoint: {notice}");
    })
}

/// The runtime of a command. SIGTERM ends the programs in a sandbox before it ends the command.
pub fn runtime() -> Result<Runtime> {
    if let Err(error) = sandbox::end_cleanly() {
        eprintln!("warning: SIGTERM would leave scratch folders behind: {error:#}");
    }
    Runtime::new().context("cannot start the asynchronous runtime")
}
