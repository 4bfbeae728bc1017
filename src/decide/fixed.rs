//! A plan that is known before anything runs: typed by a user, the best static one, or chosen by a controller.

use super::{Decider, Next};
use crate::evidence::Known;
use crate::plan::Plan;

/// Commits its plan at the start and waits for its end.
#[derive(Clone, Debug)]
pub struct FixedPlan(Option<Plan>);

impl FixedPlan {
    /// A decider that has not committed yet.
    pub fn new(plan: Plan) -> Self {
        FixedPlan(Some(plan))
    }
}

impl Decider for FixedPlan {
    fn next(&mut self, _: &Known<'_>) -> Next {
        self.0.take().map_or(Next::Wait, |plan| Next::Commit(plan.layers))
    }

    fn may_add(&self) -> bool {
        self.0.is_some()
    }

    fn is_idle(&self) -> bool {
        self.0.is_none()
    }
}
