//! `lamas grade`: grades a file of predictions against their references.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::benchmarks::AnswerForm;
use crate::benchmarks::grading::{Verdict, grade};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose answers they are
    benchmark: Graded,
    /// JSON lines with `pred` (the answer) or `text` (the solution) against `ref` or `gold`
    file: PathBuf,
    /// One JSON object a line; the accuracy goes to standard error
    #[arg(long)]
    json: bool,
}

/// Benchmarks whose answers can be graded by themselves.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Graded {
    Math,
    Gsm8k,
}

pub fn run(args: Args) -> Result<()> {
    let form = match args.benchmark {
        Graded::Math => AnswerForm::Mathematics,
        Graded::Gsm8k => AnswerForm::Number,
    };
    let origin = args.file.display().to_string();
    let lines = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read `{origin}`"))?;
    let verdicts = grade(form, &lines, &origin)?;
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
        let Verdict { line, correct, extracted, reference } = verdict;
        let word = if *correct { "right" } else { "wrong" };
        let found = extracted.as_deref().unwrap_or("no answer").replace('\n', " ");
        writeln!(out, "{line}: {word}: {found} (expected {reference})")?;
    }
    out.flush()
}
