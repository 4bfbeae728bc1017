//! Generate: answers the query on its own, once or several times in parallel.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect};
use crate::operation::kind::Kind;
use crate::operation::operator::Operator;
use crate::operation::prompts::PromptReads;
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of a `generate` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Generate {
    /// Number of answers given in parallel.
    #[serde(default = "one")]
    samples: u32,
}

fn one() -> u32 {
    1
}

#[async_trait]
impl Kind for Generate {
    fn signature(&self, _: &Operator) -> Signature {
        Signature { solutions: self.samples as usize, most_calls: self.samples, ..Signature::ANSWERS }
    }

    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        ensure!((1..=64).contains(&self.samples), "expected 1 to 64 `samples`, found {}", self.samples);
        Ok(())
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        Ok(Effect::Append(work.ask_side_by_side(board.sheet().material()).await?))
    }
}
