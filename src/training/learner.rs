//! One update: episodes in, better weights out.

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

use super::{
    Adam, MovingAverages, Objective, Sample, TrainingConfig, advantages, episode_loss, gradients, policy_loss,
    utilities,
};
use crate::controller::Controller;
use crate::system::Episode;

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
        let adam = Adam::new(controller.named_vars(), config.learning_rate);
        let vars = controller.named_vars().map(|(_, var)| var).collect();
        Ok(Learner { config, controller, adam, averages: MovingAverages::default(), vars })
    }

    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Learns from a batch of at least one episode.
    ///
    /// # Errors
    /// A plan that the controller cannot draw, or a loss that is no longer finite; the weights are then unchanged.
    pub fn update(&mut self, batch: &[Experience<'_>]) -> Result<Update> {
        ensure!(!batch.is_empty(), "expected at least one episode to learn from, found none");
        let config = &self.config;
        let sample = |experience: &Experience<'_>| Sample {
            query: experience.problem,
            utilities: utilities(
                experience.episode,
                &config.reward.at(experience.latency_weight),
                self.controller.kinds(),
            ),
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
        let loss = match config.objective {
            Objective::ChoiceMean => policy_loss(&evaluation.log_probs, &advantages)?,
            Objective::EpisodeSum => episode_loss(&evaluation.log_probs, &advantages, batch.len())?,
        };
        let entropy = evaluation.entropy.mean_all()?;
        let loss = match config.entropy_bonus {
            0.0 => loss,
            bonus => (loss - (&entropy * bonus)?)?,
        };
        let (gradients, gradient_norm) = gradients(&loss.backward()?, &self.vars, config.clip)?;
        let loss = f64::from(loss.to_scalar::<f32>()?);
        ensure!(
            loss.is_finite() && gradient_norm.is_finite(),
            "training diverged: loss {loss}, gradient norm {gradient_norm}; hint: lower `learning_rate` or set `clip`"
        );
        self.adam.step(&gradients)?;
        Ok(Update { loss, entropy: f64::from(entropy.to_scalar::<f32>()?), gradient_norm })
    }
}
