//! Ensemble: replaces all solutions by the most consistent one.

use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect, Solution, vote};
use crate::operation::identity::Reads;
use crate::operation::kind::Kind;
use crate::operation::operator::Operator;
use crate::operation::prompts::PromptReads;
use crate::operation::reply::chosen;
use crate::operation::weight::Weight;
use crate::operation::work::Work;
use crate::plan::Signature;

/// Settings of an `ensemble` operator. Without a prompt it is a plain vote, which needs no model. With a prompt, the
/// model names its choice by number or letter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ensemble {}

#[async_trait]
impl Kind for Ensemble {
    fn signature(&self, operator: &Operator) -> Signature {
        let asks_model = operator.prompt.is_some();
        Signature { asks_model, most_calls: asks_model.into(), is_deterministic: !asks_model, ..Signature::VOTES }
    }

    /// If the model names no choice, the vote decides.
    fn reads(&self, _: PromptReads) -> Reads {
        Reads::Solutions
    }

    fn is_free(&self, operator: &Operator, board: &Board) -> bool {
        operator.prompt.is_none() || board.solutions.len() <= 1
    }

    fn recorded(&self, _: Vec<Solution>, board: &Board) -> Effect {
        replaced(vote(&board.solutions))
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        if self.is_free(work.operator(), board) {
            return Ok(replaced(vote(&board.solutions)));
        }
        let reply = work.ask(board.sheet().material()).await?;
        let choice = chosen(&reply, board.solutions.len()).and_then(|choice| board.solutions.get(choice));
        Ok(replaced(choice.or_else(|| vote(&board.solutions))))
    }
}

fn replaced(choice: Option<&Solution>) -> Effect {
    // Its weight among others no longer means anything.
    let alone = |solution: &Solution| Solution { weight: Weight::default(), ..solution.clone() };
    choice.map_or(Effect::Keep, |solution| Effect::Replace(alone(solution)))
}
