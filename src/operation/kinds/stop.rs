//! Stop: ends the plan after its layer.

use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect};
use crate::operation::kind::Kind;
use crate::operation::operator::Operator;
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of a `stop` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Stop {}

#[async_trait]
impl Kind for Stop {
    fn signature(&self, _: &Operator) -> Signature {
        Signature::ENDS
    }

    async fn run(&self, _: &mut Work<'_>, _: &Board) -> Result<Effect, model::Error> {
        Ok(Effect::Keep)
    }
}
