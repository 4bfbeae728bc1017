//! What recording costs, how much faster a training pass is on recorded completions, and whether the numbers are equal:
//! `cargo bench --bench replay`. The model is scripted; its delays are those of an endpoint, in real time.

mod setting;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use candle_core::{Device, Tensor};
use futures::{StreamExt, TryStreamExt, stream};
use lamas::checkpoint::Provenance;
use lamas::controller::{Controller, ControllerConfig};
use lamas::execute::Episode;
use lamas::learn::{EpochMetrics, Problems, Rollout, Setup, TrainingConfig, train};
use lamas::model::{
    Error, LanguageModel, Message, Mode, Price, Prices, Replay, Reply, Request, Role, Sampling, Scripted, Store,
};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::random::{self, Draw};
use lamas::task::{ARITHMETIC, Benchmark, Problem};
use rand::Rng;

#[path = "../it/planned.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod planned;

use planned::Planned;

/// Before the first token, and for each token.
const FIRST: Duration = Duration::from_millis(200);
const EACH: Duration = Duration::from_millis(15);

fn main() -> Result<()> {
    // SAFETY: no other thread has been started.
    unsafe { lamas::device::settle_thread_count() };
    // As a test (`cargo test --benches`) it only checks that it runs: few problems, hardly any delay.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (problems, hurry) = if is_bench { (64, 1) } else { (8, 100) };
    let folder = tempfile::tempdir()?;
    commits(&folder.path().join("commits.sqlite"), if is_bench { 2000 } else { 20 })?;
    let path = folder.path().join("completions.sqlite");
    let (recorded, slow) = pass(&path, Mode::Use, problems, hurry)?;
    let (replayed, quick) = pass(&path, Mode::Replay, problems, hurry)?;
    ensure!(recorded == replayed, "the numbers differ: {recorded:?} and {replayed:?}");
    let completions: u64 = Store::open_existing(&path)?.holdings()?.iter().map(|holding| holding.completions).sum();
    println!(
        "{problems} problems, {completions} completions: recorded in {:.2} s, replayed in {:.3} s, {:.0} times faster",
        slow.as_secs_f64(),
        quick.as_secs_f64(),
        slow.as_secs_f64() / quick.as_secs_f64()
    );
    Ok(())
}

/// How long a model that answers at once takes with a store behind it: one call after another, and 64 at once.
fn commits(path: &Path, calls: u64) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut first = 0;
    for (name, mode, width) in
        [("recorded one by one", Mode::Use, 1), ("recorded 64 at once", Mode::Use, 64), ("replayed", Mode::Replay, 64)]
    {
        // What is replayed was recorded just before.
        first += if mode == Mode::Use { calls } else { 0 };
        let model = Replay::open(Scripted::new("scripted", |_| Ok(Reply::new("8", 1))), path, mode)?;
        let ask = async |sample| model.complete(&request(sample)).await;
        let started = Instant::now();
        let answers = stream::iter(first..first + calls).map(ask).buffer_unordered(width);
        runtime.block_on(answers.try_collect::<Vec<_>>())?;
        println!("{name}: {:.3} ms a call", started.elapsed().as_secs_f64() * 1e3 / calls as f64);
    }
    Ok(())
}

fn request(sample: u64) -> Request {
    let content = "how many apples does sam have now ? ".repeat(8);
    let sampling = Sampling { temperature: 0.8, top_p: 1.0, max_tokens: 64, stop: Vec::new() };
    Request { model: String::new(), messages: vec![Message { role: Role::User, content }], sampling, sample }
}

/// Right or wrong depending on the sample, 5 to 60 tokens long.
fn script(request: &Request, hurry: u32) -> Result<Reply, Error> {
    let tokens = 5 + request.sample % 56;
    let text = format!("so the answer is {}", request.sample % 10);
    Ok(Reply::new(text, tokens).after((FIRST + EACH * u32::try_from(tokens).unwrap_or(0)) / hurry))
}

/// Trains one pass from the same start; returns its figures and its duration.
fn pass(path: &Path, mode: Mode, problems: usize, hurry: u32) -> Result<(Vec<EpochMetrics>, Duration)> {
    let model = Replay::open(Scripted::new("scripted", move |request| script(request, hurry)), path, mode)?;
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
    let signatures = catalogue.signatures();
    let system = Planned::new(catalogue, Benchmark::load(ARITHMETIC)?, Arc::new(model), &prices, Schedule::Layered)?;
    let data = Data::new(system, problems)?;
    let operators = vectors(signatures.len()).concat();
    let operators = Tensor::from_vec(operators, (signatures.len(), 384), &Device::Cpu)?;
    let setup = Setup {
        controller: Controller::new(ControllerConfig::default(), signatures, &operators, 1, &Device::Cpu)?,
        config: TrainingConfig { epochs: 1, ..TrainingConfig::default() },
        train: data.problems(),
        validation: data.problems(),
        provenance: Provenance::default(),
        folder: None,
        resume: false,
        cancelled: &AtomicBool::new(false),
    };
    let (runtime, started) = (tokio::runtime::Runtime::new()?, Instant::now());
    let trained = runtime.block_on(train(setup, &mut |_| {}))?;
    Ok((trained.history, started.elapsed()))
}

fn vectors(count: usize) -> Vec<Vec<f32>> {
    let mut rng = random::stream(1, &[&"vectors"]);
    (0..count).map(|_| (0..384).map(|_| rng.random_range(-0.1..0.1)).collect()).collect()
}

struct Data {
    system: Planned,
    problems: Vec<Problem>,
    ids: Vec<String>,
    queries: Vec<Vec<f32>>,
}

impl Data {
    fn new(system: Planned, count: usize) -> Result<Self> {
        let problems: Vec<Problem> = system.problems("train")?.into_iter().take(count).collect();
        let ids = problems.iter().map(|problem| problem.id.clone()).collect();
        Ok(Data { system, queries: vectors(problems.len()), problems, ids })
    }

    fn problems(&self) -> Problems<'_> {
        Problems { ids: &self.ids, questions: &[], queries: &self.queries, rollout: self }
    }
}

#[async_trait]
impl Rollout for Data {
    async fn solve(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Episode> {
        let problem = self.problems.get(problem).context("a problem outside the data set")?;
        Ok(self.system.solve(problem, &plan, draw.index).await?)
    }
}
