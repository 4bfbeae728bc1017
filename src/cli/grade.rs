//! `lamas grade`: grades a file of predictions against their references.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::python;
use crate::benchmarks::code_grading::{self, Verdict};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose answers they are
    benchmark: Graded,
    /// JSON lines with `task_id` and `completion`
    file: PathBuf,
    /// The tasks with their tests (HumanEval.jsonl), unless the lines bring them along
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    /// One JSON object a line; the accuracy goes to standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    python: python::Flags,
}

/// Benchmarks whose answers can be graded by themselves.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Graded {
    Humaneval,
}

pub fn run(args: Args) -> Result<()> {
    let Graded::Humaneval = args.benchmark;
    let read = |path: &PathBuf| {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{origin}`"))?;
        anyhow::Ok((text, origin))
    };
    let tasks = match &args.tests {
        Some(path) => {
            let (text, origin) = read(path)?;
            code_grading::tasks(&text, &origin)?
        }
        None => Default::default(),
    };
    let (text, origin) = read(&args.file)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let sandbox = python::open(&runtime, &args.python)?;
    let verdicts = runtime.block_on(code_grading::grade(&text, &origin, &tasks, &sandbox))?;
    ensure!(!verdicts.is_empty(), "{origin}: expected at least one line, found none");
    match print(&verdicts, args.json) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.context("cannot write to standard output")?,
    }
    let right = verdicts.iter().filter(|verdict| verdict.correct).count();
    let share = 100.0 * right as f64 / verdicts.len() as f64;
    let accuracy = format!("accuracy {share:.1} %: {right} of {} right", verdicts.len());
    if args.json {
        eprintln!("{accuracy}");
    } else {
        println!("{accuracy}");
    }
    Ok(())
}

fn print(verdicts: &[Verdict], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for verdict in verdicts {
        if as_json {
            serde_json::to_writer(&mut out, verdict)?;
            writeln!(out)?;
            continue;
        }
        let Verdict { line, task_id, fault, .. } = verdict;
        match fault.as_deref().map(|fault| fault.lines().last().unwrap_or_default()) {
            Some(fault) => writeln!(out, "{line}: wrong: {task_id}: {fault}")?,
            None => writeln!(out, "{line}: right: {task_id}")?,
        }
    }
    out.flush()
}
