//! A small training problem: the question shows which of two operators is right.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use candle_core::{Device, Tensor};
use lamas::checkpoint::Provenance;
use lamas::controller::{Controller, ControllerConfig};
use lamas::execute::Episode;
use lamas::learn::{Event, Problems, Rollout, Setup, Trained, TrainingConfig, train};
use lamas::objective::Objective;
use lamas::plan::{Latency, OperatorId, Plan, Schedule, Signature, Span, Status, Trace, Usage};
use lamas::random::{self, Draw};
use rand::Rng;

pub const SIGNATURES: [Signature; 4] = [Signature::ANSWERS, Signature::ANSWERS, Signature::IMPROVES, Signature::ENDS];
pub const EMBEDDING: usize = 8;
pub const PROBLEMS: usize = 24;

/// Operator 0 solves even problems, operator 1 odd ones; everything else only costs time.
pub struct Bandit {
    /// Problems that always fail, and draws for which everything fails.
    pub broken: BTreeSet<usize>,
    pub down: bool,
}

pub static BANDIT: Bandit = Bandit { broken: BTreeSet::new(), down: false };

#[async_trait]
impl Rollout for Bandit {
    async fn solve(&self, problem: usize, plan: Plan, _draw: Draw) -> Result<Episode> {
        if self.down || self.broken.contains(&problem) {
            bail!("no connection to the model");
        }
        let right = OperatorId((problem % 2) as u16);
        let score = if plan.choices().any(|(_, operator)| operator == right) { 1.0 } else { 0.0 };
        let tokens = |operator: OperatorId| [10.0, 10.0, 20.0, 0.0][operator.index()];
        Ok(episode(problem, plan.clone(), &plan.choices().map(|(_, id)| tokens(id)).collect::<Vec<_>>(), score))
    }
}

pub fn episode(problem: usize, plan: Plan, tokens: &[f64], score: f64) -> Episode {
    let span = |((layer, operator), &tokens): ((usize, OperatorId), &f64)| Span {
        layer,
        operator,
        calls: 1,
        usage: Usage { prompt_tokens: 5, completion_tokens: tokens as u64, ..Usage::default() },
        cost: tokens * 1e-5,
        tool_seconds: 0.0,
        latency: Latency { tokens, seconds: 0.0 },
        started: 0.0,
        outcome: Status::Done,
        ..Span::default()
    };
    let spans = plan.choices().zip(tokens).map(span).collect();
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    let trace = Trace { spans, dependencies, finish: None };
    Episode { problem: format!("bandit-{problem}"), plan, trace, answer: None, confidence: None, score }
}

pub struct Data {
    pub ids: Vec<String>,
    pub queries: Vec<Vec<f32>>,
}

pub fn data() -> Data {
    let query = |problem: usize| {
        let mut rng = random::stream(5, &[&"query", &problem]);
        let mut query: Vec<f32> = (0..EMBEDDING).map(|_| rng.random_range(-0.3..0.3)).collect();
        query[problem % 2] += 1.0;
        query
    };
    Data {
        ids: (0..PROBLEMS).map(|problem| format!("bandit-{problem}")).collect(),
        queries: (0..PROBLEMS).map(query).collect(),
    }
}

pub fn controller(config: ControllerConfig, seed: u64) -> Controller {
    let config = ControllerConfig { layers: 2, hidden: 8, embedding: EMBEDDING, ..config };
    let mut rng = random::stream(5, &[&"operators"]);
    let operators: Vec<f32> = (0..SIGNATURES.len() * EMBEDDING).map(|_| rng.random_range(-1.0..1.0)).collect();
    let operators = Tensor::from_vec(operators, (SIGNATURES.len(), EMBEDDING), &Device::Cpu).expect("a matrix");
    Controller::new(config, SIGNATURES.to_vec(), &operators, seed, &Device::Cpu).expect("a controller")
}

pub struct Runner<'a> {
    pub preset: TrainingConfig,
    pub controller: ControllerConfig,
    pub rollout: &'a dyn Rollout,
    pub folder: Option<&'a Path>,
    pub resume: bool,
    /// Stops after this many batches.
    pub stop_after: Option<usize>,
    /// Stops after this many events of any kind.
    pub stop_after_events: Option<usize>,
    pub seed: u64,
}

impl Default for Runner<'_> {
    fn default() -> Self {
        let objective = Objective { latency_weight: 0.005, cost_weight: 20.0, ..Objective::default() };
        let preset = TrainingConfig { epochs: 4, batch: 4, save_every: 3, objective, ..TrainingConfig::default() };
        let controller = ControllerConfig::default();
        Runner {
            preset,
            controller,
            rollout: &BANDIT,
            folder: None,
            resume: false,
            stop_after: None,
            stop_after_events: None,
            seed: 1,
        }
    }
}

impl Runner<'_> {
    pub fn run(self) -> Result<Trained> {
        self.watched(&mut |_| ())
    }

    /// Runs in paused time and returns how much of it has passed.
    pub fn timed(self) -> Result<Duration> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let begun = tokio::time::Instant::now();
            self.trained(&mut |_| ()).await?;
            Ok(begun.elapsed())
        })
    }

    pub fn watched(self, watch: &mut (dyn FnMut(&Event<'_>) + Send)) -> Result<Trained> {
        futures::executor::block_on(self.trained(watch))
    }

    async fn trained(self, watch: &mut (dyn FnMut(&Event<'_>) + Send)) -> Result<Trained> {
        let data = data();
        let problems = Problems { ids: &data.ids, questions: &[], queries: &data.queries, rollout: self.rollout };
        let controller = controller(self.controller, self.seed);
        // The result must not depend on how many queries run at once.
        let settings = TrainingConfig { concurrency: 1, ..self.preset.clone() };
        let configuration = serde_json::json!({ "controller": controller.config(), "training": settings });
        let cancelled = AtomicBool::new(self.stop_after == Some(0));
        let setup = Setup {
            controller,
            config: self.preset,
            train: problems,
            validation: problems,
            provenance: Provenance { configuration, seed: self.seed, ..Provenance::default() },
            folder: self.folder,
            resume: self.resume,
            cancelled: &cancelled,
        };
        let (mut batches, mut events) = (0, 0);
        let mut notify = |event: Event<'_>| {
            events += 1;
            watch(&event);
            if self.stop_after_events == Some(events) {
                cancelled.store(true, Ordering::Relaxed);
            }
            if matches!(event, Event::Batch { .. }) {
                batches += 1;
                cancelled.store(self.stop_after == Some(batches), Ordering::Relaxed);
            }
        };
        train(setup, &mut notify).await
    }
}
