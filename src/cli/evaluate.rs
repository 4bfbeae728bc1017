//! `lamas evaluate`: a trained controller beside the baselines.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::config::Common;
use super::controllers;
use super::methods::{self, Split};
use super::results::{About, Results, provenance};
use super::session::Session;
use crate::checkpoint::Checkpoint;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run (its seeds are averaged)
    checkpoint: PathBuf,
    /// Split to evaluate on
    #[arg(long, default_value = "test")]
    split: String,
    /// Folder for the report; none is written if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out the baselines
    #[arg(long)]
    alone: bool,
    /// JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    let paths = if args.checkpoint.is_dir() {
        controllers::checkpoints(&args.checkpoint)
    } else {
        vec![args.checkpoint.clone()]
    };
    ensure!(!paths.is_empty(), "expected checkpoints under `{}`, found none", args.checkpoint.display());
    let checkpoints = paths.iter().map(|path| Checkpoint::load(path)).collect::<Result<Vec<_>>>()?;
    let first = checkpoints.first().context("no checkpoint")?;
    let settings = args.common.resolve_for(&first.provenance.configuration)?;
    let session = Session::open_for(&settings, &first.provenance.catalogue, &args.checkpoint)?;
    let trained = checkpoints
        .iter()
        .zip(&paths)
        .map(|(checkpoint, path)| controllers::restore(&session, checkpoint, path))
        .collect::<Result<Vec<_>>>()?;
    let split = Split::open(&session, &args.split)?;
    let seeds: Vec<u64> = trained.iter().map(|trained| trained.seed).collect();
    let evaluations = methods::measure_trained(&session, &split, &trained, "trained controller")?;
    let baselines = if args.alone { Vec::new() } else { methods::measure_baselines(&session, &split, &seeds)? };
    let results = Results::new(&session, &baselines, evaluations);
    results.print(args.json)?;
    if let Some(folder) = &args.out {
        let about = About {
            title: format!("Controller on {}, split {}", session.system.benchmark().name, args.split),
            provenance: provenance(seeds, &session.device),
            panels: Vec::new(),
            config: first.provenance.configuration.clone(),
        };
        results.write(&session, &split, about, folder)?;
    }
    Ok(())
}
