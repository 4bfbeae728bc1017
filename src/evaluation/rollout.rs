//! Runs one plan for each problem of a split.

use futures::{StreamExt, stream};

use super::Evaluation;
use crate::benchmarks::Problem;
use crate::executor::ExecuteError;
use crate::plan::Plan;
use crate::system::{Episode, System};

/// Solves every problem with `plan(its position)`, `concurrency` at a time, and collects the episodes in order.
///
/// `draw` tells independent passes apart. `watch` sees every episode as it comes. A problem with a failed operator
/// counts as failed, not as wrong. What was finished is returned also when the pass ends early.
///
/// # Errors
/// The first error that would meet every query alike: a model that refuses requests for good, or no more to spend.
pub async fn evaluate(
    name: &str,
    system: &System,
    problems: &[Problem],
    plan: impl Fn(usize) -> Plan,
    draw: u64,
    concurrency: usize,
    mut watch: impl FnMut(&Episode),
) -> (Evaluation, Result<(), ExecuteError>) {
    let plan = &plan;
    let solve = |(index, problem)| async move { system.solve(problem, &plan(index), draw).await };
    let mut solved = stream::iter(problems.iter().enumerate()).map(solve).buffered(concurrency.max(1));
    let mut evaluation = Evaluation { name: name.to_owned(), ..Evaluation::default() };
    let mut outcome = Ok(());
    while let Some(episode) = solved.next().await {
        let episode = match episode {
            Ok(episode) => episode,
            // Queries under way are paid for already; those to come end at once.
            Err(error) if error.cap().is_some() => {
                outcome = Err(error);
                continue;
            }
            Err(error) => return (evaluation, Err(error)),
        };
        watch(&episode);
        if episode.is_complete() {
            evaluation.episodes.push(episode);
        } else {
            evaluation.failed += 1;
        }
    }
    (evaluation, outcome)
}
