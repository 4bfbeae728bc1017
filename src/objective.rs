//! The utility of a query, `S - lambda_t T - lambda_c C`: the one place where score, latency and cost are weighed.

use serde::{Deserialize, Serialize};

use crate::plan::{Trace, Unit};

/// The weights of latency and cost against the score, for training, evaluation and reports alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// `lambda_t`, score per token (or second) of critical path.
    pub latency_weight: f64,
    /// `lambda_c`, score per dollar.
    pub cost_weight: f64,
    /// Unit of the critical path, and of the virtual clock.
    pub unit: Unit,
}

impl Default for Objective {
    /// The weights of the paper.
    fn default() -> Self {
        Objective { latency_weight: 0.005 / 50.0, cost_weight: 3.0, unit: Unit::Tokens }
    }
}

impl Objective {
    /// The same at another latency weight.
    pub fn at(self, latency_weight: f64) -> Self {
        Objective { latency_weight, ..self }
    }

    /// `S - lambda_c C`: what all operators of a query share.
    pub fn value(&self, score: f64, trace: &Trace) -> f64 {
        score - self.cost_weight * trace.cost()
    }

    /// `S - lambda_t T - lambda_c C`.
    pub fn utility(&self, score: f64, trace: &Trace) -> f64 {
        self.value(score, trace) - self.latency_weight * self.path(trace)
    }

    /// `T`, the length of the critical path (E4).
    pub fn path(&self, trace: &Trace) -> f64 {
        trace.path(self.unit).length
    }
}
