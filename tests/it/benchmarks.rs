//! Benchmarks as data: published ones, on a model with a known share of right answers, and the user's own.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use assert_cmd::Command;
use lamas::folder::Folder;
use lamas::model::{Price, Prices, Reply, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::random;
use lamas::task::{Benchmark, Problem, built_in};

use crate::shared::shared;

use crate::planned::Planned;

/// A model answers seven questions in ten as `right` says and the others as `wrong` says. Its score must be exactly its
/// share of right answers, with a single call and with a vote over several.
async fn check(benchmark: Benchmark, right: fn(&Problem) -> String, wrong: fn(&Problem) -> String) -> Result<()> {
    let problems = benchmark.problems("test")?;
    let is_right = |problem: &Problem| random::key(&[&problem.id]) % 10 < 7;
    let expected = problems.iter().filter(|problem| is_right(problem)).count();
    assert!(expected * 2 > problems.len() && expected < problems.len());
    let reply = |problem: &Problem| if is_right(problem) { right(problem) } else { wrong(problem) };
    let replies: HashMap<String, String> =
        problems.iter().map(|problem| (problem.question.clone(), reply(problem))).collect();
    let model = Scripted::new("scripted", move |request| {
        // The prompts of these operators begin with the question.
        let prompt = &request.messages[0].content;
        let reply = prompt.match_indices("\n\n").find_map(|(end, _)| replies.get(&prompt[..end]));
        Ok(Reply::new(reply.cloned().unwrap_or_default(), 1))
    });
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
    let system = Planned::new(catalogue, benchmark, Arc::new(model), &prices, Schedule::Layered)?;
    for layers in [&[&[0_u16][..]][..], &[&[0, 2]]] {
        let plan = Plan::from_indices(layers);
        let (evaluation, ended) = system.evaluate("known", &problems, |_| plan.clone(), 0, 8).await;
        ended?;
        let score: f64 = evaluation.episodes.iter().map(|episode| episode.score).sum();
        assert_eq!((evaluation.episodes.len(), score), (problems.len(), expected as f64));
    }
    Ok(())
}

#[tokio::test]
async fn a_known_share_of_gsm8k_is_scored_at_exactly_that() -> Result<()> {
    let Some(data) = shared("datasets/gsm8k") else { return Ok(()) };
    let benchmark = Benchmark::load_with_data(built_in("gsm8k").context("built in")?, Folder::Disk(data))?;
    let sizes =
        ["train", "validation", "test"].map(|split| benchmark.problems(split).map(|problems| problems.len()).ok());
    assert_eq!(sizes, [Some(264), Some(100), Some(1055)]);
    let wrong = |problem: &Problem| format!("It is not {0}.\n#### {0}1", problem.answer);
    check(benchmark, |problem| format!("We add up.\n#### {}", problem.answer), wrong).await
}

#[tokio::test]
async fn a_known_share_of_math_is_scored_at_exactly_that() -> Result<()> {
    let Some(data) = shared("datasets/math") else { return Ok(()) };
    // The folder holds only the rows of the splits.
    let place = tempfile::tempdir()?;
    let folder = built_in("math").context("built in")?;
    let text = folder.read_text("benchmark.toml")?;
    let text = text.replace("{ file = \"test.jsonl\", rows = \"test.rows\" }", "\"level5_test.jsonl\"");
    fs::write(place.path().join("benchmark.toml"), text)?;
    fs::write(place.path().join("catalogue.toml"), folder.read("catalogue.toml")?)?;
    let benchmark = Benchmark::load_with_data(Folder::Disk(place.path().to_owned()), Folder::Disk(data))?;
    assert_eq!(benchmark.problems("test")?.len(), 486);
    let wrong = |problem: &Problem| format!("Thus $\\boxed{{{} + 1}}$.", problem.answer);
    check(benchmark, |problem| format!("Thus $\\boxed{{{}}}$.", problem.answer), wrong).await
}

const CATALOGUE: &str = "[[operator]]\nname = \"Ask\"\nkind = \"generate\"\ndescription = \"Answers.\"\nmax_tokens = 9\n\
                         prompt = \"{{ question }}\"\n";

/// Writes a benchmark of two lines and grades one right and one wrong text on its first problem.
async fn check_form(form: &str, reference: &str, right: &str, wrong: &str) -> Result<()> {
    let place = tempfile::tempdir()?;
    let write = |file: &str, text: &str| fs::write(place.path().join(file), text);
    let description = format!(
        "name = \"mine\"\ndescription = \"My own.\"\nanswer = \"{form}\"\ncatalogue = \"catalogue.toml\"\n[splits]\n\
         test = \"mine.jsonl\"\n[reward]\nlatency_weight = 0.0\ncost_weight = 0.0\ngamma = 50.0\n"
    );
    write("benchmark.toml", &description)?;
    write("catalogue.toml", CATALOGUE)?;
    let line = |answer: &str| serde_json::json!({ "question": "What is it?", "answer": answer }).to_string();
    write("mine.jsonl", &format!("{}\n{}\n", line(reference), line(reference)))?;
    let benchmark = Benchmark::open(Some(place.path()))?;
    Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
    let problems = benchmark.problems("test")?;
    assert_eq!(problems.iter().map(|problem| problem.id.as_str()).collect::<Vec<_>>(), ["mine-00000", "mine-00001"]);
    for (text, score) in [(right, 1.0), (wrong, 0.0), ("", 0.0)] {
        let answer = benchmark.answer.extract(text);
        assert_eq!(benchmark.grade(&problems[0], answer.as_deref(), None).await?, score, "{form}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn two_lines_make_a_benchmark_of_every_answer_form() -> Result<()> {
    check_form("integer", "12", "3 * 4 = 12 . the answer is 12", "the answer is 13").await?;
    check_form("number", "We add.\n#### 1,200", "The answer is $1200.00.", "The answer is 120.").await?;
    check_form("mathematics", "\\frac{1}{2}", "So $\\boxed{0.5}$.", "So $\\boxed{\\frac{1}{3}}$.").await?;
    check_form("exact", "Paris", "Let me think.\nThe answer is Paris.", "The answer is London.").await?;
    check_form("choice", "B", "The answer is (B) Paris.", "The answer is (C).").await
}

fn run(arguments: &[&str], folder: &Path) -> Result<(Option<i32>, String)> {
    let output = Command::cargo_bin("lamas")?
        .args(arguments)
        .current_dir(folder)
        .env("LAMAS_DEVICE", "cpu")
        .env("LAMAS_CACHE", folder)
        .env("HF_HOME", folder)
        // Nobody listens there.
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

#[test]
fn without_a_network_the_way_by_hand_is_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (code, errors) = run(&["fetch", "math", "--out", "here"], place.path())?;
    assert_eq!(code, Some(2), "{errors}");
    for part in [
        "test.jsonl",
        "EleutherAI/hendrycks_math",
        "by hand",
        "problem, level, type, solution",
        "precalculus",
        "HF_ENDPOINT",
    ] {
        assert!(errors.contains(part), "expected `{part}` in {errors}");
    }
    assert!(!place.path().join("here").exists(), "a folder is left behind");
    let (code, errors) = run(&["fetch", "gsm9k"], place.path())?;
    assert!(code == Some(1) && errors.contains("found `gsm9k`"), "{errors}");
    let (code, errors) = run(&["baselines", "--benchmark", "gsm8k"], place.path())?;
    assert!(code == Some(1) && errors.contains("hint: `lamas fetch gsm8k`"), "{errors}");
    Ok(())
}
