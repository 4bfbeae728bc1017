//! A plan and what follows its start.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Decider, Escalation, FixedPlan, Staged, Stages};
use crate::plan::Plan;

/// A plan, and what follows its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    pub plan: Plan,
    #[serde(default)]
    pub then: Then,
}

/// What follows the start of a proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Nothing: the whole plan is committed at the start.
    #[default]
    Nothing,
    /// A layer is asked only if the answers of the earlier layers differ ([`Escalation`]).
    Escalate,
    /// The plan is a start: more operators are asked if that pays ([`Staged`]).
    Ask,
}

impl Proposal {
    /// The decider that commits it. Without `stages`, only the start is asked.
    pub fn decider(&self, stages: Option<&Arc<Stages>>, confidence: Option<f64>) -> Box<dyn Decider> {
        match (self.then, stages, self.plan.layers.first()) {
            (Then::Escalate, ..) => Box::new(Escalation::new(self.plan.clone())),
            (Then::Ask, Some(stages), Some(start)) => Box::new(Staged::new(stages.clone(), start.clone(), confidence)),
            _ => Box::new(FixedPlan::new(self.plan.clone())),
        }
    }
}

impl From<Plan> for Proposal {
    /// A plan that is committed at the start.
    fn from(plan: Plan) -> Self {
        Proposal { plan, then: Then::Nothing }
    }
}
