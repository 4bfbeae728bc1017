//! What the operators of one query have in common.

use super::backing::Backing;
use super::catalogue::Catalogue;
use super::identity::Identity;
use super::task::Task;
use super::traces::QueryTraces;
use crate::model::Message;
use crate::plan::{OperatorId, Signature};
use crate::random::Draw;
use crate::sandbox::{Evaluator, Sandbox};
use crate::task::{AnswerForm, Tests};

/// What the operators of one query have in common.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub question: &'a str,
    /// What was said before it.
    pub conversation: &'a [Message],
    pub catalogue: &'a Catalogue,
    /// One for each operator of the catalogue.
    pub identities: &'a [Identity],
    /// Operators that take another number of samples than the catalogue says.
    pub samples: &'a [(OperatorId, u32)],
    /// One for each operator of the catalogue.
    pub backings: &'a [Backing],
    /// What the operators gave once, in place of the model.
    pub recorded: Option<&'a QueryTraces>,
    pub evaluator: &'a Evaluator,
    /// Where Python runs, if anything needs it.
    pub sandbox: Option<&'a Sandbox>,
    pub answer: AnswerForm,
    /// What code that answers the question must pass, if that is known.
    pub tests: Option<&'a Tests>,
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// Which of the independent runs of the query this is.
    pub draw: Draw,
}

impl<'a> Query<'a> {
    /// What each of its operators works on.
    pub(super) fn task(&self) -> Task<'a> {
        let &Query { question, conversation, catalogue, evaluator, sandbox, answer, tests, gamma, draw, .. } = self;
        let (prompts, folder) = (catalogue.prompts(), catalogue.folder());
        Task { question, conversation, prompts, folder, evaluator, sandbox, answer, tests, gamma, draw }
    }

    /// What schedules must know of each operator.
    pub fn signatures(&self) -> Vec<Signature> {
        let mut signatures = self.catalogue.signatures();
        for (id, samples) in self.samples {
            if let Some(signature) = signatures.get_mut(id.index()) {
                signature.solutions = *samples as usize;
            }
        }
        signatures
    }
}
