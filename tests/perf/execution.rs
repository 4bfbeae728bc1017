//! What running plans costs beside the model: `cargo bench --bench execution`.

mod setting;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use lamas::benchmarks::{ARITHMETIC, Benchmark, Problem};
use lamas::llm::{Price, Prices, Reply, Scripted};
use lamas::operators::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::sandbox::Evaluator;
use tokio::runtime::{Builder, Runtime};

#[path = "../it/planned.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod planned;

use planned::Planned;

fn main() {
    divan::main();
}

/// A system whose model answers at once.
fn system() -> Planned {
    let model = Scripted::new("scripted", |_| Ok(Reply::new("13 + 7 = 20 . 20 / 2 = 10 . the answer is 10", 14)));
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml").expect("the built-in catalogue");
    let benchmark = Benchmark::load(ARITHMETIC).expect("the built-in benchmark");
    Planned::new(catalogue, benchmark, Arc::new(model), &prices, Schedule::Layered).expect("a priced model")
}

fn problem() -> Problem {
    let question =
        "sam has 13 apples and buys 7 more . he gives half of them to ana . how many apples does sam have now ?";
    Problem { id: "p".into(), question: question.into(), answer: "10".into(), kind: None, steps: None, tests: None }
}

/// 4 layers x 3 operators with every kind but stop; 13 model calls and one run of the evaluator.
fn plan() -> Plan {
    Plan::from_indices(&[&[0, 1, 2], &[5, 6, 3], &[1, 6, 0], &[2, 6, 3]])
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[divan::bench]
fn plan_of_4_layers_x_3_operators(bencher: Bencher) {
    let (system, problem, plan, runtime) = (system(), problem(), plan(), runtime());
    let mut draw = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        draw += 1;
        runtime.block_on(system.solve(&problem, &plan, draw)).expect("a model that never fails")
    });
}

#[divan::bench]
fn program(bencher: Bencher) {
    let evaluator = Evaluator::new();
    bencher.bench_local(|| evaluator.run("a = 5 * 12 ; b = a - 7 ; c = b * 3 ; return c"));
}

#[divan::bench]
fn equations(bencher: Bencher) {
    let evaluator = Evaluator::new();
    bencher.bench_local(|| evaluator.wrong_equation("13 + 7 = 20 . 20 / 2 = 10 . 10 * 3 = 30 . the answer is 30"));
}
