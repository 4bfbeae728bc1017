//! Deciders: what happens next in a query, from what is known of it.
//!
//! Simple ones stand here; rules that end a plan early wrap another decider. The controller's is in
//! [`crate::controller`], a user's own is a few lines (see `tests/embedding`).

mod escalation;
mod fixed;
mod halting;
mod moments;
mod proposal;
mod quorum;
mod stages;

pub use escalation::Escalation;
pub use fixed::FixedPlan;
pub use halting::{Forecast, Halting, HaltingHead};
pub use moments::{Moment, Moments, inputs};
pub use proposal::{Proposal, Then};
pub use quorum::Quorum;
pub use stages::{Belief, Said, Set, Staged, Stages, State, Vote, known, subsets};

use crate::evidence::Known;
use crate::plan::Layer;

/// Says what happens next. Asked at the start, and after every instant at which something arrived or ended.
pub trait Decider: Send {
    /// What to do now. All that happens at one instant is known before; after a [`Next::Commit`] or [`Next::Drop`] it is
    /// asked again at once, until it waits or ends.
    fn next(&mut self, known: &Known<'_>) -> Next;

    /// Whether it may still commit operators: what is pending is then not all that can change the answer.
    fn may_add(&self) -> bool {
        true
    }

    /// Whether it waits to the end whatever happens, so that it need not be asked any more.
    fn is_idle(&self) -> bool {
        false
    }

    /// The answer at the end, where it is not left to a plain vote over what stands.
    fn concludes(&self) -> Option<Conclusion> {
        None
    }
}

/// A decider's own answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// None where it is not sure enough of any.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right.
    pub confidence: f64,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Appends layers to the plan. Each operator starts by the schedule, once what it reads is ready. Empty layers are left
    /// out; to commit nothing is to wait.
    Commit(Vec<Layer>),
    /// For what is under way. With nothing under way this ends the plan.
    Wait,
    /// Ends these choices, by number: of what they would give, only what has arrived counts.
    Drop(Vec<usize>),
    /// Ends the plan with what stands.
    End,
}

impl<D: Decider + ?Sized> Decider for &mut D {
    fn next(&mut self, known: &Known<'_>) -> Next {
        (**self).next(known)
    }

    fn may_add(&self) -> bool {
        (**self).may_add()
    }

    fn is_idle(&self) -> bool {
        (**self).is_idle()
    }

    fn concludes(&self) -> Option<Conclusion> {
        (**self).concludes()
    }
}
