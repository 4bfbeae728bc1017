//! A plan and how it is committed.

use serde::{Deserialize, Serialize};

use super::{Decider, Escalation, FixedPlan};
use crate::plan::Plan;

/// A plan that is committed at the start, or layer by layer while the answers differ ([`Escalation`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub plan: Plan,
    /// Whether a layer is asked only where the answers of those before it differ.
    #[serde(default)]
    pub escalates: bool,
}

impl Proposal {
    /// The decider that commits it.
    pub fn decider(&self) -> Box<dyn Decider> {
        match self.escalates {
            true => Box::new(Escalation::new(self.plan.clone())),
            false => Box::new(FixedPlan::new(self.plan.clone())),
        }
    }
}

impl From<Plan> for Proposal {
    /// A plan that is committed at the start.
    fn from(plan: Plan) -> Self {
        Proposal { plan, escalates: false }
    }
}
