//! The command line on an endpoint: answers, wrong keys, caps that stop and resume, quotas that run out.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use assert_cmd::Command;
use lamas::random;
use serde_json::Value;

use crate::server::{End, Reply, Server, refusal, streamed, words};

const KEY: &str = "sk-hunter2";

struct Output {
    code: Option<i32>,
    out: String,
    errors: String,
}

/// Runs `lamas` on the tiny benchmark and the server.
async fn lamas(server: &Server, arguments: &[&str], folder: &Path) -> Result<Output> {
    lamas_at(&server.url, arguments, folder).await
}

async fn lamas_at(url: &str, arguments: &[&str], folder: &Path) -> Result<Output> {
    let benchmark = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny");
    lamas_on(&benchmark, url, arguments, folder).await
}

async fn lamas_on(benchmark: &Path, url: &str, arguments: &[&str], folder: &Path) -> Result<Output> {
    let mut command = Command::cargo_bin("lamas")?;
    command.args(arguments).args(["--model-name", "m", "--price", "1", "--endpoint", url]);
    command.arg("--benchmark").arg(benchmark).current_dir(folder);
    command.env("LAMAS_DEVICE", "cpu").env("OPENAI_API_KEY", KEY).env_remove("LAMAS_API_KEY");
    command.env("XDG_STATE_HOME", folder.join("state"));
    // Requests are counted at the server, so no recording may answer in its place.
    command.env("LAMAS_CACHE_MODE", "off");
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let [out, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(!out.contains(KEY) && !errors.contains(KEY) && !errors.contains("panicked"), "{out}{errors}");
    Ok(Output { code: output.status.code(), out, errors })
}

/// Settings of a training run that starts with drawn plans: a survey of all small plans takes long.
fn no_survey(folder: &Path) -> Result<()> {
    Ok(fs::write(folder.join("settings.toml"), "[training.survey]\noperators = 0\n")?)
}

/// Right or wrong, and longer or shorter, depending only on the request, so that equal runs see equal answers.
fn answer(body: &Value) -> Reply {
    let draw = random::key(&[&body["messages"], &body["seed"]]);
    streamed(if draw.is_multiple_of(3) { "The answer is 42." } else { "The answer is 7." }, 40, 5 + draw % 30)
}

/// Prompt and completion tokens that the last command says it used: `.. answered, P + C tokens, ..`.
fn tokens(errors: &str) -> u64 {
    let before = errors.split(" tokens,").next().unwrap_or_default();
    before.rsplit([' ', '+']).filter_map(|count| count.parse::<u64>().ok()).take(2).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|_, _| streamed("6 * 7 = 42. The answer is 42.", 40, 9)).await;
    let plan = ["run", "what is 6 times 7 ?", "--plan", "GenerateCoT,MultiGenerateCoT;ScEnsemble", "--json"];
    let plan = [&plan[..], &["--cancel", "virtual"]].concat();
    let Output { code, out, errors } = lamas(&server, &plan, place.path()).await?;
    assert_eq!(code, Some(0), "{errors}");
    let answered: Value = serde_json::from_str(&out)?;
    assert_eq!((&answered["answer"], &answered["usage"]["completion_tokens"]), (&"42".into(), &36.into()));
    assert_eq!((&answered["retries"], &answered["critical_path_tokens"]), (&0.into(), &9.0.into()));
    assert!((answered["cost"].as_f64().unwrap_or_default() - 196e-6).abs() < 1e-12, "{out}");
    assert!(errors.contains("endpoint: 4 of 4 requests answered, 160 + 36 tokens, 0 lost, 0.000196 $"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_no_more_than_it_needs() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|number, _| match number {
        0 | 1 => streamed("6 * 7 = 42. The answer is 42.", 40, 9),
        _ => Reply::Events(words("let me see"), End::Open),
    })
    .await;
    let plan = ["run", "what is 6 times 7 ?", "--plan", "MultiGenerateCoT", "--json"];
    let Output { code, out, errors } = lamas(&server, &plan, place.path()).await?;
    assert_eq!(code, Some(0), "{errors}");
    let answered: Value = serde_json::from_str(&out)?;
    assert_eq!((&answered["answer"], &answered["trace"]["spans"][0]["outcome"]), (&"42".into(), &"done".into()));
    // The third may or may not have been sent by then.
    assert!(
        ["2", "3"].iter().any(|sent| errors.contains(&format!("endpoint: 2 of {sent} requests answered"))),
        "{errors}"
    );
    assert!(answered["seconds"].as_f64().is_some_and(|seconds| seconds < 30.0), "{out}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_said_once() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|_, _| refusal(401, "", "invalid_api_key", "wrong key: sk-hunter2")).await;
    let Output { code, errors, .. } = lamas(&server, &["run", "1 + 1 ?", "--plan", "Generate"], place.path()).await?;
    assert_eq!((code, server.seen().len()), (Some(1), 1), "{errors}");
    assert!(errors.contains("401: wrong key: [key]; hint: set OPENAI_API_KEY"), "{errors}");
    // If even the list of models is refused, one of many calls goes first.
    let listing = || refusal(401, "", "invalid_api_key", "wrong key: sk-hunter2");
    let server = Server::listing(listing, move |_, _| listing()).await;
    let Output { code, errors, .. } = lamas(&server, &["baselines"], place.path()).await?;
    assert_eq!((code, server.seen().len()), (Some(1), 1), "{errors}");
    assert!(errors.contains("endpoint: 0 of 1 requests answered, 0 + 0 tokens, 0 lost, 0.000000 $"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_what_was_never_there_nor_without_being_told() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|number, _| match number {
        0 => refusal(429, "retry-after: 1.2\r\n", "rate_limit_exceeded", "slow \u{1b}[31mdown"),
        _ => streamed("The answer is 42.", 40, 9),
    })
    .await;
    let plan = ["run", "what is 6 times 7 ?", "--plan", "Generate"];
    let Output { code, errors, .. } = lamas(&server, &plan, place.path()).await?;
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("endpoint: waiting 1.2 s, try 2 of 8: ") && !errors.contains('\u{1b}'), "{errors}");
    assert!(errors.contains("429: slow \\u{1b}[31mdown"), "{errors}");

    let gone = Server::start(|_, _| streamed("The answer is 42.", 40, 9)).await;
    let url = gone.url.clone();
    gone.close().await;
    let Output { code, errors, .. } = lamas_at(&url, &plan, place.path()).await?;
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("refused") && errors.contains("hint: is the server there?"), "{errors}");
    assert!(!errors.contains("waiting"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_stops_training_and_a_resumed_run_is_the_same_run() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|_, body| answer(body)).await;
    no_survey(place.path())?;
    let train = ["train", "--config", "settings.toml", "--epochs", "2", "--no-evaluation", "--seed", "3"];
    let whole = lamas(&server, &[&train[..], &["--out", "whole"]].concat(), place.path()).await?;
    assert_eq!(whole.code, Some(0), "{}", whole.errors);

    let spent = |errors: &str| -> f64 {
        let before = errors.split(" $; first token").next().unwrap_or_default();
        before.rsplit(' ').next().and_then(|cost| cost.parse().ok()).unwrap_or(f64::NAN)
    };
    let total = spent(&whole.errors);
    let cap = total * 0.6;
    let flag = format!("{cap:.6}");
    let parts = lamas(&server, &[&train[..], &["--out", "parts", "--max-cost", &flag]].concat(), place.path()).await?;
    assert_eq!(parts.code, Some(3), "{}", parts.errors);
    assert!(
        parts.errors.contains("stopped by --max-cost") && parts.errors.contains("--resume parts"),
        "{}",
        parts.errors
    );
    let first = spent(&parts.errors);
    assert!(first > 0.0 && first <= cap, "{first} of {cap}");
    let metrics = |run: &str| fs::read(place.path().join(run).join("seed-3/metrics.jsonl"));
    assert_ne!(metrics("whole")?, metrics("parts")?);

    let resumed =
        lamas(&server, &[&train[..], &["--resume", "parts", "--max-cost", "1000"]].concat(), place.path()).await?;
    assert_eq!(resumed.code, Some(0), "{}", resumed.errors);
    assert_eq!(metrics("whole")?, metrics("parts")?);
    let settings = fs::read_to_string(place.path().join("parts/settings.json"))?;
    assert!(settings.contains("127.0.0.1") && !settings.contains(KEY));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_runs_out_ends_training_resumably() -> Result<()> {
    let place = tempfile::tempdir()?;
    let left = Arc::new(AtomicUsize::new(300));
    let quota = left.clone();
    let server = Server::start(move |_, body| {
        let has_more = quota.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if has_more { answer(body) } else { refusal(429, "", "insufficient_quota", "check your plan") }
    })
    .await;
    no_survey(place.path())?;
    let train = ["train", "--config", "settings.toml", "--epochs", "2", "--no-evaluation"];
    let stopped = lamas(&server, &[&train[..], &["--out", "run"]].concat(), place.path()).await?;
    assert_eq!(stopped.code, Some(1), "{}", stopped.errors);
    assert!(stopped.errors.contains("hint: resume once the cause is fixed"), "{}", stopped.errors);
    assert!(stopped.errors.contains("nothing left to spend"), "{}", stopped.errors);
    left.store(usize::MAX, Ordering::Relaxed);
    let resumed = lamas(&server, &[&train[..], &["--resume", "run"]].concat(), place.path()).await?;
    assert_eq!(resumed.code, Some(0), "{}", resumed.errors);

    // An evaluation that reaches the cap shows what it has. How much that is depends on the learned plans.
    fs::write(place.path().join("one.toml"), "[training]\nconcurrency = 1\n")?;
    let evaluate = ["evaluate", "run", "--alone", "--config", "one.toml"];
    // Nor is anything found in the record of the run.
    fs::remove_file(place.path().join("run/record.jsonl"))?;
    let whole = lamas(&server, &evaluate, place.path()).await?;
    assert_eq!(whole.code, Some(0), "{}", whole.errors);
    let cap = (tokens(&whole.errors) * 3 / 5).to_string();
    let short = lamas(&server, &[&evaluate[..], &["--max-tokens", &cap]].concat(), place.path()).await?;
    assert_eq!(short.code, Some(3), "{}", short.errors);
    assert!(short.errors.contains("`trained controller` was stopped after"), "{}", short.errors);
    assert!(short.out.contains("trained controller"), "{} {}", short.out, short.errors);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_an_ensemble_that_asks_are_recorded_too() -> Result<()> {
    let place = tempfile::tempdir()?;
    let folder = place.path().join("asks");
    fs::create_dir(&folder)?;
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny");
    for entry in fs::read_dir(&tiny)? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    let asking = "\n[[operator]]\nname = \"Judge\"\nkind = \"ensemble\"\ndescription = \"Chooses.\"\nmax_tokens = 4\n\
        prompt = \"{{ question }} {{ solutions | join(' or ') }}\"\n";
    let catalogue = fs::read_to_string(folder.join("catalogue.toml"))? + asking;
    fs::write(folder.join("catalogue.toml"), catalogue)?;
    let server = Server::start(|_, _| streamed("The answer is 42.", 40, 9)).await;
    let traces = ["traces", "--out", "t.jsonl", "--samples", "1", "--limit", "1"];
    let Output { code, errors, .. } = lamas_on(&folder, &server.url, &traces, place.path()).await?;
    assert_eq!(code, Some(0), "{errors}");
    let lines = fs::read_to_string(place.path().join("t.jsonl"))?;
    assert_eq!(lines.lines().filter(|line| line.contains("\"Judge\"")).count(), 3, "{lines}");
    Ok(())
}
