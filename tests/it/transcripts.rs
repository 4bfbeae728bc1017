//! What operators wrote is kept, bounded, under their names, and does no harm where it is shown.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run_folder::{check, lamas, tiny};
use crate::server::{Server, streamed};

/// Commands to a terminal and to a browser, and letters that change the order of others.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}<script>alert(1)</script><img src=x onerror=alert(2)>\n";

fn hostile(letters: usize) -> String {
    format!("{HOSTILE}{}\nThe answer is 7.", "x".repeat(letters))
}

#[track_caller]
fn harmless(text: &str) {
    let found = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'));
    assert_eq!(found, None);
    assert!(!text.contains(['\u{202e}', '\u{200b}']));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_was_written_and_obeys_nothing_of_it() -> Result<()> {
    let place = tempfile::tempdir()?;
    let server = Server::start(|_, _| streamed(&hostile(1 << 20), 40, 9)).await;
    let ask = ["run", "what is 6 times 7 ?", "--plan", "GenerateCoT,Generate;ScEnsemble", "--benchmark", &tiny()];
    let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url];
    let ask = [&ask[..], &model].concat();
    let shown =
        tokio::task::block_in_place(|| check(0, lamas(&[&ask[..], &["--verbose"]].concat(), place.path()), &[]))?;
    harmless(&shown);
    for part in
        ["1 GenerateCoT\n  | \\u{1b}[2J\\u{1b}]0;title\\u{7}", "\\u{202e}<script>", "letters left out", "answer: 7"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.len() < 16_000, "{}", shown.len());

    let json = lamas(&[&ask[..], &["--json"]].concat(), place.path()).output()?;
    let json = String::from_utf8(json.stdout)?;
    harmless(&json);
    let answered: Value = serde_json::from_str(&json)?;
    let span = &answered["trace"]["spans"][0];
    assert_eq!((&span["operator"], &span["wrote"][0]["answer"]), (&"GenerateCoT".into(), &"7".into()));
    assert!(span["wrote"][0]["text"].as_str().is_some_and(|text| text.starts_with(HOSTILE) && text.len() < 4200));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_what_was_written_under_names() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let server = Server::start(|_, _| streamed(&hostile(9000), 40, 9)).await;
    fs::write(here.join("settings.toml"), "[training]\nepochs = 1\n[training.survey]\noperators = 0\n")?;
    let train = ["train", "--config", "settings.toml", "--benchmark", &tiny(), "--episodes", "--out", "out"];
    let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url];
    let said = tokio::task::block_in_place(|| check(0, lamas(&[&train[..], &model].concat(), here), &[]))?;
    harmless(&said);
    for file in ["out/test-episodes.jsonl", "out/seed-0/episodes.jsonl"] {
        let lines = fs::read_to_string(here.join(file))?;
        let first: Value = serde_json::from_str(lines.lines().next().context("a line")?)?;
        assert!(first["plan"][0][0].is_string(), "{file}: {}", first["plan"]);
        let span = &first["trace"]["spans"][0];
        assert_eq!(span["operator"], first["plan"][0][0], "{file}");
        assert!(span["wrote"][0]["text"].as_str().is_some_and(|text| text.starts_with(HOSTILE)), "{file}");
        assert!(lines.lines().all(|line| line.len() < 200_000), "{file}");
    }
    let page = fs::read_to_string(here.join("out/report.html"))?;
    harmless(&page);
    assert_eq!((page.matches("<script").count(), page.matches("<img").count()), (1, 0));
    assert!(page.contains("data-verdict=\"wrong\"") && page.contains("onerror=alert(2)&gt;"));
    assert!(page.len() < 2 << 20, "{}", page.len());
    // Names can be read again.
    let fit = ["calibrate", "out", "--from", "out/test-episodes.jsonl"];
    let own = ["--model-name", "m", "--price", "1", "--endpoint", &server.url];
    tokio::task::block_in_place(|| check(0, lamas(&[&fit[..], &own].concat(), here), &["wrote out/latency.json"]))?;
    Ok(())
}
