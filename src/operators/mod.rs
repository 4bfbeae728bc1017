//! Operators: what a plan is made of. Each reads the query and the solutions so far, and says what becomes of them.

mod board;
mod calls;
mod catalogue;
mod ensemble;
mod finish;
mod generate;
mod program;
mod python;
mod recorded;
mod refine;
mod steps;
mod test;
mod tools;
mod traces;
mod work;

pub use board::{Ballot, Board, Effect, Solution, is_settled, vote, winner};
pub use calls::{Arrival, Reporter};
pub use catalogue::{Catalogue, Operator};
pub use finish::Finish;
pub use steps::{Spent, Steps};
pub use tools::{Checker, Language};
pub use traces::{QueryTraces, Recorded, Traces, is_recorded};
pub use work::Work;

use crate::benchmarks::{AnswerForm, Tests};
use crate::llm::{self, LanguageModel, Price};
use crate::plan::{Kind, OperatorId, Signature};
use crate::sandbox::{Evaluator, Sandbox};

/// What the operators of one query have in common.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    pub question: &'a str,
    pub catalogue: &'a Catalogue,
    /// Operators that take another number of samples than the catalogue says.
    pub samples: &'a [(OperatorId, u32)],
    pub model: &'a dyn LanguageModel,
    /// What the operators gave once, in place of the model.
    pub recorded: Option<&'a QueryTraces>,
    pub evaluator: &'a Evaluator,
    /// Where Python runs, if anything needs it.
    pub sandbox: Option<&'a Sandbox>,
    pub answer: AnswerForm,
    /// What code that answers the question must pass, if that is known.
    pub tests: Option<&'a Tests>,
    /// What follows every plan.
    pub finish: Option<Finish>,
    /// One for each operator of the catalogue.
    pub prices: &'a [Price],
    /// (E3) tokens per second of tool time.
    pub gamma: f64,
    /// Which of the independent runs of the query this is.
    pub draw: u64,
}

impl Query<'_> {
    /// Answers that an operator gives side by side.
    pub fn samples(&self, operator: &Operator) -> u32 {
        let is_it = |id: &OperatorId| self.catalogue.operator(*id).is_some_and(|other| other.name == operator.name);
        self.samples.iter().find(|(id, _)| is_it(id)).map_or(operator.samples, |&(_, samples)| samples)
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

/// Whether an operator takes nothing on this board: it asks no model and uses no tool.
pub fn is_free(operator: &Operator, board: &Board) -> bool {
    match operator.kind {
        Kind::Stop => true,
        Kind::Ensemble => operator.prompt.is_none() || board.solutions.len() <= 1,
        Kind::Generate | Kind::Program | Kind::Test | Kind::Refine => {
            operator.kind.needs_solution() && board.solutions.is_empty()
        }
    }
}

/// Lets an operator act on `board`; what it took is counted in `work`, also when it fails.
///
/// An operator that needs a solution does nothing where there is none.
///
/// # Errors
/// Those of the model. What a model writes, however wrong, is no error.
pub async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, llm::Error> {
    if board.solutions.is_empty() && work.operator.kind.needs_solution() {
        return Ok(Effect::Keep);
    }
    if let Some(recorded) = work.query.recorded {
        return Ok(recorded::run(recorded, work, board));
    }
    match work.operator.kind {
        Kind::Generate => generate::run(work, board).await,
        Kind::Ensemble => ensemble::run(work, board).await,
        Kind::Program => program::run(work, board).await,
        Kind::Test => test::run(work, board).await,
        Kind::Refine => refine::run(work, board).await,
        Kind::Stop => Ok(Effect::Keep),
    }
}
