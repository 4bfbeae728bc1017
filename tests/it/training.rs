//! Training: learns, repeats itself byte for byte, resumes exactly, and charges latency to bottlenecks only.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use lamas::checkpoint::Checkpoint;
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::execute::Episode;
use lamas::learn::{
    Baseline, CHECKPOINT_FILE, Credit, METRICS_FILE, MovingAverages, STATE_FILE, Sample, SurveyConfig, Trained,
    TrainingConfig, advantages, episode_loss, utilities,
};
use lamas::objective::Objective;
use lamas::plan::{OperatorId, Plan, Schedule, Unit};
use proptest::prelude::*;

use super::bandit::{Bandit, PROBLEMS, Runner, SIGNATURES, data, episode};

fn right_first_choices(checkpoint: &Checkpoint) -> usize {
    let controller = Controller::from_checkpoint(checkpoint, SIGNATURES.to_vec(), &Device::Cpu).expect("a controller");
    let policy = Policy::new(&controller).expect("a policy");
    let right = |(problem, query): (usize, &Vec<f32>)| {
        policy.greedy(query).layers[0].operators == [OperatorId((problem % 2) as u16)]
    };
    data().queries.iter().enumerate().filter(|(problem, query)| right((*problem, query))).count()
}

#[test]
fn a_query_learns_which_operator_is_right() {
    let mut runner = Runner::default();
    runner.preset.epochs = 16;
    runner.preset.objective.cost_weight = 1000.0;
    let trained = runner.run().expect("a trained controller");
    let metrics = trained.history.iter().find(|metrics| metrics.step == best_step(&trained)).expect("the best pass");
    assert_eq!(metrics.validation.score, 1.0, "{metrics:?}");
    assert!(metrics.validation.operators < 2.5, "no more than is needed: {metrics:?}");
    assert_eq!(right_first_choices(&trained.checkpoint.expect("a checkpoint")), PROBLEMS);
}

fn best_step(trained: &Trained) -> u64 {
    trained.checkpoint.as_ref().expect("a checkpoint").step
}

#[test]
fn the_presets_learn_too() {
    for preset in [TrainingConfig::paper(), TrainingConfig::maas()] {
        let objective = Objective { cost_weight: 20.0, ..preset.objective };
        let runner = Runner {
            preset: TrainingConfig { epochs: 12, objective, ..preset },
            controller: ControllerConfig::published(),
            ..Runner::default()
        };
        let history = runner.run().expect("a trained controller").history;
        let (first, last) = (&history[0].train, &history[history.len() - 1].train);
        assert!(last.utility > first.utility, "from {first:?} to {last:?}");
    }
}

fn files(folder: &Path) -> [Vec<u8>; 3] {
    [CHECKPOINT_FILE, METRICS_FILE, STATE_FILE].map(|name| std::fs::read(folder.join(name)).expect("a file of the run"))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let [a, b, c] = [folder(), folder(), folder()];
    for (folder, seed, concurrency) in [(&a, 1, 64), (&b, 1, 3), (&c, 2, 64)] {
        let mut runner = Runner { folder: Some(folder.path()), seed, ..Runner::default() };
        runner.preset.concurrency = concurrency;
        runner.run().expect("a trained controller");
    }
    assert!(files(a.path()) == files(b.path()));
    assert!(files(a.path())[0] != files(c.path())[0]);
}

#[test]
fn a_resumed_run_is_the_run_that_never_stopped() {
    let whole = folder();
    Runner { folder: Some(whole.path()), ..Runner::default() }.run().expect("a trained controller");
    let batches_per_pass = PROBLEMS / 4;
    for stop in [0, 1, batches_per_pass, 2 * batches_per_pass, 2 * batches_per_pass + 4] {
        let parts = folder();
        let part = Runner { folder: Some(parts.path()), stop_after: Some(stop), ..Runner::default() };
        assert!(!part.run().expect("a stopped run").finished);
        let rest = Runner { folder: Some(parts.path()), resume: true, ..Runner::default() };
        assert!(rest.run().expect("a resumed run").finished);
        assert!(files(whole.path()) == files(parts.path()), "stopped after {stop} batches");
    }
    // While plans are tried, after that, and between passes over them.
    for stop in [1, 2, 4, 9] {
        let parts = folder();
        let part = Runner { folder: Some(parts.path()), stop_after_events: Some(stop), ..Runner::default() };
        assert!(!part.run().expect("a stopped run").finished);
        let rest = Runner { folder: Some(parts.path()), resume: true, ..Runner::default() };
        assert!(rest.run().expect("a resumed run").finished);
        assert!(files(whole.path()) == files(parts.path()), "stopped after {stop} events");
    }
    // Two passes, then two more.
    let parts = folder();
    for (epochs, resume) in [(2, false), (4, true)] {
        let mut runner = Runner { folder: Some(parts.path()), resume, ..Runner::default() };
        runner.preset.epochs = epochs;
        runner.run().expect("a trained controller");
    }
    assert!(files(whole.path()) == files(parts.path()));
}

#[test]
fn a_killed_run_goes_on_from_what_was_saved() {
    let (whole, killed) = (folder(), folder());
    Runner { folder: Some(whole.path()), ..Runner::default() }.run().expect("a trained controller");
    // The state of an earlier batch beside a newer checkpoint and newer metrics, as a kill can leave them.
    let part = Runner { folder: Some(killed.path()), stop_after: Some(7), ..Runner::default() };
    part.run().expect("a stopped run");
    for (file, bytes) in [CHECKPOINT_FILE, METRICS_FILE].iter().zip(files(whole.path())) {
        std::fs::write(killed.path().join(file), bytes).expect("written");
    }
    Runner { folder: Some(killed.path()), resume: true, ..Runner::default() }.run().expect("a resumed run");
    assert!(files(whole.path()) == files(killed.path()));
}

fn whole_error<T>(result: Result<T>) -> String {
    format!("{:#}", result.err().expect("an error"))
}

#[test]
fn another_run_is_not_resumed() {
    let folder = folder();
    Runner { folder: Some(folder.path()), ..Runner::default() }.run().expect("a trained controller");
    let mut other = Runner { folder: Some(folder.path()), resume: true, ..Runner::default() };
    other.preset.learning_rate = 0.02;
    assert!(whole_error(other.run()).contains("started with another seed"));
    let path = folder.path().join(STATE_FILE);
    let bytes = std::fs::read(&path).expect("bytes");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let error = whole_error(Runner { folder: Some(folder.path()), resume: true, ..Runner::default() }.run());
    assert!(error.contains(STATE_FILE) && error.contains("truncated"), "{error}");
}

#[test]
fn failed_queries_are_counted_and_never_rewarded() {
    let flaky = Bandit { broken: (0..5).collect(), down: false };
    let trained = Runner { rollout: &flaky, ..Runner::default() }.run().expect("a trained controller");
    // The passes over the survey come first.
    let metrics = &trained.history[TrainingConfig::default().survey.passes as usize];
    assert_eq!((metrics.train.failures, metrics.train.episodes), (5 * 4, 19 * 4));
    assert_eq!((metrics.validation.failures, metrics.validation.episodes), (5, 19));

    let (whole, stopped) = (folder(), folder());
    Runner { folder: Some(whole.path()), ..Runner::default() }.run().expect("a trained controller");
    let part = Runner { folder: Some(stopped.path()), stop_after: Some(8), ..Runner::default() };
    part.run().expect("a stopped run");
    let down = Bandit { broken: BTreeSet::new(), down: true };
    let error =
        whole_error(Runner { folder: Some(stopped.path()), resume: true, rollout: &down, ..Runner::default() }.run());
    assert!(error.contains("every query of a batch failed") && error.contains("no connection"), "{error}");
    Runner { folder: Some(stopped.path()), resume: true, ..Runner::default() }.run().expect("a resumed run");
    assert!(files(whole.path()) == files(stopped.path()));
}

#[test]
fn an_unwritable_folder_is_named_before_anything_is_spent() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let down = Bandit { broken: BTreeSet::new(), down: true };
    let error = whole_error(Runner { folder: Some(&missing), rollout: &down, ..Runner::default() }.run());
    assert!(error.contains("cannot write") && error.contains("missing"), "{error}");
}

#[test]
fn training_ends_early_when_nothing_gets_better() {
    let mut runner = Runner::default();
    let survey = SurveyConfig::none();
    runner.preset = TrainingConfig { survey, epochs: 50, patience: 2, learning_rate: 0.0, ..runner.preset };
    let trained = runner.run().expect("a trained controller");
    assert_eq!(trained.history.iter().map(|metrics| metrics.best).collect::<Vec<_>>(), [true, false, false]);
}

fn any_episode() -> impl Strategy<Value = Episode> {
    let layer = prop::sample::subsequence(vec![0u16, 1, 2, 3], 1..=4);
    (prop::collection::vec(layer, 1..5), prop::collection::vec(0u16..9, 16), 0.0f64..1.0).prop_map(
        |(layers, tokens, score)| {
            let layers: Vec<&[u16]> = layers.iter().map(Vec::as_slice).collect();
            let plan = Plan::from_indices(&layers);
            let tokens: Vec<f64> = tokens.iter().take(plan.len()).copied().map(f64::from).collect();
            episode(0, plan, &tokens, score)
        },
    )
}

/// Gradient of the loss on each log-probability, if only latency counts.
fn latency_gradient(samples: &[Sample], baseline: Baseline, scaled: bool) -> Vec<f32> {
    let advantages = advantages(samples, baseline, scaled, &mut MovingAverages::default());
    let advantages: Vec<f32> = advantages.into_iter().map(|advantage| advantage as f32).collect();
    let log_probs = Var::from_vec(vec![-1.5f32; advantages.len()], advantages.len(), &Device::Cpu).expect("a leaf");
    let advantages = Tensor::new(advantages, &Device::Cpu).expect("advantages");
    let loss = episode_loss(&log_probs, &advantages, samples.len()).expect("a loss");
    let store = loss.backward().expect("gradients");
    store.get(&log_probs).and_then(|gradient| gradient.to_vec1().ok()).expect("a gradient")
}

proptest! {
    #[test]
    fn there_is_one_utility_per_choice(episode in any_episode(), uniform: bool, sequential: bool) {
        let credit = if uniform { Credit::Uniform } else { Credit::Marginal };
        let schedule = if sequential { Schedule::Sequential } else { Schedule::Layered };
        let mut episode = episode;
        episode.trace.dependencies = schedule.dependencies(&episode.plan, &SIGNATURES);
        let found = utilities(&episode, &Objective::default(), credit);
        prop_assert_eq!(found.totals().count(), episode.plan.choices().count());
        prop_assert!(found.latency.iter().all(|latency| *latency <= 0.0));
    }

    #[test]
    fn a_marginal_share_is_never_more_than_the_path(episode in any_episode()) {
        let of = |credit| utilities(&episode, &Objective::default().at(1.0), credit);
        let (marginal, whole) = (of(Credit::Marginal), of(Credit::CriticalPath));
        prop_assert!(marginal.latency.iter().zip(&whole.latency).all(|(share, path)| share >= path));
        let path = whole.latency.iter().copied().fold(0.0, f64::min);
        prop_assert!(marginal.latency.iter().sum::<f64>() >= path - 1e-9);
    }

    #[test]
    fn latency_is_felt_on_the_path_and_exactly_nowhere_else(
        episodes in prop::collection::vec(any_episode(), 1..5),
        scaled: bool,
    ) {
        for credit in [Credit::CriticalPath, Credit::Marginal] {
            let objective = Objective { latency_weight: 0.01, cost_weight: 0.0, unit: Unit::Tokens };
            let alone = |episode: &Episode| {
                // Without score and cost, only the latency part of the utilities remains.
                let utilities = utilities(&Episode { score: 0.0, ..episode.clone() }, &objective, credit);
                Sample { query: 0, utilities }
            };
            let samples: Vec<Sample> = episodes.iter().map(alone).collect();
            let on_path: Vec<bool> = episodes.iter().flat_map(|episode| episode.trace.path(Unit::Tokens).on_path).collect();
            for baseline in [Baseline::None, Baseline::LeaveOneOut] {
                let gradient = latency_gradient(&samples, baseline, scaled);
                prop_assert_eq!(gradient.len(), on_path.len());
                for (gradient, on_path) in gradient.iter().zip(&on_path) {
                    prop_assert!(*on_path || *gradient == 0.0, "{credit:?} {baseline:?}: {gradient} off the path");
                }
            }
            let charged = samples.iter().any(|sample| sample.utilities.latency.iter().any(|latency| *latency < 0.0));
            let gradient = latency_gradient(&samples, Baseline::None, false);
            prop_assert_eq!(gradient.iter().any(|gradient| *gradient != 0.0), charged);
        }
    }
}
