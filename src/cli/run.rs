//! `lamas run`: answers one question and shows how.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::budget::{self, Haste};
use super::config::{Common, Preset};
use super::controllers;
use super::plans;
use super::session::Session;
use crate::checkpoint::Checkpoint;
use crate::evaluation::latency::{Budget, Choice, measured_path};
use crate::plan::Latency;
use crate::report::{Timeline, Unit, drawing, explanation};
use crate::system::Episode;

/// Columns of the timeline's time axis.
const TIMELINE_WIDTH: usize = 32;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to answer
    question: String,
    /// A trained controller; default: the newest under `runs`
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    checkpoint: Option<PathBuf>,
    /// A plan of your own, such as "GenerateCoT,Programmer;ScEnsemble": layers by `;`, operators by `,`
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    #[command(flatten)]
    haste: Haste,
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
    let settings = args.common.resolve(Preset::default())?;
    let (session, plan, model) = match &args.plan {
        Some(text) => {
            ensure!(
                args.haste.is_none(),
                "a plan of your own leaves nothing to choose: `--plan` goes with neither `--budget` nor `--latency-weight`"
            );
            let session = Session::open(&settings)?;
            let plan = plans::parse(text, session.system.catalogue())?;
            let model = if args.explain {
                let (_, origin) = controllers::newest()?;
                Some(controllers::expect_latency_model(&session, &origin)?)
            } else {
                None
            };
            (session, plan, model)
        }
        None => {
            let (checkpoint, origin) = match &args.checkpoint {
                Some(path) => (Checkpoint::load(path)?, path.clone()),
                None => controllers::newest()?,
            };
            let session = Session::open_for(&settings, &checkpoint.provenance.catalogue, &origin)?;
            let trained = controllers::restore(&session, &checkpoint, &origin)?;
            let embeddings = session.encoder.encode(&[&args.question])?;
            let query = embeddings.row(0).context("the encoder gave no embedding")?;
            eprintln!("controller: {}", origin.display());
            let model = match args.explain || args.haste.budget.is_some() {
                true => Some(controllers::expect_latency_model(&session, &origin)?),
                false => None,
            };
            let plan = match (args.haste, &model) {
                (Haste { budget: Some(budget), .. }, Some(model)) => {
                    let choice = budget::choose(&session, &trained, model, budget, &args.question, query)?;
                    eprintln!("{}", told(budget, &choice));
                    choice.plan
                }
                (Haste { latency_weight: Some(weight), .. }, _) => {
                    trained.latency_weights()?;
                    trained.policy.at(weight).greedy(query)
                }
                _ => trained.policy.greedy(query),
            };
            (session, plan, model)
        }
    };
    let answered = session.runtime.block_on(session.system.answer(&args.question, &plan, settings.seed))?;
    let episode =
        Episode { problem: String::new(), plan, trace: answered.trace, answer: answered.answer.clone(), score: 0.0 };
    let measures = session.objective.measure(&episode);
    let names = session.names();
    let dependencies = session.dependencies(&episode.plan);
    let predicted = model.map(|model| model.predict(&episode.plan, &dependencies, &args.question));
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
            })
        );
        return Ok(());
    }
    println!("{}\n", drawing::plan(&episode.plan, &names));
    let timeline = Timeline::new(&episode, &names, &session.objective, Unit::Tokens);
    println!("{}\n", drawing::timeline(&timeline, TIMELINE_WIDTH));
    println!(
        "critical path {:.0} tokens, {:.3} s, {} completion tokens in all, {:.6} $",
        measures.path, measures.seconds, measures.completion_tokens, measures.cost
    );
    if let Some(predicted) = predicted.filter(|_| args.explain) {
        let measured: Vec<Latency> = episode.trace.spans.iter().map(|span| span.latency).collect();
        let path = measured_path(&episode, &dependencies);
        println!("\n{}\n", explanation::explanation(&episode.plan, &names, &predicted, &measured, path));
    }
    println!("answer: {}", answered.answer.as_deref().unwrap_or("none found"));
    Ok(())
}

/// One line on what a budget led to.
fn told(budget: Budget, choice: &Choice) -> String {
    let weight = choice.latency_weight;
    match choice.is_within {
        true => format!("budget {budget}: latency weight {weight:.5}"),
        false => format!("budget {budget}: no plan is predicted to keep it; this one is predicted to be the quickest"),
    }
}
