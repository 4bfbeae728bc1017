//! Ensemble: puts the most consistent solution in the place of all.

use async_trait::async_trait;
use serde::Deserialize;

use crate::llm;
use crate::operators::board::{Board, Effect, Solution, vote};
use crate::operators::identity::Reads;
use crate::operators::kind::Kind;
use crate::operators::operator::Operator;
use crate::operators::prompts::PromptReads;
use crate::operators::weight::Weight;
use crate::operators::work::Work;
use crate::plan::Signature;

/// Settings of an `ensemble` operator. Without a prompt it is a plain vote, which needs no model; with one the model names its
/// choice by number or letter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ensemble {}

#[async_trait]
impl Kind for Ensemble {
    fn signature(&self, operator: &Operator) -> Signature {
        let asks_model = operator.prompt.is_some();
        Signature { asks_model, is_deterministic: !asks_model, ..Signature::VOTES }
    }

    /// Its choice falls back on the vote.
    fn reads(&self, _: PromptReads) -> Reads {
        Reads::Solutions
    }

    fn is_free(&self, operator: &Operator, board: &Board) -> bool {
        operator.prompt.is_none() || board.solutions.len() <= 1
    }

    fn recorded(&self, _: Vec<Solution>, board: &Board) -> Effect {
        replaced(vote(&board.solutions))
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, llm::Error> {
        if self.is_free(work.operator(), board) {
            return Ok(replaced(vote(&board.solutions)));
        }
        let reply = work.ask(board.sheet().material()).await?;
        Ok(replaced(chosen(&reply, &board.solutions).or_else(|| vote(&board.solutions))))
    }
}

fn replaced(choice: Option<&Solution>) -> Effect {
    // What it weighed among others says nothing any more.
    let alone = |solution: &Solution| Solution { weight: Weight::default(), ..solution.clone() };
    choice.map_or(Effect::Keep, |solution| Effect::Replace(alone(solution)))
}

/// The solution that the last number from 1, or the last capital letter from `A`, of `reply` names.
fn chosen<'a>(reply: &str, solutions: &'a [Solution]) -> Option<&'a Solution> {
    let position = |word: &str| match word.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => word.parse::<usize>().ok()?.checked_sub(1),
    };
    reply.split(|c: char| !c.is_alphanumeric()).rev().filter_map(position).find_map(|position| solutions.get(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, choice: Option<usize>) {
        let solution = |text: usize| Solution { text: text.to_string(), ..Solution::default() };
        let solutions: Vec<_> = (0..3).map(solution).collect();
        assert_eq!(chosen(reply, &solutions), choice.map(|position| &solutions[position]), "{reply}");
    }

    #[test]
    fn the_choice_is_read_from_the_reply() {
        check("B", Some(1));
        check("the most consistent solution is C.", Some(2));
        check("Solution 1", Some(0));
        check("(A) agrees with 7 others", Some(0));
        check("Z", None);
        check("0", None);
        check("99999999999999999999", None);
        check("none of them", None);
    }
}
