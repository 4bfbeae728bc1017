//! `lamas run`: answers a question and shows how.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::budget::LatencyArgs;
use super::config::Common;
use super::controllers::RUNS;
use super::familiarity::Familiar;
use super::of_run::OfRun;
use super::output::{say, say_json};
use super::run_many::{self, Many};
use super::session::{Closing, host, runtime};
use crate::agent::{Agent, Answered, Ask, latency_model, newest, plans};
use crate::checkpoint::Checkpoint;
use crate::evaluate::latency::{Budget, measured_path};
use crate::execute::{Clock, Event, Observer, Transcript};
use crate::model;
use crate::plan::{Latency, Plan, shortened};
use crate::report::transcript::{LETTERS, transcript};
use crate::report::{Timeline, drawing, explanation, named, perfetto};
use crate::settings::{Parts, Preset, Settings};

/// Columns of the timeline's time axis.
const TIMELINE_WIDTH: usize = 32;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lamas run \"What is 17 x 23?\"\n  lamas run \"What is 17 x 23?\" --plan \"GenerateCoT,Programmer;ScEnsemble\" --verbose\n  \
                        lamas run --checkpoint runs/mine --file questions.jsonl > answers.jsonl\n  \
                        echo \"What is 17 x 23?\" | lamas run - --budget 2s"
)]
pub struct Args {
    /// The question; `-` reads it from standard input
    #[arg(required_unless_present = "file")]
    question: Option<String>,
    /// Answer many questions: JSON lines with `question` and optionally `id`, `-` for standard input; prints JSON lines
    #[arg(long, value_name = "FILE", conflicts_with_all = ["question", "follow", "transcript", "explain", "json"])]
    file: Option<PathBuf>,
    /// A trained controller or a run folder; default: the newest under `runs`
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "plan")]
    checkpoint: Option<PathBuf>,
    /// Use your own plan, such as "GenerateCoT,Programmer;ScEnsemble": `;` separates layers, `,` operators
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["latency_weight", "budget"])]
    plan: Option<String>,
    #[command(flatten)]
    haste: LatencyArgs,
    /// Keep asking until the answer is right with this probability (0 to 1); give no answer if it never is
    #[arg(long, value_name = "P", conflicts_with_all = ["plan", "latency_weight", "budget"], value_parser = probability)]
    confidence: Option<f64>,
    /// How a plan ends early: live drops the calls in flight; virtual lets all calls run, and with a local model does not
    /// count what came after the end [default: live on an endpoint, else virtual]
    #[arg(long, value_name = "WHEN", env = "LAMAS_CANCEL")]
    cancel: Option<Clock>,
    /// Show what the plan was predicted to take and what it took
    #[arg(long)]
    explain: bool,
    /// Show what each operator wrote
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
    /// Print events on standard error as they are decided
    #[arg(long)]
    follow: bool,
    /// Write all events to a file: one JSON object for each commit, start, solution (with its text) and end
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// Write the timeline of the operators to a file that Perfetto (ui.perfetto.dev) and Chrome can open
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    trace: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(mut args: Args) -> Result<()> {
    let questions = match &args.file {
        Some(path) => run_many::read(path)?,
        None => Vec::new(),
    };
    let mut question = args.question.take().unwrap_or_default();
    if question == "-" {
        question = std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?;
    }
    ensure!(args.file.is_some() || !question.trim().is_empty(), "expected a question, found an empty one");
    args.haste.validate()?;
    let runtime = runtime()?;
    let Opened { settings, agent, plan, _closing } = runtime.block_on(open(&args))?;
    let is_recorded = settings.traces.is_some();
    ensure!(
        !is_recorded || args.cancel != Some(Clock::Live),
        "expected a model for `--cancel live`, found recorded outputs"
    );
    let familiar = if plan.is_none() { Familiar::of(&agent) } else { None };
    let watcher = Watcher { follow: args.follow, transcript: Transcript::default() };
    let is_watched = args.follow || args.transcript.is_some();
    let ask = Ask {
        within: args.haste.budget,
        latency_weight: args.haste.latency_weight,
        plan: plan.as_ref(),
        confidence: args.confidence,
        clock: args.cancel,
        draw: settings.seed,
        letters: if args.verbose || args.json { LETTERS } else { 0 },
        observer: is_watched.then_some(&watcher as &dyn Observer),
        ..Ask::default()
    };
    if args.file.is_some() {
        let letters = if args.verbose { LETTERS } else { 0 };
        let many =
            Many { agent: &agent, ask: Ask { letters, ..ask }, familiar, at_once: settings.training.concurrency };
        return runtime.block_on(many.answer(questions));
    }
    if let Some(remark) = familiar.and_then(|familiar| familiar.remark(&agent, &question).transpose()).transpose()? {
        eprintln!("{remark}");
    }
    let answered = runtime.block_on(agent.answer(&question, ask))?;
    if let Some(path) = &args.transcript {
        let lines = watcher.transcript.lines().join("\n") + "\n";
        std::fs::write(path, lines).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(path) = &args.trace {
        let operators = agent.solver().catalogue().operators();
        let names: Vec<String> = operators.iter().map(|operator| operator.name.clone()).collect();
        let events = perfetto::events(question.trim(), &answered.trace, &names).to_string();
        std::fs::write(path, events).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(budget) = args.haste.budget {
        eprintln!("{}", budget_report(budget, &answered));
    }
    if let (None, Some(reason)) = (&answered.answer, answered.trace.failure()) {
        return Err(anyhow::Error::new(model::Error::Transient(reason.to_owned())).context("no answer"));
    }
    show(&args, &agent, &answered)
}

fn show(args: &Args, agent: &Agent, answered: &Answered) -> Result<()> {
    let operators = agent.solver().catalogue().operators();
    let names: Vec<String> = operators.iter().map(|operator| operator.name.clone()).collect();
    let (trace, plan) = (&answered.trace, &answered.chosen.plan);
    let path = measured_path(trace);
    if args.json {
        return say_json(&json!({
            "answer": answered.answer,
            "confidence": answered.confidence,
            "text": answered.text,
            "plan": run_many::layers(plan, &names),
            "trace": named::named(trace, &names)?,
            "critical_path_tokens": path.tokens,
            "seconds": trace.end(),
            "cost": trace.cost(),
            "predicted": answered.chosen.predicted.as_ref().map(|predicted| predicted.path),
            "usage": trace.usage(),
            "tool_seconds": trace.tool_seconds(),
            "queued_seconds": trace.queued(),
            "retries": trace.retries(),
        }));
    }
    say(format_args!("{}\n", drawing::plan(plan, trace, &names)))?;
    let timeline = Timeline::new(plan, trace, &names, agent.objective().unit);
    say(format_args!("{}\n", drawing::timeline(&timeline, TIMELINE_WIDTH)))?;
    if args.verbose {
        say(format_args!("{}\n", transcript(plan, trace, &names)))?;
    }
    say(format_args!(
        "critical path {:.0} tokens, {:.3} s, {} completion tokens in all, {:.6} $",
        path.tokens,
        trace.end(),
        trace.usage().completion_tokens,
        trace.cost()
    ))?;
    if trace.retries() > 0 {
        say(format_args!("requests sent again: {}, {:.3} s of waiting in all", trace.retries(), trace.queued()))?;
    }
    if let Some(predicted) = answered.chosen.predicted.as_ref().filter(|_| args.explain) {
        let measured: Vec<Latency> = trace.all().map(|span| span.latency).collect();
        let text = explanation::explanation(plan, &names, predicted, &measured, path);
        say(format_args!("\n{text}\n"))?;
    }
    if let Some(confidence) = answered.confidence {
        say(format_args!("confidence {confidence:.2}"))?;
    }
    let answer = match (&answered.answer, answered.confidence) {
        (Some(answer), _) => shortened(answer, LETTERS).0,
        (None, Some(_)) if args.confidence.is_some() => "none that is certain enough".to_owned(),
        (None, _) => "none found".to_owned(),
    };
    say(format_args!("answer: {answer}"))?;
    Ok(())
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("expected a probability from 0 to 1, found `{text}`"))
}

/// Hears what happens to the question.
struct Watcher {
    follow: bool,
    transcript: Transcript,
}

impl Observer for Watcher {
    fn hear(&self, event: &Event<'_>) {
        if self.follow {
            eprintln!("{event}");
        }
        self.transcript.hear(event);
    }
}

/// An agent, with the plan on the command line if there is one.
struct Opened {
    settings: Settings,
    agent: Agent,
    plan: Option<Plan>,
    _closing: Closing,
}

async fn open(args: &Args) -> Result<Opened> {
    let trained = match (&args.plan, &args.checkpoint) {
        (Some(_), _) => None,
        (None, Some(path)) if path.is_file() => Some((Checkpoint::load(path)?, path.clone())),
        (None, Some(path)) => Some(newest(path)?),
        (None, None) => Some(newest(Path::new(RUNS))?),
    };
    let (settings, parts) = match &trained {
        Some((checkpoint, origin)) => {
            eprintln!("controller: {}", origin.display());
            let OfRun { settings, host, catalogue } = OfRun::new(&args.common, checkpoint, origin)?;
            let parts = Parts::open_for(&settings, &host, catalogue).await?;
            (settings, parts)
        }
        None => {
            let settings = args.common.resolve(Preset::default())?;
            let parts = Parts::open(&settings, &host()).await?;
            (settings, parts)
        }
    };
    parts.remarks.iter().for_each(|remark| eprintln!("{remark}"));
    let closing = Closing::of(&parts);
    let agent = match trained {
        Some((checkpoint, origin)) => Agent::restore(parts, &settings, &checkpoint, &origin)?,
        None => {
            let origin = args.explain.then(|| newest(Path::new(RUNS))).transpose()?.map(|(_, origin)| origin);
            let model = origin.map(|origin| latency_model(parts.solver.catalogue(), &origin)).transpose()?;
            Agent::new(parts, &settings, None, model.flatten())
        }
    };
    let plan = args.plan.as_deref().map(|text| plans::parse(text, agent.solver().catalogue())).transpose()?;
    ensure!(
        !args.explain || agent.latency_model().is_some(),
        "expected a latency model of the run for `--explain`, found none; hint: `lamas calibrate RUN` fits one"
    );
    Ok(Opened { settings, agent, plan, _closing: closing })
}

/// One line on what a budget led to.
fn budget_report(budget: Budget, answered: &Answered) -> String {
    match (answered.chosen.is_within, answered.chosen.latency_weight) {
        (true, Some(weight)) => format!("budget {budget}: latency weight {weight:.5}"),
        (true, None) => format!("budget {budget}"),
        (false, _) => {
            format!("budget {budget}: no plan is predicted to keep it; this one is predicted to be the fastest")
        }
    }
}
