//! The inputs, events and results of a training run.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::TrainingConfig;
use super::metrics::{EpochMetrics, Summary};
use super::rollout::{Problems, TrainingEpisode};
use super::selection::Selection;
use crate::checkpoint::{Checkpoint, Provenance};
use crate::controller::Controller;

/// The best weights so far, a [`Checkpoint`].
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// One [`EpochMetrics`] per line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The state that a resume starts from.
pub const STATE_FILE: &str = "state.safetensors";

/// What to train, on what, and where to keep it.
pub struct Setup<'a> {
    /// Untrained, or trained before.
    pub controller: Controller,
    pub config: TrainingConfig,
    pub train: Problems<'a>,
    /// Decides which pass was best; if it is empty, the training problems decide.
    pub validation: Problems<'a>,
    /// Goes into the checkpoint; its `seed` is the seed of the run.
    pub provenance: Provenance,
    /// An existing folder for the three files above; `None` keeps nothing.
    pub folder: Option<&'a Path>,
    /// Whether to continue from the state in `folder`, if there is one.
    pub resume: bool,
    /// Once set, training stops before the next batch or validation, and can be resumed.
    pub cancelled: &'a AtomicBool,
}

/// Something that happened during training.
pub enum Event<'a> {
    /// Some of the candidate plans of the survey have been tried.
    Surveyed { runs: usize, of: usize },
    /// Some of the runs of simpler candidates are done.
    Compared { runs: usize, of: usize },
    /// What the run answers with was chosen.
    Selected { selection: &'a Selection },
    /// Some of the runs that the halting head is fitted to are done.
    Followed { runs: usize, of: usize },
    /// Training continued from a saved state.
    Resumed { epoch: u32, batch: usize },
    /// A batch was learned from.
    Batch { epoch: u32, batch: usize, batches: usize, episodes: &'a [TrainingEpisode], pass: &'a Summary },
    /// A pass ended and was validated.
    Epoch { metrics: &'a EpochMetrics, validation: &'a [TrainingEpisode] },
}

/// The result of training.
pub struct Trained {
    /// The best weights; `None` when stopped within the first pass.
    pub checkpoint: Option<Checkpoint>,
    /// One record per pass.
    pub history: Vec<EpochMetrics>,
    /// False when cancelled or capped.
    pub finished: bool,
    /// Which cap stopped it, if one did.
    pub capped: Option<String>,
}

/// Receives the events.
pub(super) type Notify<'a> = dyn FnMut(Event<'_>) + Send + 'a;

/// Why a run stops before its end.
pub(super) enum Halt {
    Cancelled,
    /// A cap was reached. Nothing is learned from part of a batch, so a resumed run is the same run.
    Capped(String),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Halt {
    fn from(failure: anyhow::Error) -> Self {
        Halt::Failed(failure)
    }
}
