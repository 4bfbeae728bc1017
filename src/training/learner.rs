//! One update: episodes in, better weights out.

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

use super::survey::Survey;
use super::{
    Adam, Loss, MovingAverages, Sample, TrainingConfig, advantages, episode_loss, gradients, policy_loss, utilities,
};
use crate::controller::Controller;
use crate::execute::Episode;
use crate::plan::Plan;

/// A controller in training.
pub struct Learner {
    config: TrainingConfig,
    pub(super) controller: Controller,
    pub(super) adam: Adam,
    pub(super) averages: MovingAverages,
    vars: Vec<Var>,
}

/// An episode and what the controller read when it drew the plan.
pub struct Experience<'a> {
    /// Which problem it was; samples of one problem are compared with each other.
    pub problem: usize,
    /// `[E]`
    pub query: &'a [f32],
    /// The same for all samples of one problem.
    pub latency_weight: f64,
    pub episode: &'a Episode,
}

/// A surveyed problem and what the controller reads of it.
pub(super) struct Rehearsed<'a> {
    pub problem: usize,
    /// `[E]`
    pub query: &'a [f32],
    pub latency_weight: f64,
}

/// What an update looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    pub loss: f64,
    /// Nats per layer of a plan.
    pub entropy: f64,
    /// Before clipping.
    pub gradient_norm: f64,
}

impl Learner {
    /// # Errors
    /// A setting out of range.
    pub fn new(controller: Controller, config: TrainingConfig) -> Result<Self> {
        config.validate()?;
        let adam = Adam::new(controller.named_vars());
        let vars = controller.named_vars().map(|(_, var)| var).collect();
        Ok(Learner { config, controller, adam, averages: MovingAverages::default(), vars })
    }

    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Learns from a batch of at least one episode, when the share `left` of the run, in [0, 1], is still to come.
    ///
    /// # Errors
    /// A plan that the controller cannot draw, or a loss that is no longer finite; the weights are then unchanged.
    pub fn update(&mut self, batch: &[Experience<'_>], left: f64) -> Result<Update> {
        ensure!(!batch.is_empty(), "expected at least one episode to learn from, found none");
        let config = &self.config;
        let sample = |experience: &Experience<'_>| Sample {
            query: experience.problem,
            utilities: utilities(experience.episode, &config.objective.at(experience.latency_weight), config.credit),
        };
        let mut samples: Vec<Sample> = batch.iter().map(sample).collect();
        let weights: Vec<f64> = batch.iter().map(|experience| experience.latency_weight).collect();
        if self.controller.config().latency_weights.is_some() {
            self.averages.level(&mut samples, &weights);
        }
        let advantages = advantages(&samples, config.baseline, config.scaled, &mut self.averages);

        let device = self.controller.device();
        let advantages: Vec<f32> = advantages.into_iter().map(|advantage| advantage as f32).collect();
        let advantages = Tensor::new(advantages, device)?;
        let queries: Vec<f32> = batch.iter().flat_map(|experience| experience.query).copied().collect();
        let queries = Tensor::from_vec(queries, (batch.len(), self.controller.config().embedding), device)
            .context("query embeddings of another size than the controller's")?;
        let plans: Vec<_> = batch.iter().map(|experience| experience.episode.plan.clone()).collect();

        let evaluation = self.controller.evaluate_at(&queries, &weights, &plans)?;
        let loss = match config.loss {
            Loss::ChoiceMean => policy_loss(&evaluation.log_probs, &advantages)?,
            Loss::EpisodeSum => episode_loss(&evaluation.log_probs, &advantages, batch.len())?,
        };
        let entropy = evaluation.entropy.mean_all()?;
        let left = if self.config.anneal { left } else { 1.0 };
        let loss = match self.config.entropy_bonus * left {
            0.0 => loss,
            bonus => (loss - (&entropy * bonus)?)?,
        };
        self.descend(&loss, &entropy, self.config.learning_rate * left)
    }

    /// Learns from what the surveyed plans did on at least one problem.
    ///
    /// # Errors
    /// As [`Learner::update`].
    pub(super) fn rehearse(
        &mut self,
        survey: &Survey,
        problems: &[Rehearsed<'_>],
        learning_rate: f64,
        entropy: f64,
    ) -> Result<Update> {
        let device = self.controller.device();
        let count = survey.plans.len();
        let plans: Vec<_> = problems.iter().flat_map(|_| survey.plans.iter().cloned()).collect();
        let queries: Vec<f32> = problems.iter().flat_map(|rehearsed| rehearsed.query.repeat(count)).collect();
        let queries = Tensor::from_vec(queries, (plans.len(), self.controller.config().embedding), device)?;
        let weights: Vec<f64> =
            problems.iter().flat_map(|rehearsed| std::iter::repeat_n(rehearsed.latency_weight, count)).collect();
        let evaluation = self.controller.evaluate_at(&queries, &weights, &plans)?;

        let log_probs = evaluation.log_probs.to_vec1::<f32>()?;
        let mut of_choices = log_probs.iter().map(|&log_prob| f64::from(log_prob));
        let mut advantages = Vec::with_capacity(log_probs.len());
        let mut entropy_weights = Vec::new();
        for Rehearsed { problem, latency_weight, .. } in problems {
            let log_prob = |plan: &Plan| of_choices.by_ref().take(plan.len()).sum();
            let log_probs: Vec<f64> = survey.plans.iter().map(log_prob).collect();
            let of_problem = survey.advantages(*problem, &log_probs, *latency_weight, entropy);
            advantages.extend(of_problem.into_iter().map(|advantage| advantage as f32));
            let weights = survey.probabilities(*problem, &log_probs);
            let layers = survey.plans.iter().zip(weights);
            entropy_weights.extend(layers.flat_map(|(plan, weight)| vec![weight as f32; plan.layers.len()]));
        }
        let advantages = Tensor::new(advantages, device)?;
        let loss = episode_loss(&evaluation.log_probs, &advantages, problems.len())?;
        let entropy_weights = Tensor::new(entropy_weights, device)?;
        let mean_entropy = (&evaluation.entropy * &entropy_weights)?.sum_all()?.div(&entropy_weights.sum_all()?)?;
        self.descend(&loss, &mean_entropy, learning_rate)
    }

    /// One step of Adam down the gradient of `loss`; `entropy` is for the record.
    fn descend(&mut self, loss: &Tensor, entropy: &Tensor, learning_rate: f64) -> Result<Update> {
        let (gradients, gradient_norm) = gradients(&loss.backward()?, &self.vars, self.config.clip)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        ensure!(
            loss.is_finite() && gradient_norm.is_finite(),
            "training diverged: loss {loss}, gradient norm {gradient_norm}; hint: lower `learning_rate` or set `clip`"
        );
        self.adam.step(&gradients, learning_rate)?;
        Ok(Update { loss, entropy: f64::from(entropy.to_scalar::<f32>()?), gradient_norm })
    }
}
