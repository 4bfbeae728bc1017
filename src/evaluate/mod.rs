//! Evaluation: the score, latency and cost of a method, with intervals, and by how much it beats another one.

pub mod baselines;
mod calibration;
pub mod latency;
pub mod portfolio;
mod rollout;
pub mod statistics;
mod summary;

pub use calibration::calibration_error;
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
    /// One per problem asked, in the order of the split.
    pub episodes: Vec<Episode>,
    /// How many of them failed twice; they count as wrong.
    pub failed: usize,
}

/// Largest share of failed queries with which a method still has a score. Beyond it, the figure would describe the endpoint.
const MOST_FAILED: f64 = 0.05;

/// Whether there were queries, and few enough of them failed for the rest to say how good a method is.
pub fn has_score(failed: usize, queries: usize) -> bool {
    queries > 0 && failed as f64 <= MOST_FAILED * queries as f64
}

impl Evaluation {
    /// See [`has_score`].
    pub fn has_score(&self) -> bool {
        has_score(self.failed, self.episodes.len())
    }
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
