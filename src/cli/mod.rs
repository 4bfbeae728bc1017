//! The command line: one file per subcommand.

mod data;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "lamas", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Data(data::Data),
}

/// Runs the command that the process was called with.
pub fn run() -> Result<()> {
    match Arguments::parse().command {
        Command::Data(data) => data.run(),
    }
}
