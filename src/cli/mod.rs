//! The command line: settings in, tables on standard output, everything else on standard error.

/// As the standard library's, but a full or closed standard error ends no command, and a line of progress gives way: it shadows
/// that one in all of `cli`.
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

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::disk::WriteError;
use crate::sandbox::CHILD_COMMAND;

/// Learns which language-model operators to run, side by side, for each question: right answers on a short critical path.
///
/// Without a command, `lamas` trains a controller on the built-in workload, evaluates it beside simple baselines and
/// writes a report: no key and no download needed.
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
    /// Train a controller, evaluate it beside the baselines, write the report.
    Train(train_run::Args),
    /// Evaluate a trained controller beside the baselines.
    Evaluate(evaluate::Args),
    /// Train and evaluate every method, published and ours, over several seeds: the table for a paper.
    Compare(experiments::compare::Args),
    /// Train and evaluate at several latency weights: LAMaS, ours, and one checkpoint of ours for all weights.
    Sweep(experiments::sweep::Args),
    /// Evaluate the fixed plans and a random controller; no training.
    Baselines(baselines::Args),
    /// Answer one question; show the plan, the timeline and what it cost.
    Run(run::Args),
    /// Answer over HTTP as OpenAI does: each request by a plan, within its time.
    Serve(Box<serve::Args>),
    /// Measure every operator by itself: accuracy and tokens by kind and number of steps.
    Operators(operators::Args),
    /// Fit the latency model by which plans are predicted, as training does at its end.
    Calibrate(calibrate::Args),
    /// Record the calls of operators, from which plans are computed; join and show records.
    Record(Box<record::Args>),
    /// Record outputs of every operator, from which controllers can be trained without a model.
    Traces(traces::Args),
    /// List the operator catalogues inside the binary, or print what one holds.
    Catalogues(catalogues::Args),
    /// List, export, import or prune recorded model calls.
    Cache(cache::Args),
    /// Print what a checkpoint holds.
    Inspect(inspect::Args),
    /// Make a benchmark folder to begin with, with comments.
    Init(init::Args),
    /// Turn a published PyTorch state dict (`.pth`) into a checkpoint.
    Import(import::Args),
    /// Generate problems of a built-in workload.
    Data(data::Args),
    /// Grade a file of predictions against their references.
    Grade(grade::Args),
    /// Download the problems of a published benchmark.
    Fetch(fetch::Args),
    /// Say what works here: endpoint, key, model, price, Python and its sandbox, device, cache, disk.
    Doctor(doctor::Args),
    /// Confine this process and run a program that a model wrote.
    #[command(name = CHILD_COMMAND, hide = true)]
    SandboxChild(sandbox_child::Args),
    /// Print the completion script of a shell.
    Completions { shell: clap_complete::Shell },
}

/// Runs the command line of this process.
///
/// Exit codes: 0 done; 1 the input or the settings are at fault; 2 anything else, such as a network or a disk; 3 stopped by
/// `--max-cost` or `--max-tokens`; 130 interrupted by Ctrl-C. What ended with 3 or 130 can be gone on with.
pub fn main() -> ExitCode {
    provenance::begins();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let kind = if error.is::<interrupt::Stopped>() { "" } else { "error: " };
            eprintln!("{kind}{}", output::message(&error));
            ExitCode::from(output::exit_code(&error))
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    match cli.command.unwrap_or(Command::Train(cli.train)) {
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Compare(args) => experiments::compare::run(args),
        Command::Sweep(args) => experiments::sweep::run(args),
        Command::Baselines(args) => baselines::run(args),
        Command::Run(args) => run::run(args),
        Command::Serve(args) => serve::run(*args),
        Command::Operators(args) => operators::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Record(args) => record::run(*args),
        Command::Traces(args) => traces::run(args),
        Command::Catalogues(args) => catalogues::run(&args),
        Command::Cache(args) => cache::run(args),
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
                // A reader that has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => Ok(written.map_err(WriteError::of("write to standard output"))?),
            }
        }
    }
}
