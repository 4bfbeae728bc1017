//! `lamas data`: writes the examples of a generated benchmark as JSON lines.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::disk::create_file;
use crate::task::arithmetic::{Split, generate};

/// What to generate.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    Arithmetic(Arithmetic),
}

/// Arithmetic word problems with their worked solutions.
#[derive(Debug, clap::Args)]
struct Arithmetic {
    /// Seed; the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of examples.
    #[arg(long)]
    count: usize,
    /// corpus, train, validation, test or hard; no two of them share a question, whatever the seeds.
    #[arg(long)]
    split: Split,
    /// File to write; default: standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes the examples.
pub fn run(args: Args) -> Result<()> {
    match args.benchmark {
        Benchmark::Arithmetic(arithmetic) => arithmetic.run(),
    }
}

impl Arithmetic {
    fn run(&self) -> Result<()> {
        match &self.out {
            Some(path) => {
                let file = create_file(path)?;
                self.write(file).with_context(|| format!("cannot write `{}`", path.display()))
            }
            None => match self.write(io::stdout().lock()) {
                // The reader has seen enough, as `head` does.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.context("cannot write to standard output"),
            },
        }
    }

    fn write(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        for example in generate(self.split, self.seed).take(self.count) {
            serde_json::to_writer(&mut out, &example)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}
