//! Training steps on cached embeddings: utilities, advantages, log-probabilities, gradients and the update.

mod setting;

use candle_core::Tensor;
use divan::Bencher;
use divan::counter::ItemsCount;
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::execute::Episode;
use lamas::learn::{Experience, Learner, TrainingConfig};
use lamas::plan::{Kind, Latency, Plan, Schedule, Span, Status, Trace, Usage};
use lamas::random;
use rand::Rng;

fn main() {
    // SAFETY: no other thread has been started.
    unsafe { lamas::device::settle_thread_count() };
    divan::main();
}

const KINDS: [Kind; 8] = [
    Kind::Generate,
    Kind::Generate,
    Kind::Generate,
    Kind::Ensemble,
    Kind::Program,
    Kind::Test,
    Kind::Refine,
    Kind::Stop,
];

fn vectors(count: usize) -> Vec<Vec<f32>> {
    let mut rng = random::stream(1, &[&"vectors"]);
    (0..count).map(|_| (0..384).map(|_| rng.random_range(-0.1..0.1)).collect()).collect()
}

fn episode(plan: Plan) -> Episode {
    let mut rng = random::stream(1, &[&"episode"]);
    let span = |(layer, operator)| Span {
        layer,
        operator,
        calls: 1,
        usage: Usage::default(),
        cost: 1e-4,
        tool_seconds: 0.0,
        latency: Latency { tokens: f64::from(rng.random_range(1..500)), seconds: 0.0 },
        started: 0.0,
        outcome: Status::Done,
        ..Span::default()
    };
    let spans = plan.choices().map(span).collect();
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    let trace = Trace { spans, dependencies, finish: None };
    Episode { problem: String::new(), plan, trace, answer: None, confidence: None, score: 1.0 }
}

fn steps(bencher: Bencher, episodes: usize, controller: ControllerConfig, config: TrainingConfig) {
    let operators = Tensor::from_vec(vectors(KINDS.len()).concat(), (KINDS.len(), 384), &setting::device());
    let controller = Controller::new(controller, KINDS.to_vec(), &operators.expect("a matrix"), 1, &setting::device());
    let mut learner = Learner::new(controller.expect("a controller"), config).expect("a learner");
    let policy = Policy::new(learner.controller()).expect("a policy");
    let queries = vectors(episodes);
    let mut rng = random::stream(1, &[&"draw"]);
    let episodes: Vec<Episode> = queries.iter().map(|query| episode(policy.sample(query, &mut rng))).collect();
    let batch: Vec<Experience<'_>> = queries
        .iter()
        .zip(&episodes)
        .enumerate()
        .map(|(index, (query, episode))| Experience { problem: index / 4, query, latency_weight: 1e-4, episode })
        .collect();
    bencher
        .counter(ItemsCount::new(batch.len()))
        .bench_local(|| learner.update(divan::black_box(&batch), 1.0).expect("an update"));
}

#[divan::bench(args = [4, 256])]
fn default(bencher: Bencher, episodes: usize) {
    steps(bencher, episodes, ControllerConfig::default(), TrainingConfig::default());
}

#[divan::bench(args = [4, 256])]
fn paper(bencher: Bencher, episodes: usize) {
    steps(bencher, episodes, ControllerConfig::published(), TrainingConfig::paper());
}
