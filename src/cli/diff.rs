//! `lamas diff`: two evaluated runs, or two methods of one, paired question by question.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::output::{Tables, rendered, say_json, say_table};
use super::results::{OUTCOMES, OutcomeLine};
use crate::evaluate::{Difference, statistics};
use crate::report::jsonl;
use crate::report::number::{percent, significant};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run that was evaluated, or its outcomes.jsonl
    first: PathBuf,
    /// The one to compare it with; the same run compares two of its methods
    second: PathBuf,
    /// Method of the first run, as its tables name it [default: the run's own]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Method of the second run [default: the run's own]
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// A figure of one outcome.
type Figure = fn(&OutcomeLine) -> f64;

/// Figures of one question, each a mean over seeds.
const FIGURES: [(&str, Figure); 5] = [
    ("score", |line| line.score),
    ("utility", |line| line.utility),
    ("critical path", |line| line.critical_path),
    ("seconds", |line| line.seconds),
    ("dollars / 1,000", |line| 1000.0 * line.dollars),
];

/// One method of one run.
struct Side {
    name: String,
    /// By problem, in the order of [`FIGURES`].
    figures: BTreeMap<String, [f64; FIGURES.len()]>,
}

/// One figure of both sides over the questions that both answered.
#[derive(Debug, Serialize)]
struct Compared {
    figure: &'static str,
    first: f64,
    second: f64,
    /// The first minus the second.
    difference: Difference,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let first = side(&args.first, args.method.as_deref())?;
    let second = side(&args.second, args.against.as_deref())?;
    let pairs: Vec<_> =
        first.figures.iter().filter_map(|(id, figures)| Some((figures, second.figures.get(id)?))).collect();
    ensure!(
        !pairs.is_empty(),
        "expected runs that share questions, found none in common; hint: evaluate both on the same split of the same benchmark"
    );
    let compared: Vec<Compared> = FIGURES
        .iter()
        .enumerate()
        .map(|(at, &(figure, _))| {
            let [ours, theirs] = [0, 1].map(|side| {
                pairs.iter().map(|(one, other)| if side == 0 { one[at] } else { other[at] }).collect::<Vec<f64>>()
            });
            let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
            let (first, second) = (statistics::mean(&ours), statistics::mean(&theirs));
            Compared { figure, first, second, difference: statistics::paired(&differences, 0) }
        })
        .collect();
    if args.json {
        return say_json(&compared);
    }
    let left_out = first.figures.len() + second.figures.len() - 2 * pairs.len();
    let mut said = vec![format!("\n{} questions, paired; 95 % intervals, p of a sign-flip test", pairs.len())];
    if left_out > 0 {
        said.push(format!("{left_out} questions of only one side are left out"));
    }
    said.push("utility is each run's own: it compares only runs of the same weights".to_owned());
    say_table(table(&compared, [&first.name, &second.name]), said)?;
    Ok(())
}

/// The outcomes of one method: of `method`, or of the last, which is the run's own.
fn side(path: &Path, method: Option<&str>) -> Result<Side> {
    let file = if path.is_dir() { path.join(OUTCOMES) } else { path.to_owned() };
    ensure!(
        file.is_file(),
        "expected a run that was evaluated, found no `{}`; hint: `lamas train` and `lamas compare` write it",
        file.display()
    );
    let lines: Vec<OutcomeLine> = jsonl::read(&file)?;
    let own = lines.last().with_context(|| format!("`{}` is empty", file.display()))?.method.clone();
    let name = method.map_or(own, str::to_owned);
    let mut seeds: BTreeMap<String, Vec<[f64; FIGURES.len()]>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.method == name) {
        seeds.entry(line.problem.clone()).or_default().push(FIGURES.map(|(_, of)| of(line)));
    }
    if seeds.is_empty() {
        let mut known: Vec<&str> = lines.iter().map(|line| line.method.as_str()).collect();
        known.dedup();
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        anyhow::bail!("expected a method of `{}` ({}), found `{name}`", file.display(), known.join(", "));
    }
    let mean = |figures: Vec<[f64; FIGURES.len()]>| {
        let of = |at: usize| statistics::mean(&figures.iter().map(|figures| figures[at]).collect::<Vec<_>>());
        std::array::from_fn(of)
    };
    let figures = seeds.into_iter().map(|(problem, figures)| (problem, mean(figures))).collect();
    Ok(Side { name: format!("{}: {name}", path.display()), figures })
}

fn table(compared: &[Compared], [first, second]: [&str; 2]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["", first, second, "difference", "95 %", "p", "change"]);
    for Compared { figure, first, second, difference: Difference { estimate, p_value } } in compared {
        let shown = |value: f64| match *figure {
            "score" | "utility" => format!("{value:.4}"),
            _ => significant(value),
        };
        let sign = if estimate.mean > 0.0 { "+" } else { "" };
        table.add_row([
            (*figure).to_owned(),
            shown(*first),
            shown(*second),
            format!("{sign}{}", shown(estimate.mean)),
            format!("[{}, {}]", shown(estimate.low), shown(estimate.high)),
            format!("{p_value:.4}"),
            percent(first / second - 1.0),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    rendered(&table)
}
