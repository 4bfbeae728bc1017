//! Refine: improves the current solution.

use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operators::board::{Board, Effect};
use crate::operators::kind::Kind;
use crate::operators::operator::Operator;
use crate::operators::work::Work;
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
