//! `lamas doctor` says what works, and its exit code says whether everything needed works.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::run_folder::{ended, lamas};
use crate::server::{Server, refusal, streamed, whole};

/// The state of each part, as `part state`, and the whole text.
async fn examined(code: i32, flags: &[&str], folder: &Path) -> Result<(Vec<String>, String)> {
    let mut command = lamas(&[&["doctor", "--json"], flags].concat(), folder);
    command.env("OPENAI_API_KEY", "sk-hunter2-hunter2");
    let (found, text) = tokio::task::spawn_blocking(move || ended(command.spawn()?)).await??;
    assert_eq!(found, Some(code), "{flags:?}: {text}");
    assert!(!text.contains("hunter2"), "{text}");
    let end = text.find("\n]").map_or(text.len(), |end| end + 2);
    let parts: Vec<Value> = serde_json::from_str(&text[..end])?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((parts.iter().map(|part| format!("{} {}", word(&part["part"]), word(&part["state"]))).collect(), text))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_is_told_and_those_that_are_needed_decide() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let found = examined(0, &[], here).await?.0;
    let sound = ["model works", "device works", "cache not_needed", "disk works"];
    assert!(sound.iter().all(|part| found.contains(&(*part).to_owned())), "{found:?}");

    let server = Server::start(|_, _| streamed("42", 20, 2)).await;
    let at = |url: &str| ["--endpoint", url, "--model-name", "m"].map(str::to_owned).to_vec();
    let flags = |server: &Server| at(&server.url);
    let with = |flags: Vec<String>, more: &[&str]| -> Vec<String> {
        flags.into_iter().chain(more.iter().map(|&flag| flag.to_owned())).collect()
    };
    let denying = Server::start(|_, _| refusal(401, "", "invalid_api_key", "wrong key: sk-hunter2-hunter2")).await;
    let other = Server::listing(|| whole("", 1, 1), |_, _| refusal(404, "", "model_not_found", "no such model")).await;
    let busy = Server::start(|_, _| refusal(503, "", "overloaded", "later")).await;
    for (code, flags, expected) in [
        (0, with(flags(&server), &["--price", "1"]), ["endpoint works", "key works", "model works", "price works"]),
        (1, flags(&server), ["endpoint works", "key works", "model works", "price fails"]),
        (1, with(flags(&denying), &["--price", "1"]), ["endpoint works", "key fails", "model untried", "price works"]),
        (1, with(flags(&other), &["--price", "1"]), ["endpoint works", "key untried", "model fails", "price works"]),
        (1, with(flags(&busy), &["--price", "1"]), ["endpoint fails", "key untried", "model untried", "price works"]),
        (
            1,
            with(at("http://127.0.0.1:9"), &["--price", "1"]),
            ["endpoint fails", "key untried", "model untried", "price works"],
        ),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (found, text) = examined(code, &flags, here).await?;
        assert_eq!(found[..4], expected, "{flags:?}: {text}");
        assert!(found.contains(&"cache works".to_owned()), "{found:?}");
    }
    assert_eq!(server.seen().len(), 2, "one question each");

    // Python is needed if it grades the benchmark.
    let (found, text) = examined(0, &["--python", "missing"], here).await?;
    assert!(found.contains(&"python not_needed".to_owned()), "{found:?}");
    assert!(text.contains("`missing`"), "{text}");
    let (found, text) = examined(1, &["--python", "missing", "--benchmark", "humaneval"], here).await?;
    assert!(found.contains(&"python fails".to_owned()) && text.contains("needs it for grading"), "{found:?}: {text}");
    Ok(())
}
