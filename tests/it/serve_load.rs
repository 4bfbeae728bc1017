//! Serving under load: budgets, clients that leave, limits, keys, reloads, and the end of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use lamas::serve::{Keys, Limits};
use serde_json::{Value, json};

use crate::server::{End, Reply, refusal, words};
use crate::serving::{ONE, Serving, body, by_plan, right};

/// Answers `Generate`, whose prompt asks for a number alone, and leaves all others without an answer.
fn only_the_quick(_: usize, body: &Value) -> Reply {
    match body["messages"].to_string().contains("number alone") {
        true => right(),
        false => Reply::Silence,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_ends_a_plan_with_what_there_is() -> Result<()> {
    let serving = Serving::start(only_the_quick).await?;
    let (status, value) = serving.asked("tiny:best", json!({ "lamas": { "budget": "2s" } })).await?;
    assert_eq!(
        (status, &value["lamas"]["answer"], &value["lamas"]["dropped"]),
        (200, &json!("42"), &json!(2)),
        "{value}"
    );
    assert!(value["usage"]["prompt_tokens"].as_u64() > Some(40), "dropped calls are counted: {value}");
    let response = serving.post("/v1/chat/completions").header("x-lamas-budget", "1");
    let response = response.json(&body("tiny", by_plan(ONE))).send().await?;
    assert_eq!(response.status(), 504);
    let cost = response.headers()["x-lamas-cost"].to_str()?.parse::<f64>()?;
    let value: Value = response.json().await?;
    assert!(cost > 0.0 && value["error"]["code"] == "no_answer_in_time", "{cost} {value}");
    let direct = serving.asked("tiny:direct", json!({ "lamas": { "budget": 0.2 } })).await?;
    assert_eq!((direct.0, &direct.1["error"]["code"]), (504, &json!("no_answer_in_time")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_away_ends_the_calls() -> Result<()> {
    let written = Arc::new(AtomicU64::new(0));
    let counted = written.clone();
    let endless = words(&"word ".repeat(100_000));
    let serving =
        Serving::start(move |_, _| Reply::Paced(endless.clone(), Duration::from_millis(1), counted.clone())).await?;
    for (model, more) in
        [("tiny", by_plan(ONE)), ("tiny:direct", json!({})), ("tiny:direct", json!({ "stream": true }))]
    {
        let before = written.load(Ordering::Relaxed);
        let asked = tokio::spawn({
            let request = serving.post("/v1/chat/completions").json(&body(model, more.clone()));
            async move { request.send().await?.text().await }
        });
        while written.load(Ordering::Relaxed) < before + 5 {
            tokio::task::yield_now().await;
        }
        asked.abort();
        let _ = asked.await;
    }
    serving.counts("lamas_requests_total{model=\"tiny\",result=\"left\"} 1").await;
    serving.counts("lamas_requests_total{model=\"tiny:direct\",result=\"left\"} 2").await;
    serving.counts("lamas_in_flight 0").await;
    let account = serving.account();
    assert_eq!((account.requests, account.answered, serving.upstream.seen().len()), (3, 0, 3));
    assert!(account.lost.completion_tokens > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_server_bears_is_refused_at_once() -> Result<()> {
    let limits = Limits { in_flight: 1, waiting: 0, body: 2000, ..Limits::default() };
    let serving = Serving::with(limits, Keys::default(), only_the_quick).await?;
    let held = tokio::spawn(serving.post("/v1/chat/completions").json(&body("tiny", by_plan(ONE))).send());
    serving.counts("lamas_in_flight 1").await;
    let refused = serving.chat("tiny", by_plan("Generate")).await?;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers()["retry-after"].to_str()?.parse::<u64>()? >= 1);
    held.abort();
    serving.counts("lamas_in_flight 0").await;
    assert_eq!(serving.asked("tiny", by_plan("Generate")).await?.0, 200);
    let long = json!({ "messages": [{ "role": "user", "content": "x".repeat(3000) }] });
    let (status, value) = serving.asked("tiny:fast", long).await?;
    serving.counts("lamas_responses_total{status=\"413\"} 1").await;
    assert_eq!((status, &value["error"]["code"]), (413, &json!("request_too_large")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_what_they_are_good_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("keys.toml");
    // Of sk-alice-alice and sk-admin-admin.
    let text = format!(
        "[[key]]\nname = \"alice\"\nsha256 = \"{}\"\nmodels = [\"tiny:fast\", \"tiny:best\", \"tiny\"]\nlargest_plan = 2\n\
         most_budget = 5.0\nmay = [\"plan\"]\nrequests_per_minute = 4\n\
         [[key]]\nname = \"admin\"\nsha256 = \"{}\"\nmay = [\"admin\"]\n",
        digest("sk-alice-alice"),
        digest("sk-admin-admin")
    );
    std::fs::write(&path, text)?;
    let serving = Serving::with(Limits::default(), Keys::load(&path)?, |_, _| right()).await?;
    let ask = async |key: &str, model: &str, more: Value| -> Result<(u16, Value)> {
        let request = serving.post("/v1/chat/completions").json(&body(model, more));
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json::<Value>().await?["error"]["code"].clone()))
    };
    let alice = "sk-alice-alice";
    assert_eq!(ask("", "tiny:fast", json!({})).await?, (401, json!("invalid_api_key")));
    assert_eq!(ask("sk-alice-alicf", "tiny:fast", json!({})).await?, (401, json!("invalid_api_key")));
    assert_eq!(ask(alice, "tiny:fast", json!({})).await?, (200, json!(null)));
    assert_eq!(ask(alice, "m", json!({})).await?, (403, json!("not_allowed")));
    assert_eq!(ask(alice, "tiny", json!({ "lamas": { "draw": 1 } })).await?, (403, json!("not_allowed")));
    assert_eq!(ask(alice, "tiny:fast", json!({ "lamas": { "budget": 6 } })).await?, (403, json!("not_allowed")));
    assert_eq!(ask(alice, "tiny:best", json!({})).await?, (403, json!("not_allowed")), "four operators");
    assert_eq!(ask(alice, "tiny", by_plan("GenerateCoT;SelfRefine")).await?, (200, json!(null)));
    assert_eq!(ask(alice, "tiny:fast", json!({})).await?, (200, json!(null)));
    assert_eq!(ask(alice, "tiny:fast", json!({})).await?, (200, json!(null)));
    assert_eq!(ask(alice, "tiny:fast", json!({})).await?, (429, json!("rate_limit_exceeded")));
    let get = async |key: &str, path: &str| -> Result<u16> {
        Ok(serving.get(path).bearer_auth(key).send().await?.status().as_u16())
    };
    assert_eq!((get(alice, "/metrics").await?, get("sk-admin-admin", "/metrics").await?), (403, 200));
    assert_eq!((get("x", "/health").await?, get("x", "/v1/models").await?), (200, 401));
    Ok(())
}

fn digest(key: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(key.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_web_page_spends_money() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let ask = async |name: &str, value: &str| -> Result<u16> {
        let request = serving.post("/v1/chat/completions").header(name, value).json(&body("tiny", by_plan(ONE)));
        Ok(request.send().await?.status().as_u16())
    };
    assert_eq!(ask("origin", "http://evil.org").await?, 403);
    assert_eq!(ask("origin", "null").await?, 403);
    assert_eq!(ask("host", "rebound.evil.org").await?, 403);
    assert_eq!(serving.account().requests, 0);
    assert_eq!(ask("host", "localhost").await?, 200);
    let own = serving.url.clone();
    assert_eq!(ask("origin", &own).await?, 200);
    Ok(())
}

/// What a client may ask, by number.
fn asked(number: usize) -> (&'static str, Value) {
    let stream = json!(number.is_multiple_of(3));
    match number % 5 {
        0 => ("tiny:direct", json!({ "stream": stream })),
        1 => ("tiny:best", json!({ "stream": stream })),
        2 => ("tiny", json!({ "stream": stream, "lamas": { "plan": "GenerateCoT;SelfRefine" } })),
        3 => ("m", json!({ "stream": stream, "tools": [{ "type": "function", "function": { "name": "f" } }] })),
        _ => ("tiny:fast", json!({ "stream": stream })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_ends_and_all_books_agree() -> Result<()> {
    const REQUESTS: usize = 200;
    let serving = Serving::start(|number, _| match number % 10 {
        3 => refusal(500, "", "server_error", "broken"),
        6 => Reply::Events(words("one two three"), End::Cut),
        8 => Reply::Close,
        _ => right(),
    })
    .await?;
    let client = async |number: usize| {
        let (model, more) = asked(number);
        let request = serving.post("/v1/chat/completions").json(&body(model, more)).send();
        if number % 10 == 7 {
            // Goes away before the answer, or while it comes.
            let gone = tokio::time::timeout(Duration::from_millis(number as u64 % 20), request).await;
            return if let Ok(Ok(response)) = gone { Some(response.status().as_u16()) } else { None };
        }
        let response = request.await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok().map(|_| status)
    };
    let reload = async {
        for _ in 0..3 {
            serving.service.reload().await?;
        }
        anyhow::Ok(())
    };
    let (answered, reloaded) = tokio::join!(futures::future::join_all((0..REQUESTS).map(client)), reload);
    reloaded?;
    for (number, status) in answered.iter().enumerate().filter(|(number, _)| number % 10 != 7) {
        assert!(matches!(status, Some(200 | 429 | 502)), "{number}: {status:?}");
    }
    let good = answered.iter().filter(|status| **status == Some(200)).count();
    assert!(good > REQUESTS / 2, "{good} answered");
    serving.counts("lamas_in_flight 0").await;
    serving.counts("lamas_waiting 0").await;
    // Of calls that are dropped at once the request may never have arrived; all others are in both books.
    let (account, seen) = (serving.account(), serving.upstream.seen().len() as u64);
    assert!((account.answered..=account.requests).contains(&seen), "{account:?} {seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answers_what_it_took() -> Result<()> {
    let (begun, may_end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (seen, wait) = (begun.clone(), may_end.clone());
    let mut serving = Serving::start(move |_, _| {
        seen.fetch_add(1, Ordering::Relaxed);
        while wait.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        right()
    })
    .await?;
    let asked = tokio::spawn(serving.post("/v1/chat/completions").json(&body("tiny", by_plan(ONE))).send());
    while begun.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(serving.get("/ready").send().await?.status(), 200);
    serving.service.drain();
    assert_eq!(serving.get("/ready").send().await?.status(), 503);
    let (cut, status) = tokio::join!(serving.stop(), async {
        may_end.store(1, Ordering::Relaxed);
        asked.await.map(|answer| answer.map(|answer| answer.status().as_u16()))
    });
    assert_eq!((cut?, status??), (0, 200));
    assert!(serving.get("/health").send().await.is_err());
    Ok(())
}
