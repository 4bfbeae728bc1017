//! A controller in training, and one step of it down a loss.

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

use super::{Adam, MovingAverages, TrainingConfig, gradients};
use crate::controller::Controller;
use crate::execute::Episode;

/// A controller in training.
pub struct Learner {
    pub(super) config: TrainingConfig,
    pub(super) controller: Controller,
    pub(super) adam: Adam,
    pub(super) averages: MovingAverages,
    vars: Vec<Var>,
}

/// An episode and what the controller read when it drew the plan.
pub struct Experience<'a> {
    /// Number of the problem; samples of one problem are compared with each other.
    pub problem: usize,
    /// `[E]`
    pub query: &'a [f32],
    /// The same for all samples of one problem.
    pub latency_weight: f64,
    pub episode: &'a Episode,
}

/// Figures of one update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    pub loss: f64,
    /// Entropy in nats of the plans that can be drawn for a problem; for drawn plans, the estimate `-log p`.
    pub entropy: f64,
    /// Norm before clipping.
    pub gradient_norm: f64,
}

impl Learner {
    /// # Errors
    /// A setting is out of range.
    pub fn new(controller: Controller, config: TrainingConfig) -> Result<Self> {
        config.validate()?;
        let adam = Adam::new(controller.named_vars())?;
        let vars = controller.named_vars().map(|(_, var)| var).collect();
        Ok(Learner { config, controller, adam, averages: MovingAverages::default(), vars })
    }

    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Queries as a tensor, `[queries, E]`.
    pub(super) fn rows(&self, queries: &[&[f32]]) -> Result<Tensor> {
        let shape = (queries.len(), self.controller.config().embedding);
        Tensor::from_vec(queries.concat(), shape, self.controller.device())
            .context("query embeddings of another size than the controller's")
    }

    /// One step of Adam down the gradient of `loss`; `entropy` is only recorded.
    pub(super) fn step(&mut self, loss: &Tensor, entropy: &Tensor, learning_rate: f64) -> Result<Update> {
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
