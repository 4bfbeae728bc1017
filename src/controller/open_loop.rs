//! The controller as a decider: it chooses its whole plan before anything runs.

use super::Policy;
use crate::decide::{Decider, Next};
use crate::evidence::Known;

/// Commits the likeliest plan for a query at the start, at most `L` layers, and waits for its end.
#[derive(Clone, Copy)]
pub struct OpenLoop<'a> {
    policy: &'a Policy,
    /// `[E]`
    query: &'a [f32],
    has_committed: bool,
}

impl<'a> OpenLoop<'a> {
    /// A decider that has not committed yet; `query` is the embedding of the question.
    pub fn new(policy: &'a Policy, query: &'a [f32]) -> Self {
        OpenLoop { policy, query, has_committed: false }
    }
}

impl Decider for OpenLoop<'_> {
    fn next(&mut self, _: &Known<'_>) -> Next {
        match std::mem::replace(&mut self.has_committed, true) {
            true => Next::Wait,
            false => Next::Commit(self.policy.greedy(self.query).layers),
        }
    }

    fn may_add(&self) -> bool {
        !self.has_committed
    }

    fn is_idle(&self) -> bool {
        self.has_committed
    }
}
