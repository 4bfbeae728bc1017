//! Settings of a training run and the presets.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Baseline, Credit, Target};
use crate::execute::ExecutionConfig;
use crate::objective::Objective;
use crate::plan::Schedule;

/// What the loss averages over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The mean over all choices of a batch (E7).
    ChoiceMean,
    /// The sum over an episode's choices, averaged over episodes: the gradient of the expected utility.
    #[default]
    EpisodeSum,
}

/// The survey: plans whose outcomes on all training problems are computed from recorded calls. Training learns from them
/// before it draws any plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SurveyConfig {
    /// Most operators of a plan; 0 for no survey.
    pub operators: usize,
    /// Most plans to learn from; the most useful ones are kept.
    pub plans: usize,
    /// How often each plan is tried on each problem.
    pub draws: u64,
    /// Passes over the training problems.
    pub passes: u32,
    /// Problems per update.
    pub batch: usize,
    /// Falls linearly to zero.
    pub learning_rate: f64,
    /// What one nat of entropy among the plans is worth at first, in standard deviations of the utility; falls linearly to
    /// `last_entropy`.
    pub first_entropy: f64,
    pub last_entropy: f64,
}

impl Default for SurveyConfig {
    fn default() -> Self {
        SurveyConfig {
            operators: 3,
            plans: 40,
            draws: 1,
            passes: 12,
            batch: 32,
            learning_rate: 0.01,
            first_entropy: 0.5,
            last_entropy: 0.05,
        }
    }
}

impl SurveyConfig {
    /// No survey: learning starts from drawn plans.
    pub fn none() -> Self {
        SurveyConfig { operators: 0, ..Self::default() }
    }

    pub(super) fn is_asked_for(&self) -> bool {
        self.operators > 0 && self.plans > 0 && self.passes > 0
    }
}

/// How the halting head is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaltingConfig {
    /// How often the controller's plan is run on each training problem.
    pub draws: u64,
    /// Units of the hidden layer.
    pub hidden: usize,
    /// How often the head is fitted; each round assumes that the rest of a plan ends where the previous head would end it.
    pub rounds: u32,
    /// Passes over all moments in each round.
    pub passes: u32,
    /// Moments per update.
    pub batch: usize,
    /// Falls linearly to zero.
    pub learning_rate: f64,
}

impl Default for HaltingConfig {
    fn default() -> Self {
        HaltingConfig { draws: 4, hidden: 16, rounds: 3, passes: 20, batch: 256, learning_rate: 0.01 }
    }
}

/// Settings of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Plans with known outcomes, learned from before any plan is drawn.
    pub survey: SurveyConfig,
    /// Passes over the training problems in which plans are drawn.
    pub epochs: u32,
    /// Problems per update.
    pub batch: usize,
    /// `K`, plans drawn for a problem in each pass.
    pub samples: u32,
    pub learning_rate: f64,
    /// Whether learning rate and entropy bonus fall linearly to zero.
    pub anneal: bool,
    /// How the system runs the plans that are learned from.
    pub execution: ExecutionConfig,
    /// Whether something simpler answers if the controller was not measurably better.
    pub fallback: bool,
    /// What the run must keep, instead of a weight; needs `fallback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// How the halting head is trained, if `execution.halting` asks for one.
    pub halting: HaltingConfig,
    pub objective: Objective,
    pub credit: Credit,
    pub baseline: Baseline,
    /// Whether advantages are divided by the moving standard deviation of the utilities (E6).
    pub scaled: bool,
    pub loss: Loss,
    /// What one nat of entropy of drawn plans is worth, in utility.
    pub entropy_bonus: f64,
    /// Largest Euclidean norm of a gradient; 0 for no limit.
    pub clip: f64,
    /// Training ends after this many passes without a better validation utility; 0 for never.
    pub patience: u32,
    /// Independent completions of a prompt. Later samples reuse them, so that a replay cache can serve them. At least 1.
    pub draws: u64,
    /// Most queries in flight at once.
    pub concurrency: usize,
    /// Save the state after this many updates within a pass; 0 for only after each pass.
    pub save_every: u32,
    /// How many batches run ahead, so that the learner does not wait for the slowest query of each batch. Their plans are then
    /// up to this many updates old; with 0, the controller that learns from a plan has drawn it.
    pub ahead: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        TrainingConfig {
            survey: SurveyConfig::default(),
            // On the built-in workload drawn plans add nothing to a survey.
            epochs: 0,
            batch: 8,
            samples: 4,
            learning_rate: 0.01,
            anneal: false,
            execution: ExecutionConfig { schedule: Schedule::Dataflow, quorum: true, ..ExecutionConfig::default() },
            fallback: true,
            target: None,
            halting: HaltingConfig::default(),
            objective: Objective::default(),
            credit: Credit::Marginal,
            baseline: Baseline::LeaveOneOut,
            scaled: true,
            loss: Loss::EpisodeSum,
            entropy_bonus: 0.02,
            clip: 1.0,
            patience: 0,
            draws: 8,
            concurrency: 64,
            save_every: 16,
            ahead: 0,
        }
    }
}

impl TrainingConfig {
    /// Our best: the default with a halting head. It needs a [`Rollout::course`](super::Rollout::course).
    pub fn ours() -> Self {
        let default = Self::default();
        TrainingConfig { execution: ExecutionConfig { halting: true, ..default.execution }, ..default }
    }

    /// LAMaS as published.
    pub fn paper() -> Self {
        TrainingConfig {
            survey: SurveyConfig::none(),
            fallback: false,
            epochs: 4,
            batch: 4,
            samples: 1,
            learning_rate: 0.01,
            anneal: false,
            execution: Schedule::Layered.into(),
            credit: Credit::CriticalPath,
            baseline: Baseline::MovingAverage,
            scaled: true,
            loss: Loss::ChoiceMean,
            entropy_bonus: 0.0,
            clip: 0.0,
            ..Self::default()
        }
    }

    /// MaAS as published: operators one after another, no latency in the reward, no normalisation.
    pub fn maas() -> Self {
        let paper = Self::paper();
        TrainingConfig {
            execution: Schedule::Sequential.into(),
            credit: Credit::None,
            baseline: Baseline::None,
            scaled: false,
            ..paper
        }
    }

    /// The objective that training uses: MaAS ignores latency.
    pub fn felt(&self) -> Objective {
        self.credit.felt(self.objective)
    }

    /// # Errors
    /// Names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("batch", self.batch as u64),
            ("samples", self.samples.into()),
            ("draws", self.draws),
            ("concurrency", self.concurrency as u64),
            ("survey.draws", self.survey.draws),
            ("survey.batch", self.survey.batch as u64),
            ("halting.draws", self.halting.draws),
            ("halting.hidden", self.halting.hidden as u64),
            ("halting.rounds", self.halting.rounds.into()),
            ("halting.batch", self.halting.batch as u64),
        ];
        for (name, value) in counts {
            ensure!(value > 0, "training setting `{name}`: expected at least 1, found 0");
        }
        let numbers = [
            ("learning_rate", self.learning_rate),
            ("survey.learning_rate", self.survey.learning_rate),
            ("halting.learning_rate", self.halting.learning_rate),
            ("entropy_bonus", self.entropy_bonus),
            ("clip", self.clip),
            ("objective.latency_weight", self.objective.latency_weight),
            ("objective.cost_weight", self.objective.cost_weight),
        ];
        for (name, value) in numbers {
            let usable = value.is_finite() && value >= 0.0;
            ensure!(usable, "training setting `{name}`: expected a number not below 0, found {value}");
        }
        if let Some(target) = self.target {
            ensure!(
                self.fallback && self.survey.is_asked_for(),
                "training setting `target`: expected `fallback` and a survey, found none; hint: the published presets have \
                 no target"
            );
            let (Target::Latency(amount) | Target::LatencyP95(amount) | Target::Cost(amount) | Target::Score(amount)) =
                target;
            ensure!(
                amount.is_finite() && amount > 0.0,
                "training setting `target`: expected a number above 0, found {amount}"
            );
        }
        Ok(())
    }

    /// The first batch after `batch` before which the run is saved and no plan is drawn ahead.
    pub(super) fn next_whole(&self, batch: usize) -> usize {
        match self.save_every as usize {
            0 => usize::MAX,
            every => (batch / every + 1) * every,
        }
    }

    /// Whether no plan is drawn ahead before `batch`: a run can only be resumed there.
    pub(super) fn is_whole(&self, batch: usize) -> bool {
        self.ahead == 0 || batch == 0 || (self.save_every > 0 && batch.is_multiple_of(self.save_every as usize))
    }

    /// # Errors
    /// Neither a survey nor drawn plans are asked for: there is nothing to learn from.
    pub(super) fn expect_passes(&self) -> Result<()> {
        ensure!(
            self.survey.is_asked_for() || self.epochs > 0,
            "expected something to learn from, found no survey and 0 passes of drawn plans; \
             hint: set `--epochs 4` or `training.survey.operators`"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_learn_from_is_an_error() {
        let drawn = |epochs| TrainingConfig { survey: SurveyConfig::none(), epochs, ..TrainingConfig::default() };
        let error = drawn(0).expect_passes().expect_err("nothing to learn from").to_string();
        assert!(error.contains("found no survey and 0 passes of drawn plans"), "{error}");
        assert!(drawn(1).expect_passes().is_ok() && TrainingConfig::default().expect_passes().is_ok());
    }
}
