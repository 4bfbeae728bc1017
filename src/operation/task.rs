//! What any operator works on.

use std::path::Path;

use super::prompts::Prompts;
use crate::model::Message;
use crate::random::Draw;
use crate::sandbox::{Evaluator, Sandbox};
use crate::task::{AnswerForm, Tests};

/// What the operators of one query have in common while they work.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    pub question: &'a str,
    /// What was said before it.
    pub conversation: &'a [Message],
    pub prompts: &'a Prompts,
    /// Where the paths of commands start.
    pub folder: Option<&'a Path>,
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
