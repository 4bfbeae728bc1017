//! What every command that solves queries needs, opened once from the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use tokio::runtime::Runtime;

use crate::benchmarks::Problem;
use crate::encoder::{self, Embeddings, Encoder};
use crate::evaluation::Objective;
use crate::executor::{ExecutionConfig, Prepared};
use crate::llm::openai::{Account, Key, OpenAi};
use crate::operators::Catalogue;
use crate::plan::{Kind, Plan};
use crate::settings::{Host, Parts, Recording, Settings};
use crate::system::System;

/// The parts of a run.
pub struct Session {
    pub runtime: Runtime,
    pub device: Device,
    pub encoder: Box<dyn Encoder>,
    /// The model, where it is an endpoint.
    pub endpoint: Option<Arc<OpenAi>>,
    recording: Option<Arc<Recording>>,
    pub system: System,
    pub objective: Objective,
    pub concurrency: usize,
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

    /// As [`Session::open`], with the operators that a checkpoint was trained for.
    ///
    /// # Errors
    /// Those of [`Session::open`], and a catalogue that cannot be read.
    pub fn open_for(settings: &Settings, catalogue: &str, origin: &Path) -> Result<Self> {
        let catalogue = Catalogue::parse(catalogue.to_owned(), &format!("{} (catalogue)", origin.display()))?;
        let runtime = runtime()?;
        let parts = runtime.block_on(Parts::open_for(settings, &host(), catalogue))?;
        Ok(Self::new(runtime, parts, settings))
    }

    fn new(runtime: Runtime, parts: Parts, settings: &Settings) -> Self {
        let Parts { device, encoder, endpoint, recording, system, remarks } = parts;
        for remark in remarks {
            eprintln!("{remark}");
        }
        let reward = &system.benchmark().reward;
        let objective = Objective { latency_weight: reward.latency_weight, cost_weight: reward.cost_weight };
        let concurrency = settings.training.concurrency;
        Session { runtime, device, encoder, endpoint, recording, system, objective, concurrency }
    }

    /// How the plans of these settings are run with this session's model.
    pub fn executable(&self, settings: &Settings) -> ExecutionConfig {
        let has_virtual_time = self.endpoint.is_none() && settings.traces.is_none();
        settings.executable(self.system.benchmark(), has_virtual_time)
    }

    /// Kinds of the operators, in catalogue order.
    pub fn kinds(&self) -> Vec<Kind> {
        self.system.catalogue().operators().iter().map(|operator| operator.kind).collect()
    }

    /// Names of the operators, in catalogue order.
    pub fn names(&self) -> Vec<String> {
        self.system.catalogue().operators().iter().map(|operator| operator.name.clone()).collect()
    }

    /// How a plan is going to run.
    pub fn prepare(&self, plan: &Plan) -> Prepared {
        self.system.execution().prepare(plan, &self.system.catalogue().signatures())
    }

    /// Embeddings of the operators' descriptions `[O, 384]`.
    pub fn operators(&self) -> Result<Embeddings> {
        let operators = self.system.catalogue().operators();
        self.encoder.encode(&operators.iter().map(|operator| operator.description.as_str()).collect::<Vec<_>>())
    }

    /// The problems of a split with the embeddings of their questions `[N, 384]`, from the cache where it has them.
    pub fn problems(&self, split: &str) -> Result<(Vec<Problem>, Embeddings)> {
        let problems = self.system.problems(split)?;
        let questions: Vec<&str> = problems.iter().map(|problem| problem.question.as_str()).collect();
        let embeddings = encoder::encode_cached(&*self.encoder, &questions, encoder::cache_folder().as_deref())?;
        Ok((problems, embeddings))
    }
}

impl Drop for Session {
    /// However a command ends, it tells what it spent, and what it found recorded.
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            eprintln!("{}", spent(&endpoint.account()));
        }
        let Some(recording) = &self.recording else { return };
        if let Some(store) = recording.store() {
            let (hits, misses) = (recording.hits(), recording.misses());
            eprintln!("model calls: {hits} answered from `{}`, {misses} not", store.path().display());
        }
    }
}

/// One line on what an endpoint was asked.
fn spent(account: &Account) -> String {
    let Account { requests, answered, usage, lost, cost, .. } = account;
    let estimated = if usage.estimated_tokens > 0 { " (in part estimated)" } else { "" };
    format!(
        "endpoint: {answered} of {requests} requests answered, {} + {} tokens{estimated}, {} lost, {cost:.6} $; \
         first token after {:.3} s, then {:.4} s each",
        usage.prompt_tokens,
        usage.completion_tokens,
        lost.tokens(),
        account.first_token(),
        account.seconds_per_token()
    )
}

/// What this process's environment brings.
fn host() -> Host {
    Host { key: Key::from_environment(), cache_folder: encoder::cache_folder(), shows_progress: true }
}

fn runtime() -> Result<Runtime> {
    Runtime::new().context("cannot start the asynchronous runtime")
}
