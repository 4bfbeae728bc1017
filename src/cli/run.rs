//! `lamas run`: answers one question and shows how.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::config::{Common, Preset};
use super::controllers::{self, Trained};
use super::plans;
use super::session::Session;
use crate::checkpoint::Checkpoint;
use crate::report::{Timeline, Unit, drawing};
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
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    ensure!(!args.question.trim().is_empty(), "expected a question, found an empty one");
    let (settings, session, plan) = match &args.plan {
        Some(text) => {
            let settings = args.common.resolve(Preset::default())?;
            let session = Session::open(&settings)?;
            let plan = plans::parse(text, session.system.catalogue())?;
            (settings, session, plan)
        }
        None => {
            let (checkpoint, origin) = match &args.checkpoint {
                Some(path) => (Checkpoint::load(path)?, path.clone()),
                None => controllers::newest()?,
            };
            let settings = args.common.resolve_for(&checkpoint.provenance.configuration)?;
            let session = Session::open_for(&settings, &checkpoint.provenance.catalogue, &origin)?;
            let Trained { policy, .. } = controllers::restore(&session, &checkpoint, &origin)?;
            let query = session.encoder.encode(&[&args.question])?;
            let plan = policy.greedy(query.row(0).context("the encoder gave no embedding")?);
            eprintln!("controller: {}", origin.display());
            (settings, session, plan)
        }
    };
    let answered = session.runtime.block_on(session.system.answer(&args.question, &plan, settings.seed))?;
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
    println!("answer: {}", answered.answer.as_deref().unwrap_or("none found"));
    Ok(())
}
