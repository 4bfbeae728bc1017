//! What follows a plan, however it ended: the finish of the query, on the solution that the vote takes.

use super::{Choice, Done, ExecuteError, Execution};
use crate::operators::{Effect, Query, Work, vote};
use crate::plan::{Outcome, Plan, Signature, Treatment};

/// Lets the query's finish act on what `plan` came to. A solution that it improved stands alone afterwards; where it fails
/// the solutions stay as they are, and the failure is recorded.
///
/// Nothing happens where there is no finish, no solution, or nothing to check one against.
///
/// # Errors
/// When the model refuses a request for good.
pub(super) async fn finish(
    query: &Query<'_>,
    plan: &Plan,
    mut execution: Execution,
) -> Result<Execution, ExecuteError> {
    let Some(finish) = query.finish.filter(|finish| finish.applies(query)) else { return Ok(execution) };
    let Some(operator) = query.catalogue.operator(finish.operator) else { return Ok(execution) };
    let Some(standing) = vote(&execution.solutions).or(execution.solutions.last()) else { return Ok(execution) };
    let choice = Choice {
        layer: plan.layers.len(),
        id: finish.operator,
        operator,
        signature: Signature::of(operator.kind),
        // Its draws are others than those of the plan.
        occurrence: plan.choices().filter(|&(_, id)| id == finish.operator).count(),
        treatment: Treatment::Run,
    };
    let mut work = Work::new(query, operator, choice.occurrence);
    let (improved, outcome) = match finish.run(&mut work, standing).await {
        Ok(improved) => (improved, Outcome::Done),
        Err(error) if error.is_permanent() => {
            return Err(ExecuteError::Model { operator: operator.name.clone(), error });
        }
        Err(error) => (None, Outcome::Failed(error.to_string())),
    };
    let started = execution.trace.end();
    let done = Done { work, started, until: f64::INFINITY, outcome, effect: Effect::Keep };
    execution.trace.finish = Some(choice.span(query, done));
    if let Some(improved) = improved {
        execution.solutions = vec![improved];
    }
    Ok(execution)
}
