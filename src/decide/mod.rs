//! Deciders: they decide what happens next in a query, from what is known about it.
//!
//! The simple ones are here. Rules that end a plan early wrap another decider. The controller's plans are in
//! [`crate::controller`]; a decider of your own takes a few lines (see `tests/embedding`).

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

/// Decides what happens next. It is asked at the start, and whenever something has arrived or ended.
pub trait Decider: Send {
    /// What to do now. Everything that happened at this instant is known. After a [`Next::Commit`] or [`Next::Drop`] the decider is
    /// asked again at once, until it waits or ends.
    fn next(&mut self, known: &Known<'_>) -> Next;

    /// Whether it may still commit operators. If so, pending operators are not the only thing that can change the answer.
    fn may_add(&self) -> bool {
        true
    }

    /// Whether it will wait to the end whatever happens, so that it need not be asked again.
    fn is_idle(&self) -> bool {
        false
    }

    /// The decider's own answer at the end; none leaves it to a plain vote.
    fn concludes(&self) -> Option<Conclusion> {
        None
    }
}

/// A decider's own answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// None if it is not certain enough of any answer.
    pub answer: Option<String>,
    /// Probability that the likeliest answer is right.
    pub confidence: f64,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Append layers to the plan. The schedule starts each operator once what it reads is ready. Empty layers are ignored;
    /// committing nothing means waiting.
    Commit(Vec<Layer>),
    /// Wait for the operators under way. If there are none, the plan ends.
    Wait,
    /// End these choices, by number. Only what has already arrived from them counts.
    Drop(Vec<usize>),
    /// End the plan with the current solutions.
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

impl<D: Decider + ?Sized> Decider for Box<D> {
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
