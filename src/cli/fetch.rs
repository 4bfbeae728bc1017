//! `lamas fetch`: downloads the problems of a published benchmark.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::task::{data_folder, fetch};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// gsm8k, math or humaneval
    benchmark: String,
    /// Write the whole benchmark (description, prompts, splits) to this folder, to change it and use it with
    /// `--benchmark DIR` [default: only the problems, where `--benchmark NAME` looks for them]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    let is_whole = args.out.is_some();
    let folder = args.out.or_else(|| data_folder(&args.benchmark)).context("no home folder; hint: give `--out DIR`")?;
    for path in fetch::fetch(&args.benchmark, &folder, is_whole)? {
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
