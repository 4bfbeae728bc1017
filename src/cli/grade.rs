//! `lamas grade`: grades a file of predictions against reference answers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::config::PythonFlags;
use super::output::say;
use super::session::runtime;
use crate::settings::open_sandbox;
use crate::task::grading::{self, GradedLine};
use crate::task::{AnswerForm, Benchmark, code_grading};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// `math`, `gsm8k`, `humaneval`, or a benchmark folder of your own with answers that can be compared
    benchmark: String,
    /// JSON lines with `pred` (the answer) or `text` (the solution), and `ref` or `gold`; for code, `task_id` and `completion`
    file: PathBuf,
    /// Print one JSON object for each line; the accuracy goes to standard error
    #[arg(long)]
    json: bool,
    /// For code: the tasks with their tests (HumanEval.jsonl), unless the lines contain them
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    #[command(flatten)]
    python: PythonFlags,
}

/// The result for a line, for both output formats.
struct Row {
    /// `None` if it cannot be decided.
    correct: Option<bool>,
    text: String,
    json: String,
}

pub fn run(args: Args) -> Result<()> {
    let (lines, origin) = read(&args.file)?;
    let rows = match form(&args.benchmark)? {
        AnswerForm::Python => rows(grade_code(&args, &lines, &origin)?, code),
        form => rows(grading::grade(form, &lines, &origin)?, answer),
    }?;
    ensure!(!rows.is_empty(), "{origin}: expected at least one line, found none");
    match print(&rows, args.json) {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.context("cannot write to standard output")?,
    }
    let judged: Vec<bool> = rows.iter().filter_map(|row| row.correct).collect();
    let (right, unsupported) = (judged.iter().filter(|&&correct| correct).count(), rows.len() - judged.len());
    let share = 100.0 * right as f64 / judged.len().max(1) as f64;
    let others = if unsupported > 0 { format!(", {unsupported} unsupported") } else { String::new() };
    let accuracy = format!("accuracy {share:.1} %: {right} of {} right{others}", judged.len());
    if args.json {
        eprintln!("{accuracy}");
    } else {
        say(accuracy)?;
    }
    Ok(())
}

/// The form of a benchmark's answers.
fn form(benchmark: &str) -> Result<AnswerForm> {
    match benchmark {
        "math" => return Ok(AnswerForm::Mathematics),
        "gsm8k" => return Ok(AnswerForm::Number),
        "humaneval" => return Ok(AnswerForm::Python),
        _ => {}
    }
    let path = Path::new(benchmark);
    ensure!(
        path.exists(),
        "expected math, gsm8k, humaneval or a benchmark folder, found `{benchmark}`; hint: `lamas init DIR` makes a folder"
    );
    Ok(Benchmark::open(Some(path))?.answer)
}

/// The text of a file, with its name.
fn read(path: &Path) -> Result<(String, String)> {
    let origin = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{origin}`"))?;
    Ok((grading::decoded(&bytes), origin))
}

fn grade_code(args: &Args, lines: &str, origin: &str) -> Result<Vec<code_grading::GradedCode>> {
    let tasks = match &args.tests {
        Some(path) => {
            let (text, origin) = read(path)?;
            code_grading::tasks(&text, &origin)?
        }
        None => Default::default(),
    };
    let runtime = runtime()?;
    let PythonFlags { python, allow_unsandboxed } = &args.python;
    let (sandbox, remark) = runtime.block_on(open_sandbox(python.as_deref(), *allow_unsandboxed))?;
    if let Some(remark) = remark {
        eprintln!("{remark}");
    }
    runtime.block_on(code_grading::grade(lines, origin, &tasks, &sandbox))
}

fn rows<T: Serialize>(verdicts: Vec<T>, row: fn(&T) -> (Option<bool>, String)) -> Result<Vec<Row>> {
    let row = |verdict: T| {
        let (correct, text) = row(&verdict);
        Ok(Row { correct, text, json: serde_json::to_string(&verdict)? })
    };
    verdicts.into_iter().map(row).collect()
}

fn answer(verdict: &GradedLine) -> (Option<bool>, String) {
    let GradedLine { line, correct, extracted, reference } = verdict;
    let word = if *correct { "right" } else { "wrong" };
    let found = extracted.as_deref().unwrap_or("no answer").replace('\n', " ");
    (Some(*correct), format!("{line}: {word}: {found} (expected {reference})"))
}

fn code(verdict: &code_grading::GradedCode) -> (Option<bool>, String) {
    let code_grading::GradedCode { line, task_id, correct, unsupported, fault, .. } = verdict;
    let fault = fault.as_deref().and_then(|fault| fault.lines().last()).unwrap_or_default();
    match unsupported {
        Some(doubt) => (None, format!("{line}: unsupported: {task_id}: {doubt}")),
        None if *correct => (Some(true), format!("{line}: right: {task_id}")),
        None => (Some(false), format!("{line}: wrong: {task_id}: {fault}")),
    }
}

fn print(rows: &[Row], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", if as_json { &row.json } else { &row.text })?;
    }
    out.flush()
}
