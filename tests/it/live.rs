//! Plans that end while they run: calls take their own times, and once the answers that have arrived suffice, the rest
//! ends.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lamas::execute::{Answer, Clock, ExecutionConfig, SolveOptions};
use lamas::model::{Error, Reply, Request};
use lamas::plan::{Plan, Schedule, Status, Usage};
use lamas::random;
use proptest::prelude::*;

use crate::schedule::{MULTI, plans, random_script, run, scripted};

use crate::planned::Planned;

const SCHEDULES: [Schedule; 3] = [Schedule::Sequential, Schedule::Layered, Schedule::Dataflow];

/// Gives the same answers as the script for the schedule's laws, but its times do not depend on their lengths.
fn unsteady(request: &Request) -> Result<Reply, Error> {
    let delay = random::key(&[&"delay", &request.messages[0].content, &request.sample]) % 5000;
    let mut reply = random_script(request)?;
    reply.usage.prompt_tokens = 7;
    Ok(reply.after(Duration::from_millis(delay)))
}

fn living(
    execution: ExecutionConfig,
    script: impl Fn(&Request) -> Result<Reply, Error> + Send + Sync + 'static,
) -> Planned {
    let system = scripted(execution, script);
    let options = SolveOptions { clock: Clock::Live, ..system.options };
    Planned { options, ..system }
}

/// For each schedule: one system that runs plans to their end, and one that ends them live once a vote is settled.
fn systems() -> Vec<[Planned; 2]> {
    let both = |whole| [scripted(whole, unsteady), living(ExecutionConfig { quorum: true, ..whole }, unsteady)];
    SCHEDULES.map(|schedule| both(schedule.into())).into()
}

static SYSTEMS: LazyLock<Vec<[Planned; 2]>> = LazyLock::new(systems);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_settled_vote_changes_no_answer_whatever_arrives_first(plan in plans(), draw: u64) {
        for [whole, live] in SYSTEMS.iter() {
            let [(whole, longest), (live, elapsed)] = [whole, live].map(|system| run(system, &plan, draw));
            prop_assert_eq!(&live.answer, &whole.answer);
            prop_assert_eq!(live.trace.spans.len(), plan.len());
            for (live, whole) in live.trace.spans.iter().zip(&whole.trace.spans) {
                prop_assert!(live.usage.completion_tokens <= whole.usage.completion_tokens);
                prop_assert!(live.usage.prompt_tokens <= whole.usage.prompt_tokens && live.calls <= whole.calls);
                prop_assert!(live.latency.seconds <= whole.latency.seconds + 0.02);
                prop_assert!(live.outcome != Status::Skipped || live.usage == Usage::default());
            }
            prop_assert!(elapsed <= longest + 0.02);
            let ends = live.trace.spans.iter().map(|span| span.started + span.latency.seconds);
            prop_assert!((ends.fold(0.0, f64::max) - elapsed).abs() < 0.02, "the spans end with the query");
        }
    }
}

/// Answers of the three chains, each after this many seconds; any other call takes 20.
fn chains(answers: [Result<&'static str, ()>; 3], seconds: [u64; 3]) -> impl Fn(&Request) -> Result<Reply, Error> {
    let calls = AtomicUsize::new(0);
    move |request| {
        if !request.messages[0].content.ends_with("<|chain|>") {
            return Ok(Reply::new("the answer is 7", 200).after(Duration::from_secs(20)));
        }
        let call = calls.fetch_add(1, Ordering::Relaxed) % 3;
        let text = answers[call].map_err(|()| Error::Transient("busy".into()))?;
        let usage = Usage { prompt_tokens: 5, completion_tokens: 90, ..Usage::default() };
        Ok(Reply { text: text.into(), usage, delay: Duration::from_secs(seconds[call]) })
    }
}

fn live(quorum: bool) -> ExecutionConfig {
    ExecutionConfig { quorum, ..Schedule::Layered.into() }
}

/// The calls, tokens read and written, seconds and end of each span.
fn figures(answer: &Answer) -> Vec<(u32, u64, u64, u64, Status)> {
    let figures = |span: &lamas::plan::Span| {
        let (usage, seconds) = (span.usage, span.latency.seconds.round() as u64);
        (span.calls, usage.prompt_tokens, usage.completion_tokens, seconds, span.outcome.clone())
    };
    answer.trace.spans.iter().map(figures).collect()
}

#[test]
fn calls_that_are_no_longer_needed_are_dropped_and_count_for_what_they_wrote() {
    let eight = Ok("the answer is 8");
    let check = |config, layers: &[&[u16]], seconds, expected: &[(u32, u64, u64, u64, Status)]| {
        let system = living(config, chains([eight, Ok("the answer is 9"), eight], [4, 9, 6]));
        let (answer, elapsed) = run(&system, &Plan::from_indices(layers), 1);
        assert_eq!((answer.answer.as_deref(), elapsed), (Some("8"), seconds));
        assert_eq!(figures(&answer), expected);
    };
    let done = Status::Done;
    // Two of three agree after 6 seconds; the third has written 60 of its 90 tokens.
    check(live(true), &[&[MULTI]], 6.0, &[(3, 15, 240, 6, done.clone())]);
    check(live(false), &[&[MULTI]], 9.0, &[(3, 15, 270, 9, done)]);
}

#[test]
fn a_failed_call_takes_back_what_was_given_beside_it() {
    let system = living(live(true), chains([Ok("the answer is 8"), Err(()), Ok("the answer is 8")], [4, 9, 6]));
    let (answer, elapsed) = run(&system, &Plan::from_indices(&[&[MULTI]]), 1);
    assert_eq!((answer.answer, elapsed), (None, 6.0));
    assert!(matches!(answer.trace.spans[0].outcome, Status::Failed(_)), "{:?}", answer.trace);
}
