//! What every command that solves queries needs, opened once from the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use tokio::runtime::Runtime;

use super::config::Settings;
use super::recording::record;
use crate::benchmarks::{self, Benchmark, Problem};
use crate::encoder::{self, Embeddings, Encoder};
use crate::evaluation::Objective;
use crate::folder::Folder;
use crate::llm::Prices;
use crate::llm::local::{self, LocalModel};
use crate::operators::{Catalogue, Traces};
use crate::plan::Kind;
use crate::system::System;

/// The parts of a run.
pub struct Session {
    pub runtime: Runtime,
    pub device: Device,
    pub encoder: Box<dyn Encoder>,
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
        let benchmark = Benchmark::load(settings.benchmark_folder())?;
        let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
        Self::with_catalogue(settings, benchmark, catalogue)
    }

    /// As [`Session::open`], with the operators that a checkpoint was trained for.
    ///
    /// # Errors
    /// Those of [`Session::open`], and a catalogue that cannot be read.
    pub fn open_for(settings: &Settings, catalogue: &str, origin: &Path) -> Result<Self> {
        let benchmark = Benchmark::load(settings.benchmark_folder())?;
        let catalogue = Catalogue::parse(catalogue.to_owned(), &format!("{} (catalogue)", origin.display()))?;
        Self::with_catalogue(settings, benchmark, catalogue)
    }

    fn with_catalogue(settings: &Settings, benchmark: Benchmark, catalogue: Catalogue) -> Result<Self> {
        let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
        let (device, remark) = settings.device()?.open()?;
        if let Some(remark) = remark {
            eprintln!("{remark}");
        }
        let encoder = settings.encoder()?.open(&device)?;
        let objective =
            Objective { latency_weight: benchmark.reward.latency_weight, cost_weight: benchmark.reward.cost_weight };
        let execution = settings.training.execution;
        let system = match &settings.traces {
            Some(path) => {
                let traces = Traces::load(path, &catalogue, benchmark.answer)?;
                System::from_traces(catalogue, benchmark, traces, execution)?
            }
            None => {
                let options = local::Options { device: device.clone(), ..local::Options::default() };
                let model = Arc::new(LocalModel::load(&settings.model_folder(), &options)?);
                let prices = prices(settings.prices.as_deref())?;
                System::new(catalogue, benchmark, record(settings, model)?, &prices, execution)?
            }
        };
        Ok(Session { runtime, device, encoder, system, objective, concurrency: settings.training.concurrency })
    }

    /// Kinds of the operators, in catalogue order.
    pub fn kinds(&self) -> Vec<Kind> {
        self.system.catalogue().operators().iter().map(|operator| operator.kind).collect()
    }

    /// Names of the operators, in catalogue order.
    pub fn names(&self) -> Vec<String> {
        self.system.catalogue().operators().iter().map(|operator| operator.name.clone()).collect()
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

/// The price list in a file, or the built-in one.
///
/// # Errors
/// Names the file and the line at fault.
pub fn prices(path: Option<&Path>) -> Result<Prices> {
    match path {
        Some(path) => {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            Prices::load(&Folder::Disk(folder), file_name(path)?)
        }
        None => Prices::load(&benchmarks::PRICES, "prices.toml"),
    }
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("expected a file, found `{}`", path.display()))
}
