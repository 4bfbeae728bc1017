//! Turns what a server kept into a benchmark folder with recorded outputs: the questions whose answers were rated.
//!
//! Every problem needs outputs of every operator. Explored requests have them, whatever plan answered, and are a
//! uniform sample; any other selection would depend on the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use toml::{Table, Value};

use super::folder;
use super::join::{Asked, Joined, Said};
use super::options::Shares;
use super::served_lines::{Kept, Rated};
use super::split::{SPLITS, assign};
use crate::operation::{Catalogue, TraceLine, Turn};
use crate::random::key;
use crate::record::outputs_of;
use crate::task::{AnswerForm, Benchmark};

/// What to make, and from what.
pub struct Served {
    /// The folder of `lamas serve --record`.
    pub folder: PathBuf,
    /// The name under which the run was served.
    pub run: String,
    /// Its operators, and the form and worth of its answers.
    pub catalogue: Catalogue,
    pub benchmark: Benchmark,
    /// The folder to write.
    pub out: PathBuf,
    /// Largest share of the problems that may come from one key, above 0.
    pub most_share: f64,
    /// Decides which problems train, validate and test.
    pub seed: u64,
    pub shares: Shares,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServedSummary {
    pub folder: PathBuf,
    pub traces: PathBuf,
    /// Requests that plans answered, and those whose answers were rated.
    pub answered: usize,
    pub rated: usize,
    /// Of these, those that were explored, and those with outputs of every operator.
    pub explored: usize,
    pub complete: usize,
    /// By split.
    pub problems: BTreeMap<String, usize>,
    pub outputs: usize,
    /// What the user should hear, one line each.
    pub notes: Vec<String>,
}

/// A problem, and its outputs.
struct Lesson {
    id: String,
    key: Option<String>,
    question: String,
    reference: Option<String>,
    outputs: Vec<TraceLine>,
}

impl Lesson {
    fn problem(&self) -> folder::Line<'_> {
        let Lesson { id, question, reference, .. } = self;
        folder::Line { id, question, answer: reference.as_deref(), kind: None }
    }
}

/// Reads the folder of a server and writes that of a benchmark.
///
/// # Errors
/// Names the file and the line at fault, or says what is missing to train from. Nothing is left of a folder then.
pub fn import_served(served: &Served) -> Result<ServedSummary> {
    folder::check_free(&served.out)?;
    let form = served.benchmark.answer;
    ensure!(form != AnswerForm::Python, "expected answers that are compared, found code: no feedback brings tests");
    let Kept { rated, answered, mut notes } = Kept::read(&served.folder, &served.run)?;
    let said = rated.len();
    let is_explored = |rated: &Rated| rated.decision.explored().is_some();
    let explored = rated.iter().filter(|rated| is_explored(rated)).count();
    let whole: Vec<Rated> = rated.into_iter().filter(|rated| is_complete(rated, &served.catalogue)).collect();
    let complete = whole.len();
    let taken: Vec<Rated> = match explored {
        0 => {
            notes.push(
                "warning: nothing was explored: the problems are those whose plan asked every operator, which the controller \
                 chose; hint: `lamas serve --explore SHARE`"
                    .to_owned(),
            );
            whole
        }
        _ => whole.into_iter().filter(is_explored).collect(),
    };
    let shares: BTreeSet<String> =
        taken.iter().filter_map(|it| it.decision.explored()).map(|share| share.to_string()).collect();
    if shares.len() > 1 {
        let shares: Vec<String> = shares.into_iter().collect();
        notes.push(format!("requests were explored with several shares ({}): all count alike", shares.join(", ")));
    }
    let of = taken.len();
    let lessons: Vec<Lesson> = taken.into_iter().filter_map(|rated| lesson(rated, served)).collect();
    if lessons.len() < of {
        let left = of - lessons.len();
        notes.push(format!(
            "{left} problems are left out, whose feedback does not say what each answer is worth: a `score` does so only of \
             answers equal to the one that was shown; hint: the right `answer` grades all"
        ));
    }
    let lessons = limited(lessons, served.most_share, served.seed, &mut notes)?;
    ensure!(
        lessons.len() >= SPLITS.len(),
        "expected at least {} problems to train from, found {}: of {answered} answers {said} were rated, {explored} of these \
         explored, {complete} have outputs of every operator; hint: \
         `lamas serve --explore SHARE` asks what a plan leaves out",
        SPLITS.len(),
        lessons.len()
    );
    let splits = splits(&lessons, served)?;
    let outputs = lessons.iter().map(|lesson| lesson.outputs.len()).sum();
    write(served, &lessons, &splits)?;
    let mut problems = BTreeMap::new();
    splits.into_iter().for_each(|split| *problems.entry(split).or_default() += 1);
    Ok(ServedSummary {
        folder: served.out.clone(),
        traces: served.out.join(folder::TRACES),
        answered,
        rated: said,
        explored,
        complete,
        problems,
        outputs,
        notes,
    })
}

/// Whether there is a call of every operator at work.
fn is_complete(rated: &Rated, catalogue: &Catalogue) -> bool {
    let mut signed = catalogue.operators().iter().zip(catalogue.signatures());
    signed.all(|(operator, signature)| {
        !signature.is_at_work() || rated.calls.iter().any(|line| line.operator == operator.name)
    })
}

/// A problem, if the feedback says what all its answers are worth.
fn lesson(rated: Rated, served: &Served) -> Option<Lesson> {
    let (form, finish) = (served.benchmark.answer, Turn::Finish.to_string());
    let Rated { decision, feedback, calls } = rated;
    let mut samples: BTreeMap<String, u64> = BTreeMap::new();
    let mut outputs: Vec<TraceLine> = Vec::new();
    for line in calls.iter().filter(|line| line.turn != finish) {
        let sample = samples.entry(line.operator.clone()).or_default();
        outputs.extend(outputs_of(line, &served.catalogue, sample));
    }
    outputs.iter_mut().for_each(|output| output.query.clone_from(&decision.id));
    let shown = decision.shown().map(str::to_owned);
    let reference = match (feedback.answer, feedback.score) {
        (Some(answer), _) => Some(answer),
        // The answer shown is right, so any other is wrong.
        (None, Some(1.0)) => shown.clone(),
        _ => None,
    };
    match (&reference, feedback.score) {
        (Some(reference), _) => {
            form.find(reference).filter(|reference| !reference.is_empty())?;
        }
        (None, Some(score)) => {
            let shown = shown?;
            for output in outputs.iter_mut().filter(|output| output.answer.is_some()) {
                let is_shown = output.answer.as_deref().is_some_and(|answer| form.equal(&shown, answer));
                output.score = is_shown.then_some(score);
                output.score?;
            }
        }
        (None, None) => return None,
    }
    Some(Lesson { id: decision.id, key: decision.key, question: decision.question, reference, outputs })
}

/// Drops random problems of the keys that have the most, until no key has a larger share than `most`.
///
/// # Errors
/// There are too few keys for so small a share.
fn limited(lessons: Vec<Lesson>, most: f64, seed: u64, notes: &mut Vec<String>) -> Result<Vec<Lesson>> {
    let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
    lessons.iter().for_each(|lesson| *counts.entry(lesson.key.clone()).or_default() += 1);
    let largest = counts.values().max().copied().unwrap_or_default();
    let fits = |room: &usize| {
        let kept: usize = counts.values().map(|count| count.min(room)).sum();
        *room as f64 <= most * kept as f64
    };
    let Some(room) = (1..=largest).rev().find(fits) else {
        if lessons.is_empty() {
            return Ok(lessons);
        }
        bail!(
            "--most-share: expected a share that {} keys can have, found {most}; hint: with N keys it is at least 1/N",
            counts.len()
        );
    };
    let total = lessons.len();
    let mut order: Vec<(u64, Lesson)> = lessons.into_iter().map(|it| (key(&[&seed, &it.id]), it)).collect();
    order.sort_by_key(|(place, _)| *place);
    let mut taken: BTreeMap<Option<String>, usize> = BTreeMap::new();
    order.retain(|(_, lesson)| {
        let count = taken.entry(lesson.key.clone()).or_default();
        *count += 1;
        *count <= room
    });
    if order.len() < total {
        notes.push(format!(
            "{} problems are left out, so that no key has a larger share than {most}",
            total - order.len()
        ));
    }
    if counts.len() > 1 && 2 * room.min(largest) > order.len() {
        notes.push("one key said more than half of all; hint: `--most-share .5` limits it".to_owned());
    }
    Ok(order.into_iter().map(|(_, lesson)| lesson).collect())
}

/// The split of each problem.
fn splits(lessons: &[Lesson], served: &Served) -> Result<Vec<String>> {
    let asked = |lesson: &Lesson| Asked {
        id: lesson.id.clone(),
        question: Some(Said { text: lesson.question.clone(), place: String::new() }),
        ..Asked::default()
    };
    let mut joined = Joined { problems: lessons.iter().map(asked).collect(), ..Joined::default() };
    assign(&mut joined, served.seed, served.shares)?;
    Ok(joined.problems.into_iter().map(|problem| problem.split.map_or(String::new(), |split| split.text)).collect())
}

fn write(served: &Served, lessons: &[Lesson], splits: &[String]) -> Result<()> {
    let Served { out, benchmark, catalogue, run, .. } = served;
    folder::put(out, benchmark.answer, |folder| {
        folder::write_file(folder, "benchmark.toml", &description(&folder::name(out), run, benchmark)?)?;
        folder::write_file(folder, "catalogue.toml", catalogue.text())?;
        for split in SPLITS {
            let of_split = lessons.iter().zip(splits).filter(|(_, place)| *place == split);
            let problems = of_split.map(|(lesson, _)| lesson.problem());
            folder::write_file(folder, &format!("{split}.jsonl"), &folder::lines(problems)?)?;
        }
        let outputs = lessons.iter().flat_map(|lesson| &lesson.outputs);
        folder::write_file(folder, folder::TRACES, &folder::lines(outputs)?)
    })
}

/// The benchmark of the run, with other problems.
fn description(name: &str, run: &str, benchmark: &Benchmark) -> Result<String> {
    let mut table = Table::new();
    table.insert("name".into(), name.into());
    table.insert("description".into(), format!("What `{run}` was asked, as people rated its answers.").into());
    table.insert("answer".into(), Value::try_from(benchmark.answer)?);
    table.insert("catalogue".into(), "catalogue.toml".into());
    let splits = SPLITS.map(|split| (split.to_owned(), format!("{split}.jsonl").into()));
    table.insert("splits".into(), Value::Table(splits.into_iter().collect()));
    table.insert("reward".into(), Value::try_from(benchmark.reward)?);
    Ok(format!("# Made by `lamas traces served`; the outputs are in {}.\n{}", folder::TRACES, toml::to_string(&table)?))
}
