//! Makes the verdicts of logs consistent: equal answers must have equal scores, whoever gave them.

use std::collections::BTreeMap;

use anyhow::Result;

use super::form::Form;
use super::join::{Asked, Joined};
use super::source::Sample;

/// Removes blank outputs, unless they have a score above zero. Uses free texts as answers. Takes back verdicts that
/// contradict each other about equal answers: the benchmark grades those that have a reference; for the others the mean
/// counts.
pub(super) fn settle(joined: &mut Joined, form: Form) -> Result<()> {
    let (mut graded, mut averaged) = (0, 0);
    for problem in &mut joined.problems {
        for sample in problem.outputs.values_mut().map(|given| &mut given.sample) {
            let is_blank = sample.output.as_ref().is_some_and(|text| text.trim().is_empty());
            if is_blank && sample.score.is_none_or(|score| score == 0.0) {
                (sample.output, sample.answer) = (None, None);
            }
        }
        if form.is_free {
            for given in problem.outputs.values_mut() {
                let sample = &mut given.sample;
                sample.answer =
                    sample.answer.take().or_else(|| sample.output.as_ref().map(|text| text.trim().to_owned()));
            }
        }
        let contradicted = contradicted(problem, form);
        let has_reference = problem.reference.is_some();
        for given in problem.outputs.values_mut() {
            if !answer(&given.sample, form).is_some_and(|answer| contradicted.contains(&answer)) {
                continue;
            }
            if has_reference {
                given.sample.score = None;
                graded += 1;
            } else {
                averaged += 1;
            }
        }
    }
    if graded > 0 {
        joined
            .notes
            .push(format!("verdicts of {graded} outputs contradict those of equal answers: they are graded again"));
    }
    if averaged > 0 {
        joined.notes.push(format!("scores of {averaged} outputs differ from those of equal answers: the mean counts"));
    }
    Ok(())
}

/// The answer of an output, as recorded outputs are read.
fn answer(sample: &Sample, form: Form) -> Option<String> {
    let output = sample.output.as_ref()?;
    let given = sample.answer.as_ref().map(|answer| form.answers.spelled(answer));
    given.or_else(|| form.answers.extract(output)).or_else(|| Some(output.trim().to_owned()))
}

/// Answers whose lines give different scores.
fn contradicted(problem: &Asked, form: Form) -> Vec<String> {
    let mut scores: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    for given in problem.outputs.values() {
        if let Some(answer) = answer(&given.sample, form) {
            scores.entry(answer).or_default().push(given.sample.score);
        }
    }
    let differ =
        |scores: &Vec<Option<f64>>| scores.iter().flatten().any(|score| scores.iter().flatten().next() != Some(score));
    scores.into_iter().filter(|(_, scores)| differ(scores)).map(|(answer, _)| answer).collect()
}
