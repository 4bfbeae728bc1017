//! Opens everything that the settings name and that solving queries needs.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Device;

use super::Settings;
use super::endpoints::Endpoints;
use super::host::Host;
use super::models::{Models, check_caps, open};
use super::python::{Equipped, equip};
use super::recording::Recording;
use super::traced;
use crate::encoder::Encoder;
use crate::execute::Solver;
use crate::operation::{Catalogue, Traces};
use crate::record::{self, Record, is_record};
use crate::task::Benchmark;

/// The parts of a run.
pub struct Parts {
    pub device: Device,
    pub encoder: Box<dyn Encoder>,
    /// The servers that answer requests.
    pub endpoints: Endpoints,
    /// The recordings between the solver and its models; none if recorded outputs of operators replace the models.
    pub recordings: Vec<Arc<Recording>>,
    pub solver: Solver,
    /// What the user should be told, one line each: the device found, operators left out, programs run without
    /// confinement.
    pub remarks: Vec<String>,
}

impl Parts {
    /// Opens the device, the encoder, the benchmark and the model. This blocks its thread, so it belongs at the start
    /// of a program.
    ///
    /// # Errors
    /// Says which part cannot be opened, and why.
    pub async fn open(settings: &Settings, host: &Host) -> Result<Self> {
        let benchmark = settings.benchmark()?;
        let catalogue = settings.catalogue(&benchmark)?;
        Self::with_catalogue(settings, host, benchmark, catalogue, false).await
    }

    /// Like [`Parts::open`], but with exactly the operators of a catalogue, for example the one that a checkpoint was
    /// trained for.
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
        let catalogue = settings.place(catalogue, &benchmark);
        let Equipped { catalogue, sandbox, remark } = equip(settings, &mut benchmark, catalogue, is_fixed).await?;
        let (device, found) = settings.device()?.open()?;
        let encoder = settings.encoder()?.open(&device)?;
        let (mut of_traces, mut unused) = (Vec::new(), None);
        let (endpoints, recordings, solver) = match &settings.traces {
            Some(path) => {
                check_caps(settings, settings.endpoint.is_used())?;
                let traces = match is_record(path)? {
                    true => record::traces(path, &catalogue, benchmark.answer)?,
                    false => Traces::load(path, &catalogue, benchmark.answer)?,
                };
                of_traces = traced::remarks(&traces, &catalogue, &benchmark)?;
                (Endpoints::default(), Vec::new(), Solver::from_traces(catalogue, benchmark, traces)?)
            }
            None => {
                let Models { endpoints, recordings, backings, remark, toy } =
                    open(settings, host, &catalogue, &device)?;
                // A checkpoint was trained with the model that answers it.
                unused = remark.or(toy.filter(|_| !is_fixed));
                (endpoints, recordings, Solver::with_backings(catalogue, benchmark, backings)?)
            }
        };
        let record = settings.record.as_deref().map(Record::open).transpose()?.map(Arc::new);
        let mended = record.as_ref().and_then(|record| record.remark()).map(str::to_owned);
        let remarks = [remark, found, unused, mended].into_iter().flatten().chain(of_traces).collect();
        let solver = solver.with_sandbox(sandbox).with_record(record);
        Ok(Parts { device, encoder, endpoints, recordings, solver, remarks })
    }
}
