//! Solves each problem of a split once.

use std::collections::BTreeMap;

use super::Evaluation;
use crate::decide::Decider;
use crate::execute::{Episode, ExecuteError, SolveOptions, Solver, in_order};
use crate::random::Draw;
use crate::task::Problem;

/// How often a failing query is asked.
const TRIES: usize = 2;

/// How a method solves problems: its decider and its options.
pub struct Method<'a, D> {
    pub name: &'a str,
    pub options: SolveOptions<'a>,
    /// A fresh decider for the problem at a position of the split.
    pub decider: D,
    /// Distinguishes independent passes.
    pub draw: Draw,
}

/// Solves every problem with a fresh decider, `concurrency` at a time, and collects the episodes in order.
///
/// A query that fails is asked once more at the end; if it fails again, it counts as wrong. `watch` sees every episode once, when it
/// is final. Finished episodes are returned even if the pass ends early.
///
/// # Errors
/// The first error that every query would meet: a model that refuses requests permanently, or a cap.
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
    let mut episodes: BTreeMap<usize, Episode> = BTreeMap::new();
    let mut waiting: Vec<usize> = (0..problems.len()).collect();
    let mut outcome = Ok(());
    for _ in 0..TRIES {
        let solve = |index: usize| async move {
            let mut decider = (method.decider)(index);
            (index, solver.solve(&problems[index], &mut *decider, method.draw, &method.options).await)
        };
        let solved = in_order(std::mem::take(&mut waiting).into_iter().map(solve), concurrency, |(_, episode)| {
            episode.iter().filter(|episode| episode.is_complete()).for_each(&mut watch);
            // After a cap, queries under way are paid for already; later ones end at once.
            episode.as_ref().is_err_and(|error| error.cap().is_none())
        });
        for (index, episode) in solved.await {
            match episode {
                Ok(episode) => {
                    waiting.extend((!episode.is_complete()).then_some(index));
                    episodes.insert(index, episode);
                }
                Err(error) => outcome = Err(error),
            }
        }
        if outcome.is_err() {
            break;
        }
    }
    let mut evaluation = Evaluation { name: method.name.to_owned(), ..Evaluation::default() };
    for mut episode in episodes.into_values() {
        if !episode.is_complete() {
            (episode.score, episode.answer) = (0.0, None);
            evaluation.failed += 1;
            watch(&episode);
        }
        evaluation.episodes.push(episode);
    }
    (evaluation, outcome)
}
