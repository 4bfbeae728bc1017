//! Writes the benchmark folder of an import, completely or not at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::form;
use super::join::{Asked, Joined};
use super::names::Named;
use super::split::SPLITS;
use crate::disk::{WriteError, create_folder};
use crate::folder::Folder;
use crate::operation::{Catalogue, TraceLine, Traces};
use crate::task::{AnswerForm, Benchmark};

/// The file of recorded outputs in the folder.
pub(super) const TRACES: &str = "traces.jsonl";

/// A line of a file of problems.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub id: &'a str,
    pub question: &'a str,
    /// Null where there is none.
    pub answer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
}

/// Checks that a folder of that name can be made: it is not there, or empty.
///
/// # Errors
/// Something is in its place.
pub(super) fn check_free(out: &Path) -> Result<()> {
    let is_free = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !out.exists(),
    };
    ensure!(
        is_free,
        "expected a new or empty folder in `--out`, found `{}`; hint: choose another name, or remove it",
        out.display()
    );
    Ok(())
}

/// Writes the folder of what was imported.
///
/// # Errors
/// Those of [`put`].
pub(super) fn write(out: &Path, joined: &Joined, answers: AnswerForm) -> Result<()> {
    let name = name(out);
    put(out, answers, |folder| fill(folder, &name, joined, answers))
}

/// What the benchmark in a folder is called.
pub(super) fn name(out: &Path) -> String {
    out.file_name().map_or("imported".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Has a folder filled beside its place, reads it as training would, and puts it there.
///
/// # Errors
/// It cannot be written; what was begun is removed.
pub(super) fn put(out: &Path, answers: AnswerForm, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let above = match out.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
        _ => PathBuf::from("."),
    };
    create_folder(&above)?;
    let mut builder = tempfile::Builder::new();
    // Temporary folders are private to their owner by default, which a result should not be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let begun = builder.prefix(".unfinished-").tempdir_in(&above);
    let begun = begun.map_err(WriteError::of(format!("create a folder in `{}`", above.display())))?;
    fill(begun.path())?;
    check(begun.path(), answers)?;
    std::fs::rename(begun.path(), out).map_err(WriteError::of(format!("write `{}`", out.display())))?;
    // It is no more where it was begun.
    let _ = begun.keep();
    Ok(())
}

fn fill(folder: &Path, name: &str, joined: &Joined, answers: AnswerForm) -> Result<()> {
    let put = |file: &str, text: String| write_file(folder, file, &text);
    put("benchmark.toml", description(name, answers))?;
    put("catalogue.toml", catalogue(&joined.operators))?;
    for split in SPLITS {
        let is_in = |problem: &&Asked| problem.split.as_ref().is_some_and(|said| said.text == split);
        put(&format!("{split}.jsonl"), lines(joined.problems.iter().filter(is_in).map(problem))?)?;
    }
    put(TRACES, lines(joined.problems.iter().flat_map(|problem| recorded(problem, &joined.operators)))?)
}

/// Writes a file of a folder.
///
/// # Errors
/// Names it.
pub(super) fn write_file(folder: &Path, file: &str, text: &str) -> Result<()> {
    let path = folder.join(file);
    Ok(std::fs::write(&path, text).map_err(WriteError::of(format!("write `{}`", path.display())))?)
}

pub(super) fn lines<T: Serialize>(records: impl Iterator<Item = T>) -> Result<String> {
    let mut text = String::new();
    for record in records {
        text.push_str(&serde_json::to_string(&record)?);
        text.push('\n');
    }
    Ok(text)
}

fn problem(asked: &Asked) -> Line<'_> {
    Line {
        id: &asked.id,
        question: asked.question.as_ref().map_or("", |question| question.text.as_str()),
        answer: asked.reference.as_ref().map(|reference| reference.text.as_str()),
        kind: asked.kind.as_deref(),
    }
}

/// The outputs of a problem, operator by operator, numbered from 0.
fn recorded(asked: &Asked, operators: &[Named]) -> Vec<TraceLine> {
    let mut numbers = vec![0; operators.len()];
    let mut lines = Vec::with_capacity(asked.outputs.len());
    for ((operator, _), given) in &asked.outputs {
        let sample = &given.sample;
        // Where there is no reference equal answers may have different scores.
        let verdict = sample.score.filter(|score| asked.reference.is_some() && (*score == 0.0 || *score == 1.0));
        lines.push(TraceLine {
            query: asked.id.clone(),
            operator: operators[*operator].name.clone(),
            sample: Some(numbers[*operator]),
            output: sample.output.clone(),
            answer: sample.answer.clone(),
            correct: verdict.map(|score| score == 1.0),
            score: sample.score.filter(|_| verdict.is_none()),
            executed: None,
            reads: None,
            calls: sample.calls,
            prompt_tokens: sample.prompt_tokens.unwrap_or_default(),
            tokens: sample.tokens.unwrap_or_default(),
            tool_seconds: 0.0,
            seconds: sample.seconds.unwrap_or_default(),
            cost: sample.cost.unwrap_or_default(),
            estimated: given.estimated.iter().map(|field| (*field).to_owned()).collect(),
        });
        numbers[*operator] += 1;
    }
    lines
}

fn description(name: &str, answers: AnswerForm) -> String {
    let [name, of] = [name, "Imported outputs."].map(quoted);
    let splits = SPLITS.map(|split| format!("{split} = \"{split}.jsonl\"")).join("\n");
    format!(
        "# Made by `lamas traces import`; the outputs are in {TRACES}.\nname = {name}\ndescription = {of}\n\
         answer = {}\ncatalogue = \"catalogue.toml\"\n\n[splits]\n{splits}\n\n[reward]\n\
         # Score per token of critical path, score per dollar, tokens per second of tool time: the weights of training, unless a\n\
         # flag says otherwise (`--second-costs`, `--dollar-costs`).\n\
         latency_weight = 0.0001\ncost_weight = 20.0\ngamma = 50.0\n",
        form::name(answers)
    )
}

fn catalogue(operators: &[Named]) -> String {
    let mut text = "# Operators whose outputs were imported. A controller knows an operator only by its description.\n\
                    # Before a model can be asked, each needs a `prompt` and `max_tokens`.\n"
        .to_owned();
    let names: BTreeSet<&str> = operators.iter().map(|operator| operator.name.as_str()).collect();
    let free = |name: &str| {
        let mut numbered = (1..).map(|number| if number == 1 { name.to_owned() } else { format!("{name}{number}") });
        numbered.find(|name| !names.contains(name.as_str())).unwrap_or_default()
    };
    let vote = (free("Vote"), "ensemble", "Keeps the answer on which most solutions agree.");
    let stop = (free("EarlyStop"), "stop", "Ends the work here, because what has been found is good enough.");
    let imported = operators.iter().map(|operator| (operator.name.clone(), "generate", operator.description.as_str()));
    for (name, kind, description) in imported.chain([vote, stop]) {
        let [name, description] = [&name, description].map(quoted);
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[[operator]]\nname = {name}\nkind = \"{kind}\"\ndescription = {description}\n");
    }
    text
}

/// Text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Reads the folder as training reads it, so that what is written serves.
fn check(folder: &Path, form: AnswerForm) -> Result<()> {
    let read = || -> Result<()> {
        let benchmark = Benchmark::load(Folder::Disk(folder.to_owned()))?;
        for split in SPLITS {
            benchmark.problems(split)?;
        }
        let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
        Traces::load(&folder.join(TRACES), &catalogue, form).map(drop)
    };
    read().context("cannot train on what was imported")
}
