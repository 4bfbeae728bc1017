//! Runs an operator.

use super::board::{Board, Effect};
use super::identity::Turn;
use super::kinds::Operation;
use super::query::Query;
use super::recorded;
use super::steps::Steps;
use super::traces::QueryTraces;
use super::work::Work;
use crate::model;
use crate::plan::{OperatorId, Signature};

/// An operator of a plan, working on a query.
pub struct Acting<'a> {
    pub work: Work<'a>,
    operation: &'a Operation,
    /// Outputs recorded earlier, which take the place of a model and of tools.
    recorded: Option<&'a QueryTraces>,
}

impl<'a> Acting<'a> {
    /// An operator that starts. What it does is counted in `steps`, which outlive it if it is dropped. `None` if the
    /// catalogue has no such operator.
    pub fn new(query: &'a Query<'a>, id: OperatorId, signature: Signature, turn: Turn, steps: Steps) -> Option<Self> {
        let at = id.index();
        let operator = query.catalogue.operator(id)?;
        let identity = query.identities.get(at).copied().unwrap_or_default();
        let work = Work::new(query.task, operator, query.backings.get(at)?, signature, identity, turn, steps);
        Some(Acting { work, operation: query.catalogue.operations().get(at)?, recorded: query.recorded })
    }

    /// Whether it takes no time and costs nothing on this board: it neither asks a model nor uses a tool.
    pub fn is_free(&self, board: &Board) -> bool {
        self.operation.as_kind().is_free(self.work.operator(), board)
    }

    /// Whether outputs are recorded, but none of this operator, although it would act on this board.
    pub fn is_unrecorded(&self, board: &Board) -> bool {
        let name = &self.work.operator().name;
        !self.is_free(board) && self.recorded.is_some_and(|recorded| recorded.outputs(name).is_empty())
    }

    /// Runs the operator on `board`. What it took is counted in its work, also on failure.
    ///
    /// An operator that needs a solution does nothing if there is none.
    ///
    /// # Errors
    /// Those of the model and of tools. What a model writes, however wrong, is not an error.
    pub async fn run(&mut self, board: &Board) -> Result<Effect, model::Error> {
        if board.solutions.is_empty() && self.work.signature().needs_solution {
            return Ok(Effect::Keep);
        }
        let kind = self.operation.as_kind();
        match self.recorded {
            Some(recorded) => Ok(kind.recorded(recorded::draw(recorded, &mut self.work, board), board)),
            None => kind.run(&mut self.work, board).await,
        }
    }
}
