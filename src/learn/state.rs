//! Everything an exact resume needs, in one file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::metrics::{EpochMetrics, Tally};
use super::selection::Selection;
use super::{Learner, MovingAverages, Update};
use crate::checkpoint::TensorFile;
use crate::strategy::Strategies;

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Complete passes over the survey.
    pub rehearsals: u32,
    /// Complete passes of drawn plans.
    pub epoch: u32,
    /// Batches done in the current pass.
    pub batch: usize,
    pub pass: Pass,
    pub best: Option<Best>,
    /// Passes since the best one.
    pub since_best: u32,
    /// What the run answers with, and why; none until it is chosen.
    #[serde(default)]
    pub selection: Option<Selection>,
    /// One record per complete pass.
    pub history: Vec<EpochMetrics>,
}

/// Sums over the current pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pass {
    pub tally: Tally,
    pub updates: u32,
    pub loss: f64,
    pub entropy: f64,
    pub gradient_norm: f64,
}

impl Pass {
    pub fn add(&mut self, update: Update) {
        self.updates += 1;
        self.loss += update.loss;
        self.entropy += update.entropy;
        self.gradient_norm += update.gradient_norm;
    }
}

/// The best pass so far; its weights are kept separately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    pub utility: f64,
    pub step: u64,
}

/// A saved run.
#[derive(Default)]
pub(super) struct State {
    pub position: Position,
    pub best_weights: BTreeMap<String, Tensor>,
    /// The halting head for the best weights, by tensor; empty until it is fitted.
    pub halting: BTreeMap<String, Tensor>,
    /// What the run answers with.
    pub strategies: Strategies,
}

/// The part of the learner's state that is not tensors.
#[derive(Serialize, Deserialize)]
struct LearnerState {
    step: u64,
    averages: MovingAverages,
}

const WEIGHTS: &str = "weights.";
const BEST: &str = "best.";
const HALTING: &str = "halting.";

impl State {
    /// Writes the file completely or not at all. `identity` names the run: a resume under another identity is refused.
    ///
    /// # Errors
    /// The folder is missing or not writable, or the disk is full; an earlier file stays as it was.
    pub fn save(&self, path: &Path, learner: &Learner, identity: &str) -> Result<()> {
        let mut tensors = BTreeMap::new();
        tensors.extend(
            learner.controller.tensors()?.into_iter().map(|(name, tensor)| (format!("{WEIGHTS}{name}"), tensor)),
        );
        for (prefix, named) in [(BEST, &self.best_weights), (HALTING, &self.halting)] {
            tensors.extend(named.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())));
        }
        tensors.extend(learner.adam.moments()?);
        let text = LearnerState { step: learner.adam.steps(), averages: learner.averages.clone() };
        let metadata = BTreeMap::from([
            ("identity".to_string(), identity.to_string()),
            ("learner".into(), serde_json::to_string(&text)?),
            ("position".into(), serde_json::to_string(&self.position)?),
            ("strategies".into(), serde_json::to_string(&self.strategies)?),
        ]);
        TensorFile { tensors, metadata }.save(path)
    }

    /// Reads the file and restores `learner`.
    ///
    /// # Errors
    /// Names the file if it is damaged or belongs to another run.
    pub fn load(path: &Path, learner: &mut Learner, identity: &str) -> Result<Self> {
        let file = TensorFile::load(path)?;
        Self::restore(file, learner, identity).with_context(|| format!("cannot resume from `{}`", path.display()))
    }

    fn restore(file: TensorFile, learner: &mut Learner, identity: &str) -> Result<Self> {
        let text = |key: &str| file.metadata.get(key).with_context(|| format!("no metadata `{key}`"));
        ensure!(
            text("identity")? == identity,
            "the run was started with another seed, controller, objective or data set; \
             hint: give the same settings, or train into another folder"
        );
        let saved: LearnerState = serde_json::from_str(text("learner")?).context("metadata `learner`")?;
        let position = serde_json::from_str(text("position")?).context("metadata `position`")?;
        for (name, var) in learner.controller.named_vars() {
            let name = format!("{WEIGHTS}{name}");
            let tensor = file.tensors.get(&name).with_context(|| format!("no tensor `{name}`"))?;
            let (expected, found) = (var.dims(), tensor.dims());
            ensure!(found == expected, "tensor `{name}`: expected shape {expected:?}, found {found:?}");
            var.set(&tensor.to_device(var.device())?)?;
        }
        learner.adam.restore(saved.step, &file.tensors)?;
        learner.averages = saved.averages;
        let named = |prefix: &str| -> BTreeMap<String, Tensor> {
            let tensors = file.tensors.iter();
            let stripped =
                |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.into(), tensor.clone()));
            tensors.filter_map(stripped).collect()
        };
        let strategies = match file.metadata.get("strategies") {
            Some(text) => serde_json::from_str(text).context("metadata `strategies`")?,
            None => Strategies::default(),
        };
        Ok(State { position, best_weights: named(BEST), halting: named(HALTING), strategies })
    }
}
