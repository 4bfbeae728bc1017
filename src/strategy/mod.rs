//! What a trained run answers with: its controller, or something simpler if the controller was not measurably better.

mod features;
mod forest;
mod neighbours;
mod ridge;
mod router;
mod shared;

pub use features::Features;
pub use forest::{Forest, Rows};
pub use neighbours::{COUNTS, Neighbours};
pub use ridge::{Gram, PENALTIES};
pub use router::{Predictor, Router, best};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::controller::Policy;
use crate::decide::{Proposal, Stages};
use crate::evidence::Asked;

/// A way to answer queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The controller's likeliest plan.
    #[default]
    Controller,
    /// The same proposal for all queries.
    Fixed(Proposal),
    /// The proposal with the highest predicted utility.
    Router(Router),
}

/// All candidates by name, and the one that answers; without candidates, the controller answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Strategies {
    pub candidates: Vec<(String, Strategy)>,
    /// Index of the candidate that answers.
    pub chosen: usize,
    /// The stages for proposals that keep asking, if they were learned.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub stages: Option<Arc<Stages>>,
    /// What answers at other latency weights, lowest first, if the controller serves several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<(f64, Strategies)>,
}

impl Strategies {
    /// The candidate that answers.
    pub fn chosen(&self) -> &Strategy {
        self.candidates.get(self.chosen).map_or(&Strategy::Controller, |(_, strategy)| strategy)
    }

    /// Whether the controller answers.
    pub fn is_controller(&self) -> bool {
        *self.chosen() == Strategy::Controller
    }

    /// Whether the controller answers at any latency weight.
    pub fn need_controller(&self) -> bool {
        self.is_controller() || self.at.iter().any(|(_, strategies)| strategies.need_controller())
    }

    /// Those for the nearest latency weight, on a logarithmic scale.
    pub fn at(&self, latency_weight: f64) -> &Strategies {
        let distance = |weight: f64| (weight.max(f64::MIN_POSITIVE) / latency_weight.max(f64::MIN_POSITIVE)).ln().abs();
        let nearest = self.at.iter().min_by(|one, other| distance(one.0).total_cmp(&distance(other.0)));
        nearest.map_or(self, |(_, strategies)| strategies)
    }

    /// Only the candidate that answers, without the others.
    pub fn alone(mut self) -> Self {
        let chosen = (self.chosen < self.candidates.len()).then(|| self.candidates.swap_remove(self.chosen));
        Strategies { candidates: chosen.into_iter().collect(), chosen: 0, ..self }
    }
}

impl Strategy {
    /// The proposal for a query.
    pub fn propose(&self, policy: &Policy, asked: Asked<'_>) -> Proposal {
        match self {
            Strategy::Controller => policy.greedy(asked.embedding).into(),
            Strategy::Fixed(proposal) => proposal.clone(),
            Strategy::Router(router) => router.choose(asked),
        }
    }
}
