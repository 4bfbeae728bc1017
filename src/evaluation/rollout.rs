//! Solves each problem of a split once.

use futures::{StreamExt, stream};

use super::Evaluation;
use crate::benchmarks::Problem;
use crate::decide::Decider;
use crate::execute::{Episode, ExecuteError, SolveOptions, Solver};

/// How a method solves problems: by whose decisions, under which terms.
pub struct Method<'a, D> {
    pub name: &'a str,
    pub options: SolveOptions<'a>,
    /// A fresh decider for the problem at a position of the split.
    pub decider: D,
    /// Tells independent passes apart.
    pub draw: u64,
}

/// Solves every problem by a decider of its own, `concurrency` at a time, and collects the episodes in order.
///
/// `watch` sees every episode as it comes. A problem with a failed operator counts as failed, not as wrong. What was
/// finished is returned also when the pass ends early.
///
/// # Errors
/// The first error that would meet every query alike: a model that refuses requests for good, or no more to spend.
pub async fn evaluate<'d, D>(
    solver: &Solver,
    method: &Method<'_, D>,
    problems: &[Problem],
    concurrency: usize,
    mut watch: impl FnMut(&Episode),
) -> (Evaluation, Result<(), ExecuteError>)
where
    D: Fn(usize) -> Box<dyn Decider + 'd>,
{
    let solve = |(index, problem)| async move {
        let mut decider = (method.decider)(index);
        solver.solve(problem, &mut *decider, method.draw, &method.options).await
    };
    let mut solved = stream::iter(problems.iter().enumerate()).map(solve).buffered(concurrency.max(1));
    let mut evaluation = Evaluation { name: method.name.to_owned(), ..Evaluation::default() };
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
