//! The methods of the results table: fixed plans, a random controller, trained controllers.

use anyhow::{Context, Result};

use super::controllers::Trained;
use super::progress::{Running, bar};
use super::session::Session;
use crate::benchmarks::Problem;
use crate::encoder::Embeddings;
use crate::evaluation::latency::Asked;
use crate::evaluation::{Evaluation, baselines, evaluate};
use crate::plan::Plan;
use crate::random;
use crate::system::System;

/// Draws of evaluation never meet those of training, which count from 0.
const FIRST_DRAW: u64 = 1 << 32;

/// The problems that methods are measured on.
pub struct Split {
    pub problems: Vec<Problem>,
    pub embeddings: Embeddings,
}

/// Measures one method: one pass for each seed.
pub fn measure(
    session: &Session,
    system: &System,
    name: &str,
    split: &Split,
    seeds: &[u64],
    plan: impl Fn(u64, usize) -> Plan,
) -> Result<Vec<Evaluation>> {
    let bar = bar(name, (split.problems.len() * seeds.len()) as u64);
    let mut running = Running::new(&session.objective, &bar);
    let mut passes = Vec::with_capacity(seeds.len());
    for (position, &seed) in seeds.iter().enumerate() {
        let pass = evaluate(
            name,
            system,
            &split.problems,
            |index| plan(seed, index),
            FIRST_DRAW + position as u64,
            session.concurrency,
            |episode| running.see(episode),
        );
        passes.push(session.runtime.block_on(pass)?);
    }
    bar.finish_and_clear();
    Ok(passes)
}

/// The fixed plans that the catalogue allows, and a random controller.
pub fn measure_baselines(session: &Session, split: &Split, seeds: &[u64]) -> Result<Vec<Vec<Evaluation>>> {
    let (names, kinds) = (session.names(), session.kinds());
    let mut methods = Vec::new();
    for baseline in baselines::fixed(&names, &kinds) {
        match baseline {
            Ok(baseline) => {
                let system = session.system.with_samples(&baseline.samples)?;
                let plan = |_, _| baseline.plan.clone();
                methods.push(measure(session, &system, baseline.name, split, seeds, plan)?);
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
    methods.push(measure(session, &session.system, "random controller", split, seeds, random)?);
    Ok(methods)
}

/// `L` and `tau` of the paper.
const RANDOM_LAYERS: usize = 4;
const RANDOM_THRESHOLD: f64 = 0.3;

/// The trained controllers, one for each seed, taking the likeliest operators.
pub fn measure_trained(session: &Session, split: &Split, trained: &[Trained], name: &str) -> Result<Vec<Evaluation>> {
    let plans: Vec<Vec<Plan>> = trained
        .iter()
        .map(|trained| split.embeddings.rows().map(|query| trained.policy.greedy(query)).collect())
        .collect();
    let seeds: Vec<u64> = (0..trained.len() as u64).collect();
    let plan = |position: u64, index: usize| {
        plans.get(position as usize).and_then(|plans| plans.get(index)).cloned().unwrap_or_default()
    };
    measure(session, &session.system, name, split, &seeds, plan)
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
