//! Agreement with the published controller and its training step, on numbers recorded from it.
//!
//! `LAMAS_PARITY_DIR` names another folder with `golden.json` and `golden.safetensors`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::execute::Episode;
use lamas::learn::{Adam, Baseline, Credit, MovingAverages, Sample, advantages, gradients, policy_loss, utilities};
use lamas::objective::Objective;
use lamas::plan::{Latency, Layer, OperatorId, Plan, Schedule, Signature, Span, Status, Trace, Unit, Usage};
use serde::Deserialize;

/// Gradients no larger than this are rounding noise.
const NOISE: f32 = 1e-7;

#[derive(Deserialize)]
struct Golden {
    sets: BTreeMap<String, Set>,
    training_norm0: Training,
    training_norm1: Training,
}

#[derive(Deserialize)]
struct Set {
    operators: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    choices: Vec<Vec<u16>>,
}

#[derive(Deserialize)]
struct Training {
    lr: f64,
    token_weight: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    episodes: Vec<Recorded>,
    loss: f64,
    mean_utility: f64,
    ema_mean: Option<f64>,
    ema_std: Option<f64>,
}

#[derive(Deserialize)]
struct Recorded {
    query: u32,
    choices: Vec<Vec<u16>>,
    tokens: Vec<Vec<f64>>,
    score: f64,
    cost: f64,
}

struct Parity {
    golden: Golden,
    tensors: BTreeMap<String, Tensor>,
}

fn load() -> Parity {
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity");
    let folder = std::env::var_os("LAMAS_PARITY_DIR").map_or_else(|| PathBuf::from(built_in), PathBuf::from);
    let text = std::fs::read_to_string(folder.join("golden.json")).expect("golden.json");
    let tensors = candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu);
    Parity {
        golden: serde_json::from_str(&text).expect("golden.json of the known form"),
        tensors: tensors.expect("golden.safetensors").into_iter().collect(),
    }
}

impl Parity {
    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    fn controller(&self, set: &str) -> Controller {
        let initial = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("init.")?, tensor)));
        let initial: BTreeMap<String, Tensor> = initial.map(|(name, t)| (name.to_string(), t.clone())).collect();
        let operators = self.tensor(&format!("{set}.operators"));
        let shape = initial["layers.0.query_encoder.weight"].dims2().expect("a matrix");
        let layers = initial.keys().filter(|name| name.ends_with(".query_encoder.bias")).count();
        let config = ControllerConfig { layers, hidden: shape.0, embedding: shape.1, ..ControllerConfig::published() };
        let signatures = self.golden.sets[set].operators.iter().map(|name| kind(name)).collect();
        Controller::from_tensors(config, signatures, operators, &initial, &Device::Cpu).expect("a controller")
    }
}

fn kind(operator: &str) -> Signature {
    match operator {
        "ScEnsemble" => Signature::VOTES,
        "Programmer" => Signature::COMPUTES,
        "Test" => Signature::IMPROVES,
        "SelfRefine" => Signature::IMPROVES,
        "EarlyStop" => Signature::ENDS,
        _ => Signature::ANSWERS,
    }
}

fn plan(choices: &[Vec<u16>]) -> Plan {
    let layer = |ids: &Vec<u16>| Layer { operators: ids.iter().copied().map(OperatorId).collect() };
    Plan { layers: choices.iter().map(layer).collect() }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("float32 numbers")
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    found.iter().zip(expected).map(difference).fold(0.0, |worst, next| if next <= worst { worst } else { next })
}

#[test]
fn probabilities_agree() {
    let parity = load();
    for (name, set) in &parity.golden.sets {
        let controller = parity.controller(name);
        let queries = parity.tensor(&format!("{name}.queries"));
        let plans: Vec<Plan> = set.rows.iter().map(|row| plan(&row.choices)).collect();
        let expected = numbers(parity.tensor(&format!("{name}.probs")));

        let policy = Policy::new(&controller).expect("a policy");
        let queries: Vec<Vec<f32>> = queries.to_vec2().expect("a matrix");
        let rows = queries.iter().zip(&plans).flat_map(|(query, plan)| policy.probabilities(query, plan));
        let found: Vec<f32> = rows.flatten().collect();
        assert!(largest_difference(&found, &expected) < 1e-5, "{name}: acting side");
    }
}

#[test]
fn training_steps_agree_without_normalisation() {
    let parity = load();
    check_training(&parity, &parity.golden.training_norm0, "norm0", Baseline::None);
}

#[test]
fn training_steps_agree_with_normalisation() {
    let parity = load();
    check_training(&parity, &parity.golden.training_norm1, "norm1", Baseline::MovingAverage);
}

fn check_training(parity: &Parity, training: &Training, prefix: &str, baseline: Baseline) {
    let controller = parity.controller("GSM8K");
    let named: Vec<_> = controller.named_vars().collect();
    let vars: Vec<_> = named.iter().map(|(_, var)| var.clone()).collect();
    let mut adam = Adam::new(named.clone()).expect("an optimiser");
    let mut averages = MovingAverages::default();
    let objective = Objective { latency_weight: training.token_weight / 50.0, cost_weight: 3.0, unit: Unit::Tokens };
    // Adam's first steps turn a gradient of rounding noise into a full-sized update of either sign. If the recorded
    // gradient is that small, it replaces ours, so that noise does not spread, and the weight is not compared.
    let mut felt: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (index, step) in training.steps.iter().enumerate() {
        let episodes: Vec<Episode> = step.episodes.iter().map(episode).collect();
        let samples: Vec<Sample> = episodes
            .iter()
            .zip(&step.episodes)
            .map(|(episode, recorded)| Sample {
                query: recorded.query as usize,
                utilities: utilities(episode, &objective, Credit::CriticalPath),
            })
            .collect();
        let totals: Vec<f64> = samples.iter().flat_map(|sample| sample.utilities.totals()).collect();
        let scaled = baseline == Baseline::MovingAverage;
        let advantages = advantages(&samples, baseline, scaled, &mut averages);
        let mean = totals.iter().sum::<f64>() / totals.len() as f64;
        assert!((mean - step.mean_utility).abs() < 1e-6, "{prefix} step {index}: utility {mean}");
        for (found, expected) in [(averages.mean, step.ema_mean), (averages.deviation, step.ema_std)] {
            let close = expected.is_none_or(|expected| found.is_some_and(|found| (found - expected).abs() < 1e-6));
            assert!(close, "{prefix} step {index}: {averages:?}");
        }

        let indices: Vec<u32> = step.episodes.iter().map(|episode| episode.query).collect();
        let indices = Tensor::new(indices, &Device::Cpu).expect("indices");
        let queries = parity.tensor("GSM8K.queries").index_select(&indices, 0).expect("queries");
        let plans: Vec<Plan> = episodes.iter().map(|episode| episode.plan.clone()).collect();
        let advantages: Vec<f32> = advantages.iter().map(|&advantage| advantage as f32).collect();
        let advantages = Tensor::new(advantages, &Device::Cpu).expect("advantages");
        let loss = controller.log_probs(&queries, &plans).and_then(|lp| policy_loss(&lp, &advantages)).expect("a loss");
        let found = f64::from(loss.to_scalar::<f32>().expect("a scalar"));
        // The loss is a difference of float32 terms of size one, whose resolution is 1e-7.
        assert!(
            (found - step.loss).abs() <= 1e-5 * step.loss.abs() + 1e-7,
            "{prefix} step {index}: {found} != {}",
            step.loss
        );

        let store = loss.backward().expect("gradients");
        let (mut gradients, _) = gradients(&store, &vars, 0.0).expect("gradients");
        for ((name, var), gradient) in named.iter().zip(&mut gradients) {
            let expected = numbers(parity.tensor(&format!("{prefix}.step{index}.grad.{name}")));
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let mut found = numbers(gradient.as_ref().expect("a gradient for every tensor"));
            let worst = largest_difference(&found, &expected);
            assert!(worst < 1e-4 * largest, "{prefix} step {index} {name}: off by {worst} of {largest}");
            let felt = felt.entry(name).or_insert_with(|| vec![true; expected.len()]);
            for ((felt, found), expected) in felt.iter_mut().zip(found.iter_mut()).zip(&expected) {
                if expected.abs() <= NOISE {
                    *found = *expected;
                    *felt = false;
                }
            }
            *gradient = Some(Tensor::from_vec(found, var.shape(), &Device::Cpu).expect("a gradient"));
        }
        adam.step(&gradients, training.lr).expect("an update");
    }
    for (name, var) in &named {
        let expected = numbers(parity.tensor(&format!("{prefix}.final.{name}")));
        let count = expected.len();
        let compared = numbers(var).into_iter().zip(expected).zip(&felt[name.as_str()]).filter(|(_, felt)| **felt);
        let (found, expected): (Vec<f32>, Vec<f32>) = compared.map(|(pair, _)| pair).unzip();
        assert!(found.len() > count / 2, "{prefix} {name}: only {} of {count} weights to compare", found.len());
        let worst = largest_difference(&found, &expected);
        assert!(worst < 1e-4, "{prefix} {name}: off by {worst} after three steps");
    }
}

fn episode(recorded: &Recorded) -> Episode {
    let plan = plan(&recorded.choices);
    let tokens: Vec<f64> = recorded.tokens.iter().flatten().copied().collect();
    let span = |((layer, operator), &tokens): ((usize, OperatorId), &f64)| Span {
        layer,
        operator,
        calls: 1,
        usage: Usage::default(),
        cost: 0.0,
        tool_seconds: 0.0,
        latency: Latency { tokens, seconds: 0.0 },
        started: 0.0,
        outcome: Status::Done,
        ..Span::default()
    };
    let mut spans: Vec<Span> = plan.choices().zip(&tokens).map(span).collect();
    spans[0].cost = recorded.cost;
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    Episode {
        problem: recorded.query.to_string(),
        plan,
        trace: Trace { spans, dependencies, finish: None },
        answer: None,
        confidence: None,
        score: recorded.score,
    }
}
