//! Generate: answers the query by itself, once or several times side by side.

use super::catalogue::Material;
use super::{Board, Effect, Work};
use crate::model;

pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
    let solutions = board.texts();
    let material = Material { solution: board.current_text(), solutions: &solutions, feedback: "" };
    Ok(Effect::Append(work.ask_side_by_side(material).await?))
}
