//! Evaluation: what a method scored, how long it took and what it cost, with intervals, and by how much it beats another.

pub mod baselines;
pub mod latency;
pub mod portfolio;
mod rollout;
pub mod statistics;
mod summary;

pub use rollout::{Method, evaluate};
pub use statistics::{Difference, Estimate};
pub use summary::{Comparison, Row, Spread, Summary, compare};

use serde::{Deserialize, Serialize};

use crate::execute::Episode;
use crate::objective::Objective;

/// One method on one pass over a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub name: String,
    /// One per solved problem, in the order of the split.
    pub episodes: Vec<Episode>,
    /// Problems whose query failed as a whole: counted here, never scored.
    pub failed: usize,
}

/// The figures of one episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    pub score: f64,
    pub utility: f64,
    /// Critical path (E4), in the objective's unit.
    pub path: f64,
    /// Wall-clock seconds from the start of the query to the end of its last operator.
    pub seconds: f64,
    /// Dollars.
    pub cost: f64,
    pub completion_tokens: f64,
    pub operators: f64,
    pub layers: f64,
}

impl Objective {
    /// All figures of an episode.
    pub fn measure(&self, episode: &Episode) -> Measures {
        let path = self.path(&episode.trace);
        let cost = episode.trace.cost();
        Measures {
            score: episode.score,
            utility: self.value(episode.score, &episode.trace) - self.latency_weight * path,
            path,
            seconds: episode.trace.end(),
            cost,
            completion_tokens: episode.trace.usage().completion_tokens as f64,
            operators: episode.plan.len() as f64,
            layers: episode.plan.layers.len() as f64,
        }
    }
}
