//! The finish of a query: it follows the plan, however it ended, and works on the solution that the vote takes.

use super::choice::{Choice, Phase};
use super::course::Execution;
use super::error::ExecuteError;
use super::live::in_time;
use super::options::Options;
use crate::operation::{Acting, Effect, Query, Steps, Turn, vote};
use crate::plan::{Latency, Status, Unit};

/// Runs the query's finish on the result of the plan. If it improves a solution, that is the only one left. If it fails, the
/// solutions stay as they are and the failure is recorded.
///
/// Does nothing if there is no finish, no solution, or nothing to check it against.
///
/// # Errors
/// The model refuses a request permanently.
pub(super) async fn finish(
    query: &Query<'_>,
    mut execution: Execution,
    options: Options<'_>,
) -> Result<Execution, ExecuteError> {
    let Some(finish) = options.finish.filter(|finish| finish.applies(query)) else { return Ok(execution) };
    let parts = query.catalogue.operator(finish.operator).zip(query.backings.get(finish.operator.index()));
    let Some((operator, backing)) = parts else { return Ok(execution) };
    let Some(signature) = query.catalogue.signature(finish.operator) else { return Ok(execution) };
    let Some(standing) = vote(&execution.solutions).or(execution.solutions.last()) else { return Ok(execution) };
    let plan = &execution.plan;
    let start = Latency { tokens: execution.trace.path(Unit::Tokens).length, seconds: execution.trace.end() };
    let mut choice = Choice {
        layer: plan.layers.len(),
        id: finish.operator,
        operator,
        backing,
        signature,
        turn: Turn::Finish,
        runs: true,
        waits_for: Vec::new(),
        committed: start,
        causes: Vec::new(),
        steps: Steps::default(),
        phase: Phase::Running { start, given: Vec::new() },
    };
    let Some(Acting { mut work, .. }) = choice.acting(query) else { return Ok(execution) };
    let acts = async {
        match options.recorder {
            Some(recorder) => recorder.finish(finish, &mut work, standing).await,
            None => finish.run(&mut work, standing).await,
        }
    };
    let (improved, outcome) = match in_time(options.until, acts).await {
        Some(Ok(improved)) => (improved, Status::Done),
        Some(Err(error)) if error.is_permanent() => {
            return Err(ExecuteError::Model { operator: operator.name.clone(), error });
        }
        Some(Err(error)) => (None, Status::Failed(error.to_string())),
        None => (None, Status::Cancelled),
    };
    choice.end(improved.clone().map_or(Effect::Keep, Effect::Replace), outcome);
    execution.trace.finish = Some(choice.span(options.unit, options.billing, options.letters));
    if let Some(improved) = improved {
        execution.solutions = vec![improved];
        execution.conclusion = None;
    }
    Ok(execution)
}
