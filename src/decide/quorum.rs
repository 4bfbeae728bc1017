//! The quorum: a plan ends once nothing still to come can change its answer.

use super::{Conclusion, Decider, Next};
use crate::evidence::Known;

/// Ends the plan of another decider once its vote is settled and nothing can be added. It changes no answer.
#[derive(Clone, Debug)]
pub struct Quorum<D>(pub D);

impl<D: Decider> Quorum<D> {
    fn is_settled(&self, known: &Known<'_>) -> bool {
        !self.0.may_add() && known.has_news() && known.standing().is_settled()
    }
}

impl<D: Decider> Decider for Quorum<D> {
    fn next(&mut self, known: &Known<'_>) -> Next {
        if self.is_settled(known) {
            return Next::End;
        }
        let may_add = self.may_add();
        match self.0.next(known) {
            // It has just decided to add nothing more.
            Next::Wait if may_add && self.is_settled(known) => Next::End,
            next => next,
        }
    }

    fn may_add(&self) -> bool {
        self.0.may_add()
    }

    fn concludes(&self) -> Option<Conclusion> {
        self.0.concludes()
    }
}
