//! What a trained run answers by: its controller, or something simpler where that was not seen to be worse.

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

/// What queries are answered by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The plan that the controller likes best.
    #[default]
    Controller,
    /// The same for all queries.
    Fixed(Proposal),
    /// That of the highest predicted utility.
    Router(Router),
}

/// All that may answer, by name, and which of them does; without any the controller does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Strategies {
    pub candidates: Vec<(String, Strategy)>,
    /// Place of the one that answers.
    pub chosen: usize,
    /// What proposals that ask on do so by, where something was learned of it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub stages: Option<Arc<Stages>>,
}

impl Strategies {
    /// The one that answers.
    pub fn chosen(&self) -> &Strategy {
        self.candidates.get(self.chosen).map_or(&Strategy::Controller, |(_, strategy)| strategy)
    }

    /// Whether that is the controller.
    pub fn is_controller(&self) -> bool {
        *self.chosen() == Strategy::Controller
    }
}

impl Strategy {
    /// What is proposed for a query.
    pub fn propose(&self, policy: &Policy, asked: Asked<'_>) -> Proposal {
        match self {
            Strategy::Controller => policy.greedy(asked.embedding).into(),
            Strategy::Fixed(proposal) => proposal.clone(),
            Strategy::Router(router) => router.choose(asked),
        }
    }
}
