//! The training loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::seq::SliceRandom;

use super::metrics::{EpochMetrics, Summary, Tally};
use super::rollout::{Attempt, Problems};
use super::state::{Best, Position, State};
use super::{Experience, Learner, TrainingConfig};
use crate::checkpoint::{Checkpoint, Provenance, write_atomic};
use crate::controller::{Controller, Policy};
use crate::executor::ExecuteError;
use crate::random;
use crate::system::Episode;

/// The best weights so far, a [`Checkpoint`].
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// One [`EpochMetrics`] per line.
pub const METRICS_FILE: &str = "metrics.jsonl";
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
    /// Training went on from a saved state.
    Resumed { epoch: u32, batch: usize },
    /// A batch was learned from.
    Batch { epoch: u32, batch: usize, batches: usize, episodes: &'a [Episode], pass: &'a Summary },
    /// A pass ended and was validated.
    Epoch { metrics: &'a EpochMetrics, validation: &'a [Episode] },
}

/// What training came to.
pub struct Trained {
    /// The best weights; `None` when stopped within the first pass.
    pub checkpoint: Option<Checkpoint>,
    /// One record per pass.
    pub history: Vec<EpochMetrics>,
    /// False when cancelled.
    pub finished: bool,
}

/// Trains a controller.
///
/// # Errors
/// A setting out of range, a folder that cannot be written, a state of another run, a query that could not be run (see
/// [`ExecuteError`]), a batch in which every query failed, or a loss that is no longer finite. What was saved before
/// stays and can be resumed from.
pub async fn train(setup: Setup<'_>, notify: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<Trained> {
    let mut run = Run::start(setup)?;
    if run.state.position != Position::default() {
        let Position { epoch, batch, .. } = run.state.position;
        notify(Event::Resumed { epoch, batch });
    }
    if !run.state.position.rehearsed && !run.rehearse(notify).await? {
        return Ok(run.into_trained(false));
    }
    while !run.is_finished() {
        let epoch = run.state.position.epoch;
        let order = run.shuffled(epoch);
        let batches = order.chunks(run.config.batch);
        let count = batches.len();
        for (batch, problems) in batches.enumerate().skip(run.state.position.batch) {
            if run.is_cancelled() {
                return run.stop();
            }
            let episodes = run.draw_episodes(epoch, problems).await?;
            run.learn(&episodes)?;
            let episodes: Vec<Episode> = episodes.into_iter().map(|(_, episode)| episode).collect();
            let pass = run.state.position.pass.tally.summary();
            notify(Event::Batch { epoch, batch, batches: count, episodes: &episodes, pass: &pass });
            run.state.position.batch = batch + 1;
            if run.config.save_every > 0 && (batch + 1).is_multiple_of(run.config.save_every as usize) {
                run.save()?;
            }
        }
        if run.is_cancelled() {
            return run.stop();
        }
        run.finish_pass(epoch + 1, notify).await?;
    }
    Ok(run.into_trained(true))
}

pub(super) struct Run<'a> {
    pub(super) config: TrainingConfig,
    pub(super) learner: Learner,
    pub(super) state: State,
    pub(super) train: Problems<'a>,
    validation: Problems<'a>,
    pub(super) provenance: Provenance,
    folder: Option<&'a Path>,
    cancelled: &'a AtomicBool,
    identity: String,
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
        let identity = identity(&controller, &config, [train, validation], &provenance)?;
        let mut learner = Learner::new(controller, config.clone())?;
        let mut state = State { position: Position::default(), best_weights: Default::default() };
        let saved = folder.map(|folder| folder.join(STATE_FILE)).filter(|path| resume && path.exists());
        if let Some(path) = saved {
            state = State::load(&path, &mut learner, &identity)?;
        }
        let run = Run { config, learner, state, train, validation, provenance, folder, cancelled, identity };
        // Shows at once that the folder can be written, and completes what a kill between two files left behind.
        run.save()?;
        run.publish()?;
        Ok(run)
    }

    fn is_finished(&self) -> bool {
        let Position { epoch, since_best, .. } = self.state.position;
        epoch >= self.config.epochs || (self.config.patience > 0 && since_best >= self.config.patience)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn stop(self) -> Result<Trained> {
        self.save()?;
        Ok(self.into_trained(false))
    }

    fn shuffled(&self, epoch: u32) -> Vec<usize> {
        self.order(&mut random::stream(self.provenance.seed, &[&"shuffle", &epoch]))
    }

    /// The training problems in an order of their own.
    pub(super) fn order(&self, rng: &mut impl Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.ids.len()).collect();
        order.shuffle(rng);
        order
    }

    /// Draws plans for `problems` and runs them; failed queries are counted and left out.
    async fn draw_episodes(&mut self, epoch: u32, problems: &[usize]) -> Result<Vec<(usize, Episode)>> {
        let policy = Policy::new(&self.learner.controller)?;
        let mut attempts = Vec::with_capacity(problems.len() * self.config.samples as usize);
        for &problem in problems {
            for sample in 0..self.config.samples {
                let id = &self.train.ids[problem];
                let mut rng = random::stream(self.provenance.seed, &[&"plan", &epoch, id, &sample]);
                let plan = policy.sample(&self.train.queries[problem], &mut rng);
                let attempt = u64::from(epoch) * u64::from(self.config.samples) + u64::from(sample);
                attempts.push(Attempt { problem, plan, draw: attempt % self.config.draws });
            }
        }
        let outcomes = self.train.solve_all(attempts, self.config.concurrency).await;
        let mut tally = self.state.position.pass.tally.clone();
        let episodes = self.settle(outcomes, &mut tally).or_else(|failure| self.save().and(Err(failure)))?;
        self.state.position.pass.tally = tally;
        Ok(episodes.into_iter().filter_map(|(problem, episode)| Some((problem, episode?))).collect())
    }

    fn learn(&mut self, episodes: &[(usize, Episode)]) -> Result<()> {
        let queries = self.train.queries;
        let experience = |(problem, episode)| Experience { problem, query: &queries[problem], episode };
        let batch: Vec<_> = episodes.iter().map(|(problem, episode)| experience((*problem, episode))).collect();
        let update = self.learner.update(&batch)?;
        self.state.position.pass.add(update);
        Ok(())
    }

    /// Validates greedily, writes the record of the pass and keeps the weights if they are the best so far. `epoch`
    /// passes are then done; before the first there is only the survey.
    pub(super) async fn finish_pass(&mut self, epoch: u32, notify: &mut (dyn FnMut(Event<'_>) + Send)) -> Result<()> {
        let policy = Policy::new(&self.learner.controller)?;
        let plans: Vec<_> = self.validation.queries.iter().map(|query| policy.greedy(query)).collect();
        let probabilities = mean_probabilities(&policy, self.validation.queries, &plans);
        let attempt = |(problem, plan)| Attempt { problem, plan, draw: 0 };
        let attempts = plans.into_iter().enumerate().map(attempt).collect();
        let outcomes = self.validation.solve_all(attempts, self.config.concurrency).await;
        let mut tally = Tally::default();
        // A resume validates again; nothing of the survey is saved before it was validated.
        let save = || if epoch > 0 { self.save() } else { Ok(()) };
        let episodes = self.settle(outcomes, &mut tally).or_else(|failure| save().and(Err(failure)))?;

        let position = &mut self.state.position;
        (position.epoch, position.batch) = (epoch, 0);
        let pass = std::mem::take(&mut position.pass);
        let (train, validation) = (pass.tally.summary(), tally.summary());
        let utility = if validation.episodes > 0 { validation.utility } else { train.utility };
        let step = self.learner.adam.steps();
        let best = position.best.as_ref().is_none_or(|best| utility > best.utility);
        if best {
            position.best = Some(Best { utility, step });
            self.state.best_weights = self.learner.controller.tensors()?;
        }
        position.since_best = if best { 0 } else { position.since_best + 1 };
        let mean = |sum: f64| sum / f64::from(pass.updates.max(1));
        position.history.push(EpochMetrics {
            epoch: position.epoch,
            step,
            train,
            validation,
            best,
            loss: mean(pass.loss),
            entropy: mean(pass.entropy),
            gradient_norm: mean(pass.gradient_norm),
            probabilities,
        });
        self.save()?;
        self.publish()?;
        let validation: Vec<Episode> = episodes.into_iter().filter_map(|(_, episode)| episode).collect();
        if let Some(metrics) = self.state.position.history.last() {
            notify(Event::Epoch { metrics, validation: &validation });
        }
        Ok(())
    }

    /// Keeps the episodes, none for a failure, and counts both; gives up when there is nothing but failures, or when a
    /// failure would meet every query alike.
    pub(super) fn settle(
        &self,
        outcomes: Vec<(usize, Result<Episode>)>,
        tally: &mut Tally,
    ) -> Result<Vec<(usize, Option<Episode>)>> {
        let mut episodes = Vec::with_capacity(outcomes.len());
        let mut last_failure = None;
        for (problem, outcome) in outcomes {
            match outcome {
                Ok(episode) => {
                    tally.add(&episode, &self.config.reward);
                    episodes.push((problem, Some(episode)));
                }
                Err(failure) if failure.is::<ExecuteError>() => return Err(failure),
                Err(failure) => {
                    tally.add_failure();
                    last_failure = Some(failure);
                    episodes.push((problem, None));
                }
            }
        }
        match last_failure {
            Some(failure) if episodes.iter().all(|(_, episode)| episode.is_none()) => {
                Err(failure.context("every query of a batch failed; hint: resume when the cause is gone"))
            }
            _ => Ok(episodes),
        }
    }

    fn save(&self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        self.state.save(&folder.join(STATE_FILE), &self.learner, &self.identity)
    }

    /// Writes the checkpoint and the metrics anew; both follow from the state, so they always belong together.
    fn publish(&self) -> Result<()> {
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
            provenance: self.provenance.clone(),
            step: self.state.position.best.as_ref()?.step,
        })
    }

    fn into_trained(self, finished: bool) -> Trained {
        Trained { checkpoint: self.checkpoint(), history: self.state.position.history, finished }
    }
}

/// Mean probability of each operator over the queries whose plan reaches a layer, `[L][O]`.
fn mean_probabilities(policy: &Policy, queries: &[Vec<f32>], plans: &[crate::plan::Plan]) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; policy.kinds().len()]; policy.config().layers];
    let mut counts = vec![0.0f64; policy.config().layers];
    for (query, plan) in queries.iter().zip(plans) {
        for (layer, probabilities) in policy.probabilities(query, plan).iter().enumerate() {
            counts[layer] += 1.0;
            sums[layer].iter_mut().zip(probabilities).for_each(|(sum, &p)| *sum += f64::from(p));
        }
    }
    for (row, count) in sums.iter_mut().zip(counts) {
        row.iter_mut().for_each(|sum| *sum /= count.max(1.0));
    }
    sums
}

/// Names what a run's results depend on, apart from how long it lasts.
fn identity(
    controller: &Controller,
    config: &TrainingConfig,
    problems: [Problems<'_>; 2],
    provenance: &Provenance,
) -> Result<String> {
    let neutral = TrainingConfig { epochs: 0, patience: 0, concurrency: 1, save_every: 0, ..config.clone() };
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
