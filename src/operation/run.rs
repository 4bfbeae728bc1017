//! Lets an operator act.

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

/// An operator of a plan at work on a query.
pub struct Acting<'a> {
    pub work: Work<'a>,
    operation: &'a Operation,
    /// What it gave once, in place of a model and of tools.
    recorded: Option<&'a QueryTraces>,
}

impl<'a> Acting<'a> {
    /// An operator that starts; what it does is counted in `steps`, also for whom its work is dropped. None for an operator that
    /// the catalogue lacks.
    pub fn new(query: &'a Query<'a>, id: OperatorId, signature: Signature, turn: Turn, steps: Steps) -> Option<Self> {
        let at = id.index();
        let operator = query.catalogue.operator(id)?;
        let identity = query.identities.get(at).copied().unwrap_or_default();
        let work = Work::new(query.task, operator, query.backings.get(at)?, signature, identity, turn, steps);
        Some(Acting { work, operation: query.catalogue.operations().get(at)?, recorded: query.recorded })
    }

    /// Whether it takes nothing on this board: it asks no model and uses no tool.
    pub fn is_free(&self, board: &Board) -> bool {
        self.operation.as_kind().is_free(self.work.operator(), board)
    }

    /// Lets it act on `board`; what it took is counted in its work, also when it fails.
    ///
    /// An operator that needs a solution does nothing where there is none.
    ///
    /// # Errors
    /// Those of the model and of tools. What a model writes, however wrong, is no error.
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
