//! `lamas import`: turns a published PyTorch state dict into a checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::config::Common;
use super::session::Session;
use crate::checkpoint::{Checkpoint, Provenance, state_dict};
use crate::controller::Controller;
use crate::settings::Preset;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// State dict written by `torch.save` (.pth)
    state_dict: PathBuf,
    /// Checkpoint to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    let settings = args.common.resolve(Preset::Paper)?;
    let session = Session::open(&settings)?;
    let operators = session.operators()?.to_tensor(&session.parts.device)?;
    let checkpoint = Checkpoint {
        strategies: String::new(),
        weights: state_dict(&args.state_dict)?,
        operators,
        halting: BTreeMap::new(),
        provenance: Provenance {
            encoder: session.parts.encoder.id().to_owned(),
            catalogue: session.solver().catalogue().text().to_owned(),
            configuration: serde_json::to_value(&settings)?,
            seed: settings.seed,
            revision: None,
        },
        step: 0,
    };
    // Finds out now, not at first use, if the state dict has another shape.
    Controller::from_checkpoint(&checkpoint, session.signatures(), &session.parts.device)?;
    checkpoint.save(&args.out)?;
    eprintln!("wrote {}", args.out.display());
    Ok(())
}
