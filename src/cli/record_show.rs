//! `lamas record show`: shows what a record contains, by operator.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::output::{Tables, rendered, say, say_json};
use crate::printable::printable;
use crate::record::{Line, each_call};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Record to show
    file: PathBuf,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// Totals over the lines of an operator.
#[derive(Default, Serialize)]
struct Held {
    lines: u64,
    problems: usize,
    solutions: u64,
    /// Tokens written, over all calls.
    tokens: u64,
    /// At the prices in force when they were recorded.
    dollars: f64,
    /// Mean over the solutions that were graded.
    score: Option<f64>,
    #[serde(skip)]
    seen: HashSet<String>,
    #[serde(skip)]
    graded: (f64, u64),
}

pub fn run(args: &Args) -> Result<()> {
    args.tables.apply();
    let mut operators: BTreeMap<String, Held> = BTreeMap::new();
    let remarks = each_call(&args.file, |_, line| {
        operators.entry(line.operator.clone()).or_default().take_in(line);
        Ok(())
    })?;
    remarks.iter().for_each(|remark| eprintln!("{remark}"));
    for held in operators.values_mut() {
        held.problems = held.seen.len();
        held.score = (held.graded.1 > 0).then(|| held.graded.0 / held.graded.1 as f64);
    }
    ensure!(!operators.is_empty(), "`{}`: expected at least one recorded call, found none", args.file.display());
    if args.json {
        return say_json(&operators);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["operator", "lines", "problems", "solutions", "tokens", "dollars", "score"]);
    for (name, held) in &operators {
        table.add_row([
            printable(name).into_owned(),
            held.lines.to_string(),
            held.problems.to_string(),
            held.solutions.to_string(),
            held.tokens.to_string(),
            format!("{:.6}", held.dollars),
            held.score.map_or("-".to_owned(), |score| format!("{score:.3}")),
        ]);
    }
    Ok(say(rendered(&table))?)
}

impl Held {
    fn take_in(&mut self, line: Line) {
        self.lines += 1;
        self.dollars += line.cost;
        self.solutions += line.solutions.len() as u64;
        self.tokens += line.calls.iter().map(|call| call.usage.completion_tokens).sum::<u64>();
        for given in &line.solutions {
            // If answers were graded, a solution without an answer counts as wrong.
            let unanswered = (given.answer.is_none() && line.reference.is_some()).then_some(0.0);
            if let Some(score) = given.score.or(unanswered) {
                self.graded = (self.graded.0 + score, self.graded.1 + 1);
            }
        }
        self.seen.insert(line.problem);
    }
}
