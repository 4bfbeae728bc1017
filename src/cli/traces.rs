//! `lamas traces`: records the outputs of every operator alone, or imports logs, for training without a model.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use futures::{StreamExt, TryStreamExt, stream};

use super::config::Common;
use super::estimate;
use super::operators::each_operator;
use super::session::Session;
use super::split::spread;
use super::{traces_import, traces_served};
use crate::decide::FixedPlan;
use crate::disk::WriteError;
use crate::execute::{ExecutionConfig, SolveOptions, Solver};
use crate::operation::TraceLine;
use crate::plan::{OperatorId, Plan, Signature, Status};
use crate::random::Purpose;
use crate::report::jsonl::Appender;
use crate::settings::Preset;
use crate::task::Problem;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    record: Record,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn logs of other programs into a benchmark folder with traces.
    Import(Box<traces_import::Args>),
    /// Make a benchmark folder and its traces of what `lamas serve --record` kept.
    Served(traces_served::Args),
}

/// Records outputs of every operator by itself.
#[derive(Debug, clap::Args)]
struct Record {
    /// File to write, one JSON line for each output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Splits to record
    #[arg(long = "split", value_name = "SPLIT", value_delimiter = ',', default_value = "train,validation,test")]
    splits: Vec<String>,
    /// Independent outputs of every operator for every problem
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Only the first problems of each split
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Estimate calls, tokens and dollars from a few questions, and stop there
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    match args.command {
        Some(Command::Import(args)) => traces_import::run(*args),
        Some(Command::Served(args)) => traces_served::run(args),
        None => record(args.record),
    }
}

fn record(args: Record) -> Result<()> {
    let out = args.out.as_deref().context("expected a file to write, found no `--out FILE`")?;
    let settings = args.common.resolve(Preset::default())?;
    let session = Session::open(&settings)?;
    ensure!(settings.traces.is_none(), "expected a model whose outputs can be recorded, found `--traces`");
    let Alone { samples, plans } = alone(&session)?;
    let solver = session.solver();
    let options = SolveOptions {
        samples: &samples,
        without_finish: true,
        ..session.options(ExecutionConfig::from(session.execution.schedule), None)
    };
    let mut problems = Vec::new();
    for split in &args.splits {
        problems.extend(solver.problems(split)?.into_iter().take(args.limit.unwrap_or(usize::MAX)));
    }
    let wanted =
        |problem| plans.iter().flat_map(move |plan| (0..args.samples).map(move |sample| (problem, plan, sample)));
    let record = async |(problem, plan, sample): (&Problem, &Plan, u64)| {
        let recorded = output(solver, problem, plan, sample, &options).await;
        recorded.with_context(|| format!("problem `{}`", problem.id))
    };
    if args.dry_run {
        let ask = |probes: usize| {
            let some = spread(probes, problems.len()).filter_map(|at| problems.get(at)).flat_map(wanted);
            let asked = stream::iter(some).map(&record).buffered(session.concurrency.max(1));
            session.runtime.block_on(asked.try_for_each(async |_| Ok(())))
        };
        return estimate::of_questions(&session, problems.len(), ask);
    }
    let bar = session.progress.begin("traces", "outputs", (problems.len() * plans.len()) as u64 * args.samples);
    // Calls are paid for: what came of them is there whatever ends the rest.
    let partial = PathBuf::from(format!("{}.partial", out.display()));
    std::fs::write(&partial, "").map_err(WriteError::of(format!("write `{}`", partial.display())))?;
    let mut lines = Appender::open(&partial)?;
    let (mut outputs, mut outcome) = (0, Ok(()));
    session.runtime.block_on(async {
        let all = problems.iter().flat_map(wanted);
        let mut recorded = stream::iter(all).map(&record).inspect(|_| bar.inc(1)).buffered(session.concurrency.max(1));
        while let Some(next) = recorded.next().await {
            outcome = next.and_then(|recorded| lines.append(&recorded));
            if outcome.is_err() {
                break;
            }
            outputs += 1;
        }
    });
    drop(bar);
    outcome.with_context(|| format!("stopped after {outputs} outputs, which are in `{}`", partial.display()))?;
    std::fs::rename(&partial, out).map_err(WriteError::of(format!("write `{}`", out.display())))?;
    eprintln!("wrote {outputs} outputs of {} problems to `{}`", problems.len(), out.display());
    Ok(())
}

/// How each operator is recorded by itself.
struct Alone {
    /// One for each operator that takes several.
    samples: Vec<(OperatorId, u32)>,
    /// One for each operator whose outputs can be recorded.
    plans: Vec<Plan>,
}

fn alone(session: &Session) -> Result<Alone> {
    let catalogue = session.solver().catalogue();
    let is_wanted =
        |id: OperatorId, wanted: fn(&Signature) -> bool| catalogue.signature(id).is_some_and(|it| wanted(&it));
    let last = |plan: &Plan| plan.choices().last().map(|(_, id)| id);
    let signed = catalogue.operators().iter().zip(catalogue.signatures());
    if let Some((operator, _)) = signed.into_iter().find(|(_, signature)| signature.scores || signature.informs) {
        bail!(
            "expected operators that write solutions, found `{}`; hint: `lamas record` records any operator, and `--traces` \
             reads its file too",
            operator.name
        );
    }
    let plans: Vec<Plan> = each_operator(session)?.into_iter().map(|(_, plan)| plan).collect();
    let generators = plans.iter().filter_map(last).filter(|&id| is_wanted(id, |signature| signature.is_side_by_side));
    let samples = generators.map(|id| (id, 1)).collect();
    let plans =
        plans.into_iter().filter(|plan| last(plan).is_some_and(|id| is_wanted(id, Signature::is_at_work))).collect();
    Ok(Alone { samples, plans })
}

/// What the last operator of `plan`, which stands alone in its layer, gives for a problem.
async fn output(
    solver: &Solver,
    problem: &Problem,
    plan: &Plan,
    sample: u64,
    options: &SolveOptions<'_>,
) -> Result<TraceLine> {
    let mut decider = FixedPlan::new(plan.clone());
    let answered = solver.attempt(problem, &mut decider, Purpose::Training.draw(sample), options).await?;
    let span = answered.trace.spans.last().context("the plan has no operator")?;
    let operator = solver.catalogue().operator(span.operator).context("an operator outside the catalogue")?;
    ensure!(span.outcome == Status::Done, "operator `{}` failed: {:?}", operator.name, span.outcome);
    // What the operator before it left stands first; a vote, or a test that was passed, adds nothing.
    let before = plan.layers.len() - 1;
    let replaces = solver.catalogue().signature(span.operator).is_some_and(|signature| signature.replaces);
    let added = answered.solutions.get(before).filter(|_| !replaces);
    let answer = added.and_then(|solution| solution.answer.clone());
    let correct = match &answer {
        Some(answer) => Some(solver.grade(problem, Some(answer)).await? >= 1.0),
        None => None,
    };
    Ok(TraceLine {
        query: problem.id.clone(),
        operator: operator.name.clone(),
        sample: Some(sample),
        output: added.map(|solution| solution.text.clone()),
        correct,
        score: None,
        answer,
        executed: added.map(|solution| solution.executed),
        reads: (!solver.identities()[span.operator.index()].reads_nothing()).then(|| "any".to_owned()),
        calls: span.calls,
        prompt_tokens: span.usage.prompt_tokens,
        tokens: span.usage.completion_tokens,
        tool_seconds: span.tool_seconds,
        seconds: span.latency.seconds,
        cost: span.cost,
        estimated: Vec::new(),
    })
}
