//! The method on one page: collect what plans do, credit their operators, take the loss, step.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use rand::seq::SliceRandom;

use super::expectation::{Expectation, Expected};
use super::outcomes::Outcomes;
use super::resume::Run;
use super::rollout::Attempt;
use super::setup::{Event, Halt, Notify, Setup, Trained};
use super::worth::Space;
use super::{Experience, Learner, Loss, Sample, Update, advantages, utilities};
use crate::controller::Controller;
use crate::execute::Episode;
use crate::plan::Plan;
use crate::random::{self, Purpose};

/// Problems between two checks for cancellation while plans are tried.
const CHUNK: usize = 16;
/// If a controller serves several latency weights, plans are judged at this many of them.
const WORTH_WEIGHTS: usize = 3;

/// Trains a controller.
///
/// # Errors
/// A setting is out of range, a folder cannot be written, the state is of another run, a model refuses requests permanently,
/// every query of a batch failed, or the loss is no longer finite. Earlier saved states stay and can be resumed from.
pub async fn train(setup: Setup<'_>, notify: &mut Notify<'_>) -> Result<Trained> {
    let mut run = Run::start(setup, notify)?;
    let ended = run.learn(notify).await;
    run.end(ended)
}

impl Run<'_> {
    async fn learn(&mut self, notify: &mut Notify<'_>) -> Result<(), Halt> {
        let survey = self.config.survey.clone();
        let is_chosen = !self.config.fallback || self.state.position.selection.is_some();
        let (config, signatures) =
            (self.learner.controller.config().clone(), self.learner.controller.signatures().to_vec());
        let latency_weights: Vec<f64> = match config.latency_weights {
            Some(weights) => weights.grid(WORTH_WEIGHTS).collect(),
            None => vec![self.config.felt().latency_weight],
        };
        let space = Space {
            signatures: &signatures,
            layers: config.layers,
            layout: config.layout(),
            operators: survey.operators,
            plans: survey.plans,
            latency_weights: &latency_weights,
        };
        let is_learned = self.state.position.rehearsals >= survey.passes;
        let outcomes = match survey.is_asked_for() && !(is_learned && is_chosen) {
            true => Some(self.collect(&space, survey.draws, notify).await?),
            false => None,
        };
        let cost_weight = self.config.objective.cost_weight;
        let expect = |outcomes: &Outcomes| Expectation::new(outcomes, cost_weight, self.learner.controller.device());
        let expectation = outcomes.as_ref().map(expect).transpose()?;
        if let Some(expectation) = expectation.as_ref().filter(|_| !is_learned) {
            let everything: Vec<usize> = (0..self.train.ids.len()).collect();
            for pass in self.state.position.rehearsals..survey.passes {
                self.learn_from_all(expectation, &everything, pass)?;
                self.state.position.rehearsals = pass + 1;
                self.finish_pass(notify).await?;
                if pass + 1 == survey.passes {
                    self.state.position.since_best = 0;
                }
                self.save()?;
            }
        }
        while !self.is_finished() {
            self.learn_from_drawn(self.state.position.epoch, notify).await?;
            self.check_cancelled()?;
            // A pass whose validation was stopped is not over: a resumed run validates it first.
            self.finish_pass(notify).await?;
            (self.state.position.epoch, self.state.position.batch) = (self.state.position.epoch + 1, 0);
            self.save()?;
        }
        if let Some((outcomes, expectation)) = outcomes.as_ref().zip(expectation.as_ref()) {
            self.select(&space, outcomes, expectation, notify).await?;
        }
        self.fit_halting(notify).await
    }

    /// Tries plans with more and more operators on all training problems, and keeps those worth learning from.
    async fn collect(&mut self, space: &Space<'_>, draws: u64, notify: &mut Notify<'_>) -> Result<Outcomes, Halt> {
        let mut outcomes = Outcomes::new(self.train.ids.len(), self.config.felt(), self.config.credit);
        for size in 1..=space.operators {
            let plans = space.candidates(&outcomes, size);
            self.try_all(plans, draws, &mut outcomes, notify).await?;
        }
        space.keep_worthwhile(&mut outcomes);
        if outcomes.plans.is_empty() {
            return Err(anyhow::anyhow!("expected a plan to learn from, found none that answers by itself").into());
        }
        Ok(outcomes)
    }

    /// Tries some plans on all training problems.
    async fn try_all(
        &mut self,
        plans: Vec<Plan>,
        draws: u64,
        outcomes: &mut Outcomes,
        notify: &mut Notify<'_>,
    ) -> Result<(), Halt> {
        let latency_weight = self.config.felt().latency_weight;
        let first = outcomes.plans.len();
        plans.iter().for_each(|plan| {
            outcomes.add(plan.clone());
        });
        let (problems, of) = (self.train.ids.len(), outcomes.plans.len() * self.train.ids.len());
        let is_first_pass = self.state.position.rehearsals == 0;
        for start in (0..problems).step_by(CHUNK) {
            self.check_cancelled()?;
            let chunk = start..problems.min(start + CHUNK);
            let of_plan = |problem: usize, plan: &Plan, draw: u64| Attempt {
                problem,
                proposal: plan.clone().into(),
                draw: Purpose::Training.draw(draw),
                latency_weight,
            };
            let attempts = chunk.clone().flat_map(|problem| plans.iter().map(move |plan| (problem, plan)));
            let attempts =
                attempts.flat_map(|(problem, plan)| (0..draws).map(move |draw| of_plan(problem, plan, draw)));
            let tried = self.train.solve_all(attempts.collect(), false, self.config.concurrency).await;
            let mut tally = self.state.position.pass.tally.clone();
            let tried = self.settle(tried, &mut tally)?;
            if is_first_pass {
                self.state.position.pass.tally = tally;
            }
            for (at, runs) in tried.chunks(draws.max(1) as usize).enumerate() {
                let (problem, plan) = (chunk.start + at / plans.len(), first + at % plans.len());
                let runs: Vec<Episode> = runs.iter().flatten().map(|tried| tried.episode.clone()).collect();
                outcomes.record(plan, problem, &runs);
            }
            notify(Event::Surveyed { runs: first * problems + chunk.end * plans.len(), of });
        }
        Ok(())
    }

    /// A controller that learns from only some of the training problems; the run's own stays as it is.
    pub(super) fn learned_from(&mut self, expectation: &Expectation, problems: &[usize]) -> Result<Controller, Halt> {
        let own = &self.learner.controller;
        let (config, signatures) = (own.config().clone(), own.signatures().to_vec());
        let untrained = Controller::from_tensors(config, signatures, own.operators(), &self.untrained, own.device())?;
        let own = std::mem::replace(&mut self.learner, Learner::new(untrained, self.config.clone())?);
        let sums = std::mem::take(&mut self.state.position.pass);
        let learned =
            (0..self.config.survey.passes).try_for_each(|pass| self.learn_from_all(expectation, problems, pass));
        self.state.position.pass = sums;
        let other = std::mem::replace(&mut self.learner, own);
        learned.map(|()| other.controller)
    }

    /// One pass over some training problems, each with all plans whose outcomes are known.
    fn learn_from_all(&mut self, expectation: &Expectation, among: &[usize], pass: u32) -> Result<(), Halt> {
        let survey = self.config.survey.clone();
        let mut order = among.to_vec();
        order.shuffle(&mut random::stream(self.provenance.seed, &[&"rehearsal", &pass]));
        let batches = order.chunks(survey.batch);
        let (in_pass, of) = (batches.len() as f64, f64::from(survey.passes));
        for (batch, problems) in batches.enumerate() {
            self.check_cancelled()?;
            let left = 1.0 - (f64::from(pass) + batch as f64 / in_pass) / of;
            let entropy = survey.last_entropy + (survey.first_entropy - survey.last_entropy) * left;
            let weight = |&problem: &usize| self.latency_weight("rehearsed latency weight", pass, problem);
            let latency_weights: Vec<f64> = problems.iter().map(weight).collect();
            let queries: Vec<&[f32]> = problems.iter().map(|&problem| self.train.queries[problem].as_slice()).collect();
            let problems: Vec<u32> = problems.iter().map(|&problem| problem as u32).collect();
            let rate = survey.learning_rate * left;
            let update = self.learner.expect(expectation, &problems, &queries, &latency_weights, rate, entropy)?;
            self.state.position.pass.add(update);
        }
        Ok(())
    }
}

impl Learner {
    /// Learns from the outcomes of all plans of `expectation` on `B` problems, with their embeddings and latency weights.
    fn expect(
        &mut self,
        expectation: &Expectation,
        problems: &[u32],
        queries: &[&[f32]],
        latency_weights: &[f64],
        learning_rate: f64,
        entropy: f64,
    ) -> Result<Update> {
        let device = self.controller.device();
        let count = problems.len();
        let plans = (0..count).flat_map(|query| expectation.plans.iter().map(move |plan| (query, plan)));
        let log_probs =
            self.controller.log_probs_of(&self.rows(queries)?, latency_weights, &plans.collect::<Vec<_>>())?;

        let weights: Vec<f32> = latency_weights.iter().map(|&weight| weight as f32).collect();
        let weights = Tensor::from_vec(weights, (count, 1), device)?;
        let by_problem = log_probs.reshape((count, ()))?;
        let Expected { advantages, entropy } =
            expectation.advantages(&Tensor::new(problems, device)?, &by_problem, &weights, entropy)?;

        let loss = ((by_problem * advantages)?.sum_all()? / -(count as f64))?;
        self.step(&loss, &entropy, learning_rate)
    }

    /// Learns from a batch of at least one episode; `left`, in [0, 1], is the share of the run still to come.
    ///
    /// # Errors
    /// The controller cannot draw a plan, or the loss is no longer finite; the weights are then unchanged.
    pub fn update(&mut self, batch: &[Experience<'_>], left: f64) -> Result<Update> {
        ensure!(!batch.is_empty(), "expected at least one episode to learn from, found none");
        let left = if self.config.anneal { left } else { 1.0 };
        let weights: Vec<f64> = batch.iter().map(|experience| experience.latency_weight).collect();
        let queries: Vec<&[f32]> = batch.iter().map(|experience| experience.query).collect();
        let plans: Vec<Plan> = batch.iter().map(|experience| experience.episode.plan.clone()).collect();
        let log_probs = self.controller.log_probs_at(&self.rows(&queries)?, &weights, &plans)?;

        let surprises = surprises(&log_probs.to_vec1()?, &plans);
        let config = &self.config;
        let sample = |(experience, surprise): (&Experience<'_>, &f64)| {
            let objective = config.objective.at(experience.latency_weight);
            let mut utilities = utilities(experience.episode, &objective, config.credit);
            // In expectation this is the gradient of the entropy.
            utilities.value += config.entropy_bonus * left * surprise;
            Sample { query: experience.problem, utilities }
        };
        let mut samples: Vec<Sample> = batch.iter().zip(&surprises).map(sample).collect();
        if self.controller.config().latency_weights.is_some() {
            self.averages.level(&mut samples, &weights);
        }
        let advantages = advantages(&samples, config.baseline, config.scaled, &mut self.averages);
        let advantages: Vec<f32> = advantages.into_iter().map(|advantage| advantage as f32).collect();
        let advantages = Tensor::new(advantages, self.controller.device())?;

        let loss = match config.loss {
            Loss::ChoiceMean => policy_loss(&log_probs, &advantages)?,
            Loss::EpisodeSum => episode_loss(&log_probs, &advantages, batch.len())?,
        };
        let entropy = Tensor::new(surprises.iter().sum::<f64>() as f32 / batch.len() as f32, &Device::Cpu)?;
        self.step(&loss, &entropy, config.learning_rate * left)
    }
}

/// (E7): minus the mean, over all choices, of log-probability times advantage, both `[choices]`; a scalar.
///
/// # Errors
/// The shapes differ.
pub fn policy_loss(log_probs: &Tensor, advantages: &Tensor) -> Result<Tensor> {
    Ok((log_probs * advantages)?.mean_all()?.neg()?)
}

/// Minus the sum over an episode's choices, averaged over `episodes`. Its gradient is that of the expected utility, in which a
/// plan with many operators weighs as much as one with few.
///
/// # Errors
/// The shapes differ.
pub fn episode_loss(log_probs: &Tensor, advantages: &Tensor, episodes: usize) -> Result<Tensor> {
    Ok(((log_probs * advantages)?.sum_all()? / -(episodes.max(1) as f64))?)
}

/// `-log p` of each plan, from the log-probabilities of all choices.
fn surprises(log_probs: &[f32], plans: &[Plan]) -> Vec<f64> {
    let mut log_probs = log_probs.iter();
    plans.iter().map(|plan| -log_probs.by_ref().take(plan.len()).map(|&p| f64::from(p)).sum::<f64>()).collect()
}
