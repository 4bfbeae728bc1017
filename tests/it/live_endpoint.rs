//! Cancelled calls stop spending, as seen from a server on the wire that counts what it writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use lamas::execute::{Clock, ExecutionConfig, SolveOptions};
use lamas::model::Prices;
use lamas::model::openai::{EndpointConfig, Key, OpenAi};
use lamas::operation::Catalogue;
use lamas::plan::{OperatorId, Plan, Schedule, Status};
use serde_json::json;

use crate::endpoint::config;
use crate::faults::benchmark;
use crate::server::{Reply, Server, usage};

use crate::planned::Planned;

const MULTI: u16 = 2;
const PROMPT: u64 = 40;
/// The number of tokens of each of five samples.
const LENGTHS: [u64; 5] = [10, 20, 30, 400, 400];
const PAUSE: Duration = Duration::from_millis(15);
/// Tokens of one connection that may be in transit when it closes: one in the server's hands, one on the wire, one
/// received but not looked at yet.
const IN_TRANSIT: u64 = 3;

/// `length` tokens that end with 42, followed by their usage.
fn tokens(length: u64) -> Vec<String> {
    let word = |word: &str| json!({ "choices": [{ "delta": { "content": word } }] }).to_string();
    let mut events = vec![word("so "); length as usize - 4];
    events.extend(["the ", "answer ", "is ", "42."].map(word));
    events
}

#[tokio::test]
async fn a_vote_that_is_settled_closes_the_connections_of_the_others() -> Result<()> {
    let written = Arc::new(AtomicU64::new(0));
    let count = written.clone();
    let server = Server::start(move |number, _| {
        let length = LENGTHS[number % LENGTHS.len()];
        let mut events = tokens(length);
        // The last event is not a token: it says how the answer ended, and what was counted.
        let end = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": usage(PROMPT, length) });
        events.push(end.to_string());
        Reply::Paced(events, PAUSE, count.clone())
    })
    .await;
    // Six calls at their largest do not fit under this cap, unless dropped calls give back what they left.
    let config = EndpointConfig { max_tokens: Some(2200), ..config(&server) };
    let client = Arc::new(OpenAi::new(config, Key::default(), &Prices::default())?);
    let (benchmark, prices) = (benchmark()?, client.prices().clone());
    let catalogue = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    let execution = ExecutionConfig { quorum: true, ..Schedule::Dataflow.into() };
    let mut system = Planned::new(catalogue, benchmark, client.clone(), &prices, execution)?;
    system.options = SolveOptions { clock: Clock::Live, samples: &[(OperatorId(MULTI), 5)], ..system.options };
    let plan = Plan::from_indices(&[&[MULTI]]);

    let clock = Instant::now();
    let answer = system.answer("what is 6 times 7 ?", &plan, 1).await?;
    let elapsed = clock.elapsed();
    // Enough time for the server to continue writing, if it still could.
    tokio::time::sleep(PAUSE * 20).await;
    let span = &answer.trace.spans[0];
    assert_eq!((answer.answer.as_deref(), answer.solutions.len()), (Some("42"), 3));
    assert_eq!((span.calls, &span.outcome), (5, &Status::Done));

    // The time of the third sample, not that of 400 tokens.
    let third = PAUSE * (LENGTHS[2] as u32 + 1);
    assert!(third <= elapsed && elapsed < PAUSE * LENGTHS[3] as u32, "{elapsed:?}");
    assert!((span.latency.seconds - elapsed.as_secs_f64()).abs() < 1.0, "{} {elapsed:?}", span.latency.seconds);

    // The server stopped early, and all books agree.
    let ends = 3;
    let served = written.load(Ordering::Relaxed) - ends;
    let finished: u64 = LENGTHS[..3].iter().sum();
    assert!(served < finished + 2 * 200, "{served} of {} tokens", LENGTHS.iter().sum::<u64>());
    let spent = answer.trace.usage();
    println!("{served} tokens written, {} counted, in {elapsed:?}", spent.completion_tokens);
    assert!(
        spent.completion_tokens <= served && served <= spent.completion_tokens + 2 * IN_TRANSIT,
        "{served} {spent:?}"
    );
    assert_eq!(spent.prompt_tokens, 5 * PROMPT);
    assert_eq!(spent.estimated_tokens, 2 * PROMPT + spent.completion_tokens - finished);
    let account = client.account();
    assert_eq!((account.requests, account.answered, account.tokens()), (5, 3, spent.tokens()));
    assert_eq!(account.lost.completion_tokens, spent.completion_tokens - finished);
    assert!((account.cost - answer.trace.cost()).abs() < 1e-12);

    // What was reserved for the dropped calls can be spent on others.
    let again = system.answer("what is 6 times 7 ?", &plan, 2).await?;
    assert_eq!((again.answer.as_deref(), client.account().requests), (Some("42"), 10));
    Ok(())
}
