//! One controller for many latency weights: it learns both ends, repeats itself, resumes exactly and keeps budgets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use candle_core::{Device, Tensor};
use lamas::checkpoint::{Checkpoint, Provenance};
use lamas::controller::{Controller, ControllerConfig, LatencyWeights, Policy};
use lamas::evaluate::latency::Budget;
use lamas::execute::Episode;
use lamas::learn::{
    CHECKPOINT_FILE, Event, METRICS_FILE, Problems, Rollout, STATE_FILE, Setup, SurveyConfig, Trained, TrainingConfig,
    TrainingEpisode, train,
};
use lamas::objective::Objective;
use lamas::plan::{Latency, OperatorId, Plan, Schedule, Signature, Span, Status, Trace, Usage};
use lamas::random::{self, Draw};
use rand::Rng;

const SIGNATURES: [Signature; 2] = [Signature::ANSWERS, Signature::ANSWERS];
const QUICK: OperatorId = OperatorId(0);
const SLOW: OperatorId = OperatorId(1);
const EMBEDDING: usize = 8;
const PROBLEMS: usize = 24;

/// The quick operator is right on even problems, the slow one on all.
struct QuickOrRight;

fn tokens(operator: OperatorId) -> f64 {
    if operator == QUICK { 2.0 } else { 40.0 }
}

#[async_trait]
impl Rollout for QuickOrRight {
    async fn solve(&self, problem: usize, plan: Plan, _draw: Draw) -> Result<Episode> {
        let is_right = problem.is_multiple_of(2) || plan.choices().any(|(_, operator)| operator == SLOW);
        let span = |(layer, operator): (usize, OperatorId)| Span {
            layer,
            operator,
            calls: 1,
            usage: Usage::default(),
            cost: 1e-3,
            tool_seconds: 0.0,
            latency: Latency { tokens: tokens(operator), seconds: 0.0 },
            started: 0.0,
            outcome: Status::Done,
            ..Span::default()
        };
        let spans = plan.choices().map(span).collect();
        let dependencies = Schedule::Layered.dependencies(&plan, &[]);
        let trace = Trace { spans, dependencies, finish: None };
        Ok(Episode {
            problem: problem.to_string(),
            plan,
            trace,
            answer: None,
            confidence: None,
            score: f64::from(u8::from(is_right)),
        })
    }
}

fn queries() -> Vec<Vec<f32>> {
    let query = |problem: usize| {
        let mut rng = random::stream(5, &[&"query", &problem]);
        let mut query: Vec<f32> = (0..EMBEDDING).map(|_| rng.random_range(-0.3..0.3)).collect();
        query[problem % 2] += 1.0;
        query
    };
    (0..PROBLEMS).map(query).collect()
}

fn weights() -> LatencyWeights {
    "0.0005..0.05".parse().expect("a range")
}

/// Trains; zero passes mean by the survey alone. `watch` sees the episodes of every batch with its pass.
fn run(
    epochs: u32,
    folder: Option<&Path>,
    resume: bool,
    stop_after: Option<usize>,
    mut watch: impl FnMut(u32, &[TrainingEpisode]) + Send,
) -> Result<Trained> {
    let config = ControllerConfig {
        layers: 1,
        hidden: 8,
        embedding: EMBEDDING,
        latency_weights: Some(weights()),
        ..ControllerConfig::default()
    };
    let configuration = serde_json::json!({ "controller": config });
    let mut rng = random::stream(5, &[&"operators"]);
    let operators: Vec<f32> = (0..SIGNATURES.len() * EMBEDDING).map(|_| rng.random_range(-1.0..1.0)).collect();
    let operators = Tensor::from_vec(operators, (SIGNATURES.len(), EMBEDDING), &Device::Cpu)?;
    let ids: Vec<String> = (0..PROBLEMS).map(|problem| problem.to_string()).collect();
    let queries = queries();
    let problems = Problems { ids: &ids, questions: &[], queries: &queries, rollout: &QuickOrRight };
    let cancelled = AtomicBool::new(false);
    let objective = Objective { cost_weight: 50.0, ..Objective::default() };
    let survey = if epochs == 0 { SurveyConfig { batch: 4, ..SurveyConfig::default() } } else { SurveyConfig::none() };
    let setup = Setup {
        controller: Controller::new(config, SIGNATURES.to_vec(), &operators, 1, &Device::Cpu)?,
        config: TrainingConfig { epochs, batch: 4, save_every: 2, objective, survey, ..TrainingConfig::default() },
        train: problems,
        validation: problems,
        provenance: Provenance { configuration, seed: 1, ..Provenance::default() },
        folder,
        resume,
        cancelled: &cancelled,
    };
    let mut batches = 0;
    let mut notify = |event: Event<'_>| {
        if let Event::Batch { epoch, episodes, .. } = event {
            batches += 1;
            cancelled.store(stop_after == Some(batches), Ordering::Relaxed);
            watch(epoch, episodes);
        }
    };
    futures::executor::block_on(train(setup, &mut notify))
}

fn policy(checkpoint: &Checkpoint) -> Result<Policy> {
    Policy::new(&Controller::from_checkpoint(checkpoint, SIGNATURES.to_vec(), &Device::Cpu)?)
}

#[test]
fn one_controller_learns_every_weight() -> Result<()> {
    for (epochs, name) in [(0, "surveyed"), (40, "drawn")] {
        let trained = run(epochs, None, false, None, |_, _| ())?;
        let policy = policy(&trained.checkpoint.expect("a checkpoint"))?;
        let share = |weight: f64, plan: &[u16], parity: usize| {
            let queries = queries();
            let chosen = queries.iter().skip(parity).step_by(2).map(|query| policy.at(weight).greedy(query));
            chosen.filter(|found| *found == Plan::from_indices(&[plan])).count() as f64 / (PROBLEMS / 2) as f64
        };
        // Problems that need the slow operator get it while a right answer is worth its 40 tokens.
        assert_eq!((share(0.0, &[SLOW.0], 1), share(0.05, &[QUICK.0], 1)), (1.0, 1.0), "{name}");
        // The other problems never get it where it would cost more than it is worth.
        assert_eq!((share(0.01, &[QUICK.0], 0), share(0.05, &[QUICK.0], 0)), (1.0, 1.0), "{name}");
        let last = trained.history.last().expect("a pass");
        assert_eq!(last.validation.episodes, 5 * PROBLEMS as u64, "validated at each weight of a grid");
    }
    Ok(())
}

#[test]
fn a_budget_takes_the_smallest_weight_that_keeps_it() -> Result<()> {
    let trained = run(40, None, false, None, |_, _| ())?;
    let policy = policy(&trained.checkpoint.expect("a checkpoint"))?;
    let slowest = |plan: &Plan| plan.choices().map(|(_, operator)| tokens(operator)).fold(0.0, f64::max);
    let latency = |plan: &Plan| Latency { tokens: slowest(plan), seconds: 0.0 };
    let odd = &queries()[1];
    let choose = |tokens: f64| Budget::Tokens(tokens).choose(&policy, &weights(), odd, &[], latency);
    let (ample, tight, hopeless) = (choose(100.0), choose(10.0), choose(1.0));
    assert_eq!((ample.plan, ample.is_within), (Plan::from_indices(&[&[SLOW.0]]), true));
    assert_eq!((tight.plan, tight.is_within), (Plan::from_indices(&[&[QUICK.0]]), true));
    assert_eq!((hopeless.plan, hopeless.is_within), (Plan::from_indices(&[&[QUICK.0]]), false));
    assert!(ample.latency_weight < 0.00051 && tight.latency_weight > 0.005);
    // No greedy plan is as quick as this one, which the controller likes less.
    let both = Plan::from_indices(&[&[QUICK.0], &[SLOW.0]]);
    let latency = |plan: &Plan| if *plan == both { Latency::default() } else { latency(plan) };
    let found = Budget::Tokens(1.0).choose(&policy, &weights(), odd, std::slice::from_ref(&both), latency);
    assert_eq!((&found.plan, found.is_within), (&both, true));
    Ok(())
}

#[test]
fn samples_of_a_problem_share_a_weight_that_rewards_them() -> Result<()> {
    let mut drawn: BTreeMap<(u32, usize), Vec<f64>> = BTreeMap::new();
    let mut utilities = [0.0; 2];
    let trained = run(2, None, false, None, |epoch, episodes| {
        for TrainingEpisode { problem, latency_weight, episode, .. } in episodes {
            drawn.entry((epoch, *problem)).or_default().push(*latency_weight);
            let objective = Objective { cost_weight: 50.0, ..Objective::default() }.at(*latency_weight);
            utilities[epoch as usize] += objective.utility(episode.score, &episode.trace) / (4 * PROBLEMS) as f64;
        }
    })?;
    let distinct: std::collections::BTreeSet<u64> = drawn.values().map(|weights| weights[0].to_bits()).collect();
    assert_eq!((drawn.len(), distinct.len()), (2 * PROBLEMS, 2 * PROBLEMS), "each problem in each pass has its own");
    assert!(drawn.values().all(|weights| weights.len() == 4 && weights.iter().all(|weight| *weight == weights[0])));
    assert!(drawn.values().flatten().all(|weight| (0.0005..0.05).contains(weight)));
    for (metrics, utility) in trained.history.iter().zip(utilities) {
        assert!((metrics.train.utility - utility).abs() < 1e-9, "{metrics:?}");
    }
    Ok(())
}

#[test]
fn a_record_holds_the_weight_and_reads_as_an_episode() -> Result<()> {
    let mut records = Vec::new();
    run(1, None, false, None, |_, episodes| records.extend(episodes.to_vec()))?;
    for tried in &records {
        let text = serde_json::to_string(tried)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(value["latency_weight"].as_f64(), Some(tried.latency_weight));
        assert_eq!(serde_json::from_str::<Episode>(&text)?, tried.episode);
    }
    Ok(())
}

#[test]
fn runs_repeat_and_resume_exactly() -> Result<()> {
    let files = |folder: &Path| -> Result<Vec<Vec<u8>>> {
        [CHECKPOINT_FILE, METRICS_FILE, STATE_FILE].iter().map(|name| Ok(std::fs::read(folder.join(name))?)).collect()
    };
    let [whole, again, parts] = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    run(3, Some(whole.path()), false, None, |_, _| ())?;
    run(3, Some(again.path()), false, None, |_, _| ())?;
    ensure!(files(whole.path())? == files(again.path())?, "another run of the same seed differs");
    let stopped = run(3, Some(parts.path()), false, Some(9), |_, _| ())?;
    assert!(!stopped.finished);
    run(3, Some(parts.path()), true, None, |_, _| ())?;
    ensure!(files(whole.path())? == files(parts.path())?, "the resumed run differs");
    Ok(())
}
