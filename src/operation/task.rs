//! What any operator works on.

use std::path::Path;

use super::prompts::Prompts;
use crate::model::Message;
use crate::random::Draw;
use crate::sandbox::{Evaluator, Sandbox};
use crate::task::{AnswerForm, Tests};

/// What the operators of a query share while they work.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub question: &'a str,
    /// The messages before the question.
    pub conversation: &'a [Message],
    pub prompts: &'a Prompts,
    /// The folder that relative paths of commands start from.
    pub folder: Option<&'a Path>,
    pub evaluator: &'a Evaluator,
    /// Where Python runs, if anything needs it.
    pub sandbox: Option<&'a Sandbox>,
    pub answer: AnswerForm,
    /// What code that answers the question must pass, if this is known.
    pub tests: Option<&'a Tests>,
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// Which of the independent runs of the query this is.
    pub draw: Draw,
}
