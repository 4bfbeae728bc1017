//! `lamas runs`: the runs in a folder, newest first: how each was started, how far it came, and what came of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use super::controllers::RUNS;
use super::output::{Tables, rendered, say_json_lines, say_table};
use crate::agent::checkpoints;
use crate::evaluate::Row;
use crate::printable::printable;
use crate::report::number::{counted, significant};
use crate::settings::{RunFile, SETTINGS};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder whose runs are listed
    #[arg(default_value = RUNS)]
    folder: PathBuf,
    /// A JSON array instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

/// A run of the folder.
#[derive(Debug, Serialize)]
struct Found {
    run: PathBuf,
    command: String,
    preset: String,
    seeds: usize,
    /// `finished`, `trained` (not evaluated), `unfinished`, or why the run cannot be read.
    state: String,
    /// When its settings were last written.
    #[serde(skip)]
    begun: Option<SystemTime>,
    date: Option<String>,
    /// Of its own method on the test split.
    score: Option<f64>,
    utility: Option<f64>,
    critical_path: Option<f64>,
    dollars: Option<f64>,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let place = args.folder.display();
    let entries = std::fs::read_dir(&args.folder)
        .with_context(|| format!("cannot list `{place}`; hint: `lamas train` writes runs under `{RUNS}`"))?;
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.join(SETTINGS).is_file());
    let mut runs: Vec<Found> = folders.map(|folder| found(&folder)).collect();
    runs.sort_by(|one, other| other.begun.cmp(&one.begun).then_with(|| one.run.cmp(&other.run)));
    if args.json {
        say_json_lines(&runs)?;
    } else {
        let count = format!("{} in `{place}`", counted(runs.len() as u64, "run"));
        say_table(table(&runs), [count])?;
    }
    Ok(())
}

fn found(folder: &Path) -> Found {
    let begun = folder.join(SETTINGS).metadata().and_then(|metadata| metadata.modified()).ok();
    let date = begun.map(httpdate::fmt_http_date);
    let blank = |state: String| Found {
        run: folder.to_owned(),
        command: String::new(),
        preset: String::new(),
        seeds: 0,
        state,
        begun,
        date: date.clone(),
        score: None,
        utility: None,
        critical_path: None,
        dollars: None,
    };
    let started = match RunFile::read(folder) {
        Ok(RunFile { started, .. }) => started,
        Err(error) => return blank(format!("{error:#}")),
    };
    let row = results(folder);
    let state = match &row {
        Some(_) => "finished",
        None if !started.evaluates && checkpoints(folder).len() >= started.seeds.len() => "trained",
        None => "unfinished",
    };
    let summary = row.map(|row| row.summary);
    let summary = summary.as_ref();
    Found {
        command: started.command,
        preset: started.preset.name().to_owned(),
        seeds: started.seeds.len(),
        score: summary.and_then(|it| it.score).map(|score| score.mean),
        utility: summary.and_then(|it| it.utility).map(|utility| utility.mean),
        critical_path: summary.map(|it| it.path.mean),
        dollars: summary.map(|it| it.cost),
        ..blank(state.to_owned())
    }
}

/// The run's own row of its results; none where it has none, or they cannot be read.
fn results(folder: &Path) -> Option<Row> {
    #[derive(Deserialize)]
    struct Written {
        rows: Vec<Row>,
    }
    let text = std::fs::read(folder.join("results.json")).ok()?;
    serde_json::from_slice::<Written>(&text).ok()?.rows.pop()
}

fn table(runs: &[Found]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header(["run", "command", "preset", "seeds", "state", "score", "utility", "path", "cost, $", "begun"]);
    for run in runs {
        let three = |figure: Option<f64>| figure.map_or(String::new(), |figure| format!("{figure:.3}"));
        let short = |figure: Option<f64>| figure.map_or(String::new(), significant);
        table.add_row([
            printable(&run.run.display().to_string()).into_owned(),
            run.command.clone(),
            run.preset.clone(),
            run.seeds.to_string(),
            printable(&run.state).into_owned(),
            three(run.score),
            three(run.utility),
            short(run.critical_path),
            short(run.dollars),
            run.date.clone().unwrap_or_default(),
        ]);
    }
    for column in [3, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    rendered(&table)
}
