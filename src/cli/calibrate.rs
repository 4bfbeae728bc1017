//! `lamas calibrate`: fits the latency model, which predicts plans, to traces.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::config::Common;
use super::controllers::{self, Opened};
use super::output::{Tables, format, say_json, say_table};
use super::progress::Running;
use super::session::Session;
use super::split::Split;
use crate::agent::{Trained, latency_path};
use crate::checkpoint::write_atomic;
use crate::decide::{Decider, FixedPlan};
use crate::evaluate::latency::{LatencyModel, Observed};
use crate::evaluate::{Method, baselines, evaluate};
use crate::evidence::Asked;
use crate::execute::Episode;
use crate::plan::Plan;
use crate::random::{self, Purpose};
use crate::report::{explanation, jsonl, named};
use crate::task::Problem;

/// The name of the calibration step.
pub const CALIBRATION: &str = "calibration";
/// Number of queries in the calibration run.
pub const QUERIES: usize = 200;
/// The split that the calibration run takes its questions from.
pub const SPLIT: &str = "train";
/// Depth and threshold of the random half of the plans.
const RANDOM: (usize, f64) = (3, 0.3);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint or a run folder
    checkpoint: PathBuf,
    /// Fit to recorded episodes (such as a run's test-episodes.jsonl) instead of running queries one at a time; repeatable
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// How many queries to run
    #[arg(long, value_name = "N", default_value_t = QUERIES, conflicts_with = "from")]
    queries: usize,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    tables: Tables,
}

pub fn run(args: Args) -> Result<()> {
    args.tables.apply();
    let Opened { session, trained, .. } = controllers::open(&args.common, &args.checkpoint, None)?;
    let (splits, episodes) = if args.from.is_empty() {
        let split = Split::open(&session, SPLIT)?;
        let episodes = calibration(&session, &trained, &split, args.queries)?;
        (vec![split], episodes)
    } else {
        let names = session.names();
        let read = |path: &PathBuf| -> Result<Vec<Episode>> {
            let episode = |value: Result<Value>| named::numbered(value?, &names);
            jsonl::lines(path)?.map(episode).collect::<Result<_>>().with_context(|| format!("`{}`", path.display()))
        };
        let episodes: Vec<Vec<Episode>> = args.from.iter().map(read).collect::<Result<_>>()?;
        let names = session.solver().benchmark().splits();
        (names.map(|name| Split::open(&session, name)).collect::<Result<_>>()?, episodes.concat())
    };
    let asked = asked(&splits.iter().collect::<Vec<_>>());
    let observed = observed(&episodes, &asked);
    ensure!(!observed.is_empty(), "expected episodes on the benchmark's problems, found none");
    let model = fit(&session, &observed);
    let path = keep(&model, &args.checkpoint)?;
    if args.json {
        say_json(&model)?;
    } else {
        let accuracy = model.accuracy(&observed, |plan| session.prepare(plan));
        let accuracy = format!("\n{}", explanation::accuracy(&accuracy));
        say_table(explanation::model(&model, format()), [accuracy])?;
    }
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Fits a latency model to a short run and saves it in `folder`.
pub fn after_training(session: &Session, trained: &[Trained], split: &Split, folder: &Path) -> Result<()> {
    let episodes = calibration(session, trained, split, QUERIES)?;
    keep(&fit(session, &observed(&episodes, &asked(&[split]))), folder).map(|_| ())
}

/// Saves the model where it belongs for a checkpoint or run folder.
fn keep(model: &LatencyModel, origin: &Path) -> Result<PathBuf> {
    let path = latency_path(origin);
    write_atomic(&path, &serde_json::to_vec(model)?)?;
    Ok(path)
}

/// Solves queries one at a time, as in answering. Half of them use random plans, so that every operator is seen; half
/// use the controllers' own plans, at weights from all over their range.
fn calibration(session: &Session, trained: &[Trained], split: &Split, queries: usize) -> Result<Vec<Episode>> {
    let count = queries.clamp(1, split.problems.len().max(1));
    let chosen: Vec<usize> = (0..count).map(|query| query * split.problems.len() / count).collect();
    let problems: Vec<Problem> = chosen.iter().filter_map(|&index| split.problems.get(index).cloned()).collect();
    let signatures = session.signatures();
    let plan = |query: usize| -> Plan {
        let mut rng = random::stream(0, &[&"calibration", &query]);
        let own = trained.get(query / 2 % trained.len().max(1)).filter(|_| query % 2 == 1);
        let asked = chosen.get(query).and_then(|&index| split.asked().nth(index));
        match own.zip(asked) {
            None => baselines::random_plan(&signatures, RANDOM.0, RANDOM.1, &mut rng),
            Some((trained, asked)) => match trained.policy.config().latency_weights {
                Some(weights) => trained.policy.at(weights.draw(&mut rng)).greedy(asked.embedding),
                None => trained.propose(asked).plan,
            },
        }
    };
    let bar = session.progress.begin(CALIBRATION, "questions", problems.len() as u64);
    let mut running = Running::new(&session.objective, &bar);
    let decider = |query: usize| -> Box<dyn Decider> { Box::new(FixedPlan::new(plan(query))) };
    let options = session.options(session.execution, None);
    let method = Method { name: "calibration", options, decider, draw: Purpose::Calibration.draw(0) };
    let pass = evaluate(session.solver(), &method, &problems, 1, |episode| running.see(episode));
    let (evaluation, ended) = session.runtime.block_on(pass);
    drop(bar);
    ended?;
    Ok(evaluation.episodes)
}

fn fit(session: &Session, observed: &[Observed<'_>]) -> LatencyModel {
    let gamma = session.solver().benchmark().reward.gamma;
    LatencyModel::fit(session.solver().catalogue(), gamma, observed, |plan| session.prepare(plan))
}

/// The queries of all splits, by problem id.
pub fn asked<'a>(splits: &[&'a Split]) -> BTreeMap<&'a str, Asked<'a>> {
    let of = |split: &&'a Split| split.problems.iter().map(|problem| problem.id.as_str()).zip(split.asked());
    splits.iter().flat_map(of).collect()
}

/// The episodes whose query is known and that did not fail.
pub fn observed<'a>(episodes: &'a [Episode], asked: &BTreeMap<&str, Asked<'a>>) -> Vec<Observed<'a>> {
    let of = |episode: &'a Episode| Some(Observed { asked: *asked.get(episode.problem.as_str())?, episode });
    episodes.iter().filter(|episode| episode.is_complete()).filter_map(of).collect()
}
