//! `lamas evaluate`: compares a trained controller with the baselines.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::budget::{self, LatencyArgs};
use super::config::Common;
use super::controllers::{self, Opened};
use super::estimate;
use super::interrupt;
use super::methods::{self, Chosen};
use super::output::{Tables, say_beside, say_json};
use super::provenance::{About, provenance};
use super::results::Results;
use super::split::Split;
use crate::agent::latency_model;
use crate::evaluate::latency::Budget;
use crate::report::explanation;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint, or a run folder, whose seeds are averaged
    checkpoint: PathBuf,
    /// Split to evaluate on
    #[arg(long, default_value = "test")]
    split: String,
    /// Folder for the report; default: no report
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out the baselines
    #[arg(long)]
    alone: bool,
    /// Estimate calls, tokens and dollars from a few questions, then stop
    #[arg(long)]
    dry_run: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    haste: LatencyArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    args.haste.validate()?;
    let Opened { mut session, mut trained, configuration } =
        controllers::open(&args.common, &args.checkpoint, args.haste.latency_weight)?;
    interrupt::listen(&session, interrupt::SAME).end_at_once();
    let split = Split::open(&session, &args.split)?;
    let seeds: Vec<u64> = trained.iter().map(|trained| trained.seed).collect();
    for trained in &mut trained {
        *trained = trained.at(session.objective.latency_weight);
    }
    if let Some(Budget::Seconds(_)) = args.haste.budget {
        // Seconds are those of a query that has the machine to itself, as in answering.
        session.concurrency = 1;
    }
    if args.dry_run {
        let ask = |probes: usize| {
            let some = split.some(probes);
            let chosen = Chosen::likeliest("trained controller", &some, &trained);
            let beside = (!args.alone).then_some(&trained[..]);
            methods::measure_all(&session, &some, &chosen, beside, [&mut Vec::new(), &mut Vec::new()])
        };
        return estimate::of_questions(&session, split.problems.len(), ask);
    }
    let model = latency_model(session.solver().catalogue(), &args.checkpoint)?;
    let (chosen, choices) = match args.haste.budget {
        Some(budget) => {
            let model = controllers::expect_latency_model(&session, &args.checkpoint)?;
            budget::choose_all(&session, &split, &trained, &model, budget)?
        }
        None => (Chosen::likeliest("trained controller", &split, &trained), Vec::new()),
    };
    let results = Results::measure(&session, &split, &chosen, &trained, !args.alone, args.json)?;
    let kept = args.haste.budget.map(|budget| budget::kept(budget, &choices, results.trained()));
    let accuracy = model.map(|model| budget::accuracy(&session, &split, &model, results.trained()));
    match (args.json, kept) {
        // A document of its own behind that of the methods.
        (true, Some(kept)) => say_json(&json!({ "budget": kept, "prediction": accuracy }))?,
        (true, None) => {}
        (false, kept) => {
            let kept = kept.map(|kept| format!("\n{kept}"));
            let accuracy = accuracy.map(|accuracy| format!("\n{}", explanation::accuracy(&accuracy)));
            say_beside(kept.into_iter().chain(accuracy))?;
        }
    }
    if let Some(folder) = &args.out {
        let about = About {
            title: format!("Controller on {}, split {}", session.solver().benchmark().name, args.split),
            provenance: provenance(seeds, &session.parts.device),
            curves: "Learning curves",
            panels: Vec::new(),
            config: configuration,
        };
        results.write(&session, &split, about, folder)?;
    }
    Ok(())
}
