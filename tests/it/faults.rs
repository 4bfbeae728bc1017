//! An endpoint that fails three calls in ten: every query completes or is reported as failed, and the books balance.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use futures::StreamExt;
use lamas::execute::Episode;
use lamas::folder::Folder;
use lamas::model::openai::{EndpointConfig, Key, OpenAi};
use lamas::model::{LanguageModel, Prices};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::random;
use lamas::task::Benchmark;

use crate::endpoint::config;
use crate::server::{End, Reply, Server, refusal, streamed, words};

use crate::planned::Planned;

const ATTEMPTS: u32 = 3;

/// What the server itself counted.
#[derive(Default)]
struct Counts {
    faults: AtomicU64,
    answers: AtomicU64,
    tokens: AtomicU64,
}

/// Answers correctly, and fails three requests in ten in one of five ways.
async fn faulty(counts: Arc<Counts>) -> Server {
    Server::start(move |number, body| {
        let draw = random::key(&[&"fault", &number]);
        if draw % 10 < 3 {
            counts.faults.fetch_add(1, Ordering::Relaxed);
            return match draw / 10 % 5 {
                0 => refusal(429, "retry-after: 0\r\n", "rate_limit_exceeded", "slow down"),
                1 => refusal(500, "", "server_error", "broken"),
                2 => Reply::Events(words("the answer"), End::Cut),
                3 => Reply::Whole(200, "", "\u{1}garbage".into()),
                _ => Reply::Silence,
            };
        }
        let tokens = 5 + random::key(&[body]) % 40;
        counts.answers.fetch_add(1, Ordering::Relaxed);
        counts.tokens.fetch_add(30 + tokens, Ordering::Relaxed);
        streamed("The answer is 42.", 30, tokens)
    })
    .await
}

pub fn benchmark() -> Result<Benchmark> {
    Benchmark::load(Folder::Disk(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny")))
}

fn system(client: Arc<OpenAi>) -> Result<Planned> {
    let benchmark = benchmark()?;
    let catalogue = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    let prices = client.prices().clone();
    Planned::new(catalogue, benchmark, client, &prices, Schedule::Layered)
}

#[tokio::test]
async fn every_query_completes_or_is_reported_and_the_accounts_add_up() -> Result<()> {
    let counts = Arc::new(Counts::default());
    let server = faulty(counts.clone()).await;
    let config = EndpointConfig { attempts: ATTEMPTS, stall_seconds: 0.5, ..config(&server) };
    let client = Arc::new(OpenAi::new(config, Key::default(), &Prices::default())?);
    let system = system(client.clone())?;
    let problems = system.benchmark().problems("train")?;
    let plan = Plan::from_indices(&[&[0, 1, 2], &[4], &[3]]);
    let queries = (0..6).flat_map(|draw| problems.iter().map(move |problem| (problem, draw)));
    let solve = |(problem, draw)| system.solve(problem, &plan, draw);
    let episodes: Vec<_> = futures::stream::iter(queries.map(solve)).buffered(16).collect().await;
    let episodes: Vec<Episode> = episodes.into_iter().collect::<Result<_, _>>()?;

    let sum = |value: fn(&Episode) -> u64| episodes.iter().map(value).sum::<u64>();
    let calls = sum(|episode| episode.trace.spans.iter().map(|span| u64::from(span.calls)).sum());
    let retries = sum(|episode| episode.trace.retries().into());
    let tokens = sum(|episode| episode.trace.usage().tokens());
    let cost: f64 = episodes.iter().map(|episode| episode.trace.cost()).sum();
    let seen = server.seen().len() as u64;
    let [faults, answers, answered_tokens] =
        [&counts.faults, &counts.answers, &counts.tokens].map(|count| count.load(Ordering::Relaxed));
    println!("{} queries, {calls} calls, {retries} retries, {seen} requests, {faults} faults", episodes.len());
    assert!(faults * 4 > seen && faults * 3 < seen, "{faults} faults of {seen}");
    assert_eq!((calls + retries, tokens), (seen, answered_tokens));
    assert!((cost - answered_tokens as f64 * 1e-6).abs() < 1e-9);
    let account = client.account();
    assert_eq!((account.requests, account.answered, account.usage.tokens()), (seen, answers, answered_tokens));
    assert!(account.lost.tokens() > 0 && account.lost.tokens() == account.lost.estimated_tokens);

    // No retry storm; some failures, each of them reported.
    assert!(retries <= calls * u64::from(ATTEMPTS - 1));
    let failed: Vec<&Episode> = episodes.iter().filter(|episode| !episode.is_complete()).collect();
    assert!(!failed.is_empty() && failed.len() < episodes.len() / 2, "{} failed", failed.len());
    assert!(failed.iter().all(|episode| episode.trace.failure().is_some_and(|why| why.contains("after 3 requests"))));
    let queued: f64 = episodes.iter().map(|episode| episode.trace.queued()).sum();
    assert!(queued > 0.5, "silence and pauses are waited for, and counted apart: {queued}");
    let slowest = episodes.iter().filter(|episode| episode.is_complete()).flat_map(|episode| &episode.trace.spans);
    let slowest = slowest.map(|span| span.latency.seconds).fold(0.0, f64::max);
    assert!(slowest < 0.5, "no wait is taken for the model's latency: {slowest}");
    Ok(())
}

#[tokio::test]
async fn failures_count_as_wrong() -> Result<()> {
    let server = faulty(Arc::default()).await;
    let config = EndpointConfig { attempts: 1, ..config(&server) };
    let system = system(Arc::new(OpenAi::new(config, Key::default(), &Prices::default())?))?;
    let problems = system.benchmark().problems("train")?;
    let plan = |_| Plan::from_indices(&[&[1], &[4]]);
    let (evaluation, outcome) = system.evaluate("chain", &problems, plan, 0, 8).await;
    outcome?;
    let failed: Vec<&Episode> = evaluation.episodes.iter().filter(|episode| !episode.is_complete()).collect();
    assert_eq!((evaluation.episodes.len(), evaluation.failed), (problems.len(), failed.len()));
    assert!(failed.iter().all(|episode| episode.score == 0.0 && episode.answer.is_none()));
    Ok(())
}

#[tokio::test]
async fn an_evaluation_that_is_stopped_keeps_what_was_finished() -> Result<()> {
    let server = Server::start(|number, _| match number {
        0..6 => streamed("The answer is 42.", 30, 6),
        _ => refusal(429, "", "insufficient_quota", "check your plan"),
    })
    .await;
    let client = OpenAi::new(config(&server), Key::default(), &Prices::default())?;
    assert!(client.id().starts_with("m@http://127.0.0.1:"));
    let system = system(Arc::new(client))?;
    let problems = system.benchmark().problems("train")?;
    let (evaluation, outcome) = system.evaluate("direct", &problems, |_| Plan::from_indices(&[&[0]]), 0, 1).await;
    let error = outcome.expect_err("no quota is left").to_string();
    assert!(error.contains("operator `Generate`") && error.contains("nothing left to spend"), "{error}");
    assert_eq!((evaluation.episodes.len(), evaluation.failed, server.seen().len()), (6, 0, 7));
    Ok(())
}
