//! `lamas baselines`: fixed plans and a random controller on a split.

use anyhow::Result;

use super::config::Common;
use super::methods;
use super::output::say;
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
    #[arg(long, value_name = "K", default_value_t = 1)]
    seeds: u64,
    /// A JSON array instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    let settings = args.common.resolve(Preset::default())?;
    let session = Session::open(&settings)?;
    let split = Split::open(&session, &args.split)?;
    let seeds: Vec<u64> = (settings.seed..settings.seed + args.seeds.max(1)).collect();
    let mut methods = Vec::new();
    let outcome = methods::measure_baselines(&session, &split, &seeds, &mut methods);
    let rows: Vec<Row> =
        methods.iter().map(|passes| Row { summary: Summary::new(passes, &session.objective), gain: None }).collect();
    if args.json {
        say(serde_json::to_string_pretty(&rows)?)?;
    } else {
        say(format_args!("{}\n{}", table::table(&rows, false), table::legend(&rows)))?;
    }
    outcome
}
