//! `lamas cache`: lists, exports, imports and prunes recorded model calls.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::output::{Tables, rendered, say, say_json_lines};
use crate::disk::create_file;
use crate::encoder::cache_folder;
use crate::model::{Holding, Prices, Store};
use crate::report::jsonl;
use crate::settings::{database, prices};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Database of recorded completions, or its folder; default: in your cache folder
    #[arg(long, value_name = "DIR|FILE", global = true)]
    cache: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is recorded for each model.
    List(List),
    /// Write the recorded calls as JSON lines.
    Export(Export),
    /// Read calls that `export` wrote; calls already recorded stay as they are.
    Import(Import),
    /// Delete recorded calls, by model or by age.
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Price list in TOML; default: the built-in list
    #[arg(long, value_name = "FILE", env = "LAMAS_PRICES")]
    prices: Option<PathBuf>,
    /// Print a JSON array instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: Tables,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// Only calls of this model or back end
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// File to write; default: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// JSON lines written by `export`
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Prune {
    /// Only calls of this model or back end
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only calls at least this many days old; 0 for all
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
}

pub fn run(args: Args) -> Result<()> {
    let path = database(args.cache.as_deref(), cache_folder().as_deref())?;
    match args.action {
        Action::List(list) => list.run(&path),
        Action::Export(export) => export.run(&path),
        Action::Import(import) => import.run(&path),
        Action::Prune(prune) => prune.run(&path),
    }
}

impl List {
    fn run(&self, path: &Path) -> Result<()> {
        self.tables.apply();
        let prices = prices(self.prices.as_deref())?;
        let holdings = Store::open_existing(path)?.holdings()?;
        let lines: Vec<Line<'_>> = holdings.iter().map(|holding| Line::new(holding, &prices)).collect();
        if self.json {
            say_json_lines(&lines)?;
        } else {
            eprintln!("{}", path.display());
            say(table(&lines))?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    holding: &'a Holding,
    /// At the current price list; `None` if the model is not in it.
    dollars: Option<f64>,
}

impl<'a> Line<'a> {
    fn new(holding: &'a Holding, prices: &Prices) -> Self {
        let price = prices.of(&holding.model).ok();
        Line { holding, dollars: price.map(|price| price.cost(holding.usage)) }
    }
}

fn table(lines: &[Line<'_>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    table.set_header([
        "model",
        "back end",
        "completions",
        "prompt tokens",
        "completion tokens",
        "dollars",
        "first",
        "last",
    ]);
    for Line { holding, dollars } in lines {
        table.add_row([
            holding.model.clone(),
            holding.back_end.clone(),
            holding.completions.to_string(),
            holding.usage.prompt_tokens.to_string(),
            holding.usage.completion_tokens.to_string(),
            dollars.map_or("no price".into(), |dollars| format!("{dollars:.4}")),
            holding.first.clone(),
            holding.last.clone(),
        ]);
    }
    rendered(&table)
}

impl Export {
    fn run(&self, path: &Path) -> Result<()> {
        let store = Store::open_existing(path)?;
        let count = match &self.out {
            Some(out) => {
                let file = create_file(out)?;
                self.write(&store, file).with_context(|| format!("cannot write `{}`", out.display()))?
            }
            None => match self.write(&store, io::stdout().lock()) {
                // The reader has seen enough, as `head` does.
                Err(error) if is_closed(&error) => return Ok(()),
                written => written.context("cannot write to standard output")?,
            },
        };
        eprintln!("exported {count} records");
        Ok(())
    }

    fn write(&self, store: &Store, out: impl Write) -> Result<u64> {
        let mut out = BufWriter::new(out);
        let count = store.each(self.model.as_deref(), |record| {
            serde_json::to_writer(&mut out, &record).map_err(io::Error::from)?;
            Ok(out.write_all(b"\n")?)
        });
        // What could be read from a damaged database is kept.
        out.flush()?;
        count
    }
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl Import {
    fn run(&self, path: &Path) -> Result<()> {
        let records = jsonl::lines(&self.file)?;
        let (store, mut count) = (Store::open(path)?, 0u64);
        let new = store.import(records.inspect(|_| count += 1))?;
        eprintln!("imported {new} of {count} records into `{}`; the others were already there", path.display());
        Ok(())
    }
}

impl Prune {
    fn run(&self, path: &Path) -> Result<()> {
        let age = Duration::from_secs(u64::from(self.older_than.unwrap_or(0)) * 24 * 60 * 60);
        ensure!(self.model.as_deref() != Some(""), "expected the name of a model, found none");
        let pruned = Store::open_existing(path)?.prune(self.model.as_deref(), age)?;
        eprintln!("pruned {pruned} records from `{}`", path.display());
        Ok(())
    }
}
