//! Trained controllers for the commands that measure them.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::config::Common;
use super::of_run::OfRun;
use super::session::{Session, runtime};
use crate::agent::{self, Trained, checkpoints};
use crate::checkpoint::{Checkpoint, Provenance};
use crate::evaluate::latency::LatencyModel;
use crate::settings::Parts;

/// Where runs are written by default.
pub const RUNS: &str = "runs";
/// The record of a run, in its folder.
pub const RECORD: &str = "record.jsonl";

/// Controllers, with a session opened for them.
pub struct Opened {
    pub session: Session,
    pub trained: Vec<Trained>,
    /// The configuration of the first controller.
    pub configuration: serde_json::Value,
}

/// Opens a checkpoint, or all checkpoints of a run folder, to be measured at a latency weight if one is given.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn open(common: &Common, path: &Path, latency_weight: Option<f64>) -> Result<Opened> {
    let paths = if path.is_dir() { checkpoints(path) } else { vec![path.to_owned()] };
    let checkpoints = paths.iter().map(|path| Checkpoint::load(path)).collect::<Result<Vec<_>>>()?;
    let first =
        checkpoints.first().with_context(|| format!("expected checkpoints under `{}`, found none", path.display()))?;
    for (other, path) in checkpoints.iter().zip(&paths).skip(1) {
        let [this, that] = [first, other].map(of_what);
        ensure!(
            this == that,
            "`{}` and `{}` come from different runs (benchmark, model or operators differ); hint: name only one of them",
            paths[0].display(),
            path.display()
        );
    }
    let OfRun { mut settings, host, catalogue } = OfRun::new(common, first, &paths[0])?;
    let objective = &mut settings.training.objective;
    *objective = objective.at(latency_weight.unwrap_or(objective.latency_weight));
    let runtime = runtime()?;
    let parts = runtime.block_on(Parts::open_for(&settings, &host, catalogue))?;
    let mut session = Session::new(runtime, parts, &settings);
    // What is already in the run's record is not asked, or paid for, again.
    let record = path.join(RECORD);
    if record.is_file()
        && let Err(error) = session.keep_record(&record)
    {
        eprintln!("cannot read `{}`, so its calls are made again: {error:#}", record.display());
    }
    let restore = |(checkpoint, path): (&Checkpoint, &std::path::PathBuf)| {
        Trained::restore(checkpoint, path, &session.parts, session.execution)
    };
    let trained = checkpoints.iter().zip(&paths).map(restore).collect::<Result<Vec<_>>>()?;
    let configuration = first.provenance.configuration.clone();
    Ok(Opened { session, trained, configuration })
}

/// What a controller was trained on. Controllers that are measured together must agree on this.
fn of_what(checkpoint: &Checkpoint) -> (&str, [Option<&serde_json::Value>; 6]) {
    let Provenance { catalogue, configuration, .. } = &checkpoint.provenance;
    let named = ["/benchmark", "/model", "/models", "/traces", "/endpoint/model", "/endpoint/url"];
    (catalogue, named.map(|name| configuration.pointer(name)))
}

/// The latency model of a checkpoint or run folder.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn expect_latency_model(session: &Session, origin: &Path) -> Result<LatencyModel> {
    agent::latency_model(session.solver().catalogue(), origin)?.with_context(|| {
        let place = origin.display();
        format!("expected a latency model for `{place}`, found none; hint: `lamas calibrate {place}` fits one")
    })
}
