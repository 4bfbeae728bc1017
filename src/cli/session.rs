//! What every command that solves queries needs, opened once from the settings.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::Device;
use tokio::runtime::Runtime;

use super::config::Settings;
use super::recording::record;
use super::{local_model, python};
use crate::benchmarks::{self, Benchmark, Problem};
use crate::encoder::{self, Embeddings, Encoder};
use crate::evaluation::Objective;
use crate::executor::{Cancel, ExecutionConfig, Prepared};
use crate::folder::Folder;
use crate::llm::openai::{Account, Key, Listener, Notice, OpenAi};
use crate::llm::{LanguageModel, Prices};
use crate::operators::{Catalogue, Traces};
use crate::plan::{Kind, Plan};
use crate::system::System;

/// The parts of a run.
pub struct Session {
    pub runtime: Runtime,
    pub device: Device,
    pub encoder: Box<dyn Encoder>,
    /// The model, where it is an endpoint.
    pub endpoint: Option<Arc<OpenAi>>,
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
        let benchmark = settings.benchmark()?;
        let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
        Self::with_catalogue(settings, benchmark, catalogue, false)
    }

    /// As [`Session::open`], with the operators that a checkpoint was trained for.
    ///
    /// # Errors
    /// Those of [`Session::open`], and a catalogue that cannot be read.
    pub fn open_for(settings: &Settings, catalogue: &str, origin: &Path) -> Result<Self> {
        let benchmark = settings.benchmark()?;
        let catalogue = Catalogue::parse(catalogue.to_owned(), &format!("{} (catalogue)", origin.display()))?;
        Self::with_catalogue(settings, benchmark, catalogue, true)
    }

    fn with_catalogue(
        settings: &Settings,
        mut benchmark: Benchmark,
        catalogue: Catalogue,
        is_fixed: bool,
    ) -> Result<Self> {
        let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
        let (catalogue, sandbox) = python::equip(&runtime, settings, &mut benchmark, catalogue, is_fixed)?;
        let (device, remark) = settings.device()?.open()?;
        if let Some(remark) = remark {
            eprintln!("{remark}");
        }
        let encoder = settings.encoder()?.open(&device)?;
        let objective =
            Objective { latency_weight: benchmark.reward.latency_weight, cost_weight: benchmark.reward.cost_weight };
        let (endpoint, system) = match &settings.traces {
            Some(path) => {
                let traces = Traces::load(path, &catalogue, benchmark.answer)?;
                let execution = executable(settings, &benchmark, false);
                (None, System::from_traces(catalogue, benchmark, traces, execution)?)
            }
            None => {
                let prices = prices(settings.prices.as_deref())?;
                let endpoint = endpoint(settings, &prices)?;
                let prices = endpoint.as_ref().map_or(&prices, |endpoint| endpoint.prices());
                let model = record(settings, model(settings, endpoint.as_ref(), &device)?)?;
                let execution = executable(settings, &benchmark, model.has_virtual_time());
                let system = System::new(catalogue, benchmark, model, prices, execution)?;
                (endpoint, system)
            }
        };
        let system = system.with_sandbox(sandbox);
        let concurrency = settings.training.concurrency;
        Ok(Session { runtime, device, encoder, endpoint, system, objective, concurrency })
    }

    /// How the plans of these settings are run with this session's model.
    pub fn executable(&self, settings: &Settings) -> ExecutionConfig {
        executable(settings, self.system.benchmark(), self.endpoint.is_none() && settings.traces.is_none())
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

fn executable(settings: &Settings, benchmark: &Benchmark, has_virtual_time: bool) -> ExecutionConfig {
    let execution = settings.training.execution;
    // Unless calls are cancelled in fact: only where tokens are the time is it known what was written when a plan ended.
    let ends_early = has_virtual_time || execution.cancel == Cancel::Live;
    // A head foresees the answer of the vote, which a finish may still change.
    let halts = has_virtual_time && execution.cancel == Cancel::Virtual && benchmark.finish.is_none();
    ExecutionConfig { quorum: execution.quorum && ends_early, halting: execution.halting && halts, ..execution }
}

impl Drop for Session {
    /// However a command ends, it tells what it spent.
    fn drop(&mut self) {
        let Some(account) = self.endpoint.as_ref().map(|endpoint| endpoint.account()) else { return };
        let Account { requests, answered, usage, lost, cost, .. } = account;
        let estimated = if usage.estimated_tokens > 0 { " (in part estimated)" } else { "" };
        eprintln!(
            "endpoint: {answered} of {requests} requests answered, {} + {} tokens{estimated}, {} lost, {cost:.6} $; \
             first token after {:.3} s, then {:.4} s each",
            usage.prompt_tokens,
            usage.completion_tokens,
            lost.tokens(),
            account.first_token(),
            account.seconds_per_token()
        );
    }
}

/// The price list in a file, or the built-in one.
pub fn prices(path: Option<&Path>) -> Result<Prices> {
    let Some(path) = path else { return Prices::load(&benchmarks::PRICES, "prices.toml") };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Prices::load(&Folder::Disk(folder), file_name(path)?)
}

/// The client of the endpoint, if the settings name one. It tells on standard error what it waits for.
fn endpoint(settings: &Settings, prices: &Prices) -> Result<Option<Arc<OpenAi>>> {
    let config = &settings.endpoint;
    let open = || -> Result<_> {
        let client = OpenAi::new(config.clone(), Key::from_environment(), prices)?;
        Ok(Arc::new(client.telling(listener())))
    };
    config.is_used().then(open).transpose()
}

/// Prints what a client tells: of waits those that are worth a line, and a line every few seconds at most.
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

/// What answers the prompts: the endpoint, or else a local checkpoint.
fn model(settings: &Settings, endpoint: Option<&Arc<OpenAi>>, device: &Device) -> Result<Arc<dyn LanguageModel>> {
    if let Some(endpoint) = endpoint {
        return Ok(endpoint.clone());
    }
    Ok(Arc::new(local_model::load(settings, device)?))
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("expected a file, found `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::Preset;

    #[test]
    fn plans_end_by_a_head_only_where_it_can_be_trained_and_trusted() -> Result<()> {
        let settings = Preset::Lamas.settings();
        let [arithmetic, code] = [None, Some(Path::new("humaneval"))].map(Benchmark::open);
        let (arithmetic, code) = (arithmetic?, code?);
        let halts =
            |settings: &Settings, benchmark, virtual_time| executable(settings, benchmark, virtual_time).halting;
        assert!(halts(&settings, &arithmetic, true));
        assert!(!halts(&settings, &arithmetic, false), "without virtual time");
        assert!(code.finish.is_some() && !halts(&settings, &code, true), "before a finish");
        let mut live = settings.clone();
        live.training.execution.cancel = Cancel::Live;
        assert!(!halts(&live, &arithmetic, true), "live");
        for preset in [Preset::Paper, Preset::Maas] {
            assert!(!halts(&preset.settings(), &arithmetic, true), "{}", preset.name());
        }
        Ok(())
    }
}
