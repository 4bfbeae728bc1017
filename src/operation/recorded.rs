//! An operator whose outputs are read from traces instead of a model.

use rand::seq::SliceRandom;

use super::traces::{Output, QueryTraces, is_recorded};
use super::{Board, Effect, Work, vote};
use crate::plan::Kind;

/// Draws as many recorded outputs as the operator takes samples; a vote is taken over the board as it is.
///
/// What depends on the board (a refinement, a test) is taken as it was recorded for what stands there, else for anything.
pub(super) fn run(recorded: &QueryTraces, work: &mut Work<'_>, board: &Board) -> Effect {
    let drawn = if is_recorded(work.operator) { draw(recorded, work, board) } else { Vec::new() };
    work.count_recorded(&drawn);
    match work.operator.kind {
        Kind::Stop => Effect::Keep,
        Kind::Ensemble => vote(&board.solutions).map_or(Effect::Keep, |solution| Effect::Replace(solution.clone())),
        Kind::Generate | Kind::Program | Kind::Test | Kind::Refine => {
            let solutions: Vec<_> = drawn.into_iter().filter_map(|output| output.solution.clone()).collect();
            if solutions.is_empty() { Effect::Keep } else { Effect::Append(solutions) }
        }
    }
}

/// Different outputs as long as there are any.
fn draw<'a>(recorded: &'a QueryTraces, work: &Work<'_>, board: &Board) -> Vec<&'a Output> {
    let mut outputs = recorded.outputs(&work.operator.name);
    let read = work.identity().reads.of(board);
    if outputs.iter().any(|output| output.read.is_some() && output.read == read) {
        outputs.retain(|output| output.read == read);
    }
    outputs.shuffle(&mut work.stream());
    outputs.into_iter().cycle().take(work.samples() as usize).collect()
}
