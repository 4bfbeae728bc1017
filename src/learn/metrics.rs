//! Metrics of a pass over the data. Nothing here depends on the clock: equal runs have equal metrics.

use serde::{Deserialize, Serialize};

use crate::controller::Policy;
use crate::execute::Episode;
use crate::objective::Objective;

/// Means over episodes; zeros if there were none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub episodes: u64,
    /// Queries that failed; they are in no mean.
    pub failures: u64,
    pub score: f64,
    /// Length of the critical path (E4), in the objective's unit.
    pub critical_path: f64,
    /// Dollars per query.
    pub cost: f64,
    /// `S - lambda_c C - lambda_t T`.
    pub utility: f64,
    /// Operators chosen per query.
    pub operators: f64,
    /// Layers per query.
    pub layers: f64,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Passes done, including those over the survey.
    pub pass: u32,
    /// Updates done.
    pub step: u64,
    /// Plans drawn during the pass. For the first pass over plans with known outcomes, all plans tried before it; for the other
    /// such passes, none.
    pub train: Summary,
    /// Greedy plans, after the pass.
    pub validation: Summary,
    /// Whether the validation utility is the best so far.
    pub best: bool,
    /// Mean over the updates of the pass, like the next two.
    pub loss: f64,
    /// Entropy of the plans that can be drawn, in nats.
    pub entropy: f64,
    /// Norm before clipping.
    pub gradient_norm: f64,
    /// Mean probability of each operator over the validation queries that reach a layer, `[L][O]`.
    pub probabilities: Vec<Vec<f64>>,
}

/// Running sums of a [`Summary`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally(Summary);

impl Tally {
    pub fn add(&mut self, episode: &Episode, objective: &Objective) {
        let Tally(sums) = self;
        sums.episodes += 1;
        sums.score += episode.score;
        sums.critical_path += objective.path(&episode.trace);
        sums.cost += episode.trace.cost();
        sums.utility += objective.utility(episode.score, &episode.trace);
        sums.operators += episode.plan.len() as f64;
        sums.layers += episode.plan.layers.len() as f64;
    }

    pub fn add_failure(&mut self) {
        self.0.failures += 1;
    }

    pub fn summary(&self) -> Summary {
        let Tally(sums) = self;
        let mean = |sum: f64| sum / sums.episodes.max(1) as f64;
        Summary {
            episodes: sums.episodes,
            failures: sums.failures,
            score: mean(sums.score),
            critical_path: mean(sums.critical_path),
            cost: mean(sums.cost),
            utility: mean(sums.utility),
            operators: mean(sums.operators),
            layers: mean(sums.layers),
        }
    }
}

/// Mean probability of each operator over the queries whose plan reaches a layer.
pub(super) struct MeanProbabilities {
    /// `[L][O]`
    sums: Vec<Vec<f64>>,
    /// `[L]`
    counts: Vec<f64>,
}

impl MeanProbabilities {
    pub fn new(policy: &Policy) -> Self {
        let layers = policy.config().layers;
        MeanProbabilities { sums: vec![vec![0.0; policy.signatures().len()]; layers], counts: vec![0.0; layers] }
    }

    /// Adds one query, `[layers of its plan][O]`.
    pub fn add(&mut self, probabilities: &[Vec<f32>]) {
        for (layer, probabilities) in probabilities.iter().enumerate() {
            self.counts[layer] += 1.0;
            self.sums[layer].iter_mut().zip(probabilities).for_each(|(sum, &p)| *sum += f64::from(p));
        }
    }

    /// `[L][O]`
    pub fn mean(mut self) -> Vec<Vec<f64>> {
        for (row, count) in self.sums.iter_mut().zip(self.counts) {
            row.iter_mut().for_each(|sum| *sum /= f64::max(count, 1.0));
        }
        self.sums
    }
}
