//! Decisions: one plan for one query whose embedding is available, with 8 operators and 4 layers.

mod setting;

use candle_core::{Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use lamas::controller::{Controller, ControllerConfig, Policy};
use lamas::plan::{Plan, Signature};
use lamas::random;
use rand::Rng;
use rayon::prelude::*;

fn main() {
    divan::main();
}

const SIGNATURES: [Signature; 8] = [
    Signature::ANSWERS,
    Signature::ANSWERS,
    Signature::ANSWERS,
    Signature::VOTES,
    Signature::COMPUTES,
    Signature::IMPROVES,
    Signature::IMPROVES,
    // A stop would end plans early; without one every plan has four layers.
    Signature::IMPROVES,
];

fn queries(count: usize) -> Vec<Vec<f32>> {
    let mut rng = random::stream(1, &[&"queries"]);
    (0..count).map(|_| (0..384).map(|_| rng.random_range(-0.1..0.1)).collect()).collect()
}

fn policy(config: ControllerConfig) -> Policy {
    let operators = Tensor::from_vec(queries(SIGNATURES.len()).concat(), (SIGNATURES.len(), 384), &Device::Cpu);
    let controller = Controller::new(config, SIGNATURES.to_vec(), &operators.expect("a matrix"), 1, &Device::Cpu);
    Policy::new(&controller.expect("a controller")).expect("a policy")
}

#[divan::bench(args = ["default", "published"])]
fn greedy(bencher: Bencher, name: &str) {
    let config = if name == "default" { ControllerConfig::default() } else { ControllerConfig::published() };
    let (policy, query) = (policy(config), &queries(1)[0]);
    bencher.bench(|| policy.greedy(divan::black_box(query)));
}

#[divan::bench]
fn sample(bencher: Bencher) {
    let (policy, query) = (policy(ControllerConfig::default()), &queries(1)[0]);
    let mut rng = random::stream(1, &[&"draw"]);
    bencher.bench_local(|| policy.sample(divan::black_box(query), &mut rng));
}

/// On all cores.
#[divan::bench(args = [1024])]
fn greedy_batch(bencher: Bencher, count: usize) {
    let (policy, queries) = (policy(ControllerConfig::default()), queries(count));
    let plans = || queries.par_iter().map(|query| policy.greedy(query)).collect::<Vec<Plan>>();
    bencher.counter(ItemsCount::new(count)).bench(plans);
}
