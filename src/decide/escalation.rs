//! Asks further operators only if the answers differ.

use super::{Decider, Next};
use crate::evidence::{Known, Stage};
use crate::plan::{Layer, Plan};

/// Commits its plan layer by layer: the first at the start, each further one once all earlier ones have ended and their answers
/// differ. A solution without an answer differs from any other, and so does an operator that should have answered but left no
/// solution.
#[derive(Clone, Debug)]
pub struct Escalation {
    /// The remaining layers.
    layers: std::vec::IntoIter<Layer>,
    has_settled: bool,
}

impl Escalation {
    /// A decider that has not committed yet.
    pub fn new(plan: Plan) -> Self {
        Escalation { layers: plan.layers.into_iter(), has_settled: false }
    }
}

impl Decider for Escalation {
    fn next(&mut self, known: &Known<'_>) -> Next {
        if !known.is_start() && known.is_under_way() {
            return Next::Wait;
        }
        if (known.is_start() || is_silent(known) || differ(&known.answers()))
            && let Some(layer) = self.layers.next()
        {
            return Next::Commit(vec![layer]);
        }
        self.has_settled = true;
        Next::Wait
    }

    fn may_add(&self) -> bool {
        !self.has_settled && !self.layers.as_slice().is_empty()
    }
}

/// Whether an operator that answers by itself has ended without a solution.
fn is_silent(known: &Known<'_>) -> bool {
    known.choices.iter().any(|choice| {
        let answers = choice.stage == Stage::Ended && choice.signature.opens();
        answers && choice.solutions().next().is_none()
    })
}

fn differ(answers: &[Option<&str>]) -> bool {
    answers.iter().any(Option::is_none) || answers.windows(2).any(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_answer_differs() {
        assert!(!differ(&[]) && !differ(&[Some("7")]) && !differ(&[Some("7"), Some("7")]));
        assert!(differ(&[None]) && differ(&[Some("7"), None]) && differ(&[Some("7"), Some("8")]));
    }
}
