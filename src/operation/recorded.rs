//! An operator whose outputs are read from traces instead of a model.

use rand::seq::SliceRandom;

use super::board::{Board, Solution};
use super::steps::Step;
use super::traces::{Output, QueryTraces};
use super::work::Work;
use crate::plan::Latency;

/// Draws as many recorded outputs as the operator takes samples, without repetition while there are enough.
///
/// If the output depends on the board (a refinement, a test), one that was recorded for what stands there is used,
/// otherwise any.
pub(super) fn draw(recorded: &QueryTraces, work: &mut Work<'_>, board: &Board) -> Vec<Solution> {
    if !work.signature().is_at_work() {
        return Vec::new();
    }
    let mut outputs = recorded.outputs(&work.operator().name);
    let read = work.identity().read(board);
    if outputs.iter().any(|output| output.read.is_some() && output.read == read) {
        outputs.retain(|output| output.read == read);
    }
    outputs.shuffle(&mut work.stream());
    let drawn: Vec<&Output> = outputs.into_iter().cycle().take(work.samples() as usize).collect();
    count(work, &drawn);
    drawn.into_iter().filter_map(|output| output.solution.clone()).collect()
}

/// Counts outputs that were recorded in parallel.
fn count(work: &Work<'_>, outputs: &[&Output]) {
    let begins = work.steps().latency();
    for &&Output { calls, usage, tool_seconds, seconds, cost: recorded_cost, .. } in outputs {
        let tokens = usage.completion_tokens as f64 + work.task().gamma * tool_seconds;
        let step = Step::new(begins, Latency { tokens, seconds });
        work.steps().extend([Step { calls, usage, tool_seconds, recorded_cost, ..step }]);
    }
}
