//! `lamas traces served`: makes a benchmark folder and its traces from what a server kept.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::output::{say, say_json};
use super::traces_import::written;
use crate::agent::newest;
use crate::checkpoint::Checkpoint;
use crate::import::{Served, ServedSummary, Shares, import_served};
use crate::operation::Catalogue;
use crate::printable::printable;
use crate::settings::{RunFile, of_checkpoint};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of `lamas serve --record DIR`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The run that was served, as a checkpoint or run folder, or as NAME=PATH where it was served under another name
    #[arg(long, value_name = "RUN")]
    run: String,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Largest share of the problems that one key's feedback may decide
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    most_share: f64,
    /// Decides which problems train, validate and test
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many, in proportion, train, validate and test; default: 8:1:4
    #[arg(long, value_name = "N:N:N")]
    shares: Option<Shares>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let (name, path) = RunFile::named(&args.run);
    let (checkpoint, origin) = if path.is_dir() { newest(&path)? } else { (Checkpoint::load(&path)?, path) };
    let (settings, _) = of_checkpoint(&checkpoint).with_context(|| format!("settings of `{}`", origin.display()))?;
    let text = checkpoint.provenance.catalogue.clone();
    let served = Served {
        folder: args.folder,
        run: name.unwrap_or_else(|| RunFile::name_of(&origin)),
        catalogue: Catalogue::parse(text, &format!("{} (catalogue)", origin.display()))?,
        benchmark: settings.benchmark()?,
        out: args.out,
        most_share: args.most_share,
        seed: args.seed,
        shares: args.shares.unwrap_or_default(),
    };
    let summary = import_served(&served)?;
    if args.json {
        return say_json(&summary);
    }
    summary.notes.iter().for_each(|note| eprintln!("{}", printable(note)));
    let ServedSummary { folder, traces, answered, rated, explored, complete, problems, outputs, .. } = &summary;
    Ok(say(format_args!(
        "{answered} answers, {rated} rated, {explored} of these explored, {complete} with outputs of every operator, {outputs} \
         outputs in all\n{}",
        written(folder, traces, problems)
    ))?)
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|&share| share > 0.0 && share <= 1.0);
    share.ok_or_else(|| format!("expected a share above 0, and at most 1, found `{text}`"))
}
