//! Refine: improves the current solution.

use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect};
use crate::operation::kind::Kind;
use crate::operation::operator::Operator;
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of a `refine` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Refine {}

#[async_trait]
impl Kind for Refine {
    fn signature(&self, _: &Operator) -> Signature {
        Signature::IMPROVES
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let text = work.ask(board.sheet().material()).await?;
        Ok(Effect::Append(vec![work.solution(text)]))
    }
}
