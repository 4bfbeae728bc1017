//! What a new user meets first: names, flags, a folder to start from, many questions at once, tables for a paper.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::run_folder::{check, lamas, tiny};
use crate::server::{Server, refusal, streamed};

fn copy(from: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_meant_is_said() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let refused = |arguments: &[&str], expected: &[&str]| check(1, lamas(arguments, here), expected).map(|_| ());
    let names = ["arithmetic, gsm8k, humaneval, math", "found `gsm9k`", "lamas init gsm9k"];
    refused(&["train", "--benchmark", "gsm9k"], &names)?;
    refused(&["baselines", "--benchmark", "gsm9k"], &names)?;
    for command in ["train", "baselines", "compare", "sweep"] {
        refused(&[command, "--seeds", "0"], &["'0' for '--seeds", "1.."])?;
    }
    refused(&["record", "--draws", "0"], &["'0' for '--draws"])?;
    refused(&["traces", "--samples", "0", "--out", "x"], &["'0' for '--samples"])?;
    refused(&["baselines", "--format", "pdf"], &["expected text, markdown, latex or csv, found `pdf`"])?;
    refused(&["run"], &["required", "QUESTION"])?;
    refused(&["run", "1 + 1 ?", "--file", "x"], &["cannot be used with"])
}

#[test]
fn help_is_in_groups_with_examples() -> Result<()> {
    let place = tempfile::tempdir()?;
    let help = |arguments: &[&str]| check(0, lamas(arguments, place.path()), &[]);
    let headings = ["Model in this process:", "Questions and operators:", "Endpoint:", "Recorded calls:"];
    for command in ["train", "run"] {
        let text = help(&[command, "--help"])?;
        let places: Vec<Option<usize>> = headings.iter().map(|heading| text.find(heading)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
        assert!(text.contains(&format!("Examples:\n  lamas {command}")), "{text}");
        let model = text.find("--model-name").context("a flag")?;
        assert!(Some(model) > text.find("Endpoint:") && Some(model) < text.find("Recorded calls:"), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_to_begin_with_trains_as_it_stands() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let server = Server::start(|_, _| streamed("Thinking. The answer is (B)", 40, 9)).await;
    let said = check(0, lamas(&["init", "mine", "--kind", "choice"], here), &["wrote mine/benchmark.toml"])?;
    assert!(said.contains("lamas train --benchmark mine --model-name MODEL --dry-run"), "{said}");
    check(1, lamas(&["init", "mine"], here), &["expected a new or empty folder"])?;
    let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url, "--benchmark", "mine"];
    let ask = [&["run", "Which? (A) this (B) that", "--plan", "Think;Vote", "--json"][..], &model].concat();
    let answered = tokio::task::block_in_place(|| lamas(&ask, here).output())?;
    let answered: Value = serde_json::from_slice(&answered.stdout)?;
    assert_eq!(answered["answer"], "B");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_are_answered_in_their_order() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let server = Server::start(|_, body| {
        let prompt = body["messages"].to_string();
        match prompt.contains("refuse") {
            true => refusal(400, "", "invalid_request_error", "no"),
            false => streamed(&format!("The answer is {}.", prompt.matches('+').count()), 40, 9),
        }
    })
    .await;
    let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url, "--benchmark", &tiny()];
    let lines: Vec<String> =
        (0..9).map(|at| json!({ "id": at, "question": "+".repeat(at) + " ?" }).to_string()).collect();
    fs::write(here.join("q.jsonl"), lines.join("\n"))?;
    let arguments = |file: &'static str| [&["run", "--plan", "GenerateCoT", "--file", file][..], &model].concat();
    let answers = |out: &[u8]| -> Result<Vec<(Value, Value)>> {
        let lines = std::str::from_utf8(out)?.lines().map(serde_json::from_str::<Value>);
        lines.map(|line| line.map(|line| (line["id"].clone(), line["answer"].clone())).map_err(Into::into)).collect()
    };
    let expected: Vec<(Value, Value)> = (0..9).map(|at| (at.into(), at.to_string().into())).collect();
    let found = tokio::task::block_in_place(|| lamas(&arguments("q.jsonl"), here).output())?;
    assert_eq!(answers(&found.stdout)?, expected, "{}", String::from_utf8_lossy(&found.stderr));
    let first: Value = serde_json::from_slice(found.stdout.split(|&byte| byte == b'\n').next().context("a line")?)?;
    assert_eq!((&first["plan"], &first["text"]), (&json!([["GenerateCoT"]]), &"The answer is 0.".into()));

    let mut child: Command = lamas(&arguments("-"), here);
    let mut child = child.stdin(Stdio::piped()).spawn()?;
    let plain = [lines, vec!["+++ ?".to_owned()]].concat();
    child.stdin.take().context("an input")?.write_all(plain.join("\n").as_bytes())?;
    let found = tokio::task::block_in_place(|| child.wait_with_output())?;
    assert_eq!(answers(&found.stdout)?, [expected, vec![(Value::Null, "3".into())]].concat());

    fs::write(here.join("q.jsonl"), "{\"question\": \"+ ?\"}\n{\"question\": \"refuse\"}\n{\"question\": 3}")?;
    let refused = tokio::task::block_in_place(|| check(1, lamas(&arguments("q.jsonl"), here), &["line 3: expected"]))?;
    assert!(!refused.contains("answer"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_written_for_papers_and_spreadsheets() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let server = Server::start(|_, _| streamed("The answer is 7.", 40, 9)).await;
    let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url, "--benchmark", &tiny()];
    let table = |format: &'static str| -> Result<String> {
        let arguments = [&["baselines", "--format", format][..], &model].concat();
        let output = tokio::task::block_in_place(|| lamas(&arguments, here).output())?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let text = table("csv")?;
    assert!(text.starts_with("method,failed,score,score low,") && text.contains("\nGenerateCoT,"), "{text}");
    // All rows have the columns of the first, and there is nothing but rows.
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(text.as_bytes()).records().collect::<Result<_, _>>()?;
    assert!(rows.len() >= 5 && rows.iter().any(|row| &row[0] == "CoT x 5, vote"), "{text}");
    let markdown = table("markdown")?;
    assert!(markdown.starts_with("| method | score |") && markdown.contains("\n|---|---:|"), "{markdown}");
    let latex = table("latex")?;
    assert!(
        latex.starts_with("\\begin{tabular}{lr") && latex.contains(r"$\pm$") && latex.contains(r"cost \$"),
        "{latex}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_recorded_where_a_vote_has_a_prompt_and_kept_where_one_fails() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    copy(&tiny(), &here.join("own"))?;
    let path = here.join("own/catalogue.toml");
    let prompt = "name = \"ScEnsemble\"\nprompt = \"{{ question }} {{ solutions | join }} Which?\"\nmax_tokens = 9";
    fs::write(&path, fs::read_to_string(&path)?.replacen("name = \"ScEnsemble\"", prompt, 1))?;
    let sound = Server::start(|_, _| streamed("The answer is 7.", 40, 9)).await;
    let record = |server: &Server, out: &'static str| {
        let flags =
            ["traces", "--limit", "3", "--samples", "2", "--split", "train", "--out", out, "--benchmark", "own"];
        let model = ["--model-name", "m", "--price", "1", "--endpoint", &server.url];
        lamas(&[&flags[..], &model].concat(), here)
    };
    tokio::task::block_in_place(|| check(0, record(&sound, "traces.jsonl"), &["outputs of 3 problems"]))?;
    let lines = fs::read_to_string(here.join("traces.jsonl"))?;
    assert!(lines.lines().count() >= 3 * 2 * 4 && !here.join("traces.jsonl.partial").exists(), "{lines}");
    // What was paid for is kept if a later call is refused.
    let failing = Server::start(|number, _| match number {
        0..6 => streamed("The answer is 8.", 40, 9),
        _ => refusal(401, "", "invalid_api_key", "no longer"),
    })
    .await;
    let mut command = record(&failing, "cut.jsonl");
    command.env("LAMAS_CACHE_MODE", "off");
    tokio::task::block_in_place(|| check(1, command, &["outputs, which are in `cut.jsonl.partial`"]))?;
    assert!(!here.join("cut.jsonl").exists());
    let kept = fs::read_to_string(here.join("cut.jsonl.partial"))?;
    assert!(kept.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    Ok(())
}

#[test]
fn splits_that_share_questions_and_blind_prompts_are_said() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    copy(&tiny(), &here.join("own"))?;
    fs::copy(here.join("own/train.jsonl"), here.join("own/test.jsonl"))?;
    let path = here.join("own/catalogue.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replacen("{{ question }}\\nReply", "Reply", 1))?;
    // Nobody listens there, so anything printed was printed before the first request.
    let model = ["--model-name", "m", "--price", "1", "--endpoint", "http://127.0.0.1:9", "--benchmark", "own"];
    let arguments = [&["train", "--out", "run"][..], &model].concat();
    let output = lamas(&arguments, here).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("the prompt of operator `Generate` does not contain the question"), "{said}");
    assert!(said.contains("the splits `train` and `test` contain the same questions"), "{said}");
    Ok(())
}
