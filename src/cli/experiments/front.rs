//! `lamas front`: what one controller gives for its money and its time, from patient to hasty, beside every operator
//! alone.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::agent::Trained;
use crate::cli::config::Common;
use crate::cli::controllers::{self, Opened};
use crate::cli::interrupt;
use crate::cli::methods::{self, Chosen, Measured};
use crate::cli::output::Tables;
use crate::cli::provenance::{About, provenance};
use crate::cli::results::{EVALUATION, Results};
use crate::cli::session::Session;
use crate::cli::split::Split;
use crate::evaluate::{Evaluation, Row, Summary};
use crate::plan::Plan;
use crate::report::number::{percent, significant};
use crate::report::{Curve, Line, Panel};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run trained with `--latency-weights`, or one of its checkpoints; the seeds of a run are averaged
    run: PathBuf,
    /// Split to measure on
    #[arg(long, default_value = "test")]
    split: String,
    /// Latency weights, at equal steps from the lowest to the highest on a logarithmic scale
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u64).range(2..))]
    points: u64,
    /// Folder for the report, with both fronts drawn; none is written if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let Opened { session, trained, configuration } = controllers::open(&args.common, &args.run, None)?;
    let weights = trained.first().and_then(|trained| trained.policy.config().latency_weights);
    let weights = weights.with_context(|| {
        format!(
            "expected a controller for many latency weights, found one for a single weight in `{}`; hint: `lamas train \
             --latency-weights LOW..HIGH` trains one",
            args.run.display()
        )
    })?;
    interrupt::listen(&session, interrupt::SAME).end_at_once();
    let split = Split::open(&session, &args.split)?;
    let seeds: Vec<u64> = trained.iter().map(|trained| trained.seed).collect();
    let operators = alone(&session);
    let questions = (operators.len() + args.points as usize) * split.problems.len() * seeds.len();
    let evaluation = session.progress.group(EVALUATION, "questions", questions as u64);
    let (mut operator_passes, mut points) = (Vec::new(), Vec::new());
    for (name, plan) in &operators {
        let options = session.options(session.execution, None);
        let measured = Measured { name, split: &split, seeds: &seeds, options };
        measured.by_plans(&session, |_, _| plan.clone(), &mut operator_passes)?;
    }
    for weight in weights.grid(args.points as usize) {
        let at: Vec<Trained> = trained.iter().map(|trained| trained.at(weight)).collect();
        let chosen = Chosen::likeliest(&format!("weight {}", significant(weight)), &split, &at);
        methods::measure_trained(&session, session.execution, &split, &chosen, &mut points)?;
    }
    drop(evaluation);
    let row = |passes: &Vec<Evaluation>| {
        // Each point is the best at its own weight, so utilities at any one weight would not be comparable.
        let summary = Summary { utility: None, ..Summary::new(passes, &session.objective) };
        Row { summary, gain: None }
    };
    let operators: Vec<Row> = operator_passes.iter().map(row).collect();
    let mut front: Vec<Row> = Vec::new();
    for point in points.iter().map(row) {
        // Neighbouring weights often lead to the same choices.
        if front.last().is_none_or(|last| !is_equal(&last.summary, &point.summary)) {
            front.push(point);
        }
    }
    let remarks = beside_best(&operators, &front);
    let panels = panels(&operators, &front);
    let rows: Vec<Row> = operators.into_iter().chain(front).collect();
    let results = Results::of_rows(&session, rows, points.pop().unwrap_or_default(), remarks, args.json)?;
    let Some(folder) = &args.out else { return Ok(()) };
    let about = About {
        title: format!("One controller for all latency weights, on {}", session.solver().benchmark().name),
        provenance: provenance(seeds, &session.parts.device),
        curves: "Score against time and against cost",
        panels,
        config: configuration,
    };
    results.write(&session, &split, about, folder)
}

/// One plan for each operator that can answer alone.
fn alone(session: &Session) -> Vec<(String, Plan)> {
    let signatures = session.signatures();
    let named = session.names().into_iter().zip(&signatures).enumerate();
    let opening = named.filter(|(_, (_, signature))| signature.opens() && !signature.ends);
    opening.map(|(index, (name, _))| (name, Plan::from_indices(&[&[index as u16]]))).collect()
}

fn is_equal(one: &Summary, other: &Summary) -> bool {
    (one.score, one.path, one.cost) == (other.score, other.path, other.cost)
}

fn score(row: &Row) -> f64 {
    row.summary.score.map_or(f64::NAN, |score| score.mean)
}

/// A line for each point: its score, time and money compared with those of the operator with the highest score.
fn beside_best(operators: &[Row], front: &[Row]) -> Vec<String> {
    let best = operators.iter().reduce(|best, next| if score(next) > score(best) { next } else { best });
    let Some(best) = best else { return Vec::new() };
    let theirs = &best.summary;
    let mut lines = vec![format!("beside `{}`, the operator with the highest score:", theirs.name)];
    lines.extend(front.iter().map(|point| {
        let ours = &point.summary;
        let in_full = match ours.dropped.full > ours.dropped.share {
            true => format!(" ({} if dropped calls are billed in full)", percent(ours.dropped.full / theirs.cost)),
            false => String::new(),
        };
        format!(
            "  {}: score {:+.3}, {} of the path, {} of the dollars{in_full}",
            ours.name,
            score(point) - score(best),
            percent(ours.path.mean / theirs.path.mean),
            percent(ours.cost / theirs.cost),
        )
    }));
    lines
}

/// Plots of score against path and against dollars, for the controller and the operators.
fn panels(operators: &[Row], front: &[Row]) -> Vec<Panel> {
    let panel = |axis: &str, of: fn(&Summary) -> f64| {
        let line = |name: &str, rows: &[Row]| {
            let mut points: Vec<(f64, f64)> = rows.iter().map(|row| (of(&row.summary), score(row))).collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            Line { name: name.to_owned(), seeds: vec![Curve(points)] }
        };
        let lines = vec![line("controller", front), line("operators alone", operators)];
        Panel { title: "score".into(), axis: axis.into(), lines }
    };
    vec![
        panel("critical path", |summary| summary.path.mean),
        panel("dollars per 1,000 questions", |summary| 1000.0 * summary.cost_per_problem()),
    ]
}
