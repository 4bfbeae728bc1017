//! The command line: settings come in, tables go to standard output, everything else to standard error.

/// Shadows the standard library's macro in all of `cli`. This one does not end the command if standard error is full or
/// closed, and it makes the progress line give way.
macro_rules! eprintln {
    ($($text:tt)*) => {{
        let text = format!($($text)*);
        $crate::cli::progress::aside(|| _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes()));
    }};
}

mod baselines;
mod budget;
mod cache;
mod calibrate;
mod catalogues;
mod config;
mod controllers;
mod data;
mod diff;
mod doctor;
mod estimate;
mod evaluate;
mod experiments;
mod familiarity;
mod fetch;
mod grade;
mod import;
mod init;
mod inspect;
mod interrupt;
mod job;
mod methods;
mod of_run;
mod operators;
mod output;
mod progress;
mod progress_line;
mod provenance;
mod record;
mod record_show;
mod remarks;
mod results;
mod run;
mod run_many;
mod runs;
mod sandbox_child;
mod selection;
mod serve;
mod session;
mod split;
mod traces;
mod traces_import;
mod traces_served;
mod train;
mod train_run;
mod warnings;

pub use output::{exit_code, message};
pub use session::host;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::disk::WriteError;
use crate::sandbox::CHILD_COMMAND;

/// Learns which language-model operators to run in parallel for each question: right answers on a short critical path.
///
/// Without a command, `lamas` trains a controller on the built-in workload, compares it with simple baselines and
/// writes a report. This needs no key and no download.
#[derive(Debug, Parser)]
#[command(name = "lamas", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: train_run::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a controller, compare it with the baselines, write a report.
    Train(train_run::Args),
    /// Compare a trained controller with the baselines.
    Evaluate(evaluate::Args),
    /// Train and evaluate every method, published and ours, over several seeds, as for a paper's table.
    Compare(experiments::compare::Args),
    /// Train and evaluate at several latency weights: LAMaS, ours, and one controller of ours for all weights.
    Sweep(experiments::sweep::Args),
    /// Draw score against time and dollars for one controller at all its latency weights, beside every operator alone.
    Front(experiments::front::Args),
    /// Evaluate fixed plans and a random controller, without training.
    Baselines(baselines::Args),
    /// Answer a question, or many; show the plan, the timeline and the cost.
    Run(run::Args),
    /// Serve an OpenAI-compatible API that answers each request by a plan, within its time.
    Serve(Box<serve::Args>),
    /// Measure every operator alone: accuracy and tokens by kind of question and number of steps.
    Operators(operators::Args),
    /// Fit the latency model that predicts plans, as training does at its end.
    Calibrate(calibrate::Args),
    /// Record operator calls, from which plans are computed; merge and show records.
    Record(Box<record::Args>),
    /// Record outputs of every operator, to train without a model; import logs.
    Traces(traces::Args),
    /// List the built-in operator catalogues, or print one.
    Catalogues(catalogues::Args),
    /// List, export, import or prune recorded model calls.
    Cache(cache::Args),
    /// List the runs of a folder: how each was started, how far it came, what came of it.
    Runs(runs::Args),
    /// Compare two evaluated runs, or two methods of one, question by question.
    Diff(diff::Args),
    /// Show what a checkpoint contains.
    Inspect(inspect::Args),
    /// Write a commented benchmark folder to start from.
    Init(init::Args),
    /// Turn a published PyTorch state dict (`.pth`) into a checkpoint.
    Import(import::Args),
    /// Generate problems of a built-in workload.
    Data(data::Args),
    /// Grade a file of predictions against reference answers.
    Grade(grade::Args),
    /// Download the problems of a published benchmark.
    Fetch(fetch::Args),
    /// Check what works here: endpoint, key, model, price, Python and its sandbox, device, cache, disk.
    Doctor(doctor::Args),
    /// Confine this process and run a model-written program.
    #[command(name = CHILD_COMMAND, hide = true)]
    SandboxChild(sandbox_child::Args),
    /// Print the completion script for a shell.
    Completions { shell: clap_complete::Shell },
}

/// Runs the command line of this process: see [`run`].
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs a command line, whose first word names the program, and returns the exit code of its process.
///
/// Exit codes: 0 success; 1 the input or the settings are wrong; 2 anything else, such as a network or a disk; 3
/// stopped by `--max-cost` or `--max-tokens`; 130 interrupted by Ctrl-C. Runs that ended with 3 or 130 can be resumed.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    provenance::begins(&words);
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return u8::from(error.use_stderr());
        }
    };
    match dispatch(cli) {
        Ok(()) => 0,
        Err(error) => {
            let kind = if error.is::<interrupt::Stopped>() { "" } else { "error: " };
            eprintln!("{kind}{}", message(&error));
            exit_code(&error)
        }
    }
}

/// Like [`run`], in a process that goes on and handles errors itself.
///
/// # Errors
/// Those of the command; or the words are no command line.
pub fn call(words: impl IntoIterator<Item = OsString>) -> Result<()> {
    let words: Vec<OsString> = words.into_iter().collect();
    provenance::begins(&words);
    dispatch(Cli::try_parse_from(words)?)
}

fn dispatch(cli: Cli) -> Result<()> {
    match cli.command.unwrap_or(Command::Train(cli.train)) {
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Compare(args) => experiments::compare::run(args),
        Command::Sweep(args) => experiments::sweep::run(args),
        Command::Front(args) => experiments::front::run(args),
        Command::Baselines(args) => baselines::run(args),
        Command::Run(args) => run::run(args),
        Command::Serve(args) => serve::run(*args),
        Command::Operators(args) => operators::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Record(args) => record::run(*args),
        Command::Traces(args) => traces::run(args),
        Command::Catalogues(args) => catalogues::run(&args),
        Command::Cache(args) => cache::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Init(args) => init::run(args),
        Command::Import(args) => import::run(args),
        Command::Data(args) => data::run(args),
        Command::Grade(args) => grade::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::SandboxChild(args) => sandbox_child::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lamas", &mut script);
            match std::io::stdout().write_all(&script) {
                // The reader has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => Ok(written.map_err(WriteError::of("write to standard output"))?),
            }
        }
    }
}
