//! What running plans costs besides the model: `cargo bench --bench execution`.

mod setting;

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use lamas::decide::{Decider, FixedPlan, Next};
use lamas::evidence::Known;
use lamas::model::{Price, Prices, Reply, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Layer, Plan, Schedule};
use lamas::random::Purpose;
use lamas::sandbox::Evaluator;
use lamas::task::{ARITHMETIC, Benchmark, Problem};
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
    answered_by(Scripted::new("scripted", |_| Ok(Reply::new("13 + 7 = 20 . 20 / 2 = 10 . the answer is 10", 14))))
}

fn answered_by(model: Scripted) -> Planned {
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

/// 4 layers x 3 operators of every kind but stop; 13 model calls and one run of the evaluator.
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

/// The same with a quorum that is asked after every instant.
#[divan::bench]
fn plan_with_a_quorum(bencher: Bencher) {
    let (mut system, problem, plan, runtime) = (system(), problem(), plan(), runtime());
    system.options.quorum = true;
    let mut draw = 0;
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        draw += 1;
        runtime.block_on(system.solve(&problem, &plan, draw)).expect("a model that never fails")
    });
}

/// Commits the layers of a plan one after another, each when the previous one has ended, so there is one barrier per
/// layer.
struct Staged(Vec<Layer>);

impl Decider for Staged {
    fn next(&mut self, known: &Known<'_>) -> Next {
        match self.0.pop() {
            Some(layer) if !known.is_under_way() => Next::Commit(vec![layer]),
            Some(layer) => {
                self.0.push(layer);
                Next::Wait
            }
            None => Next::Wait,
        }
    }
}

/// 64 queries at once, each with four layers of three operators whose calls take 1 to 20 ms: committed as a whole
/// (false), or decided layer by layer (true).
#[divan::bench(args = [false, true], sample_count = 20, sample_size = 1)]
fn barriers_of_64_queries(bencher: Bencher, is_staged: bool) {
    let model = Scripted::new("scripted", |request| {
        let milliseconds = lamas::random::key(&[&request.messages[0].content, &request.sample]) % 20 + 1;
        Ok(Reply::new("the answer is 10", milliseconds).after(Duration::from_millis(milliseconds)))
    });
    let (system, problem, plan, runtime) = (answered_by(model), problem(), plan(), runtime());
    bencher.counter(ItemsCount::new(64_usize)).bench_local(|| {
        let solve = async |draw| {
            let staged = Staged(plan.layers.iter().rev().cloned().collect());
            let mut decider: Box<dyn Decider> =
                if is_staged { Box::new(staged) } else { Box::new(FixedPlan::new(plan.clone())) };
            system
                .solver
                .solve(&problem, &mut *decider, Purpose::Training.draw(draw), &system.options)
                .await
                .expect("an answer")
        };
        runtime.block_on(futures::future::join_all((0..64).map(solve)))
    });
}

#[divan::bench]
fn program(bencher: Bencher) {
    let evaluator = Evaluator;
    bencher.bench_local(|| evaluator.run("a = 5 * 12 ; b = a - 7 ; c = b * 3 ; return c"));
}

#[divan::bench]
fn equations(bencher: Bencher) {
    let evaluator = Evaluator;
    bencher.bench_local(|| evaluator.wrong_equation("13 + 7 = 20 . 20 / 2 = 10 . 10 * 3 = 30 . the answer is 30"));
}
