//! What all passes have in common: their order, latency weights and end.

use std::sync::atomic::Ordering;

use anyhow::Result;
use rand::Rng;
use rand::seq::SliceRandom;

use super::metrics::{EpochMetrics, MeanProbabilities, Tally};
use super::resume::Run;
use super::rollout::{Attempt, TrainingEpisode};
use super::setup::{Event, Halt, Notify};
use super::state::{Best, Position};
use crate::controller::Policy;
use crate::execute::ExecuteError;
use crate::random::{self, Purpose};

/// Weights at which a controller that serves several is validated.
const VALIDATION_WEIGHTS: usize = 5;

impl Run<'_> {
    pub fn is_finished(&self) -> bool {
        let Position { epoch, since_best, .. } = self.state.position;
        epoch >= self.config.epochs || (self.config.patience > 0 && since_best >= self.config.patience)
    }

    /// An error if the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), Halt> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Halt::Cancelled) } else { Ok(()) }
    }

    /// The training problems in random order.
    pub fn order(&self, rng: &mut impl Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.train.ids.len()).collect();
        order.shuffle(rng);
        order
    }

    /// The latency weight of a problem in a pass. All its samples have the same one, because they are compared with each other.
    pub fn latency_weight(&self, purpose: &str, pass: u32, problem: usize) -> f64 {
        let id = &self.train.ids[problem];
        match self.learner.controller.config().latency_weights {
            Some(weights) => weights.draw(&mut random::stream(self.provenance.seed, &[&purpose, &pass, id])),
            None => self.config.felt().latency_weight,
        }
    }

    /// Ends a pass: validates greedily (at a few latency weights if the controller serves several), records the result, and
    /// keeps the weights if they are the best so far.
    pub async fn finish_pass(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let policy = Policy::new(&self.learner.controller)?;
        let mut probabilities = MeanProbabilities::new(&policy);
        let mut attempts = Vec::new();
        for latency_weight in self.validation_weights() {
            let policy = policy.at(latency_weight);
            for (problem, query) in self.validation.queries.iter().enumerate() {
                let plan = policy.greedy(query);
                probabilities.add(&policy.probabilities(query, &plan));
                attempts.push(Attempt {
                    problem,
                    proposal: plan.into(),
                    draw: Purpose::Training.draw(0),
                    latency_weight,
                });
            }
        }
        let outcomes = self.validation.solve_all(attempts, false, self.config.concurrency).await;
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
        let validation: Vec<TrainingEpisode> = episodes.into_iter().flatten().collect();
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

    /// Keeps the episodes (none for a failure) and counts both. Stops if everything failed, or at a failure that every query
    /// would meet.
    pub fn settle(
        &self,
        outcomes: Vec<Result<TrainingEpisode>>,
        tally: &mut Tally,
    ) -> Result<Vec<Option<TrainingEpisode>>, Halt> {
        let mut episodes = Vec::with_capacity(outcomes.len());
        let mut last_failure = None;
        for outcome in outcomes {
            match outcome {
                Ok(tried) => {
                    tally.add(&tried.episode, &self.config.felt().at(tried.latency_weight));
                    episodes.push(Some(tried));
                }
                Err(failure) => {
                    let error = failure.downcast_ref::<ExecuteError>();
                    if let Some(cap) = error.and_then(ExecuteError::cap) {
                        return Err(Halt::Capped(cap.to_owned()));
                    }
                    if error.is_some_and(ExecuteError::is_of_query) {
                        episodes.push(None);
                        continue;
                    }
                    if error.is_some() {
                        return Err(failure.context("training stopped; hint: resume once the cause is fixed").into());
                    }
                    tally.add_failure();
                    last_failure = Some(failure);
                    episodes.push(None);
                }
            }
        }
        match last_failure {
            Some(failure) if episodes.iter().all(Option::is_none) => {
                Err(failure.context("every query of a batch failed; hint: resume once the cause is fixed").into())
            }
            _ => Ok(episodes),
        }
    }
}
