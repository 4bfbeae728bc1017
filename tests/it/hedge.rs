//! Hedged requests: the first to answer is heard, the others are dropped, and all are paid for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use lamas::model::{
    Completion, Error, FinishReason, Hedge, Hedged, Hedger, LanguageModel, Message, Meter, Mode, Price, Replay, Reply,
    Request, Role, Sampling, Scripted, Timing,
};
use lamas::plan::Usage;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::server::{End, Reply as Answer, Server, streamed, words};
use crate::two_models::{Output, Place, generator};

fn request() -> Request {
    let messages = vec![Message { role: Role::User, content: "6 * 7 ?".into() }];
    let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_tokens: 50, stop: Vec::new() };
    Request { model: String::new(), messages, sampling, sample: 0 }
}

/// Reads 100 tokens and writes `tokens` within `seconds`, at an even pace; `price` dollars per million tokens.
fn writer(text: &'static str, tokens: u64, seconds: u64, price: f64) -> Hedger {
    let usage = Usage { prompt_tokens: 100, completion_tokens: tokens, ..Usage::default() };
    let script = move |_: &Request| Ok(Reply { text: text.into(), usage, delay: Duration::from_secs(seconds) });
    Hedger { model: Arc::new(Scripted::new(text, script)), price: Price::flat(price) }
}

fn failing(error: Error) -> Hedger {
    Hedger { model: Arc::new(Scripted::new("failing", move |_| Err(error.clone()))), price: Price::flat(1.0) }
}

/// Answers nothing, for what it was asked.
struct Filtering;

#[async_trait]
impl LanguageModel for Filtering {
    async fn complete_metered(&self, _: &Request, meter: &Meter) -> Result<Completion, Error> {
        let usage = Usage { prompt_tokens: 30, ..Usage::default() };
        meter.sent(usage);
        let timing = Timing::default();
        Ok(Completion { text: String::new(), usage, finish: FinishReason::Filtered, timing, hedged: None })
    }

    fn id(&self) -> &'static str {
        "filtering"
    }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_heard_and_all_are_paid_for() -> Result<()> {
    let hedge = Hedge::new(vec![writer("slow", 20, 4, 10.0), writer("quick", 10, 1, 1.0)]);
    let started = Instant::now();
    let completion = hedge.complete(&request()).await?;
    assert_eq!((completion.text.as_str(), started.elapsed().as_secs()), ("quick", 1));
    assert_eq!((completion.usage.completion_tokens, completion.timing.total), (10, 1.0));
    let Hedged { usage, cost, .. } = completion.hedged.unwrap_or_default();
    // The slow one had read all and written a quarter.
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (100, 5));
    assert!(close(cost, 110.0 * 1e-6 + 105.0 * 10e-6), "{cost}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_drops_a_hedged_call_pays_for_both() {
    let hedge = Hedge::new(vec![writer("slow", 20, 4, 10.0), writer("quick", 10, 2, 1.0)]);
    let meter = Meter::default();
    let request = request();
    assert!(timeout(Duration::from_secs(1), hedge.complete_metered(&request, &meter)).await.is_err());
    let reading = meter.read();
    let (usage, hedged) = (reading.usage, reading.hedged.unwrap_or_default());
    // Two written tokens of the quick one's ten in half its time: it stands for the call.
    assert_eq!((reading.requests, reading.written, usage.completion_tokens), (1, 5, 5));
    assert_eq!((hedged.usage.prompt_tokens, hedged.usage.completion_tokens), (100, 5));
    assert!(close(hedged.cost, 105.0 * 1e-6 + 105.0 * 10e-6), "{hedged:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_or_says_nothing_leaves_it_to_the_other() -> Result<()> {
    let transient = || failing(Error::Transient("busy".into()));
    let hedge = Hedge::new(vec![transient(), writer("quick", 10, 1, 1.0)]);
    assert_eq!(hedge.complete(&request()).await?.text, "quick");
    let hedge = Hedge::new(vec![failing(Error::Permanent("unknown model".into())), transient()]);
    assert!(matches!(hedge.complete(&request()).await, Err(Error::Transient(why)) if why == "busy"));
    let hedge = Hedge::new(vec![failing(Error::Permanent("wrong".into())), failing(Error::Capped("cap".into()))]);
    assert!(matches!(hedge.complete(&request()).await, Err(Error::Capped(_))));

    let filtering = || Hedger { model: Arc::new(Filtering), price: Price::flat(2.0) };
    let completion = Hedge::new(vec![filtering(), writer("quick", 10, 1, 1.0)]).complete(&request()).await?;
    let Hedged { usage, cost, .. } = completion.hedged.unwrap_or_default();
    assert_eq!((completion.text.as_str(), usage.prompt_tokens), ("quick", 30));
    assert!(close(cost, 30.0 * 2e-6 + 110.0 * 1e-6), "{cost}");
    let silent = Hedge::new(vec![filtering(), filtering()]).complete(&request()).await?;
    assert_eq!((silent.finish, silent.usage.prompt_tokens), (FinishReason::Filtered, 30));
    assert!(close(silent.hedged.unwrap_or_default().cost, 60.0 * 2e-6));
    Ok(())
}

#[tokio::test]
async fn a_recorded_hedge_costs_what_it_cost() -> Result<()> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("completions.sqlite");
    let hedge = || Hedge::new(vec![writer("one", 10, 0, 1.0), failing(Error::Transient("busy".into()))]);
    let asked = Replay::open(hedge(), &path, Mode::Use)?.complete(&request()).await?;
    let replayed = Replay::open(hedge(), &path, Mode::Replay)?.complete(&request()).await?;
    assert!(asked.hedged.is_some());
    assert_eq!(asked, replayed);
    // Who is not hedged is another model.
    let alone = Replay::open(writer("one", 10, 0, 1.0).model, &path, Mode::Replay)?;
    assert!(alone.complete(&request()).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_for_a_slow_server_and_the_books_hold_both() -> Result<()> {
    // The quick one answers once the slow one has been asked.
    let (asked, is_asked) = std::sync::mpsc::channel();
    let slow = Server::start(move |_, _| {
        let _ = asked.send(());
        Answer::Events(words("let me see"), End::Open)
    })
    .await;
    let is_asked = Mutex::new(is_asked);
    let quick = Server::start(move |_, _| {
        let wait = || is_asked.lock().map(|asked| asked.recv_timeout(Duration::from_secs(60)).is_ok());
        assert!(tokio::task::block_in_place(wait).unwrap_or(false), "the slow server was not asked");
        streamed("6 * 7 = 42. The answer is 42.", 40, 9)
    })
    .await;
    let place = Place { large: quick, ..Place::new().await? };
    let replicated = format!("replicas = [\"{}\"]\nmodel = \"l-1\"", place.large.url);
    let models = place.models().replace("model = \"l-1\"", &replicated);
    let (small, large) = models.split_at(models.rfind("[[model]]").context("a second model")?);
    let models = [small, &large.replacen(&place.large.url, &slow.url, 1)].concat();
    place.benchmark(&(generator("Go", "model = \"large\"\nhedge = 2") + models.as_str()))?;
    let run = ["run", "what is 6 times 7 ?", "--plan", "Go", "--json", "--cancel", "virtual", "--record", "r.jsonl"];
    let Output { code, out, errors } = place.lamas(&run).await?;
    assert_eq!(code, Some(0), "{errors}");
    let answered: Value = serde_json::from_str(&out)?;
    let span = &answered["trace"]["spans"][0];
    assert_eq!(
        (&answered["answer"], &span["calls"], &span["latency"]["tokens"]),
        (&"42".into(), &1.into(), &9.0.into())
    );
    let slow_line = format!("model `large at {}/v1`: 0 of 1 requests answered, 0 + 0 tokens, ", slow.url);
    let quick_line =
        format!("model `large at {}/v1`: 1 of 1 requests answered, 40 + 9 tokens, 0 lost", place.large.url);
    assert!(errors.contains(&slow_line) && errors.contains(&quick_line), "{errors}");
    // The slow one read the prompt too, which the quick one has counted.
    let lost: u64 = errors.split(&slow_line).nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
    assert!((40..=43).contains(&lost), "{errors}");
    let spent = errors.lines().find(|line| line.starts_with("all models")).and_then(|line| line.rsplit(' ').nth(1));
    let (spent, cost) = (spent.context("a sum")?.parse::<f64>()?, answered["cost"].as_f64().context("a cost")?);
    assert!((spent - cost).abs() < 1e-6 && cost > 580e-6, "{spent} {cost} {errors}");
    // From the record: the same dollars, and nobody is asked.
    let (quick, before) = (place.large.seen().len(), slow.seen().len());
    let again = place.lamas(&run).await?;
    let replayed: Value = serde_json::from_str(&again.out)?;
    assert_eq!((&replayed["cost"], &replayed["usage"]), (&answered["cost"], &answered["usage"]));
    assert_eq!((place.large.seen().len(), slow.seen().len()), (quick, before));
    Ok(())
}
