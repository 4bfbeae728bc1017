//! `lamas baselines`: evaluates fixed plans and a random controller on a split.

use anyhow::Result;

use super::config::Common;
use super::estimate;
use super::methods;
use super::output::{Tables, format, say_json_lines, say_table};
use super::session::Session;
use super::split::Split;
use crate::evaluate::{Row, Summary};
use crate::report::table;
use crate::settings::Preset;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Split to evaluate on
    #[arg(long, default_value = "test")]
    split: String,
    /// Independent passes
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Estimate calls, tokens and dollars from a few questions, then stop
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON array instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let settings = args.common.resolve(Preset::default())?;
    let session = Session::open(&settings)?;
    let split = Split::open(&session, &args.split)?;
    let seeds: Vec<u64> = (settings.seed..settings.seed + args.seeds).collect();
    let mut methods = Vec::new();
    methods::say_left_out(&session);
    if args.dry_run {
        let ask = |probes: usize| methods::measure_baselines(&session, &split.some(probes), &seeds, &mut Vec::new());
        return estimate::of_questions(&session, split.problems.len(), ask);
    }
    let outcome = methods::measure_baselines(&session, &split, &seeds, &mut methods);
    let rows: Vec<Row> =
        methods.iter().map(|passes| Row { summary: Summary::new(passes, &session.objective), gain: None }).collect();
    if args.json {
        say_json_lines(&rows)?;
    } else {
        say_table(table::table(&rows, false, format()), [table::legend(&rows)])?;
    }
    outcome
}
