//! Keeps the problems that are complete: with a question and an output of every operator.

use anyhow::{Result, bail, ensure};

use super::join::{Asked, Joined};
use super::source::listed;

/// Leaves out problems without an output of every operator, and says so.
///
/// # Errors
/// Lists problems without a question, or with neither a reference nor a score. It is also an error if no problem has
/// outputs of all operators.
pub(super) fn keep_complete(joined: &mut Joined) -> Result<()> {
    let Joined { operators, problems, notes } = joined;
    let has = |problem: &Asked, operator: usize| problem.outputs.keys().any(|(of, _)| *of == operator);
    let lacking: Vec<String> = (0..operators.len())
        .map(|operator| (operator, problems.iter().filter(|problem| !has(problem, operator)).count()))
        .filter(|(_, missing)| *missing > 0)
        .map(|(operator, missing)| format!("{missing} without an output of `{}`", operators[operator].name))
        .collect();
    let all = problems.len();
    problems.retain(|problem| (0..operators.len()).all(|operator| has(problem, operator)));
    let left_out = all - problems.len();
    ensure!(
        !problems.is_empty(),
        "expected problems with an output of every operator, found none among {all}: {}; hint: files without common ids hold \
         different problems, or one operator has two names (`NAME=FILE` sets its name)",
        lacking.join(", ")
    );
    if left_out > 0 {
        notes.push(format!("{left_out} of {all} problems are left out: {}", lacking.join(", ")));
    }
    let is_blank = |problem: &&Asked| problem.question.as_ref().is_none_or(|question| question.text.trim().is_empty());
    let silent: Vec<String> = problems
        .iter()
        .filter(is_blank)
        .map(|problem| format!("{}: problem `{}`", problem.place, problem.id))
        .collect();
    if !silent.is_empty() {
        bail!(
            "expected a question for every problem, found none for {}:{}\nhint: `--references FILE` can supply `id` and `question`{}",
            silent.len(),
            listed(&silent),
            "; for a batch, give the file of requests too"
        );
    }
    let unjudged: Vec<String> =
        problems.iter().filter(|problem| problem.reference.is_none()).flat_map(unscored).collect();
    if !unjudged.is_empty() {
        bail!(
            "expected a reference answer or a score, found neither for {} outputs:{}\nhint: `--references FILE` can supply `id` and \
             `answer`, or give each output a score from 0 to 1",
            unjudged.len(),
            listed(&unjudged)
        );
    }
    Ok(())
}

/// Outputs that have no score.
fn unscored(problem: &Asked) -> Vec<String> {
    let outputs = problem.outputs.values().map(|given| &given.sample);
    let unscored = outputs.filter(|sample| sample.score.is_none() && sample.output.is_some());
    unscored.map(|sample| format!("{}: problem `{}`", sample.place, problem.id)).collect()
}
