//! Trained controllers for the commands that measure them.

use std::path::Path;

use anyhow::{Context, Result};

use super::config::Common;
use super::session::Session;
use crate::agent::{self, Trained, checkpoints};
use crate::checkpoint::Checkpoint;
use crate::evaluation::latency::LatencyModel;

/// Where runs are written unless told otherwise.
pub const RUNS: &str = "runs";

/// Controllers with a session that was opened for them.
pub struct Opened {
    pub session: Session,
    pub trained: Vec<Trained>,
    /// Of the first controller.
    pub configuration: serde_json::Value,
}

/// Opens a checkpoint, or all of a run folder, to be measured at a latency weight if one is given.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn open(common: &Common, path: &Path, latency_weight: Option<f64>) -> Result<Opened> {
    let paths = if path.is_dir() { checkpoints(path) } else { vec![path.to_owned()] };
    let checkpoints = paths.iter().map(|path| Checkpoint::load(path)).collect::<Result<Vec<_>>>()?;
    let first =
        checkpoints.first().with_context(|| format!("expected checkpoints under `{}`, found none", path.display()))?;
    let mut settings = common.resolve_for(&first.provenance.configuration)?;
    let objective = &mut settings.training.objective;
    *objective = objective.at(latency_weight.unwrap_or(objective.latency_weight));
    let session = Session::open_for(&settings, &first.provenance.catalogue, path)?;
    let restore = |(checkpoint, path): (&Checkpoint, &std::path::PathBuf)| {
        Trained::restore(checkpoint, path, &session.parts, session.execution)
    };
    let trained = checkpoints.iter().zip(&paths).map(restore).collect::<Result<Vec<_>>>()?;
    let configuration = first.provenance.configuration.clone();
    Ok(Opened { session, trained, configuration })
}

/// The latency model of a checkpoint or run folder.
///
/// # Errors
/// It cannot be used, or there is none.
pub fn expect_latency_model(session: &Session, origin: &Path) -> Result<LatencyModel> {
    agent::latency_model(session.solver().catalogue(), origin)?.with_context(|| {
        let place = origin.display();
        format!("expected a latency model for `{place}`, found none; hint: `lamas calibrate {place}` fits one")
    })
}
