//! Lets an operator act: the one place that tells the kinds apart.

use super::board::{Board, Effect};
use super::operator::Operator;
use super::work::Work;
use super::{ensemble, generate, program, recorded, refine, test};
use crate::model;
use crate::plan::Kind;

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
pub async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
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
