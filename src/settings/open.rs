//! Opens what the settings name: all that queries are solved with.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Device;

use super::Settings;
use super::host::Host;
use super::model::{endpoint, local, prices};
use super::python::{Equipped, equip};
use super::recording::{Recording, record as recorded};
use super::traced;
use crate::benchmarks::Benchmark;
use crate::encoder::Encoder;
use crate::execute::Solver;
use crate::llm::LanguageModel;
use crate::llm::openai::OpenAi;
use crate::operators::{Catalogue, Traces};
use crate::record::{self, Record, is_record};

/// The parts of a run.
pub struct Parts {
    pub device: Device,
    pub encoder: Box<dyn Encoder>,
    /// The model, where it is an endpoint.
    pub endpoint: Option<Arc<OpenAi>>,
    /// What stands between the solver and its model; none where recorded outputs of operators stand for the model.
    pub recording: Option<Arc<Recording>>,
    pub solver: Solver,
    /// What the user should hear, one line each: the device that was found, operators left out, programs unconfined.
    pub remarks: Vec<String>,
}

impl Parts {
    /// Opens the device, the encoder, the benchmark and the model, on the thread that waits for it: for the start of a
    /// program.
    ///
    /// # Errors
    /// Says which part cannot be opened, and why.
    pub async fn open(settings: &Settings, host: &Host) -> Result<Self> {
        let benchmark = settings.benchmark()?;
        let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
        Self::with_catalogue(settings, host, benchmark, catalogue, false).await
    }

    /// As [`Parts::open`], with exactly the operators of a catalogue, such as a checkpoint was trained for.
    ///
    /// # Errors
    /// Those of [`Parts::open`], and an operator that this machine cannot run.
    pub async fn open_for(settings: &Settings, host: &Host, catalogue: Catalogue) -> Result<Self> {
        Self::with_catalogue(settings, host, settings.benchmark()?, catalogue, true).await
    }

    async fn with_catalogue(
        settings: &Settings,
        host: &Host,
        mut benchmark: Benchmark,
        catalogue: Catalogue,
        is_fixed: bool,
    ) -> Result<Self> {
        let Equipped { catalogue, sandbox, remark } = equip(settings, &mut benchmark, catalogue, is_fixed).await?;
        let (device, found) = settings.device()?.open()?;
        let encoder = settings.encoder()?.open(&device)?;
        let mut of_traces = Vec::new();
        let (endpoint, recording, solver) = match &settings.traces {
            Some(path) => {
                let traces = match is_record(path)? {
                    true => record::traces(path, &catalogue, benchmark.answer)?,
                    false => Traces::load(path, &catalogue, benchmark.answer)?,
                };
                of_traces = traced::remarks(&traces, &catalogue, &benchmark)?;
                (None, None, Solver::from_traces(catalogue, benchmark, traces)?)
            }
            None => {
                let prices = prices(settings.prices.as_deref())?;
                let endpoint = endpoint(settings, host, &prices)?;
                let prices = endpoint.as_ref().map_or(&prices, |endpoint| endpoint.prices());
                let model: Arc<dyn LanguageModel> = match &endpoint {
                    Some(endpoint) => endpoint.clone(),
                    None => Arc::new(local(settings, &catalogue, &device, host.shows_progress)?),
                };
                let recording = Arc::new(recorded(settings, host.cache_folder.as_deref(), model)?);
                let solver = Solver::new(catalogue, benchmark, recording.clone(), prices)?;
                (endpoint, Some(recording), solver)
            }
        };
        let record = settings.record.as_deref().map(Record::open).transpose()?.map(Arc::new);
        let mended = record.as_ref().and_then(|record| record.remark()).map(str::to_owned);
        let remarks = [remark, found, mended].into_iter().flatten().chain(of_traces).collect();
        let solver = solver.with_sandbox(sandbox).with_record(record);
        Ok(Parts { device, encoder, endpoint, recording, solver, remarks })
    }
}
