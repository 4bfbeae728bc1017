//! A trained controller, ready to act: its policy, the head that ends plans early, and its strategies.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::checkpoint::Checkpoint;
use crate::controller::{Controller, LatencyWeights, Policy};
use crate::decide::{HaltingHead, Proposal, Then, inputs};
use crate::evaluate::latency::{Budget, LatencyModel, PlanWithin};
use crate::evidence::Asked;
use crate::execute::{ExecutionConfig, Solver};
use crate::plan::{Schedule, small_plans};
use crate::settings::Parts;
use crate::strategy::{Strategies, Strategy};

/// A trained controller, ready to act.
#[derive(Clone)]
pub struct Trained {
    pub policy: Policy,
    /// Ends plans early, if the controller was trained with a head.
    pub halting: Option<Arc<HaltingHead>>,
    /// The ways to answer a query.
    pub strategies: Strategies,
    pub seed: u64,
}

/// Most operators of a plan, and most plans, to consider if the controller's own plans take too long.
const OTHERS: (usize, usize) = (3, 40);

impl Trained {
    /// From a checkpoint and its `controller`.
    ///
    /// # Errors
    /// The halting head is damaged.
    pub fn new(controller: &Controller, checkpoint: &Checkpoint) -> Result<Self> {
        let head = || HaltingHead::from_tensors(&checkpoint.halting, inputs(controller.signatures().len()));
        let halting = (!checkpoint.halting.is_empty()).then(head).transpose()?.map(Arc::new);
        let strategies = match checkpoint.strategies.as_str() {
            "" => Strategies::default(),
            text => serde_json::from_str(text).context(
                "metadata `strategies`: expected the format of this version, found another; hint: train the run again",
            )?,
        };
        Ok(Trained { policy: Policy::new(controller)?, halting, strategies, seed: checkpoint.provenance.seed })
    }

    /// Restores a checkpoint, with parts that were opened for it.
    ///
    /// # Errors
    /// The checkpoint was trained on another encoder, has another shape, or lacks a halting head that `execution` asks for.
    pub fn restore(checkpoint: &Checkpoint, origin: &Path, parts: &Parts, execution: ExecutionConfig) -> Result<Self> {
        let (expected, found) = (&checkpoint.provenance.encoder, parts.encoder.id());
        ensure!(
            expected == found,
            "`{}` was trained on encoder `{expected}`, found `{found}`; hint: set `--encoder`",
            origin.display()
        );
        let cannot = || format!("cannot use `{}`", origin.display());
        let signatures = parts.solver.catalogue().signatures();
        let controller = Controller::from_checkpoint(checkpoint, signatures, &parts.device).with_context(cannot)?;
        let trained = Trained::new(&controller, checkpoint).with_context(cannot)?;
        // If no plan could have ended early, there was nothing to fit a head to.
        let asked = checkpoint.provenance.configuration.pointer("/training/execution/halting") == Some(&true.into());
        ensure!(
            trained.halting.is_some() || asked || !execution.halting || !trained.strategies.need_controller(),
            "`{}`: expected a halting head, found none; hint: train with `--halting true`, or set `--halting false`",
            origin.display()
        );
        Ok(trained)
    }

    /// The same at this latency weight.
    pub fn at(&self, latency_weight: f64) -> Self {
        let strategies = self.strategies.at(latency_weight);
        let halting = self.head(Some(latency_weight)).filter(|_| strategies.is_controller());
        Trained { policy: self.policy.at(latency_weight), halting, strategies: strategies.clone(), seed: self.seed }
    }

    /// The proposal for a query.
    pub fn propose(&self, asked: Asked<'_>) -> Proposal {
        self.strategies.chosen().propose(&self.policy, asked)
    }

    /// A start from which more operators are asked until the answer is certain enough. It is the same for all questions, because
    /// the vote that computes the confidence does not read the question.
    ///
    /// # Errors
    /// The run did not learn when to keep asking.
    pub fn propose_sure(&self) -> Result<Proposal> {
        let mut starts = self.strategies.candidates.iter().filter_map(|(_, strategy)| match strategy {
            Strategy::Fixed(proposal) if proposal.then == Then::Ask => Some(proposal),
            _ => None,
        });
        starts.next().cloned().context(
            "`--confidence`: expected a run that learned when to keep asking, found one that did not; hint: that needs training \
             with `fallback`, one latency weight, and two operators that answer by themselves",
        )
    }

    /// The head, at the latency weight that the plan was chosen for, if it was chosen for one.
    pub fn head(&self, latency_weight: Option<f64>) -> Option<Arc<HaltingHead>> {
        let head = self.halting.as_ref()?;
        Some(latency_weight.map_or_else(|| head.clone(), |weight| Arc::new(head.at(weight))))
    }

    /// The latency weights that the controller serves.
    ///
    /// # Errors
    /// It was trained for one only.
    pub fn latency_weights(&self) -> Result<LatencyWeights> {
        self.policy.config().latency_weights.context(
            "the controller was trained for one latency weight; hint: `lamas train --latency-weights LOW..HIGH` \
             trains one for a whole range",
        )
    }

    /// The plan for a question with a budget.
    ///
    /// # Errors
    /// The controller was trained for one latency weight.
    pub fn choose(
        &self,
        solver: &Solver,
        schedule: Schedule,
        model: &LatencyModel,
        budget: Budget,
        asked: Asked<'_>,
    ) -> Result<PlanWithin> {
        let weights = self.latency_weights()?;
        let signatures = solver.catalogue().signatures();
        let bound = |plan: &_| model.predict(plan, &schedule.prepare(plan, &signatures), asked).bound;
        let (config, signatures) = (self.policy.config(), self.policy.signatures());
        let others = small_plans(config.layout(), signatures, config.layers, OTHERS.0, OTHERS.1);
        Ok(budget.choose(&self.policy, &weights, asked.embedding, &others, bound))
    }
}
