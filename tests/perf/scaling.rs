//! How time and memory grow with episodes, operators, layers and plans in flight: `cargo bench --bench scaling`.
//!
//! The allocator counts what it hands out, which costs a little time; `max alloc` is the most that was held at once.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use futures::future::join_all;
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::execute::Episode;
use lamas::learn::{Experience, Learner, TrainingConfig};
use lamas::model::{Price, Prices, Reply, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Latency, Plan, Schedule, Signature, Span, Status, Trace};
use lamas::random;
use lamas::task::{ARITHMETIC, Benchmark, Problem};
use rand::Rng;

#[path = "../it/planned.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod planned;

use planned::Planned;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);
#[cfg(not(target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    // SAFETY: no other thread has been started.
    unsafe { lamas::device::settle_thread_count() };
    divan::main();
}

/// A stop would end plans early; without one every plan has all layers.
const SIGNATURES: [Signature; 7] = [
    Signature::ANSWERS,
    Signature::ANSWERS,
    Signature::ANSWERS,
    Signature::VOTES,
    Signature::COMPUTES,
    Signature::IMPROVES,
    Signature::IMPROVES,
];

fn vectors(count: usize) -> Vec<Vec<f32>> {
    let mut rng = random::stream(1, &[&"vectors"]);
    (0..count).map(|_| (0..384).map(|_| rng.random_range(-0.1..0.1)).collect()).collect()
}

fn controller(operators: usize, layers: usize) -> Controller {
    let signatures = SIGNATURES.iter().copied().cycle().take(operators).collect();
    let embeddings = Tensor::from_vec(vectors(operators).concat(), (operators, 384), &Device::Cpu).expect("a matrix");
    let config = ControllerConfig { layers, ..ControllerConfig::default() };
    Controller::new(config, signatures, &embeddings, 1, &Device::Cpu).expect("a controller")
}

fn episode(plan: Plan, rng: &mut impl Rng) -> Episode {
    let mut span = |(layer, operator)| Span {
        layer,
        operator,
        latency: Latency { tokens: f64::from(rng.random_range(1..500)), seconds: 0.0 },
        outcome: Status::Done,
        ..Span::default()
    };
    let spans = plan.choices().map(&mut span).collect();
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    let score = f64::from(rng.random_range(0..2));
    Episode {
        problem: String::new(),
        plan,
        trace: Trace { spans, dependencies, finish: None },
        answer: None,
        confidence: None,
        score,
    }
}

/// Updates on `episodes` episodes, four for each problem.
fn step(bencher: Bencher, episodes: usize, operators: usize) {
    let mut learner = Learner::new(controller(operators, 4), TrainingConfig::default()).expect("a learner");
    let policy = Policy::new(learner.controller()).expect("a policy");
    let queries = vectors(episodes.div_ceil(4));
    let mut rng = random::stream(1, &[&"draw"]);
    let draw = |index: usize| episode(policy.sample(&queries[index / 4], &mut rng), &mut random::stream(2, &[&index]));
    let drawn: Vec<Episode> = (0..episodes).map(draw).collect();
    let experience = |(index, episode): (usize, _)| Experience {
        problem: index / 4,
        query: queries[index / 4].as_slice(),
        latency_weight: 1e-4,
        episode,
    };
    let batch: Vec<Experience<'_>> = drawn.iter().enumerate().map(experience).collect();
    bencher
        .counter(ItemsCount::new(batch.len()))
        .bench_local(|| learner.update(divan::black_box(&batch), 1.0).expect("an update"));
}

#[divan::bench(args = [4, 64, 1024, 16384, 65536], sample_count = 10)]
fn step_over_episodes(bencher: Bencher, episodes: usize) {
    step(bencher, episodes, 8);
}

#[divan::bench(args = [7, 16, 64, 256], sample_count = 20)]
fn step_over_operators(bencher: Bencher, operators: usize) {
    step(bencher, 64, operators);
}

fn decide(bencher: Bencher, operators: usize, layers: usize) {
    let policy = Policy::new(&controller(operators, layers)).expect("a policy");
    let query = &vectors(1)[0];
    bencher.bench(|| policy.greedy(divan::black_box(query)));
}

#[divan::bench(args = [7, 16, 64, 256])]
fn decision_over_operators(bencher: Bencher, operators: usize) {
    decide(bencher, operators, 4);
}

#[divan::bench(args = [1, 2, 4, 8, 16])]
fn decision_over_layers(bencher: Bencher, layers: usize) {
    decide(bencher, 8, layers);
}

/// All plans start before any of them ends: each waits a moment for its model.
#[divan::bench(args = [100, 10_000], sample_count = 5)]
fn plans_in_flight(bencher: Bencher, plans: usize) {
    let model = Scripted::new("scripted", |_| {
        Ok(Reply::new("13 + 7 = 20 . 20 / 2 = 10 . the answer is 10", 14).after(Duration::from_millis(200)))
    });
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml").expect("the built-in catalogue");
    let benchmark = Benchmark::load(ARITHMETIC).expect("the built-in benchmark");
    let system =
        Planned::new(catalogue, benchmark, Arc::new(model), &prices, Schedule::Layered).expect("a priced model");
    let system = Arc::new(system);
    let question = "sam has 13 apples and buys 7 more . he gives half of them to ana . how many has sam ?".to_owned();
    let problem =
        Arc::new(Problem { id: "p".into(), question, answer: "10".into(), kind: None, steps: None, tests: None });
    let plan = Arc::new(Plan::from_indices(&[&[0, 1, 2], &[5, 6, 3], &[1, 6, 0], &[2, 6, 3]]));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    bencher.counter(ItemsCount::new(plans)).bench_local(|| {
        let solve = |draw: u64| {
            let (system, problem, plan) = (system.clone(), problem.clone(), plan.clone());
            runtime.spawn(async move { system.solve(&problem, &plan, draw).await })
        };
        let solved: Vec<_> = (0..plans as u64).map(solve).collect();
        for episode in runtime.block_on(join_all(solved)) {
            assert_eq!(episode.expect("no panic").expect("no error").trace.spans.len(), 12);
        }
    });
}
