//! A training run, from its start or from where it stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;

use super::rollout::Problems;
use super::setup::{CHECKPOINT_FILE, Event, Halt, METRICS_FILE, Notify, STATE_FILE, Setup, Trained};
use super::state::{Position, State};
use super::{Learner, TrainingConfig};
use crate::checkpoint::{Checkpoint, Provenance, write_atomic};
use crate::controller::Controller;
use crate::random;

pub(super) struct Run<'a> {
    pub config: TrainingConfig,
    pub learner: Learner,
    pub state: State,
    pub train: Problems<'a>,
    pub validation: Problems<'a>,
    pub provenance: Provenance,
    pub cancelled: &'a AtomicBool,
    /// The weights before training.
    pub untrained: BTreeMap<String, Tensor>,
    folder: Option<&'a Path>,
    identity: String,
}

impl<'a> Run<'a> {
    pub fn start(setup: Setup<'a>, notify: &mut Notify<'_>) -> Result<Self> {
        let Setup { controller, config, train, validation, provenance, folder, resume, cancelled } = setup;
        for (name, problems) in [("training", train), ("validation", validation)] {
            let (ids, queries) = (problems.ids.len(), problems.queries.len());
            ensure!(ids == queries, "expected one embedding per {name} problem ({ids}), found {queries}");
            let size = controller.config().embedding;
            if let Some(query) = problems.queries.iter().find(|query| query.len() != size) {
                anyhow::bail!("{name} embeddings: expected {size} numbers each, found {}", query.len());
            }
        }
        ensure!(!train.ids.is_empty(), "expected at least one training problem, found none");
        config.expect_passes()?;
        let identity = identity(&controller, &config, [train, validation], &provenance)?;
        let untrained = controller.tensors()?;
        let mut learner = Learner::new(controller, config.clone())?;
        let mut state = State::default();
        let saved = folder.map(|folder| folder.join(STATE_FILE)).filter(|path| resume && path.exists());
        if let Some(path) = saved {
            state = State::load(&path, &mut learner, &identity)?;
        }
        let run = Run { config, learner, state, train, validation, provenance, folder, cancelled, untrained, identity };
        // Shows at once that the folder can be written, and completes what a kill between two files left behind.
        run.save()?;
        if run.state.position != Position::default() {
            let Position { epoch, batch, .. } = run.state.position;
            notify(Event::Resumed { epoch, batch });
        }
        Ok(run)
    }

    /// The result of the run, saved whatever ended it.
    pub fn end(self, ended: Result<(), Halt>) -> Result<Trained> {
        if ended.is_err() {
            self.keep()?;
        }
        match ended {
            Ok(()) => Ok(self.into_trained(true, None)),
            Err(Halt::Cancelled) => Ok(self.into_trained(false, None)),
            Err(Halt::Capped(why)) => Ok(self.into_trained(false, Some(why))),
            Err(Halt::Failed(failure)) => Err(failure),
        }
    }

    /// Saves the state, unless the run is within a pass over a survey or plans are drawn ahead: a resumed run repeats those.
    fn keep(&self) -> Result<()> {
        let Position { epoch, batch, .. } = self.state.position;
        let is_within_rehearsal = epoch == 0 && batch == 0;
        if is_within_rehearsal || !self.config.is_whole(batch) { Ok(()) } else { self.save() }
    }

    /// Writes the state, then the checkpoint and the metrics, which follow from it, so that the three always match.
    pub fn save(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        self.state.save(&folder.join(STATE_FILE), &self.learner, &self.identity)?;
        if let Some(checkpoint) = self.checkpoint() {
            checkpoint.save(&folder.join(CHECKPOINT_FILE))?;
        }
        let mut lines = Vec::new();
        for record in &self.state.position.history {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        write_atomic(&folder.join(METRICS_FILE), &lines)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            weights: self.state.best_weights.clone(),
            operators: self.learner.controller.operators().clone(),
            halting: self.state.halting.clone(),
            strategies: serde_json::to_string(&self.state.strategies).ok()?,
            provenance: self.provenance.clone(),
            step: self.state.position.best.as_ref()?.step,
        })
    }

    fn into_trained(self, finished: bool, capped: Option<String>) -> Trained {
        Trained { checkpoint: self.checkpoint(), history: self.state.position.history, finished, capped }
    }
}

/// Identifies everything that a run's results depend on, apart from how long it lasts.
fn identity(
    controller: &Controller,
    config: &TrainingConfig,
    problems: [Problems<'_>; 2],
    provenance: &Provenance,
) -> Result<String> {
    // Where the run is saved matters only to plans drawn ahead.
    let save_every = if config.ahead == 0 { 0 } else { config.save_every };
    let neutral = TrainingConfig { epochs: 0, patience: 0, concurrency: 1, save_every, ..config.clone() };
    let key = random::key(&[
        &serde_json::to_string(controller.config()).context("controller settings")?,
        &serde_json::to_string(&neutral).context("training settings")?,
        &serde_json::to_string(&problems.map(|problems| problems.ids))?,
        &provenance.encoder,
        &provenance.catalogue,
        &provenance.seed,
    ]);
    Ok(format!("{key:016x}"))
}
