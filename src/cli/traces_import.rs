//! `lamas traces import`: turns logs of other programs into a benchmark folder with traces.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use comfy_table::{Table, presets};

use super::output::{Tables, rendered, say_json, say_table};
use crate::import::{Format, Input, Options, Outputs, Precedence, Quantity, Shares, Speed, Summary, import};
use crate::printable::printable;
use crate::report::format;
use crate::settings::prices;
use crate::task::AnswerForm;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the files are: lm-evaluation-harness samples_*.jsonl, Inspect logs (.json, .eval), OpenAI batch requests and
    /// responses, or a table
    #[arg(long)]
    format: Format,
    /// Files to read; `NAME=FILE` names the operator whose outputs are in it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Input>,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Prices in TOML, by operator or by model; default: the built-in list
    #[arg(long, value_name = "FILE", env = "LAMAS_PRICES")]
    prices: Option<PathBuf>,
    /// Which of two contradicting lines counts
    #[arg(long, value_name = "WHICH", default_value = "fail")]
    on_conflict: Precedence,
    /// lm-eval: the filter to take answers from
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// lm-eval: the metric that scores an output; Inspect: the scorer, or SCORER/KEY
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// lm-eval: the field of a document that holds the question
    #[arg(long, value_name = "FIELD")]
    question: Option<String>,
    /// Table or JSON lines with `id` and `answer`, `question` or `split`; overrides what the logs say
    #[arg(long, value_name = "FILE")]
    references: Option<PathBuf>,
    /// Tables: the header of a column, such as `output=Model reply`; repeatable
    #[arg(long = "column", value_name = "COLUMN=HEADER", value_parser = pair)]
    columns: Vec<(String, String)>,
    /// Answer form: integer, number, mathematics, exact or choice; default: guessed from the references
    #[arg(long, value_name = "FORM", value_parser = form)]
    answer: Option<AnswerForm>,
    /// Seed for the split into train, validation and test, if the input has none
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Proportions of train, validation and test; default: 8:1:4, as in the built-in workload
    #[arg(long, value_name = "N:N:N")]
    shares: Option<Shares>,
    /// To estimate unrecorded seconds: half a second plus the tokens at this speed; repeatable; default: 50
    #[arg(long = "tokens-per-second", value_name = "[OPERATOR=]N")]
    speeds: Vec<Speed>,
    /// Format of the table: text, markdown, latex or csv [default: text]
    #[arg(long, value_name = "FORMAT")]
    table_format: Option<format::Format>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Format::LmEval, Format::Inspect, Format::OpenAiBatch, Format::Csv]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Format::LmEval => "lm-eval",
            Format::Inspect => "inspect",
            Format::OpenAiBatch => "openai-batch",
            Format::Csv => "csv",
        }))
    }
}

impl ValueEnum for Precedence {
    fn value_variants<'a>() -> &'a [Self] {
        &[Precedence::First, Precedence::Last, Precedence::Neither]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Precedence::First => "first",
            Precedence::Last => "last",
            Precedence::Neither => "fail",
        }))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(column, header)| (column.to_owned(), header.to_owned()));
    pair.ok_or_else(|| format!("expected COLUMN=HEADER, found `{text}`"))
}

fn form(text: &str) -> Result<AnswerForm, String> {
    let form = serde_json::from_value(serde_json::Value::String(text.to_owned()));
    form.map_err(|_| format!("expected integer, number, mathematics, exact or choice, found `{text}`"))
}

pub fn run(args: Args) -> Result<()> {
    let options = Options {
        format: args.format,
        files: args.files,
        out: args.out,
        prices: prices(args.prices.as_deref())?,
        precedence: args.on_conflict,
        filter: args.filter,
        metric: args.metric,
        question: args.question,
        references: args.references,
        columns: args.columns.into_iter().collect(),
        form: args.answer,
        seed: args.seed,
        shares: args.shares.unwrap_or_default(),
        speeds: args.speeds,
    };
    Tables::of(args.table_format).apply();
    let summary = import(&options)?;
    if args.json {
        return say_json(&summary);
    }
    summary.notes.iter().for_each(|note| eprintln!("{}", printable(note)));
    let Summary { folder, traces, problems, .. } = &summary;
    say_table(table(&summary), [format!("\n{}", written(folder, traces, problems))])?;
    Ok(())
}

/// How many problems of each split were written, and the command that trains with them.
pub(super) fn written(folder: &Path, traces: &Path, problems: &BTreeMap<String, usize>) -> String {
    let of = |split: &str| problems.get(split).copied().unwrap_or_default();
    let (folder, traces) = (folder.display(), traces.display());
    format!(
        "{} problems to train, {} to validate, {} to test in `{folder}`\nlamas train --benchmark {folder} --traces {traces}",
        of("train"),
        of("validation"),
        of("test"),
    )
}

fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["operator", "outputs", "score", "tokens", "seconds", "dollars / 1,000"]);
    for Outputs { operator, outputs, score, tokens, seconds, cost, .. } in &summary.operators {
        let thousand = Quantity { mean: 1000.0 * cost.mean, ..cost.clone() };
        table.add_row([
            printable(operator).into_owned(),
            outputs.to_string(),
            score.map_or("not graded".to_owned(), |score| format!("{score:.3}")),
            shown(tokens, 1, *outputs),
            shown(seconds, 3, *outputs),
            shown(&thousand, 4, *outputs),
        ]);
    }
    rendered(&table)
}

/// A mean, marked if it is an estimate.
fn shown(quantity: &Quantity, decimals: usize, outputs: usize) -> String {
    let Quantity { mean, estimated } = quantity;
    let mark = match *estimated {
        0 => String::new(),
        all if all == outputs => " estimated".to_owned(),
        some => format!(" ({some} estimated)"),
    };
    format!("{mean:.decimals$}{mark}")
}
