//! `lamas run`: answers one question and shows how.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::budget::{self, Haste};
use super::config::{Common, Preset, Settings};
use super::controllers::{self, RUNS};
use super::plans;
use super::session::Session;
use crate::checkpoint::Checkpoint;
use crate::encoder::Embeddings;
use crate::evaluation::latency::{Asked, Budget, Choice, Prediction, measured_path};
use crate::executor::Cancel;
use crate::plan::{Latency, Plan};
use crate::printable::printable;
use crate::report::{Timeline, Unit, drawing, explanation};
use crate::system::Episode;

/// Columns of the timeline's time axis.
const TIMELINE_WIDTH: usize = 32;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to answer
    question: String,
    /// A trained controller, or a run folder; default: the newest under `runs`
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "plan")]
    checkpoint: Option<PathBuf>,
    /// A plan of your own, such as "GenerateCoT,Programmer;ScEnsemble": layers by `;`, operators by `,`
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["latency_weight", "budget"])]
    plan: Option<String>,
    #[command(flatten)]
    haste: Haste,
    /// How a plan ends early: live (calls in flight are dropped) or virtual (all calls run; of a local model, what came
    /// after the end is not counted) [default: live on an endpoint, else virtual]
    #[arg(long, value_name = "WHEN", env = "LAMAS_CANCEL")]
    cancel: Option<Cancel>,
    /// Show what the plan was predicted to take beside what it took
    #[arg(long)]
    explain: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    ensure!(!args.question.trim().is_empty(), "expected a question, found an empty one");
    args.haste.validate()?;
    let Chosen { settings, session, plan, predicted } = match &args.plan {
        Some(text) => typed(&args, text)?,
        None => learned(&args)?,
    };
    let answered = session.runtime.block_on(session.system.answer(&args.question, &plan, settings.seed))?;
    if let (None, Some(reason)) = (&answered.answer, answered.trace.failure()) {
        bail!("no answer: {reason}");
    }
    let episode =
        Episode { problem: String::new(), plan, trace: answered.trace, answer: answered.answer.clone(), score: 0.0 };
    let measures = session.objective.measure(&episode);
    let names = session.names();
    if args.json {
        let layers: Vec<Vec<&String>> = episode
            .plan
            .layers
            .iter()
            .map(|layer| layer.operators.iter().filter_map(|operator| names.get(operator.index())).collect())
            .collect();
        println!(
            "{}",
            json!({
                "answer": answered.answer,
                "plan": layers,
                "trace": episode.trace,
                "critical_path_tokens": measures.path,
                "seconds": measures.seconds,
                "cost": measures.cost,
                "predicted": predicted.map(|predicted| predicted.path),
                "usage": episode.trace.usage(),
                "tool_seconds": episode.trace.tool_seconds(),
                "queued_seconds": episode.trace.queued(),
                "retries": episode.trace.retries(),
            })
        );
        return Ok(());
    }
    println!("{}\n", drawing::plan(&episode.plan, &names));
    let timeline = Timeline::new(&episode, &names, Unit::Tokens);
    println!("{}\n", drawing::timeline(&timeline, TIMELINE_WIDTH));
    let saved = match measures.saved_tokens {
        0.0 => String::new(),
        saved => format!(" ({saved} more saved)"),
    };
    println!(
        "critical path {:.0} tokens, {:.3} s, {} completion tokens in all{saved}, {:.6} $",
        measures.path, measures.seconds, measures.completion_tokens, measures.cost
    );
    if episode.trace.retries() > 0 {
        println!("requests sent again: {}, waited {:.3} s in all", episode.trace.retries(), episode.trace.queued());
    }
    if let Some(predicted) = predicted.filter(|_| args.explain) {
        let measured: Vec<Latency> = episode.trace.all().map(|span| span.latency).collect();
        let path = measured_path(&episode);
        println!("\n{}\n", explanation::explanation(&episode.plan, &names, &predicted, &measured, path));
    }
    println!("answer: {}", printable(answered.answer.as_deref().unwrap_or("none found")));
    Ok(())
}

/// The settings with what holds for answering alone.
fn answering(args: &Args, mut settings: Settings) -> Result<Settings> {
    let is_asked = settings.traces.is_none();
    let usual = if is_asked && settings.endpoint.is_used() { Cancel::Live } else { Cancel::Virtual };
    let cancel = args.cancel.unwrap_or(usual);
    ensure!(is_asked || cancel == Cancel::Virtual, "expected a model for `--cancel live`, found recorded outputs");
    settings.training.execution.cancel = cancel;
    Ok(settings)
}

/// A plan, with what it was predicted to take where that is asked for.
struct Chosen {
    settings: Settings,
    session: Session,
    plan: Plan,
    predicted: Option<Prediction>,
}

/// The plan on the command line.
fn typed(args: &Args, text: &str) -> Result<Chosen> {
    let settings = answering(args, args.common.resolve(Preset::default())?)?;
    let session = Session::open(&settings)?;
    let plan = plans::parse(text, session.system.catalogue())?;
    let mut predicted = None;
    if args.explain {
        let (_, origin) = controllers::newest(Path::new(RUNS))?;
        let model = controllers::expect_latency_model(&session, &origin)?;
        let embeddings = session.encoder.encode(&[&args.question])?;
        let asked = asked(args, &embeddings)?;
        predicted = Some(model.predict(&plan, &session.prepare(&plan), asked));
    }
    Ok(Chosen { settings, session, plan, predicted })
}

/// The plan of a trained controller.
fn learned(args: &Args) -> Result<Chosen> {
    let (checkpoint, origin) = match &args.checkpoint {
        Some(path) if path.is_dir() => controllers::newest(path)?,
        Some(path) => (Checkpoint::load(path)?, path.clone()),
        None => controllers::newest(Path::new(RUNS))?,
    };
    let settings = answering(args, args.common.resolve_for(&checkpoint.provenance.configuration)?)?;
    let mut session = Session::open_for(&settings, &checkpoint.provenance.catalogue, &origin)?;
    let trained = controllers::restore(&session, &checkpoint, &origin)?;
    let halting = args.haste.latency_weight.map_or(trained.halting.clone(), |weight| trained.at(weight).halting);
    session.system = session.system.with_halting(halting)?;
    eprintln!("controller: {}", origin.display());
    let embeddings = session.encoder.encode(&[&args.question])?;
    let asked = asked(args, &embeddings)?;
    let is_predicted = args.explain || args.haste.budget.is_some();
    let model = is_predicted.then(|| controllers::expect_latency_model(&session, &origin)).transpose()?;
    let plan = match (args.haste.latency_weight, args.haste.budget.zip(model.as_ref())) {
        (Some(weight), _) => {
            trained.latency_weights()?;
            trained.policy.at(weight).greedy(asked.embedding)
        }
        (None, Some((budget, model))) => {
            let choice = budget::choose(&session, &trained, model, budget, asked)?;
            eprintln!("{}", told(budget, &choice));
            choice.plan
        }
        (None, None) => trained.policy.greedy(asked.embedding),
    };
    let predicted = model.map(|model| model.predict(&plan, &session.prepare(&plan), asked));
    Ok(Chosen { settings, session, plan, predicted })
}

fn asked<'a>(args: &'a Args, embeddings: &'a Embeddings) -> Result<Asked<'a>> {
    let embedding = embeddings.row(0).context("the encoder gave no embedding")?;
    Ok(Asked { question: &args.question, embedding })
}

/// One line on what a budget led to.
fn told(budget: Budget, choice: &Choice) -> String {
    let weight = choice.latency_weight;
    match choice.is_within {
        true => format!("budget {budget}: latency weight {weight:.5}"),
        false => format!("budget {budget}: no plan is predicted to keep it; this one is predicted to be the quickest"),
    }
}
