//! Refine: improves the current solution.

use super::catalogue::Material;
use super::{Board, Effect, Work};
use crate::model;

pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
    let solutions = board.texts();
    let material = Material { solution: board.current_text(), solutions: &solutions, feedback: "" };
    let text = work.ask(material).await?;
    Ok(Effect::Append(vec![work.solution(text)]))
}
