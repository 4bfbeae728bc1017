//! Trained controllers: found, and made ready to act.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::config::Common;
use super::session::Session;
use crate::checkpoint::Checkpoint;
use crate::controller::{Controller, LatencyWeights, Policy};
use crate::evaluation::latency::{LATENCY_FILE, LatencyModel};
use crate::executor::{HaltingHead, inputs};

/// Where runs are written unless told otherwise.
pub const RUNS: &str = "runs";
/// The best checkpoint of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// A controller that acts.
pub struct Trained {
    pub policy: Policy,
    /// Ends the plans early, where the controller was trained with one.
    pub halting: Option<Arc<HaltingHead>>,
    pub seed: u64,
}

/// Makes a checkpoint act in a session that was opened for it.
///
/// # Errors
/// The checkpoint was trained on another encoder, is of another shape, or was trained without a halting head where plans are
/// to end by one.
pub fn restore(session: &Session, checkpoint: &Checkpoint, origin: &Path) -> Result<Trained> {
    let (expected, found) = (&checkpoint.provenance.encoder, session.encoder.id());
    ensure!(
        expected == found,
        "`{}` was trained on encoder `{expected}`, found `{found}`; hint: set `--encoder`",
        origin.display()
    );
    let controller = Controller::from_checkpoint(checkpoint, session.kinds(), &session.device)
        .with_context(|| format!("cannot use `{}`", origin.display()))?;
    let trained =
        Trained::new(&controller, checkpoint).with_context(|| format!("cannot use `{}`", origin.display()))?;
    // Where no plan could have ended early there was nothing to fit a head to.
    let asked = checkpoint.provenance.configuration.pointer("/training/execution/halting") == Some(&true.into());
    ensure!(
        trained.halting.is_some() || asked || !session.system.execution().halting,
        "`{}`: expected a halting head, found none; hint: train with `--halting true`, or set `--halting false`",
        origin.display()
    );
    Ok(trained)
}

/// Controllers with a session that was opened for them.
pub struct Opened {
    pub session: Session,
    pub trained: Vec<Trained>,
    /// Of the first controller.
    pub configuration: serde_json::Value,
}

/// Opens a checkpoint, or all of a run folder.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn open(common: &Common, path: &Path) -> Result<Opened> {
    let paths = if path.is_dir() { checkpoints(path) } else { vec![path.to_owned()] };
    let checkpoints = paths.iter().map(|path| Checkpoint::load(path)).collect::<Result<Vec<_>>>()?;
    let first =
        checkpoints.first().with_context(|| format!("expected checkpoints under `{}`, found none", path.display()))?;
    let settings = common.resolve_for(&first.provenance.configuration)?;
    let session = Session::open_for(&settings, &first.provenance.catalogue, path)?;
    let trained = checkpoints
        .iter()
        .zip(&paths)
        .map(|(checkpoint, path)| restore(&session, checkpoint, path))
        .collect::<Result<Vec<_>>>()?;
    let configuration = first.provenance.configuration.clone();
    Ok(Opened { session, trained, configuration })
}

impl Trained {
    /// The two parts of a checkpoint, of which `controller` is the first.
    ///
    /// # Errors
    /// The halting head is damaged.
    pub fn new(controller: &Controller, checkpoint: &Checkpoint) -> Result<Self> {
        let head = || HaltingHead::from_tensors(&checkpoint.halting, inputs(controller.kinds().len()));
        let halting = (!checkpoint.halting.is_empty()).then(head).transpose()?.map(Arc::new);
        Ok(Trained { policy: Policy::new(controller)?, halting, seed: checkpoint.provenance.seed })
    }

    /// The same for queries of this latency weight.
    pub fn at(&self, latency_weight: f64) -> Self {
        let halting = self.halting.as_ref().map(|head| Arc::new(head.at(latency_weight)));
        Trained { policy: self.policy.at(latency_weight), halting, seed: self.seed }
    }

    /// The latency weights that the controller serves.
    ///
    /// # Errors
    /// It was trained for one only.
    pub fn latency_weights(&self) -> Result<LatencyWeights> {
        self.policy.config().latency_weights.context(
            "the controller was trained for one latency weight; hint: `lamas train --latency-weights LOW..HIGH` \
             trains one for all of a range",
        )
    }
}

/// Where the latency model of a run folder, or of a checkpoint, is kept.
pub fn latency_path(origin: &Path) -> PathBuf {
    if origin.is_dir() { origin.join(LATENCY_FILE) } else { origin.with_file_name(LATENCY_FILE) }
}

/// The latency model of a checkpoint, beside it or in the folder of its run; none where there is none.
///
/// # Errors
/// The file cannot be read, or is of another catalogue.
pub fn latency_model(session: &Session, origin: &Path) -> Result<Option<LatencyModel>> {
    let beside = latency_path(origin);
    let above = beside.parent().and_then(Path::parent).map(|folder| folder.join(LATENCY_FILE));
    let Some(path) = std::iter::once(beside).chain(above).find(|path| path.is_file()) else { return Ok(None) };
    let read = || -> Result<LatencyModel> {
        let model: LatencyModel = serde_json::from_slice(&std::fs::read(&path)?)?;
        let (expected, found) = (session.names(), model.operators.iter().map(|operator| &operator.name));
        ensure!(found.eq(&expected), "expected the operators {}, found others", expected.join(", "));
        Ok(model)
    };
    read().map(Some).with_context(|| {
        format!("cannot use the latency model `{}`; hint: `lamas calibrate` writes a new one", path.display())
    })
}

/// As [`latency_model`].
///
/// # Errors
/// Those of [`latency_model`], and where there is none.
pub fn expect_latency_model(session: &Session, origin: &Path) -> Result<LatencyModel> {
    latency_model(session, origin)?.with_context(|| {
        let place = origin.display();
        format!("expected a latency model for `{place}`, found none; hint: `lamas calibrate {place}` fits one")
    })
}

/// The checkpoint written last under a folder.
///
/// # Errors
/// There is none.
pub fn newest(folder: &Path) -> Result<(Checkpoint, PathBuf)> {
    let path = checkpoints(folder)
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .with_context(|| {
            let folder = folder.display();
            format!("expected a trained controller under `{folder}`, found none; hint: run `lamas train`, or name one")
        })?;
    Ok((Checkpoint::load(&path)?, path))
}

/// The checkpoints of a run folder (one for each seed), or of all runs below a folder, in order of their paths.
pub fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let checkpoint = folder.join(CHECKPOINT);
        if checkpoint.is_file() {
            found.push(checkpoint);
        }
        // runs / run / seed
        if depth < 2 {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            folders.extend(entries.filter(|path| path.is_dir()).map(|path| (path, depth + 1)));
        }
    }
    found.sort();
    found
}
