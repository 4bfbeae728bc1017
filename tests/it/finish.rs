//! The finish of plans on code: the answer of the vote is tested in the sandbox, and improved while it fails.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use lamas::execute::Episode;
use lamas::execute::ExecuteError;
use lamas::folder::Folder;
use lamas::learn::{Credit, utilities};
use lamas::model::{Error, LanguageModel, Mode, Price, Prices, Replay, Reply, Request, Scripted};
use lamas::objective::Objective;
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule, Span, Status, Unit};
use lamas::record::Record;
use lamas::report::{Timeline, drawing};
use lamas::task::{Benchmark, Problem};

use super::humaneval::{RIGHT, WRONG, benchmark, block};
use super::sandbox::open;

use crate::planned::Planned;

/// The operators of `data/humaneval`, in its order.
const GENERATE: u16 = 0;
const COT: u16 = 1;
const TEST: u16 = 4;
const STOP: u16 = 6;

const WORSE: &str = "def root(n):\n    return 1 / 0";

type Answer = Result<Reply, Error>;

/// The system of a benchmark folder in which a run of tests is charged half a second, that is 25 tokens.
async fn system(folder: &Path, model: Arc<dyn LanguageModel>) -> Result<Option<Planned>> {
    let Some(sandbox) = open().await? else { return Ok(None) };
    let benchmark = Benchmark::load(Folder::Disk(folder.to_owned()))?;
    let text = benchmark.folder().read_text("catalogue.toml")?.replace("rounds = 3", "rounds = 3\ntool_seconds = 0.5");
    let catalogue = Catalogue::parse(text, "catalogue.toml")?;
    let price = Price { prompt: 0.0, completion: 10.0, ..Price::default() };
    let prices = Prices([("scripted".to_owned(), price)].into());
    let system = Planned::new(catalogue, benchmark, model, &prices, Schedule::Layered)?;
    Ok(Some(system.with_sandbox(Some(Arc::new(sandbox)))))
}

/// Operators answer with WRONG in 10 tokens; `improve` answers a prompt that says what failed, in 7 tokens.
fn model(improve: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Scripted {
    Scripted::new("scripted", move |request: &Request| match &*request.messages[0].content {
        prompt if prompt.contains("fails a test") => improve(prompt),
        _ => Ok(Reply::new(block(WRONG), 10)),
    })
}

fn with(code: &'static str) -> impl Fn(&str) -> Answer {
    move |_| Ok(Reply::new(block(code), 7))
}

/// Solves the one task; `change` is applied to the benchmark's description.
async fn solve(
    layers: &[&[u16]],
    change: [&str; 2],
    improve: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Result<Option<Episode>> {
    let (folder, _) = benchmark()?;
    let file = folder.path().join("benchmark.toml");
    std::fs::write(&file, std::fs::read_to_string(&file)?.replace(change[0], change[1]))?;
    let Some(system) = system(folder.path(), Arc::new(model(improve))).await? else { return Ok(None) };
    let problem = first(&system)?;
    Ok(Some(system.solve(&problem, &Plan::from_indices(layers), 1).await?))
}

fn first(system: &Planned) -> Result<Problem> {
    system.problems("all")?.into_iter().next().context("a problem")
}

fn finish(episode: &Episode) -> Result<&Span> {
    episode.trace.finish.as_ref().context("a finish")
}

const AS_IT_IS: [&str; 2] = ["", ""];

#[tokio::test]
async fn a_failing_answer_is_told_and_mended() -> Result<()> {
    let mend = |prompt: &str| {
        let is_told = ["assert candidate(9) == 3", "AssertionError", WRONG].iter().all(|text| prompt.contains(text));
        with(if is_told { RIGHT } else { WRONG })(prompt)
    };
    let Some(episode) = solve(&[&[GENERATE, COT]], AS_IT_IS, mend).await? else { return Ok(()) };
    assert_eq!((episode.score, episode.answer.as_deref()), (1.0, Some(RIGHT)));
    let (span, trace) = (finish(&episode)?, &episode.trace);
    assert_eq!((trace.spans.len(), span.layer, span.operator.0, span.calls), (2, 1, TEST, 1));
    // Two runs of the tests, and what was written between them.
    assert_eq!((span.tool_seconds, span.latency.tokens, span.usage.completion_tokens), (1.0, 57.0, 7));
    assert_eq!((trace.tool_seconds(), trace.usage().completion_tokens), (1.0, 27));
    assert_eq!((trace.durations(Unit::Tokens), trace.path(Unit::Tokens).length), (vec![10.0, 10.0, 57.0], 67.0));
    assert!((trace.cost() - 27.0 * 1e-5).abs() < 1e-12 && (span.cost - 7.0 * 1e-5).abs() < 1e-12);
    let last = trace.spans.iter().map(|span| span.started + span.latency.seconds).fold(0.0, f64::max);
    assert_eq!((span.started, trace.end()), (last, last + span.latency.seconds));

    let again: Episode = serde_json::from_str(&serde_json::to_string(&episode)?)?;
    assert_eq!(again, episode);
    let names = ["Generate", "GenerateCoT"].map(String::from);
    let timeline = Timeline::new(&episode.plan, &episode.trace, &names, Unit::Tokens);
    let bar = timeline.bars.last().context("a bar")?;
    assert_eq!((bar.layer, bar.start, bar.end, bar.on_path, timeline.path), (2, 10.0, 67.0, true, 67.0));
    let drawn = drawing::timeline(&timeline, 32);
    assert!(drawn.lines().any(|line| line.starts_with("2 * finish ") && line.contains("57 tokens")), "{drawn}");
    Ok(())
}

#[tokio::test]
async fn it_follows_a_stop() -> Result<()> {
    let Some(episode) = solve(&[&[GENERATE], &[STOP], &[COT]], AS_IT_IS, with(RIGHT)).await? else { return Ok(()) };
    assert_eq!((episode.score, episode.trace.spans[2].outcome.clone()), (1.0, Status::Skipped));
    assert_eq!((finish(&episode)?.calls, episode.trace.path(Unit::Tokens).length), (1, 67.0));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_mended_stays() -> Result<()> {
    let Some(episode) = solve(&[&[GENERATE]], AS_IT_IS, with(WORSE)).await? else { return Ok(()) };
    assert_eq!((episode.score, episode.answer.as_deref()), (0.0, Some(WRONG)));
    assert_eq!((finish(&episode)?.calls, finish(&episode)?.tool_seconds), (1, 1.0));
    // The second improvement is told about the failure of the first.
    let second = |prompt: &str| with(if prompt.contains("ZeroDivisionError") { RIGHT } else { WORSE })(prompt);
    let twice = ["improve = 1", "improve = 2"];
    let Some(episode) = solve(&[&[GENERATE]], twice, second).await? else { return Ok(()) };
    assert_eq!((episode.score, finish(&episode)?.calls, finish(&episode)?.latency.tokens), (1.0, 2, 89.0));
    Ok(())
}

#[tokio::test]
async fn what_passes_stays() -> Result<()> {
    // By then the operator Test has repaired it.
    let Some(episode) = solve(&[&[GENERATE], &[TEST]], AS_IT_IS, with(RIGHT)).await? else { return Ok(()) };
    assert_eq!((episode.score, finish(&episode)?.calls, finish(&episode)?.latency.tokens), (1.0, 0, 25.0));
    Ok(())
}

#[tokio::test]
async fn it_is_off_unless_the_benchmark_and_the_problem_allow_it() -> Result<()> {
    let off = ["[finish]\noperator = \"Test\"\nimprove = 1\n", ""];
    let untested = ["without = [", "without = [\"Own/0\", "];
    for change in [off, untested] {
        let Some(episode) = solve(&[&[GENERATE]], change, with(RIGHT)).await? else { return Ok(()) };
        assert_eq!((episode.score, episode.trace.finish), (0.0, None));
    }
    // There is no solution to test.
    let Some(episode) = solve(&[], AS_IT_IS, with(RIGHT)).await? else { return Ok(()) };
    assert_eq!((episode.answer, episode.trace.finish), (None, None));
    for (wrong, message) in [
        (["operator = \"Test\"", "operator = \"Tset\""], "found `Tset`"),
        (["operator = \"Test\"", "operator = \"SelfRefine\""], "expected a `test` operator, found `SelfRefine`"),
        (["improve = 1", "improve = 0"], "expected 1 to 16 `improve`, found 0"),
    ] {
        let error = solve(&[&[GENERATE]], wrong, with(RIGHT)).await.err().map(|error| format!("{error:#}"));
        assert!(error.clone().is_some_and(|error| error.contains(message)), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_call_is_recorded_and_the_answer_stays() -> Result<()> {
    let unreachable = |_: &str| Err(Error::Exhausted { message: "no answer".into(), requests: 3 });
    let Some(episode) = solve(&[&[GENERATE]], AS_IT_IS, unreachable).await? else { return Ok(()) };
    assert_eq!((episode.answer.as_deref(), episode.is_complete()), (Some(WRONG), false));
    let span = finish(&episode)?;
    assert_eq!((span.calls, span.retries, episode.trace.retries(), span.tool_seconds), (1, 2, 2, 0.5));
    assert_eq!(span.outcome, Status::Failed("no answer (after 3 requests)".into()));
    let refused = |_: &str| Err(Error::Permanent("too long".into()));
    let error = solve(&[&[GENERATE]], AS_IT_IS, refused).await.err().context("an error")?;
    assert!(
        matches!(error.downcast_ref(), Some(ExecuteError::Model { operator, .. }) if operator == "Test"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn no_choice_is_credited_with_it() -> Result<()> {
    let plan: &[&[u16]] = &[&[GENERATE, COT], &[STOP]];
    let Some(episode) = solve(plan, AS_IT_IS, with(RIGHT)).await? else { return Ok(()) };
    let mut bare = episode.clone();
    let cost = bare.trace.finish.take().context("a finish")?.cost;
    for credit in [Credit::Marginal, Credit::CriticalPath] {
        let objective = Objective { latency_weight: 0.01, cost_weight: 100.0, unit: Unit::Tokens };
        let (with, without) = (utilities(&episode, &objective, credit), utilities(&bare, &objective, credit));
        assert_eq!((with.latency.len(), &with.charges), (3, &without.charges));
        assert!((with.value - (without.value - 100.0 * cost)).abs() < 1e-12 && cost > 0.0);
        assert!((with.path - (without.path - 0.01 * 57.0)).abs() < 1e-12);
        for (with, without) in with.latency.iter().zip(&without.latency) {
            let is_whole = credit == Credit::CriticalPath && *without != 0.0;
            let expected = if is_whole { without - 0.01 * 57.0 } else { *without };
            assert!((with - expected).abs() < 1e-12, "{credit:?}: {with}, not {expected}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn its_calls_are_recorded_and_replayed() -> Result<()> {
    let (folder, _) = benchmark()?;
    let path = folder.path().join("completions.sqlite");
    let mut found = Vec::new();
    for mode in [Mode::Use, Mode::Replay] {
        let model = Replay::open(model(with(RIGHT)), &path, mode)?;
        let Some(system) = system(folder.path(), Arc::new(model)).await? else { return Ok(()) };
        let (problem, plan) = (first(&system)?, Plan::from_indices(&[&[GENERATE], &[TEST], &[GENERATE]]));
        let episode = system.solve(&problem, &plan, 1).await?;
        found.push((episode.trace.durations(Unit::Tokens), episode.trace.cost(), episode.answer, episode.score));
    }
    assert_eq!(found[0], found[1]);
    Ok(())
}

#[tokio::test]
async fn a_question_brings_its_own_examples() -> Result<()> {
    let (folder, _) = benchmark()?;
    let Some(system) = system(folder.path(), Arc::new(model(with(RIGHT)))).await? else { return Ok(()) };
    let plan = Plan::from_indices(&[&[GENERATE]]);
    let question =
        "from math import isqrt\n\n\ndef root(n: int) -> int:\n    \"\"\"\n    >>> root(9)\n    3\n    \"\"\"\n";
    let answered = system.answer(question, &plan, 1).await?;
    assert_eq!((answered.answer.as_deref(), answered.solutions.len()), (Some(RIGHT), 1));
    assert!(answered.trace.finish.is_some());
    let untested = system.answer(&question.replace(">>>", ""), &plan, 1).await?;
    assert_eq!((untested.answer.as_deref(), untested.trace.finish), (Some(WRONG), None));
    Ok(())
}

#[tokio::test]
async fn its_calls_stand_in_the_record() -> Result<()> {
    let (folder, _) = benchmark()?;
    let record = Arc::new(Record::open(&folder.path().join("record.jsonl"))?);
    let silent = Scripted::new("scripted", |_: &Request| Err(Error::Permanent("nobody is to be asked".into())));
    let models: [Arc<dyn LanguageModel>; 2] = [Arc::new(model(with(RIGHT))), Arc::new(silent)];
    let mut found = Vec::new();
    for model in models {
        let Some(system) = system(folder.path(), model).await? else { return Ok(()) };
        let system = system.with_record(&record);
        let problem = first(&system)?;
        let mut episodes = Vec::new();
        for layers in [&[&[GENERATE][..], &[TEST]][..], &[&[GENERATE]], &[&[GENERATE, COT], &[STOP]]] {
            let episode = system.solve(&problem, &Plan::from_indices(layers), 1).await?;
            assert!(episode.trace.finish.is_some());
            episodes.push((episode.trace.durations(Unit::Tokens), episode.trace.cost(), episode.answer, episode.score));
        }
        found.push((episodes, record.added()));
    }
    // Two answers, a test of one and its finish, and a finish of the remaining one. The second model was asked nothing.
    assert_eq!(found[0], found[1]);
    let text = std::fs::read_to_string(record.path())?;
    let finished = text.lines().filter(|line| line.contains("\"turn\":\"finish\"")).count();
    assert!(finished > 0 && finished < 3, "{text}");
    Ok(())
}
