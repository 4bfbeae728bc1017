//! The page, what stands on it, the dashboard, and traces of callers.

use std::collections::BTreeSet;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lamas::serve::{Keys, Live};
use regex::Regex;
use serde_json::{Value, json};

use crate::serving::{ONE, Serving, Setup, by_plan, right};

/// `sk-chief-chief`, which may administer, and `sk-alice-alice`, which may not.
fn keys(folder: &std::path::Path) -> Result<Keys> {
    let path = folder.join("keys.toml");
    std::fs::write(
        &path,
        "[[key]]\nname = \"chief\"\nmay = [\"admin\", \"plan\"]\n\
         sha256 = \"0cb58cde9ea82e803e04204b3cfe2fb6bc5084f65beb65c284ecb6cd36d792c3\"\n",
    )?;
    Keys::load(&path)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_who_administers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let alice = Keys::of_text("sk-alice-alice")?;
    let serving =
        Serving::set_up(Setup { keys: keys(folder.path())?.and(alice), ..Setup::default() }, |_, _| right()).await?;
    let status = async |path: &str, given: Option<String>| -> Result<(u16, bool)> {
        let mut request = serving.get(path);
        if let Some(given) = given {
            request = request.header("authorization", given);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.headers().contains_key("www-authenticate")))
    };
    let password = |key: &str| Some(format!("Basic {}", STANDARD.encode(format!("anybody:{key}"))));
    for path in ["/", "/admin/live"] {
        assert_eq!(status(path, None).await?, (401, true), "{path}");
        assert_eq!(status(path, password("sk-wrong-wrong")).await?, (401, true), "{path}");
        assert_eq!(status(path, password("sk-alice-alice")).await?, (403, false), "{path}");
        assert_eq!(status(path, password("sk-chief-chief")).await?, (200, false), "{path}");
        assert_eq!(status(path, Some("Bearer sk-chief-chief".into())).await?, (200, false), "{path}");
    }
    // What changes something, or costs something, takes no password that a browser may send of itself.
    let reload = serving.post("/admin/reload").header("authorization", password("sk-chief-chief").unwrap_or_default());
    assert_eq!(reload.send().await?.status(), 401);
    assert_eq!(status("/metrics", password("sk-chief-chief")).await?.0, 401);
    let page = serving.get("/").bearer_auth("sk-chief-chief").send().await?;
    let policy = page.headers()["content-security-policy"].to_str()?.to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text().await?.starts_with("<!doctype html>"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_sees_it_over_the_open_listener() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    assert_eq!(serving.get("/").send().await?.status(), 403);
    assert_eq!(serving.get("/admin/live").send().await?.status(), 403);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_what_happens_and_texts_only_where_asked_for() -> Result<()> {
    for shows_texts in [false, true] {
        let setup = Setup { live: Some(Live::new(shows_texts)), ..Setup::default() };
        let serving = Serving::set_up(setup, |_, _| right()).await?;
        let mut more = by_plan(ONE);
        more["lamas"]["budget"] = json!("9s");
        serving.asked("tiny", more).await?;
        serving.asked("tiny:direct", json!({ "stream": true })).await.ok();
        serving.counts("lamas_requests_total{model=\"tiny:direct\",result=\"answered\"} 1").await;
        let told = serving.service.told();
        let [direct, planned] = [&told["requests"][0], &told["requests"][1]];
        let question = if shows_texts { json!("what is 6 times 7 ?") } else { Value::Null };
        assert_eq!(
            (&planned["question"], &planned["plan"], &planned["result"]),
            (&question, &json!(ONE), &json!("answered"))
        );
        assert_eq!((&planned["spans"][0]["operator"], &planned["spans"][0]["outcome"]), (&json!(ONE), &json!("done")));
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let span = &planned["spans"][0];
        assert!(number(&span["begins"]) <= number(&span["ends"]) && number(&span["ends"]) <= number(&planned["took"]));
        assert!((number(&planned["budget"]) - 9.0).abs() < 1e-9, "{planned}");
        assert_eq!((&direct["budget"], &direct["spans"][0]["operator"]), (&Value::Null, &json!("m")));
        assert_eq!((&told["today"]["requests"], &told["today"]["explored"]), (&json!(2), &Value::Null));
        assert!((number(&told["today"]["cost"]) - 98e-6).abs() < 1e-12, "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_asks_for_what_is_counted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::exploring(Keys::default(), folder.path(), 0.0, |_, _| right()).await?;
    let mut more = by_plan(ONE);
    more["lamas"]["budget"] = json!("9s");
    serving.asked("tiny", more).await?;
    serving.counts("lamas_explorations_total{result=\"dropped\"} 1").await;
    let text = serving.service.metrics();
    let samples = Regex::new(r"(?m)^(lamas_\w+)")?;
    let counted: BTreeSet<&str> = samples.find_iter(&text).map(|found| found.as_str()).collect();
    let dashboard: Value = serde_json::from_str(include_str!("../../scripts/grafana.json"))?;
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .filter_map(|target| target["expr"].as_str())
        .collect();
    let asked: BTreeSet<&str> = queries.iter().flat_map(|query| samples_in(query)).collect();
    let unknown: Vec<&&str> = asked.difference(&counted).collect();
    assert!(queries.len() > 15 && unknown.is_empty(), "not counted: {unknown:?}\n{text}");
    // Nothing that is counted is left out.
    let base = |name: &str| {
        ["_bucket", "_sum", "_count", "_total"]
            .iter()
            .fold(name.to_owned(), |name, end| name.trim_end_matches(end).to_owned())
    };
    let shown: BTreeSet<String> = asked.iter().map(|name| base(name)).collect();
    let missing: BTreeSet<String> =
        counted.iter().map(|name| base(name)).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}

fn samples_in(query: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    query.split(|letter| !is_word(letter)).filter(|word| word.starts_with("lamas_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_trace_goes_on_upstream() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    for (model, more) in
        [("tiny", by_plan(ONE)), ("tiny:direct", json!({})), ("tiny", by_plan("GenerateCoT;SelfRefine"))]
    {
        let before = serving.upstream.seen().len();
        let request =
            serving.post("/v1/chat/completions").header("traceparent", &given).header("tracestate", "a=secret");
        let response = request.json(&crate::serving::body(model, more)).send().await?;
        let own = response.headers()["traceparent"].to_str()?.to_owned();
        assert!(own.starts_with(&format!("00-{trace}-")) && own != given, "{own}");
        for seen in &serving.upstream.seen()[before..] {
            let head = seen.head.to_lowercase();
            let sent = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap_or_default();
            assert!(sent.starts_with(&format!("00-{trace}-")) && sent != given && sent != own, "{head}");
            assert!(!head.contains("tracestate"), "{head}");
        }
    }
    let before = serving.upstream.seen().len();
    let request = serving.post("/v1/chat/completions").header("traceparent", "00-0-0-0");
    let response = request.json(&crate::serving::body("tiny", by_plan(ONE))).send().await?;
    assert!(!response.headers().contains_key("traceparent"));
    assert!(!serving.upstream.seen()[before].head.to_lowercase().contains("traceparent"));
    Ok(())
}
