//! Code as an answer: written, tested, repaired, voted on and graded in the sandbox.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use lamas::folder::Folder;
use lamas::model::{Price, Prices, Reply, Request, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::sandbox::Sandbox;
use lamas::task::{ARITHMETIC, Benchmark, Problem, TestResult};

use super::sandbox::open;
use super::shared::shared;

use crate::planned::Planned;

/// The operators of `data/humaneval`, in its order.
const GENERATE: u16 = 0;
const COT: u16 = 1;
const TEST: u16 = 4;

/// One task of our own, in HumanEval's fields.
const TASK: &str = r#"{"task_id": "Own/0", "prompt": "from math import isqrt\n\n\ndef root(n: int) -> int:\n    \"\"\"The whole part of the root.\n    \"\"\"\n", "entry_point": "root", "canonical_solution": "    return isqrt(n)\n", "test": "def check(candidate):\n    assert candidate(9) == 3\n    assert candidate(10 ** 40 - 1) == 10 ** 20 - 1\n"}"#;
const PUBLIC: &str = r#"{"problem_id": "Own/0", "test": ["assert candidate(9) == 3", "assert candidate(8) == 2"]}"#;

/// The benchmark with that task alone.
pub fn benchmark() -> Result<(tempfile::TempDir, Benchmark)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/humaneval");
    let folder = tempfile::tempdir()?;
    for file in ["benchmark.toml", "catalogue.toml", "train.rows", "test.rows"] {
        std::fs::copy(source.join(file), folder.path().join(file))?;
    }
    std::fs::write(folder.path().join("HumanEval.jsonl"), TASK)?;
    std::fs::write(folder.path().join("public_test.jsonl"), PUBLIC)?;
    let benchmark = Benchmark::load(Folder::Disk(folder.path().to_owned()))?;
    Ok((folder, benchmark))
}

/// Plans end with the vote here; the finish has tests of its own.
fn system(
    benchmark: Benchmark,
    catalogue: Catalogue,
    sandbox: Sandbox,
    script: impl Fn(&Request) -> String + Send + Sync + 'static,
) -> Result<Planned> {
    let model = Scripted::new("scripted", move |request| Ok(Reply::new(script(request), 10)));
    let prices = Prices([("scripted".to_owned(), Price::default())].into());
    let system = Planned::new(catalogue, benchmark, Arc::new(model), &prices, Schedule::Layered)?;
    Ok(system.with_sandbox(Some(Arc::new(sandbox))).without_finish())
}

/// A reply that contains this code.
pub fn block(code: &str) -> String {
    format!("Here it is.\n```python\n{code}\n```\n")
}

pub const RIGHT: &str = "def root(n: int) -> int:\n    return isqrt(n)";
const FLOATING: &str = "def root(n):\n    return int(n ** 0.5)";
pub const WRONG: &str = "def root(n):\n    return n // 3 + 1";

#[tokio::test]
async fn hidden_tests_decide() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let (_folder, benchmark) = benchmark()?;
    let problem = &benchmark.problems("all")?[0];
    assert!(
        benchmark.problems("train").is_err_and(|error| format!("{error:#}").contains("expected a row number below 1"))
    );
    let check = async |code: Option<&str>, score: f64| -> Result<()> {
        assert_eq!(benchmark.grade(problem, code, Some(&sandbox)).await?, score, "{code:?}");
        Ok(())
    };
    check(Some(RIGHT), 1.0).await?;
    check(Some("    return isqrt(n)"), 1.0).await?;
    check(Some("from __future__ import annotations\ndef root(n): return isqrt(n)"), 1.0).await?;
    check(Some(&format!("{RIGHT}\n\nif __name__ == '__main__':\n    print(root(int(input())))")), 1.0).await?;
    check(Some(FLOATING), 0.0).await?;
    check(Some("def root(n): pass"), 0.0).await?;
    check(Some("def root(n):"), 0.0).await?;
    check(Some("def other(n): return isqrt(n)"), 0.0).await?;
    check(Some("import sys\nsys.exit(0)\ndef root(n): pass"), 0.0).await?;
    check(Some("import os\nos._exit(0)\ndef root(n): pass"), 0.0).await?;
    check(None, 0.0).await?;
    assert!(benchmark.grade(problem, Some(RIGHT), None).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_failing_test_is_told_and_repaired() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let (_folder, benchmark) = benchmark()?;
    let catalogue = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    let problem = benchmark.problems("all")?.remove(0);
    let script = |request: &Request| {
        let prompt = &request.messages[0].content;
        let is_told = ["assert candidate(9) == 3", "AssertionError", WRONG].iter().all(|text| prompt.contains(text));
        block(if is_told { RIGHT } else { WRONG })
    };
    let system = system(benchmark, catalogue, sandbox, script)?;
    assert_eq!(system.solve(&problem, &Plan::from_indices(&[&[GENERATE]]), 1).await?.score, 0.0);
    let mended = system.solve(&problem, &Plan::from_indices(&[&[GENERATE], &[TEST]]), 1).await?;
    let test = &mended.trace.spans[1];
    assert_eq!((mended.score, test.calls), (1.0, 1));
    assert!(test.tool_seconds > 0.0 && test.latency.tokens > 10.0 + 49.9 * test.tool_seconds, "{test:?}");
    // Without a task there are no tests.
    let answered = system.answer(&problem.question, &Plan::from_indices(&[&[GENERATE], &[TEST]]), 1).await?;
    assert_eq!((answered.solutions.len(), answered.trace.spans[1].tool_seconds), (1, 0.0));
    Ok(())
}

#[tokio::test]
async fn a_solution_that_passed_wins_the_vote() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let (_folder, benchmark) = benchmark()?;
    let catalogue = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    let problem = benchmark.problems("all")?.remove(0);
    let script =
        |request: &Request| block(if request.messages[0].content.contains("step by step") { WRONG } else { RIGHT });
    let system = system(benchmark, catalogue, sandbox, script)?;
    let untested = system.solve(&problem, &Plan::from_indices(&[&[GENERATE], &[COT]]), 1).await?;
    let tested = system.solve(&problem, &Plan::from_indices(&[&[GENERATE], &[TEST], &[COT]]), 1).await?;
    assert_eq!((untested.score, tested.score, tested.trace.spans[1].calls), (0.0, 1.0, 0));
    Ok(())
}

#[tokio::test]
async fn a_programmer_writes_python_and_is_told_what_failed() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let benchmark = Benchmark::load(ARITHMETIC)?;
    let catalogue = r#"
        [[operator]]
        name = "Programmer"
        kind = "program"
        language = "python"
        description = "Writes a program."
        prompt = "{{ question }} {{ feedback }}"
        max_tokens = 99
        rounds = 2
        tool_seconds = 0.5
    "#;
    let catalogue = Catalogue::parse(catalogue.to_owned(), "catalogue.toml")?;
    assert_eq!(catalogue.needs_python(), ["Programmer"]);
    let script = |request: &Request| match &*request.messages[0].content {
        prompt if prompt.contains("ZeroDivisionError") => block("def solution():\n    return 6 * 7"),
        prompt if prompt.contains("expected a Python program") => block("print(1 / 0)"),
        _ => "I would rather not.".to_owned(),
    };
    let system = system(benchmark, catalogue, sandbox, script)?;
    let answered = system.answer("6 * 7 ?", &Plan::from_indices(&[&[0]]), 1).await?;
    assert_eq!(answered.answer.as_deref(), Some("42"));
    let (span, solution) = (&answered.trace.spans[0], &answered.solutions[0]);
    // The first reply held no program; two runs were charged.
    assert_eq!((span.calls, span.tool_seconds, span.latency.tokens), (3, 1.0, 80.0));
    assert!(solution.executed && solution.text.contains("return 6 * 7") && solution.text.ends_with("The answer is 42"));
    Ok(())
}

#[test]
fn operators_that_need_python_can_be_left_out() -> Result<()> {
    let (_folder, benchmark) = benchmark()?;
    let whole = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    assert_eq!(whole.needs_python(), ["Test"]);
    let rest = whole.without_python("catalogue.toml")?;
    let names: Vec<_> = rest.operators().iter().map(|operator| operator.name.as_str()).collect();
    assert_eq!(names.join(" "), "Generate GenerateCoT MultiGenerateCoT ScEnsemble SelfRefine EarlyStop");
    assert_eq!(Catalogue::parse(rest.text().to_owned(), "again")?.operators(), rest.operators());
    Ok(())
}

#[test]
fn a_machine_without_python_is_told() -> Result<()> {
    let (folder, _) = benchmark()?;
    let run = |benchmark: &Path| -> Result<String> {
        let mut command = assert_cmd::Command::cargo_bin("lamas")?;
        command.args([
            "run",
            "?",
            "--plan",
            "Nobody",
            "--device",
            "cpu",
            "--python",
            "/no/such/python3",
            "--benchmark",
        ]);
        Ok(String::from_utf8_lossy(&command.arg(benchmark).assert().code(1).get_output().stderr).into_owned())
    };
    let graded = run(folder.path())?;
    assert!(graded.contains("graded by running Python: no Python: `/no/such/python3`"), "{graded}");
    let place = tempfile::tempdir()?;
    let catalogue =
        ARITHMETIC.read_text("catalogue.toml")?.replace("\"program\"", "\"program\"\nlanguage = \"python\"");
    std::fs::write(place.path().join("benchmark.toml"), ARITHMETIC.read_text("benchmark.toml")?)?;
    std::fs::write(place.path().join("catalogue.toml"), catalogue)?;
    let reduced = run(place.path())?;
    assert!(reduced.contains("operators left out of the catalogue: Programmer (no Python"), "{reduced}");
    assert!(reduced.contains("(Generate, GenerateCoT, MultiGenerateCoT, ScEnsemble, Test,"), "{reduced}");
    Ok(())
}

#[test]
fn files_of_completions_are_graded() -> Result<()> {
    let place = tempfile::tempdir()?;
    let tests = place.path().join("tasks.jsonl");
    std::fs::write(&tests, TASK)?;
    let grade = |name: &str, completion: &str, arguments: &[&str]| -> Result<String> {
        let file = place.path().join("answers.jsonl");
        std::fs::write(&file, serde_json::json!({ "task_id": "Own/0", name: completion }).to_string())?;
        let mut command = assert_cmd::Command::cargo_bin("lamas")?;
        let output = command.args(["grade", "humaneval"]).arg(&file).args(arguments).output()?;
        Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    };
    let given = ["--tests", &tests.display().to_string()];
    let right = grade("completion", "    return isqrt(n)\n", &given)?;
    if right.contains("no Python") {
        println!("skipped: {right}");
        return Ok(());
    }
    assert_eq!(right, "1: right: Own/0\naccuracy 100.0 %: 1 of 1 right\n");
    assert_eq!(grade("pred", &block(RIGHT), &given)?, right);
    let wrong = grade("text", WRONG, &given)?;
    assert_eq!(wrong, "1: wrong: Own/0: AssertionError\naccuracy 0.0 %: 0 of 1 right\n");
    assert!(grade("text", WRONG, &["--tests", given[1], "--json"])?.contains(r#""correct":false"#));
    assert!(grade("completion", RIGHT, &[])?.contains("no task `Own/0`; hint"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn published_solutions_pass_and_broken_ones_fail() -> Result<()> {
    let (Some(folder), Some(sandbox)) = (shared("datasets/humaneval"), open().await?) else { return Ok(()) };
    let (place, benchmark) = benchmark()?;
    let copy = |file: &str| std::fs::copy(folder.join(file), place.path().join(file));
    copy("HumanEval.jsonl")?;
    copy("public_test.jsonl")?;
    let (problems, train, test) =
        (benchmark.problems("all")?, benchmark.problems("train")?, benchmark.problems("test")?);
    assert_eq!((problems.len(), train.len(), test.len()), (164, 33, 131));
    assert!(!test.iter().any(|problem| train.contains(problem)));
    let judge = async |problem: &Problem| -> Result<bool> {
        let right = benchmark.grade(problem, Some(&problem.answer), Some(&sandbox)).await? == 1.0;
        let broken = benchmark.grade(problem, Some("    pass"), Some(&sandbox)).await? == 1.0;
        Ok(right && !broken && passes_public_tests(problem, &sandbox).await?)
    };
    assert_eq!(refused(&problems, judge).await?, [""; 0]);
    assert_eq!(tested(&problems), 159 - 6);

    std::fs::remove_file(place.path().join("public_test.jsonl"))?;
    let problems = benchmark.problems("all")?;
    let judge = async |problem: &Problem| passes_public_tests(problem, &sandbox).await;
    assert_eq!(refused(&problems, judge).await?, [""; 0], "examples of the docstrings");
    assert_eq!(tested(&problems), 69 - 3);
    Ok(())
}

/// Whether the published solution passes the tests that operators may run; true if there are none.
async fn passes_public_tests(problem: &Problem, sandbox: &Sandbox) -> Result<bool> {
    let tests = problem.tests.as_ref().context("no tests")?;
    let Some(trial) = tests.public_trial(&problem.question, &problem.answer) else { return Ok(true) };
    Ok(trial.run(sandbox).await?.outcome == TestResult::Passed)
}

/// Ids of the problems that `judge` does not accept.
async fn refused(problems: &[Problem], judge: impl AsyncFn(&Problem) -> Result<bool>) -> Result<Vec<String>> {
    let verdicts: Vec<_> = stream::iter(problems).map(|problem| judge(problem)).buffered(4).collect().await;
    let mut refused = Vec::new();
    for (problem, accepted) in problems.iter().zip(verdicts) {
        if !accepted? {
            refused.push(problem.id.clone());
        }
    }
    Ok(refused)
}

fn tested(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.tests.as_ref().is_some_and(|tests| !tests.public.is_empty())).count()
}
