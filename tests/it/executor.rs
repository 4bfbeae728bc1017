//! Plans run on a scripted model, under a paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use lamas::execute::Episode;
use lamas::execute::ExecuteError;
use lamas::model::{Error, Price, Prices, Reply, Request, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule, Status, Unit};
use lamas::task::{ARITHMETIC, Benchmark, PRICES, Problem};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::planned::Planned;

const GENERATE: u16 = 0;
const COT: u16 = 1;
const MULTI: u16 = 2;
const ENSEMBLE: u16 = 3;
const PROGRAMMER: u16 = 4;
const TEST: u16 = 5;
const REFINE: u16 = 6;
const STOP: u16 = 7;

type Script = fn(&Request) -> Result<Reply, Error>;

/// A system of the built-in catalogue whose model takes a tenth of a second a token.
fn system(script: impl Fn(&Request) -> Result<Reply, Error> + Send + Sync + 'static) -> Result<Planned> {
    scheduled(Schedule::Layered, script)
}

fn scheduled(
    schedule: Schedule,
    script: impl Fn(&Request) -> Result<Reply, Error> + Send + Sync + 'static,
) -> Result<Planned> {
    let model = Scripted::new("scripted", move |request| {
        let reply = script(request)?;
        let delay = Duration::from_millis(100) * u32::try_from(reply.usage.completion_tokens).unwrap_or(u32::MAX);
        Ok(reply.after(delay))
    });
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
    Planned::new(catalogue, Benchmark::load(ARITHMETIC)?, Arc::new(model), &prices, schedule)
}

fn mode(request: &Request) -> &str {
    request.messages[0].content.rsplit_once("<|").map_or("", |(_, mode)| mode.trim_end_matches("|>"))
}

/// Direct answers are wrong, chains and programs are right.
fn script(request: &Request) -> Result<Reply, Error> {
    Ok(match mode(request) {
        "direct" => Reply::new("7", 2),
        "chain" => Reply::new("3 + 5 = 8 . the answer is 8", 10),
        "program" => Reply::new("a = 3 + 5 ; return a", 9),
        _ => Reply::new("3 + 5 = 8 . the answer is 8", 12),
    })
}

fn problem() -> Problem {
    let (id, question, answer) = ("p".into(), "what is 3 and 5".into(), "8".into());
    Problem { id, question, answer, kind: None, steps: None, tests: None }
}

async fn solve(system: &Planned, layers: &[&[u16]]) -> Result<Episode> {
    Ok(system.solve(&problem(), &Plan::from_indices(layers), 1).await?)
}

/// `started` and `ended` of each span, in tenths of a second.
fn times(episode: &Episode) -> Vec<(i64, i64)> {
    let tenths = |seconds: f64| (seconds * 10.0).round() as i64;
    let time = |span: &lamas::plan::Span| (tenths(span.started), tenths(span.started + span.latency.seconds));
    episode.trace.spans.iter().map(time).collect()
}

#[tokio::test(start_paused = true)]
async fn a_layer_starts_when_the_one_before_has_ended() -> Result<()> {
    let plan: &[&[u16]] = &[&[GENERATE, COT], &[PROGRAMMER, REFINE], &[ENSEMBLE]];
    let clock = Instant::now();
    let episode = solve(&system(script)?, plan).await?;
    assert_eq!(clock.elapsed().as_millis(), 2200);
    assert_eq!(times(&episode), [(0, 2), (0, 10), (10, 19), (10, 22), (22, 22)]);
    // The evaluator's nominal 0.02 seconds are one token.
    assert_eq!(episode.trace.durations(Unit::Tokens), [2.0, 10.0, 10.0, 12.0, 0.0]);
    assert_eq!((episode.answer.as_deref(), episode.score), (Some("8"), 1.0));
    assert_eq!(episode.trace.usage().completion_tokens, 33);
    assert!((episode.trace.cost() - 33.0 * 1e-5).abs() < 1e-12);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_sequential_schedule_runs_one_after_another() -> Result<()> {
    let clock = Instant::now();
    let episode = solve(&scheduled(Schedule::Sequential, script)?, &[&[GENERATE, COT], &[ENSEMBLE]]).await?;
    assert_eq!(clock.elapsed().as_millis(), 1200);
    assert_eq!(times(&episode), [(0, 2), (2, 12), (12, 12)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn calls_side_by_side_count_their_maximum() -> Result<()> {
    let call = AtomicUsize::new(0);
    let system = system(move |_| Ok(Reply::new("8", [4, 9, 6][call.fetch_add(1, Ordering::Relaxed) % 3])))?;
    let span = &solve(&system, &[&[MULTI]]).await?.trace.spans[0];
    assert_eq!((span.calls, span.usage.completion_tokens, span.latency.tokens), (3, 19, 9.0));
    assert!((span.latency.seconds - 0.9).abs() < 1e-9);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn thoughts_are_no_part_of_an_answer_or_of_a_question() -> Result<()> {
    let thinks = |request: &Request| {
        assert!(request.messages.iter().all(|message| !message.content.contains("hm")), "{request:?}");
        Ok(match mode(request) {
            "chain" => Reply::new("<think>hm , 3 + 5 = 9 . the answer is 9</think> 3 + 5 = 9 . the answer is 9", 30),
            _ => Reply::new("<think>hm", 10),
        })
    };
    let plan = Plan::from_indices(&[&[COT], &[TEST]]);
    let answered = system(thinks)?.answer("what is 3 and 5", &plan, 1).await?;
    let texts: Vec<_> = answered.solutions.iter().map(|solution| solution.text.as_str()).collect();
    assert_eq!(texts, ["3 + 5 = 9 . the answer is 9", ""]);
    assert_eq!(answered.trace.spans[0].usage.completion_tokens, 30);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_equation_is_repaired_and_a_right_one_left_alone() -> Result<()> {
    let slip = |request: &Request| {
        Ok(match mode(request) {
            "chain" => Reply::new("3 + 5 = 9 . the answer is 9", 10),
            _ if request.messages[0].content.contains("= 9") => Reply::new("3 + 5 = 7 . the answer is 7", 10),
            _ => Reply::new("3 + 5 = 8 . the answer is 8", 10),
        })
    };
    let plan = Plan::from_indices(&[&[COT], &[TEST]]);
    let repaired = system(slip)?.answer("what is 3 and 5", &plan, 1).await?;
    let answers: Vec<_> = repaired.solutions.iter().map(|solution| solution.answer.as_deref()).collect();
    assert_eq!(answers, [Some("9"), Some("8")]);
    let test = &repaired.trace.spans[1];
    assert_eq!((test.calls, test.latency.tokens), (2, 22.0));

    let right = system(script)?.answer("what is 3 and 5", &plan, 1).await?;
    assert_eq!(right.solutions.len(), 1);
    assert_eq!((right.trace.spans[1].calls, right.trace.spans[1].latency.tokens), (0, 1.0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_not_run_is_retried_and_then_adds_nothing() -> Result<()> {
    let broken: Script = |_| Ok(Reply::new("return 7 / 2", 5));
    let episode = solve(&system(broken)?, &[&[PROGRAMMER]]).await?;
    assert_eq!((episode.trace.spans[0].calls, episode.trace.spans[0].latency.tokens), (2, 12.0));
    assert_eq!((episode.trace.spans[0].outcome.clone(), episode.answer), (Status::Done, None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failing_operator_does_not_fail_the_query() -> Result<()> {
    let busy: Script = |request| match mode(request) {
        "chain" => Err(Error::Transient("busy".into())),
        _ => script(request),
    };
    let system = system(busy)?;
    let episode = solve(&system, &[&[COT, PROGRAMMER, MULTI], &[ENSEMBLE]]).await?;
    let outcomes: Vec<_> = episode.trace.spans.iter().map(|span| span.outcome.clone()).collect();
    let failed = Status::Failed("busy".into());
    assert_eq!(outcomes, [failed.clone(), Status::Done, failed, Status::Done]);
    assert_eq!((episode.answer.as_deref(), episode.is_complete()), (Some("8"), false));

    let episode = solve(&system, &[&[COT], &[REFINE, TEST, ENSEMBLE]]).await?;
    assert_eq!((episode.answer.as_deref(), episode.score, episode.trace.spans.len()), (None, 0.0, 4));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_ends_the_query_at_once() -> Result<()> {
    let refused: Script = |request| match mode(request) {
        "program" => Err(Error::Permanent("the prompt is too long".into())),
        _ => script(request),
    };
    let clock = Instant::now();
    let result = system(refused)?.solve(&problem(), &Plan::from_indices(&[&[COT, PROGRAMMER]]), 1).await;
    assert!(matches!(result, Err(ExecuteError::Model { ref operator, .. }) if operator == "Programmer"), "{result:?}");
    assert!(clock.elapsed().is_zero());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropping_the_query_cancels_its_calls() -> Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let system = system(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        script(request)
    })?;
    let plan: &[&[u16]] = &[&[COT, MULTI], &[REFINE]];
    let cancelled = tokio::time::timeout(Duration::from_millis(500), solve(&system, plan)).await;
    assert!(cancelled.is_err());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_after_the_layer_of_a_stop() -> Result<()> {
    let episode = solve(&system(script)?, &[&[STOP, COT], &[PROGRAMMER, STOP]]).await?;
    let outcomes: Vec<_> = episode.trace.spans.iter().map(|span| span.outcome.clone()).collect();
    assert_eq!(outcomes, [Status::Done, Status::Done, Status::Skipped, Status::Skipped]);
    assert_eq!(times(&episode), [(0, 0), (0, 10), (10, 10), (10, 10)]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn effects_fold_in_plan_order_whichever_ends_first() -> Result<()> {
    // The direct answer ends long before the chain that precedes it in the plan.
    let answers = async |layers: &[&[u16]]| -> Result<String> {
        let answer = system(script)?.answer("what is 3 and 5", &Plan::from_indices(layers), 1).await?;
        Ok(answer.solutions.iter().filter_map(|solution| solution.answer.clone()).collect())
    };
    assert_eq!(answers(&[&[COT, GENERATE]]).await?, "87");
    assert_eq!(answers(&[&[GENERATE, COT]]).await?, "78");
    assert_eq!(answers(&[&[GENERATE, MULTI], &[ENSEMBLE]]).await?, "8");
    // The ensemble replaces what it read; what was found beside it stands.
    assert_eq!(answers(&[&[COT, MULTI], &[GENERATE, ENSEMBLE], &[REFINE]]).await?, "788");
    assert_eq!(answers(&[&[COT, MULTI], &[ENSEMBLE, GENERATE]]).await?, "87");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_added_in_the_catalogue_alone() -> Result<()> {
    let added = r#"
        [[operator]]
        name = "Judge"
        kind = "ensemble"
        description = "Lets the model choose among the solutions."
        prompt = "{{ question }} {{ solutions | join(' or ') }} <|judge|>"
        max_tokens = 2
    "#;
    let catalogue = ARITHMETIC.read_text("catalogue.toml")? + added;
    let model = Scripted::new("scripted", |request| match mode(request) {
        "judge" => {
            assert_eq!(request.messages[0].content, "what is 3 and 5 7 or 3 + 5 = 8 . the answer is 8 <|judge|>");
            Ok(Reply::new("1", 1))
        }
        _ => script(request),
    });
    let prices = Prices([("scripted".to_owned(), Price::default())].into());
    let catalogue = Catalogue::parse(catalogue, "catalogue.toml")?;
    let plan = Plan::from_indices(&[&[GENERATE, COT], &[catalogue.find("Judge")?.0]]);
    let system = Planned::new(catalogue, Benchmark::load(ARITHMETIC)?, Arc::new(model), &prices, Schedule::Layered)?;
    assert_eq!(system.answer("what is 3 and 5", &plan, 1).await?.answer.as_deref(), Some("7"));
    Ok(())
}

#[test]
fn a_model_without_a_price_is_refused() -> Result<()> {
    let model = Arc::new(Scripted::new("unpriced@1", script));
    let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
    let prices = Prices::load(&PRICES, "prices.toml")?;
    let system = Planned::new(catalogue, Benchmark::load(ARITHMETIC)?, model, &prices, Schedule::Layered);
    assert!(system.is_err_and(|error| format!("{error:#}").contains("found `unpriced`")));
    assert_eq!(prices.of("arithmetic-llama@0")?.completion, 10.0);
    Ok(())
}

#[tokio::test]
async fn plans_of_another_catalogue_are_refused() -> Result<()> {
    let result = system(script)?.solve(&problem(), &Plan::from_indices(&[&[COT, 8]]), 1).await;
    assert!(matches!(result, Err(ExecuteError::UnknownOperator { found: 8, last: 7 })), "{result:?}");
    Ok(())
}

/// Answers and times that depend on the request as a model's do.
fn random_script(request: &Request) -> Result<Reply, Error> {
    let draw = lamas::random::key(&[&request.messages[0].content, &request.sample]);
    let number = draw % 4;
    let tokens = draw / 7 % 50;
    Ok(match mode(request) {
        "program" if number == 0 => Reply::new("return", tokens),
        "program" => Reply::new(format!("return {number}"), tokens),
        "direct" if draw.is_multiple_of(11) => return Err(Error::Transient("busy".into())),
        _ => Reply::new(format!("2 + {number} = 4 . the answer is {number}"), tokens),
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    let layer = proptest::sample::subsequence((0..8).collect::<Vec<u16>>(), 1..5).prop_shuffle();
    proptest::collection::vec(layer, 0..5).prop_map(|layers| {
        let layers: Vec<&[u16]> = layers.iter().map(Vec::as_slice).collect();
        Plan::from_indices(&layers)
    })
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_choice_has_a_span_and_the_path_lies_between_slowest_and_sum(plan in plans(), draw: u64) {
        let system = system(random_script).expect("the built-in catalogue");
        let clock_and_episode = paused().block_on(async {
            let clock = Instant::now();
            system.solve(&problem(), &plan, draw).await.map(|episode| (clock.elapsed().as_secs_f64(), episode))
        });
        let (elapsed, episode) = clock_and_episode.expect("no permanent error");
        let chosen: Vec<_> = plan.choices().collect();
        let recorded: Vec<_> = episode.trace.spans.iter().map(|span| (span.layer, span.operator)).collect();
        prop_assert_eq!(chosen, recorded);
        for unit in [Unit::Tokens, Unit::Seconds] {
            let (durations, path) = (episode.trace.durations(unit), episode.trace.path(unit).length);
            let slowest = durations.iter().copied().fold(0.0, f64::max);
            prop_assert!(slowest <= path + 1e-9 && path <= durations.iter().sum::<f64>() + 1e-9);
        }
        let ends = episode.trace.spans.iter().map(|span| span.started + span.latency.seconds);
        prop_assert!((ends.fold(0.0, f64::max) - elapsed).abs() < 0.02, "the spans end with the query");
    }

    #[test]
    fn the_same_draw_gives_the_same_episode_whatever_runs_beside_it(plans in proptest::collection::vec(plans(), 4)) {
        let system = system(random_script).expect("the built-in catalogue");
        let (alone, together) = paused().block_on(async {
            let mut alone = Vec::new();
            for plan in &plans {
                alone.push(system.solve(&problem(), plan, 5).await.expect("no permanent error"));
            }
            let problem = problem();
            let together = futures::future::join_all(plans.iter().map(|plan| system.solve(&problem, plan, 5))).await;
            (alone, together)
        });
        for (alone, together) in alone.into_iter().zip(together) {
            prop_assert_eq!(alone, together.expect("no permanent error"));
        }
    }
}
