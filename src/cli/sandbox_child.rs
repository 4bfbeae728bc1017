//! `lamas sandbox-child`: the process that the sandbox starts; not for users.

use anyhow::{Context, Result, bail};

use crate::sandbox::Confinement;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A confinement in JSON
    confinement: String,
}

pub fn run(args: &Args) -> Result<()> {
    let confinement = Confinement::parse(&args.confinement).context("expected a confinement in JSON")?;
    bail!("{}", confinement.enter())
}
