//! The training loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::seq::SliceRandom;

use super::metrics::{EpochMetrics, MeanProbabilities, Summary, Tally};
use super::rollout::{Attempt, Problems, Tried};
use super::state::{Best, Position, State};
use super::{Learner, TrainingConfig};
use crate::checkpoint::{Checkpoint, Provenance, write_atomic};
use crate::controller::{Controller, Policy};
use crate::execute::ExecuteError;
use crate::random::{self, Purpose};

/// The best weights so far, a [`Checkpoint`].
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// One [`EpochMetrics`] per line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// Weights at which a controller that serves several is validated.
const VALIDATION_WEIGHTS: usize = 5;
/// What a resume starts from.
pub const STATE_FILE: &str = "state.safetensors";

/// What to train, on what, and where to keep it.
pub struct Setup<'a> {
    /// Untrained, or trained elsewhere.
    pub controller: Controller,
    pub config: TrainingConfig,
    pub train: Problems<'a>,
    /// Decides which pass was best; where it is empty, the training problems do.
    pub validation: Problems<'a>,
    /// Goes into the checkpoint; its `seed` is the seed of the run.
    pub provenance: Provenance,
    /// An existing folder for the three files above; `None` keeps nothing.
    pub folder: Option<&'a Path>,
    /// Whether to go on from the state in `folder`, if there is one.
    pub resume: bool,
    /// Once set, training stops before the next batch or validation and can be resumed.
    pub cancelled: &'a AtomicBool,
}

/// What happens during training.
pub enum Event<'a> {
    /// Some of the plans of the survey have been run.
    Surveyed { runs: usize, of: usize },
    /// Some of the runs that the halting head is fitted to are done.
    Followed { runs: usize, of: usize },
    /// Training went on from a saved state.
    Resumed { epoch: u32, batch: usize },
    /// A batch was learned from.
    Batch { epoch: u32, batch: usize, batches: usize, episodes: &'a [Tried], pass: &'a Summary },
    /// A pass ended and was validated.
    Epoch { metrics: &'a EpochMetrics, validation: &'a [Tried] },
}

/// What training came to.
pub struct Trained {
    /// The best weights; `None` when stopped within the first pass.
    pub checkpoint: Option<Checkpoint>,
    /// One record per pass.
    pub history: Vec<EpochMetrics>,
    /// False when cancelled or capped.
    pub finished: bool,
    /// Why there is no more to spend, if that stopped it.
    pub capped: Option<String>,
}

/// Trains a controller.
///
/// # Errors
/// A setting out of range, a folder that cannot be written, a state of another run, a model that refuses requests for
/// good, a batch in which every query failed, or a loss that is no longer finite. What was saved before stays and can be
/// resumed from.
pub async fn train(setup: Setup<'_>, notify: &mut Notify<'_>) -> Result<Trained> {
    let mut run = Run::start(setup)?;
    if run.state.position != Position::default() {
        let Position { epoch, batch, .. } = run.state.position;
        notify(Event::Resumed { epoch, batch });
    }
    let ended = run.go(notify).await;
    if ended.is_err() {
        run.keep()?;
    }
    match ended {
        Ok(()) => Ok(run.into_trained(true, None)),
        Err(Halt::Cancelled) => Ok(run.into_trained(false, None)),
        Err(Halt::Capped(why)) => Ok(run.into_trained(false, Some(why))),
        Err(Halt::Failed(failure)) => Err(failure),
    }
}

/// Is told what happens.
pub(super) type Notify<'a> = dyn FnMut(Event<'_>) + Send + 'a;

/// Why a run stops before its end.
pub(super) enum Halt {
    Cancelled,
    /// There is no more to spend: nothing is learned from a part, so that a resumed run is the same run.
    Capped(String),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Halt {
    fn from(failure: anyhow::Error) -> Self {
        Halt::Failed(failure)
    }
}

pub(super) struct Run<'a> {
    pub(super) config: TrainingConfig,
    pub(super) learner: Learner,
    pub(super) state: State,
    pub(super) train: Problems<'a>,
    validation: Problems<'a>,
    pub(super) provenance: Provenance,
    pub(super) folder: Option<&'a Path>,
    cancelled: &'a AtomicBool,
    pub(super) identity: String,
}

impl<'a> Run<'a> {
    fn start(setup: Setup<'a>) -> Result<Self> {
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
        let mut learner = Learner::new(controller, config.clone())?;
        let mut state = State::default();
        let saved = folder.map(|folder| folder.join(STATE_FILE)).filter(|path| resume && path.exists());
        if let Some(path) = saved {
            state = State::load(&path, &mut learner, &identity)?;
        }
        let run = Run { config, learner, state, train, validation, provenance, folder, cancelled, identity };
        if !resume {
            run.forget_survey()?;
        }
        // Shows at once that the folder can be written, and completes what a kill between two files left behind.
        run.save()?;
        run.publish()?;
        Ok(run)
    }

    async fn go(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        self.rehearse(notify).await?;
        while !self.is_finished() {
            let epoch = self.state.position.epoch;
            self.draw_pass(epoch, notify).await?;
            self.look()?;
            (self.state.position.epoch, self.state.position.batch) = (epoch + 1, 0);
            self.finish_pass(notify).await?;
            self.save()?;
            self.publish()?;
        }
        self.fit_halting(notify).await
    }

    fn is_finished(&self) -> bool {
        let Position { epoch, since_best, .. } = self.state.position;
        epoch >= self.config.epochs || (self.config.patience > 0 && since_best >= self.config.patience)
    }

    /// Whether to go on.
    pub(super) fn look(&self) -> Result<(), Halt> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Halt::Cancelled) } else { Ok(()) }
    }

    /// The training problems in an order of their own.
    pub(super) fn order(&self, rng: &mut impl Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.ids.len()).collect();
        order.shuffle(rng);
        order
    }

    /// The latency weight of a problem in a pass, the same for all its samples, which are compared with each other.
    pub(super) fn latency_weight(&self, purpose: &str, pass: u32, problem: usize) -> f64 {
        let id = &self.train.ids[problem];
        match self.learner.controller.config().latency_weights {
            Some(weights) => weights.draw(&mut random::stream(self.provenance.seed, &[&purpose, &pass, id])),
            None => self.config.felt().latency_weight,
        }
    }

    /// Ends a pass: validates greedily, at each of a few weights where the controller serves several, records it and keeps
    /// the weights if they are the best so far.
    pub(super) async fn finish_pass(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let policy = Policy::new(&self.learner.controller)?;
        let mut probabilities = MeanProbabilities::new(&policy);
        let mut attempts = Vec::new();
        for latency_weight in self.validation_weights() {
            let policy = policy.at(latency_weight);
            for (problem, query) in self.validation.queries.iter().enumerate() {
                let plan = policy.greedy(query);
                probabilities.add(&policy.probabilities(query, &plan));
                attempts.push(Attempt { problem, plan, draw: Purpose::Training.draw(0), latency_weight });
            }
        }
        let outcomes = self.validation.solve_all(attempts, self.config.concurrency).await;
        let mut tally = Tally::default();
        let episodes = self.settle(outcomes, &mut tally)?;

        let position = &mut self.state.position;
        let pass = std::mem::take(&mut position.pass);
        let (train, validation) = (pass.tally.summary(), tally.summary());
        let utility = if validation.episodes > 0 { validation.utility } else { train.utility };
        let step = self.learner.adam.steps();
        let best = position.best.as_ref().is_none_or(|best| utility > best.utility);
        if best {
            position.best = Some(Best { utility, step });
            self.state.best_weights = self.learner.controller.tensors()?;
            self.state.halting.clear();
        }
        position.since_best = if best { 0 } else { position.since_best + 1 };
        let mean = |sum: f64| sum / f64::from(pass.updates.max(1));
        position.history.push(EpochMetrics {
            pass: position.history.len() as u32 + 1,
            step,
            train,
            validation,
            best,
            loss: mean(pass.loss),
            entropy: mean(pass.entropy),
            gradient_norm: mean(pass.gradient_norm),
            probabilities: probabilities.mean(),
        });
        let validation: Vec<Tried> = episodes.into_iter().filter_map(|(_, tried)| tried).collect();
        if let Some(metrics) = self.state.position.history.last() {
            notify(Event::Epoch { metrics, validation: &validation });
        }
        Ok(())
    }

    fn validation_weights(&self) -> Vec<f64> {
        match self.learner.controller.config().latency_weights {
            Some(weights) => weights.grid(VALIDATION_WEIGHTS).collect(),
            None => vec![self.config.felt().latency_weight],
        }
    }

    /// Keeps the episodes, none for a failure, and counts both. Nothing but failures, or one that would meet every query
    /// alike, is a reason to stop.
    pub(super) fn settle(
        &self,
        outcomes: Vec<(usize, Result<Tried>)>,
        tally: &mut Tally,
    ) -> Result<Vec<(usize, Option<Tried>)>, Halt> {
        let mut episodes = Vec::with_capacity(outcomes.len());
        let mut last_failure = None;
        for (problem, outcome) in outcomes {
            match outcome {
                Ok(tried) => {
                    tally.add(&tried.episode, &self.config.felt().at(tried.latency_weight));
                    episodes.push((problem, Some(tried)));
                }
                Err(failure) => {
                    let error = failure.downcast_ref::<ExecuteError>();
                    if let Some(cap) = error.and_then(ExecuteError::cap) {
                        return Err(Halt::Capped(cap.to_owned()));
                    }
                    if error.is_some() {
                        return Err(failure.context("training stopped; hint: resume when the cause is gone").into());
                    }
                    tally.add_failure();
                    last_failure = Some(failure);
                    episodes.push((problem, None));
                }
            }
        }
        match last_failure {
            Some(failure) if episodes.iter().all(|(_, episode)| episode.is_none()) => {
                Err(failure.context("every query of a batch failed; hint: resume when the cause is gone").into())
            }
            _ => Ok(episodes),
        }
    }

    /// Saves where the run stands, unless that is within a pass over a survey or among plans drawn ahead: a resume begins
    /// those anew.
    fn keep(&self) -> Result<()> {
        let Position { epoch, batch, .. } = self.state.position;
        let is_within_rehearsal = epoch == 0 && batch == 0;
        if is_within_rehearsal || !self.config.is_whole(batch) { Ok(()) } else { self.save() }
    }

    pub(super) fn save(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        self.state.save(&folder.join(STATE_FILE), &self.learner, &self.identity)
    }

    /// Writes the checkpoint and the metrics anew; both follow from the state, so they always belong together.
    pub(super) fn publish(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
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
            provenance: self.provenance.clone(),
            step: self.state.position.best.as_ref()?.step,
        })
    }

    fn into_trained(self, finished: bool, capped: Option<String>) -> Trained {
        Trained { checkpoint: self.checkpoint(), history: self.state.position.history, finished, capped }
    }
}

/// Names what a run's results depend on, apart from how long it lasts.
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
