//! `lamas record`: makes the calls of operators that read only the question, in shards if needed, and merges records.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use futures::{StreamExt, stream};

use super::config::Common;
use super::interrupt::{self, Interrupt, Stopped};
use super::operators::each_operator;
use super::progress::Bar;
use super::provenance;
use super::record_show;
use super::session::Session;
use crate::decide::FixedPlan;
use crate::execute::{ExecuteError, ExecutionConfig, SolveOptions};
use crate::model;
use crate::plan::{OperatorId, Plan};
use crate::random::{Draw, Purpose};
use crate::record::{Merged, merge};
use crate::settings::Preset;
use crate::task::Problem;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Make,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge records into one sorted record: shards, or records of several machines.
    Merge(Merge),
    /// Show what a record contains, by operator: lines, problems, tokens, dollars and scores.
    Show(record_show::Args),
}

/// Makes the calls that read only the question, of every operator, for the problems of a split. The calls of readers are added
/// where plans need them, as by `lamas train --record FILE`. The same command goes on where it was stopped.
#[derive(Debug, clap::Args)]
struct Make {
    /// Split to record; `test` serves evaluation, the others training
    #[arg(long, default_value = "train")]
    split: String,
    /// Independent calls of every operator for every problem
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    draws: u64,
    /// Also record operators that read solutions, each after the first operator that reasons, as `--traces` needs
    #[arg(long)]
    readers: bool,
    /// Only every Nth problem, starting at I (counted from 0), so that several machines can share the work
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    shard: Shard,
    /// Only the first problems of the split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// File to write; calls already in it are not made again [default: --record, or record.jsonl]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Merge {
    /// Records to merge; where measured fields differ, the first record wins
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Which part of the problems is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    part: usize,
    parts: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
        match numbers {
            Some((part, parts)) if part < parts => Ok(Shard { part, parts }),
            _ => Err(format!("expected I/N with I from 0 to N - 1, such as 0/4, found `{text}`")),
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        Some(Command::Merge(Merge { files, out })) => {
            let Merged { calls, repeated, remarks } = merge(&files, &out)?;
            remarks.iter().for_each(|remark| eprintln!("{remark}"));
            eprintln!("wrote {calls} calls to `{}`, merged {repeated} duplicates", out.display());
            Ok(())
        }
        Some(Command::Show(args)) => record_show::run(&args),
        None => make(args.make),
    }
}

/// A wanted call: that of the last operator of a plan.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    problem: &'a Problem,
    plan: &'a Plan,
    draw: Draw,
}

fn make(args: Make) -> Result<()> {
    let mut settings = args.common.resolve(Preset::default())?;
    ensure!(settings.traces.is_none(), "expected a model whose calls can be recorded, found `--traces`");
    let path = args.out.clone().or(settings.record).unwrap_or_else(|| "record.jsonl".into());
    settings.record = Some(path);
    let session = Session::open(&settings)?;
    let solver = session.solver();
    let record = solver.record().context("no record")?;
    let interrupt = interrupt::listen(&session, &format!("`{}`", again()));
    let mut problems = solver.problems(&args.split)?;
    problems.truncate(args.limit.unwrap_or(usize::MAX));
    let plans = plans(&session, args.readers)?;
    let wanted = wanted(&args, &plans, &problems);
    let bar = session.progress.begin("record", "calls", wanted.len() as u64);
    let outcome = session.runtime.block_on(async {
        tokio::select! {
            biased;
            outcome = make_all(&session, &wanted, &interrupt, &bar) => outcome,
            () = interrupt.over() => Err(Stopped::by(None).into()),
        }
    });
    drop(bar);
    let failure = outcome.map_err(|error| Stopped::hinted(error, &again()))?;
    eprintln!("`{}` holds {} calls", record.path().display(), record.calls());
    failure.map_or(Ok(()), |Failure { count, last }| {
        let failed = format!("{count} of {} calls failed; hint: the same command asks only for those", wanted.len());
        Err(anyhow::Error::new(last).context(failed))
    })
}

/// The text of this command.
fn again() -> String {
    let words: Vec<String> = provenance::words().into_iter().skip(1).collect();
    format!("lamas {}", words.join(" "))
}

/// One plan for each call, and whether equal calls may give different results.
fn plans(session: &Session, readers: bool) -> Result<Vec<(Plan, bool)>> {
    let solver = session.solver();
    let mut plans = Vec::new();
    for (_, plan) in each_operator(session)? {
        let ids: Vec<OperatorId> = plan.choices().map(|(_, id)| id).collect();
        let identified =
            ids.last().and_then(|id| Some((solver.catalogue().signature(*id)?, solver.identities().get(id.index())?)));
        let Some((signature, identity)) = identified else { continue };
        let is_alone = ids.len() == 1 && identity.reads_nothing();
        if is_alone || readers && signature.is_at_work() {
            let is_random = ids.iter().any(|id| solver.identities().get(id.index()).is_some_and(|it| it.is_random));
            plans.push((plan, is_random));
        }
    }
    Ok(plans)
}

/// The calls of one shard, draw by draw, so that the calls recorded first are the most useful.
fn wanted<'a>(args: &Make, plans: &'a [(Plan, bool)], problems: &'a [Problem]) -> Vec<Wanted<'a>> {
    let purpose = if args.split == "test" { Purpose::Evaluation } else { Purpose::Training };
    let Shard { part, parts } = args.shard;
    let mut wanted = Vec::new();
    for draw in 0..args.draws {
        for problem in problems.iter().skip(part).step_by(parts) {
            let drawn = plans.iter().filter(|(_, is_random)| draw == 0 || *is_random);
            wanted.extend(drawn.map(|(plan, _)| Wanted { problem, plan, draw: purpose.draw(draw) }));
        }
    }
    wanted
}

/// The number of failed calls, and why the last one failed.
struct Failure {
    count: usize,
    last: model::Error,
}

/// Makes calls, as many at once as the settings allow.
async fn make_all(
    session: &Session,
    wanted: &[Wanted<'_>],
    interrupt: &Interrupt,
    bar: &Bar,
) -> Result<Option<Failure>> {
    let solver = session.solver();
    let schedule = session.execution.schedule;
    let options = SolveOptions { without_finish: true, ..session.options(ExecutionConfig::from(schedule), None) };
    let call = async |Wanted { problem, plan, draw }: Wanted<'_>| {
        let answer = solver.attempt(problem, &mut FixedPlan::new(plan.clone()), draw, &options).await?;
        Ok::<_, ExecuteError>(answer.trace.failure().map(|reason| model::Error::Transient(reason.to_owned())))
    };
    let mut calls = stream::iter(wanted.iter().copied()).map(call).buffer_unordered(session.concurrency.max(1));
    let mut failed: Option<Failure> = None;
    while let Some(outcome) = calls.next().await {
        if let Some(last) = outcome? {
            failed = Some(Failure { count: failed.map_or(0, |failed| failed.count) + 1, last });
        }
        bar.inc(1);
        if interrupt.stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Stopped::by(None).into());
        }
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_0() {
        assert_eq!("3/4".parse(), Ok(Shard { part: 3, parts: 4 }));
        for text in ["4/4", "0/0", "1", "-1/2", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err_and(|error| error.contains(&format!("found `{text}`"))), "{text}");
        }
    }
}
