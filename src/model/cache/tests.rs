//! Tests of replay and its store against scripted models.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{FinishReason, Message, Reply, Role, Sampling, Scripted};
use crate::plan::Usage;

fn request(content: &str, sample: u64) -> Request {
    Request {
        model: String::new(),
        messages: vec![Message { role: Role::User, content: content.to_owned() }],
        sampling: Sampling { temperature: 0.8, top_p: 1.0, max_tokens: 9, stop: Vec::new() },
        sample,
    }
}

/// Answers with the number of earlier calls, after three seconds.
fn counting() -> Scripted {
    let calls = AtomicU64::new(0);
    Scripted::new("counting", move |request| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        match request.messages.first().map(|message| message.content.as_str()) {
            Some("fails once") if call == 0 => Err(Error::Transient("busy".into())),
            _ => Ok(Reply::new(call.to_string(), 2).after(Duration::from_secs(3))),
        }
    })
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new").join("completions.sqlite");
    (folder, path)
}

#[tokio::test(start_paused = true)]
async fn equal_requests_run_once() -> Result<()> {
    let (_folder, path) = folder();
    for mode in [Mode::Off, Mode::Use, Mode::Record] {
        let model = Replay::open(counting(), &path, mode)?;
        let (one, other) = (request("2 + 2", 0), request("2 + 2", 1));
        let (first, again, second) = tokio::join!(model.complete(&one), model.complete(&one), model.complete(&other));
        let (first, again, second) = (first?, again?, second?);
        assert_eq!(first, again);
        assert_ne!(first.text, second.text);
        assert_eq!(model.complete(&one).await?.timing.total, 3.0);
        assert_eq!((model.hits(), model.misses()), (2, 2), "{mode:?}");
        let kept_in_memory = if mode == Mode::Use { 0 } else { 2 };
        assert_eq!(model.calls().len(), kept_in_memory, "{mode:?}");
    }
    Ok(())
}

/// Answers after waiting for its turn and after one failed request.
struct Busy;

#[async_trait]
impl LanguageModel for Busy {
    async fn complete_metered(&self, _: &Request, _: &Meter) -> Result<Completion, Error> {
        let timing = Timing { first_token: 0.1, total: 0.2, queued: 5.0, retries: 1 };
        Ok(Completion { text: "4".into(), usage: Usage::default(), finish: FinishReason::Stop, timing, hedged: None })
    }

    fn id(&self) -> &str {
        "busy"
    }
}

#[tokio::test]
async fn only_who_asked_has_waited() -> Result<()> {
    let (_folder, path) = folder();
    for mode in [Mode::Off, Mode::Use] {
        let model = Replay::open(Busy, &path, mode)?;
        let waited =
            async || model.complete(&request("2 + 2", 0)).await.map(|it| (it.timing.queued, it.timing.retries));
        assert_eq!((waited().await?, waited().await?), ((5.0, 1), (0.0, 0)), "{mode:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn errors_and_cancelled_calls_are_asked_again() -> Result<()> {
    let (_folder, path) = folder();
    for mode in [Mode::Off, Mode::Use] {
        let model = Replay::open(counting(), &path, mode)?;
        assert!(model.complete(&request("fails once", 0)).await.is_err());
        assert_eq!(model.complete(&request("fails once", 0)).await?.text, "1");
        let dropped = tokio::time::timeout(Duration::from_secs(1), async { model.complete(&request("slow", 0)).await });
        assert!(dropped.await.is_err());
        assert!(model.calls().values().all(|call| call.waiting == 0 && call.completion.initialized()));
        assert_eq!(model.complete(&request("slow", 0)).await?.text, "3");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn modes_say_what_is_read_and_what_is_asked() -> Result<()> {
    let (_folder, path) = folder();
    let ask = async |mode, content: &str| -> Result<(String, u64)> {
        let model = Replay::open(counting(), &path, mode)?;
        // A recorded answer carries its recorded time, but takes no time.
        let completion = model.complete(&request(content, 7)).await?;
        assert_eq!(completion.timing.total, 3.0);
        Ok((completion.text, model.misses()))
    };
    let error = |result: Result<(String, u64)>| result.map_err(|error| format!("{error:#}")).unwrap_err();
    let none = error(ask(Mode::Replay, "a").await);
    assert!(none.contains("completions.sqlite`, found no such file"), "{none}");
    assert_eq!(ask(Mode::Use, "a").await?, ("0".into(), 1));
    let clock = tokio::time::Instant::now();
    assert_eq!(ask(Mode::Use, "a").await?, ("0".into(), 0));
    assert_eq!(ask(Mode::Replay, "a").await?, ("0".into(), 0));
    assert!(clock.elapsed() < Duration::from_secs(3), "{:?}", clock.elapsed());
    let missing = error(ask(Mode::Replay, "what is 3 and 5").await);
    let named = missing.contains("`what is 3 and 5`") && missing.contains("`counting`, sample 7");
    assert!(named && missing.contains("--cache-mode use"), "{missing}");
    // A new answer replaces the first.
    let model = Replay::open(counting(), &path, Mode::Record)?;
    for (content, text) in [("b", "0"), ("a", "1")] {
        assert_eq!(model.complete(&request(content, 7)).await?.text, text);
    }
    drop(model);
    assert_eq!(ask(Mode::Replay, "a").await?, ("1".into(), 0));
    assert_eq!(ask(Mode::Off, "a").await?, ("0".into(), 1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whoever_records_first_is_believed() -> Result<()> {
    let (_folder, path) = folder();
    let slow = Replay::open(Scripted::new("m", |_| Ok(Reply::new("late", 1))), &path, Mode::Use)?;
    let quick = Replay::open(Scripted::new("m", |_| Ok(Reply::new("early", 1))), &path, Mode::Use)?;
    // What the slow model does if another process was faster by the time it has answered.
    let (request, answer) =
        (request("?", 0), slow.ask(&request("?", 0), &Meter::default(), &mut Timing::default()).await?);
    assert_eq!(quick.complete(&request).await?.text, "early");
    let (store, record) = (slow.store().expect("a store"), Record::new("m", &request, answer));
    assert_eq!(store.write(address("m", &request)?, record, false).await?.text, "early");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_half_way_is_recorded_all_the_same() -> Result<()> {
    let (_folder, path) = folder();
    // As many as a task may poll in one go.
    const CALLS: u64 = 100;
    let model = Replay::open(counting(), &path, Mode::Use)?;
    let requests: Vec<Request> = (0..CALLS).map(|sample| request("?", sample)).collect();
    {
        // Nobody waits for the commits: once the answers are in, everything is dropped.
        let mut calls: Vec<_> = requests.iter().map(|request| model.complete(request)).collect();
        for call in &mut calls {
            assert!(futures::poll!(call).is_pending());
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        for call in &mut calls {
            let _ = futures::poll!(call);
        }
    }
    drop(model);
    let store = Store::open_existing(&path)?;
    let holdings = store.holdings()?;
    assert_eq!((holdings.len(), holdings[0].completions, holdings[0].usage.completion_tokens), (1, CALLS, 2 * CALLS));
    assert_eq!((holdings[0].model.as_str(), &holdings[0].first), ("counting", &holdings[0].last));
    assert_eq!(store.prune(Some("other"), Duration::ZERO)?, 0);
    assert_eq!(store.prune(None, Duration::from_secs(3600))?, 0);
    assert_eq!(store.prune(Some("counting"), Duration::ZERO)?, CALLS);
    assert!(store.holdings()?.is_empty());
    Ok(())
}

#[track_caller]
fn refuses(path: &Path, expected: &str) {
    let found = Store::open(path).and_then(|store| store.holdings()).map_err(|error| format!("{error:#}"));
    assert!(found.as_ref().is_err_and(|error| error.contains(expected)), "expected `{expected}`, found {found:?}");
}

#[tokio::test(start_paused = true)]
async fn damaged_and_foreign_files_are_named() -> Result<()> {
    let (folder, path) = folder();
    let model = Replay::open(counting(), &path, Mode::Use)?;
    for sample in 0..200 {
        model.complete(&request("?", sample)).await?;
    }
    drop(model);
    let whole = std::fs::read(&path)?;
    std::fs::write(&path, &whole[..whole.len() / 2])?;
    refuses(&path, "is damaged");
    let mut garbled = whole.clone();
    garbled[8192..].iter_mut().for_each(|byte| *byte = 0xa5);
    std::fs::write(&path, garbled)?;
    refuses(&path, "is damaged");
    std::fs::write(&path, "{\"model\": 1}\n".repeat(100))?;
    refuses(&path, "found another kind of file");
    let other = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&other)?.execute_batch("CREATE TABLE notes (text TEXT)")?;
    refuses(&other, "found the database of another program");
    refuses(&path.join("below"), "cannot create");
    refuses(folder.path(), "readable and writable");
    Ok(())
}

prop_compose! {
    fn any_record()(
        model in "[a-z]{1,3}", name in "[a-z]{0,2}", content in ".{0,40}", text in ".{0,40}", stop in ".{0,3}",
        temperature in 0.0f32..2.0, total in 0.0..1e3, tokens: u32, sample: u64, recorded in 0..1i64 << 40,
    ) -> Record {
        let usage = Usage { prompt_tokens: 3, completion_tokens: tokens.into(), ..Usage::default() };
        let timing = Timing { first_token: total / 3.0, total, ..Timing::default() };
        let sampling = Sampling { temperature, stop: vec![stop], ..request("", 0).sampling };
        let request = Request { model: name, sampling, ..request(&content, sample) };
        let completion = Completion { text, usage, finish: FinishReason::Length, timing, hedged: None };
        Record { model, request, completion, recorded }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_exported_and_imported_gives_the_same_answers(
        records in prop::collection::vec(any_record(), 1..12),
    ) {
        let (folder, path) = folder();
        let stores = [Store::open(&path).unwrap(), Store::open(&folder.path().join("second.sqlite")).unwrap()];
        prop_assert_eq!(stores[0].import(records.iter().cloned().map(Ok)).unwrap(), records.len() as u64);
        let mut lines = Vec::new();
        let write = |record: Record| {
            lines.push(serde_json::to_string(&record)?);
            Ok(())
        };
        stores[0].each(None, write).unwrap();
        let parsed = |line: &String| Ok(serde_json::from_str(line)?);
        prop_assert_eq!(stores[1].import(lines.iter().map(parsed)).unwrap(), records.len() as u64);
        // Nothing is new the second time, and nothing remains of a failed import.
        prop_assert_eq!(stores[1].import(lines.iter().map(parsed)).unwrap(), 0);
        for record in &records {
            let found = stores[1].read(&address(&record.model, &record.request).unwrap()).unwrap();
            prop_assert_eq!(found.as_ref(), Some(&record.completion));
        }
        let broken = Store::open(&folder.path().join("third.sqlite")).unwrap();
        let failing = records.into_iter().map(Ok).chain([Err(anyhow::anyhow!("a broken line"))]);
        prop_assert!(broken.import(failing).is_err() && broken.holdings().unwrap().is_empty());
    }
}
