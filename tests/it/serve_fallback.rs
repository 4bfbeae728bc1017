//! Serving while an upstream fails: it is not asked for a while, and another one answers in its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use lamas::model::{Definitions, definitions};
use lamas::serve::Journal;
use serde_json::{Value, json};

use crate::server::{Reply, Server, refusal};
use crate::serving::{ONE, Serving, Setup, body, by_plan, events, lines, right};

/// Two models, the second in reserve of the first, and a catalogue whose operators ask `asked`.
fn models(folder: &Path, at: [&str; 2], asked: &str) -> Result<(Definitions, PathBuf)> {
    let [first, second] = at;
    let text = format!(
        "[[model]]\nname = \"m\"\nendpoint = \"{first}\"\nmodel = \"m-1\"\nfallback = \"other\"\n\
         prices = {{ prompt = 1, completion = 1 }}\n\
         [[model]]\nname = \"other\"\nendpoint = \"{second}\"\nmodel = \"o-1\"\n\
         prices = {{ prompt = 10, completion = 10 }}\n"
    );
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny/catalogue.toml");
    let catalogue = std::fs::read_to_string(tiny)?.replace("\nprompt =", &format!("\nmodel = \"{asked}\"\nprompt ="));
    let path = folder.join(format!("{asked}.toml"));
    std::fs::write(&path, catalogue)?;
    Ok((definitions(&text, "models")?, path))
}

fn broken(_: usize, _: &Value) -> Reply {
    refusal(500, "", "server_error", "out of order")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_answers_in_the_place_of_one_that_fails() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let reserve = Server::start(|_, _| right()).await;
    let first = Server::start(broken).await;
    let at = [first.url.clone(), reserve.url.clone()];
    let setup = |name: &str, asked: &str| -> Result<Setup> {
        let journal = Some(Arc::new(Journal::open(&folder.path().join(name))?));
        let models = Some(models(folder.path(), [&at[0], &at[1]], asked)?);
        Ok(Setup { journal, models, ..Setup::default() })
    };
    let serving = Serving::over(first, setup("kept", "m")?).await?;
    let ask = async |serving: &Serving, seed: u64| -> Result<Value> {
        let mut more = by_plan(ONE);
        more["seed"] = seed.into();
        let (status, value) = serving.asked("tiny", more).await?;
        assert_eq!((status, &value["lamas"]["answer"]), (200, &json!("42")), "{value}");
        Ok(value)
    };
    let value = ask(&serving, 0).await?;
    // At the price of the model that answered.
    assert!(value["lamas"]["cost"].as_f64().is_some_and(|cost| (cost - 49e-5).abs() < 1e-12), "{value}");
    assert_eq!((serving.upstream.seen().len(), reserve.seen().len()), (2, 1));
    assert_eq!(serving.get("/ready").send().await?.json::<Value>().await?["upstreams"]["m-1"], "closed");
    // Two tries each; some failures in a row open the breaker, and from then on nobody asks.
    for seed in 1..12 {
        ask(&serving, seed).await?;
    }
    let tried = serving.upstream.seen().len();
    assert!((5..=20).contains(&tried) && reserve.seen().len() == 12, "{tried}");
    let ready: Value = serving.get("/ready").send().await?.json().await?;
    assert_eq!(ready, json!({ "status": "ready", "upstreams": { "m-1": "open", "o-1": "closed" } }));
    serving.counts(&format!("lamas_upstream_circuit{{upstream=\"m-1@{}/v1\"}} 2", at[0])).await;
    // A plain call too, whole and in pieces, and says who answered.
    let response = serving.chat("m", json!({})).await?;
    assert_eq!(response.headers()["x-lamas-fallback"], "other");
    let value: Value = response.json().await?;
    assert_eq!((&value["lamas"]["fallback"], &value["model"]), (&json!("other"), &json!("m")), "{value}");
    let streamed = serving.chat("tiny:direct", json!({ "stream": true })).await?.text().await?;
    let text: String =
        events(&streamed).iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(text == "6 * 7 = 42. The answer is 42." && streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
    assert_eq!((serving.upstream.seen().len(), reserve.seen().len()), (tried, 14));
    // What it answered is recorded as its own: under the key that it has where it is asked by itself.
    let own = Serving::over(Server::start(broken).await, setup("own", "other")?).await?;
    ask(&own, 0).await?;
    let [kept, own] = ["kept", "own"].map(|name| lines(&folder.path().join(name), "record.jsonl"));
    let (kept, own) = (kept?, own?);
    assert_eq!((&kept[0]["key"], &kept[0]["model"]), (&own[0]["key"], &own[0]["model"]));
    assert!(kept.len() == 12 && kept.iter().all(|line| line["model"] == own[0]["model"]), "{kept:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_model_it_is_said_at_once() -> Result<()> {
    let serving = Serving::start(broken).await?;
    for _ in 0..10 {
        assert_eq!(serving.asked("tiny:direct", json!({})).await?.0, 502);
    }
    let tried = serving.upstream.seen().len();
    assert!((5..=20).contains(&tried), "{tried}");
    for more in [json!({}), by_plan(ONE)] {
        let model = if more == json!({}) { "tiny:direct" } else { "tiny" };
        let (status, value) = serving.asked(model, more).await?;
        let message = value["error"]["message"].as_str().unwrap_or_default();
        let why = "times in a row and is not asked now";
        assert!(status == 502 && message.contains(why) && message.ends_with("500: out of order"), "{value}");
    }
    assert_eq!(serving.upstream.seen().len(), tried);
    // Others are refused in the same words as they stream.
    let request = body("tiny:direct", json!({ "stream": true }));
    let streamed = serving.post("/v1/chat/completions").json(&request).send().await?.text().await?;
    assert!(streamed.contains("is not asked now"), "{streamed}");
    Ok(())
}

#[test]
fn models_stand_in_for_others_that_are_defined() -> Result<()> {
    let check = |fallbacks: [&str; 2], expected: Result<&[&str], &str>| -> Result<()> {
        let table = |name: &str, fallback: &str| {
            format!("[[model]]\nname = \"{name}\"\nfolder = \"x\"\nfallback = \"{fallback}\"\n")
        };
        let text = format!(
            "{}{}[[model]]\nname = \"c\"\nfolder = \"x\"\n",
            table("a", fallbacks[0]),
            table("b", fallbacks[1])
        );
        let found = lamas::settings::reserve(&definitions(&text, "models")?, Some("a"));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, _) => panic!("{fallbacks:?}: {found:?}"),
        }
        Ok(())
    };
    check(["c", "c"], Ok(&["c"]))?;
    check(["b", "c"], Ok(&["b", "c"]))?;
    check(["d", "c"], Err("`fallback`: expected a model that is defined (a, b, c), found `d`"))?;
    check(["b", "a"], Err("`fallback`: expected another model, found `a`, which leads back"))
}
