//! What a trained run answers by: its controller, or something simpler where that was not seen to be worse.

mod kernel;
mod ridge;
mod router;

pub use kernel::Landmarks;
pub use ridge::{Gram, PENALTIES};
pub use router::{Router, best};

use serde::{Deserialize, Serialize};

use crate::controller::Policy;
use crate::decide::Proposal;

/// What queries are answered by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The plan that the controller likes best.
    #[default]
    Controller,
    /// The same for all queries.
    Fixed(Proposal),
    /// The plan of the highest predicted utility.
    Router(Router),
}

/// All that may answer, by name, and which of them does; without any the controller does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Strategies {
    pub candidates: Vec<(String, Strategy)>,
    /// Place of the one that answers.
    pub chosen: usize,
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
    /// What is proposed for the query `[E]`.
    pub fn propose(&self, policy: &Policy, query: &[f32]) -> Proposal {
        match self {
            Strategy::Controller => policy.greedy(query).into(),
            Strategy::Fixed(proposal) => proposal.clone(),
            Strategy::Router(router) => router.choose(query).clone().into(),
        }
    }
}
