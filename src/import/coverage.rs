//! Checks what is known of each problem: its question, a reference or scores, and outputs of which operators.

use anyhow::{Result, bail, ensure};

use super::join::{Asked, Joined};
use super::source::listed;

/// Says which problems lack an output of some operators.
///
/// # Errors
/// Lists problems without a question, or with neither a reference nor a score. It is also an error if no problem has
/// outputs of all operators.
pub(super) fn check(joined: &mut Joined) -> Result<()> {
    let Joined { operators, problems, notes } = joined;
    let has = Asked::has;
    let lacking: Vec<String> = (0..operators.len())
        .map(|operator| (operator, problems.iter().filter(|problem| !has(problem, operator)).count()))
        .filter(|(_, missing)| *missing > 0)
        .map(|(operator, missing)| format!("{missing} without an output of `{}`", operators[operator].name))
        .collect();
    let all = problems.len();
    let complete = problems.iter().filter(|problem| problem.is_complete(operators.len())).count();
    ensure!(
        complete > 0,
        "expected problems with an output of every operator, found none among {all}: {}; hint: files without common ids hold \
         different problems, or one operator has two names (`NAME=FILE` sets its name)",
        lacking.join(", ")
    );
    if complete < all {
        notes.push(format!(
            "{} of {all} problems lack an output of some operator and are only learned from: {}",
            all - complete,
            lacking.join(", ")
        ));
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
