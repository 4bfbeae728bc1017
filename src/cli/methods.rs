//! The methods of the results table: fixed plans, a random controller, trained controllers.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::controllers::Trained;
use super::progress::{Running, bar};
use super::session::Session;
use crate::benchmarks::Problem;
use crate::encoder::Embeddings;
use crate::evaluation::latency::Asked;
use crate::evaluation::{Evaluation, baselines, evaluate};
use crate::executor::HaltingHead;
use crate::llm;
use crate::plan::Plan;
use crate::random;
use crate::system::System;

/// Draws of evaluation never meet those of training, which count from 0.
pub const FIRST_DRAW: u64 = 1 << 32;

/// The problems that methods are measured on.
pub struct Split {
    pub problems: Vec<Problem>,
    pub embeddings: Embeddings,
}

/// Measures one method, one pass for each seed, and adds it to `methods`; also when a pass ended early.
///
/// # Errors
/// A pass ended early, or every query failed.
pub fn measure(
    session: &Session,
    system: &System,
    name: &str,
    split: &Split,
    seeds: &[u64],
    plan: impl Fn(u64, usize) -> Plan,
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    measure_by(session, |_| system, name, split, seeds, plan, methods)
}

/// As [`measure`], each pass by a system of its own.
fn measure_by<'a>(
    session: &Session,
    system: impl Fn(usize) -> &'a System,
    name: &str,
    split: &Split,
    seeds: &[u64],
    plan: impl Fn(u64, usize) -> Plan,
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let bar = bar(name, (split.problems.len() * seeds.len()) as u64);
    let mut running = Running::new(&session.objective, &bar);
    let mut passes = Vec::with_capacity(seeds.len());
    let mut outcome = Ok(());
    let mut failure = None;
    for (position, &seed) in seeds.iter().enumerate() {
        let pass = evaluate(
            name,
            system(position),
            &split.problems,
            |index| plan(seed, index),
            FIRST_DRAW + position as u64,
            session.concurrency,
            |episode| {
                running.see(episode);
                failure = episode.trace.failure().map(str::to_owned).or(failure.take());
            },
        );
        let (pass, ended) = session.runtime.block_on(pass);
        passes.push(pass);
        outcome = ended;
        if outcome.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    methods.push(passes);
    let solved: usize = methods.last().into_iter().flatten().map(|pass| pass.episodes.len()).sum();
    outcome.with_context(|| format!("`{name}` was stopped after {solved} queries"))?;
    match failure {
        Some(reason) if solved == 0 => {
            Err(anyhow::Error::new(llm::Error::Transient(reason)).context(format!("every query of `{name}` failed")))
        }
        _ => Ok(()),
    }
}

/// The fixed plans that the catalogue allows, and a random controller; what was finished is in `methods` also on errors.
pub fn measure_baselines(
    session: &Session,
    split: &Split,
    seeds: &[u64],
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let (names, kinds) = (session.names(), session.kinds());
    for baseline in baselines::fixed(&names, &kinds) {
        match baseline {
            Ok(baseline) => {
                let system = session.system.with_samples(&baseline.samples)?;
                let plan = |_, _| baseline.plan.clone();
                measure(session, &system, baseline.name, split, seeds, plan, methods)?;
            }
            Err(skipped) => eprintln!("baseline `{}` left out: {}", skipped.name, skipped.reason),
        }
    }
    let random = |seed, index: usize| {
        let problem = split.problems.get(index).map_or("", |problem| problem.id.as_str());
        baselines::random_plan(
            &kinds,
            RANDOM_LAYERS,
            RANDOM_THRESHOLD,
            &mut random::stream(seed, &[&"random", &problem]),
        )
    };
    measure(session, &session.system, "random controller", split, seeds, random, methods)
}

/// `L` and `tau` of the paper.
const RANDOM_LAYERS: usize = 4;
const RANDOM_THRESHOLD: f64 = 0.3;

/// What trained controllers choose for each problem of a split.
pub struct Chosen {
    pub name: String,
    /// One of each controller, as are those below.
    pub seeds: Vec<u64>,
    pub halting: Vec<Option<Arc<HaltingHead>>>,
    /// `[controllers][problems]`
    pub plans: Vec<Vec<Plan>>,
}

impl Chosen {
    /// The likeliest operators.
    pub fn likeliest(name: &str, split: &Split, trained: &[Trained]) -> Self {
        let plans = |trained: &Trained| split.embeddings.rows().map(|query| trained.policy.greedy(query)).collect();
        Chosen {
            name: name.into(),
            seeds: trained.iter().map(|trained| trained.seed).collect(),
            halting: trained.iter().map(|trained| trained.halting.clone()).collect(),
            plans: trained.iter().map(plans).collect(),
        }
    }
}

/// The trained controllers, one for each seed.
pub fn measure_trained(
    session: &Session,
    system: &System,
    split: &Split,
    chosen: &Chosen,
    methods: &mut Vec<Vec<Evaluation>>,
) -> Result<()> {
    let seeds: Vec<u64> = (0..chosen.plans.len() as u64).collect();
    let plan = |position: u64, index: usize| {
        chosen.plans.get(position as usize).and_then(|plans| plans.get(index)).cloned().unwrap_or_default()
    };
    let systems =
        chosen.halting.iter().map(|head| system.with_halting(head.clone())).collect::<Result<Vec<System>>>()?;
    let system = |position: usize| systems.get(position).unwrap_or(system);
    measure_by(session, system, &chosen.name, split, &seeds, plan, methods)
}

impl Split {
    /// Reads a split and embeds it.
    pub fn open(session: &Session, name: &str) -> Result<Self> {
        let (problems, embeddings) = session.problems(name).with_context(|| format!("split `{name}`"))?;
        Ok(Split { problems, embeddings })
    }

    /// What is known of each query before it is answered.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let queries = self.problems.iter().zip(self.embeddings.rows());
        queries.map(|(problem, embedding)| Asked { question: &problem.question, embedding })
    }
}
