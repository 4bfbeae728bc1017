//! Verdicts on code: no wrong solution passes, no right one fails, and what cannot be judged is named.

use std::collections::BTreeMap;

use anyhow::Result;
use futures::{StreamExt, stream};
use lamas::sandbox::Sandbox;
use lamas::task::{TestResult, Tests, code_grading};

use super::sandbox::open;
use super::shared::shared;
use super::tricks::{MANY, RIGHT, ROOT, SHARING, Task, UNSUPPORTED, WRONG, WRONG_OF_MANY};

/// What the tests of a task say about code, with the published solution available.
async fn grade(task: &Task, code: &str, sandbox: &Sandbox) -> Result<TestResult> {
    let Task { prompt, entry_point, test, canonical } = *task;
    let tests = Tests { entry_point: entry_point.into(), test: test.into(), public: vec![test.into()] };
    tests.grade(prompt, code, Some(canonical).filter(|code| !code.is_empty()), sandbox).await
}

/// Like [`grade`], for assertions on `candidate`, a function `f`.
async fn judge(assertions: &str, code: &str, canonical: &str, sandbox: &Sandbox) -> Result<TestResult> {
    let test = format!("def check(candidate):\n    {}\n", assertions.replace('\n', "\n    "));
    let tests = Tests { entry_point: "f".to_owned(), test, public: Vec::new() };
    tests
        .grade(
            "def f(x):\n    \"\"\"Some function.\n    \"\"\"\n",
            code,
            Some(canonical).filter(|code| !code.is_empty()),
            sandbox,
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_solution_passes() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    for task in [&ROOT, &MANY] {
        assert_eq!(grade(task, task.canonical, &sandbox).await?, TestResult::Passed, "{}", task.prompt);
    }
    let of = |task, list: &'static [(&str, &str)]| list.iter().map(move |&(what, code)| (task, what, code));
    let sandbox = &sandbox;
    let loose =
        |(task, what, code): (&'static Task, _, &'static str)| async move { (what, grade(task, code, sandbox).await) };
    let mut outcomes = stream::iter(of(&ROOT, WRONG).chain(of(&MANY, WRONG_OF_MANY)).map(loose)).buffered(4);
    let mut faults = Vec::new();
    while let Some((what, outcome)) = outcomes.next().await {
        match outcome? {
            TestResult::Failed(fault) if !fault.trim().is_empty() => {}
            other => faults.push(format!("{what}: {other:?}")),
        }
    }
    for (what, test, code) in SHARING {
        let outcome = judge(test, code, "", sandbox).await?;
        assert!(
            matches!(&outcome, TestResult::Failed(fault) if fault.contains("AssertionError")),
            "{what}: {outcome:?}"
        );
    }
    assert_eq!(faults, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_right_solutions_pass_and_broken_ones_do_not() -> Result<()> {
    let Some(sandbox) = &open().await? else { return Ok(()) };
    let loose = |&(what, test, code): &(&'static str, &'static str, &'static str)| async move {
        let broken = judge(test, "def f(*_, **__): return 'broken'", code, sandbox).await;
        (what, judge(test, code, "", sandbox).await, broken)
    };
    let mut outcomes = stream::iter(RIGHT.iter().map(loose)).buffered(4);
    let mut faults = Vec::new();
    while let Some((what, right, broken)) = outcomes.next().await {
        let (right, broken) = (right?, broken?);
        if right != TestResult::Passed || !matches!(broken, TestResult::Failed(_)) {
            faults.push(format!("{what}: {right:?}, {broken:?}"));
        }
    }
    assert_eq!(faults, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_named() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    for &(what, test, code) in UNSUPPORTED {
        for reference in ["", code] {
            let outcome = judge(test, code, reference, &sandbox).await?;
            let is_named = matches!(&outcome, TestResult::Doubtful { doubt, .. } if doubt.contains(what));
            assert!(is_named, "{what}: {test}: {outcome:?}");
        }
        assert_ne!(judge(test, "def f(x): return 'broken'", code, &sandbox).await?, TestResult::Passed, "{what}");
    }
    let task = |test: &str| format!(r#"{{"task_id": "a", "prompt": "", "entry_point": "f", "test": "{test}"}}"#);
    let tasks = code_grading::tasks(&task("def check(c): assert c(1)(2) == 3"), "tasks")?;
    let line = r#"{"task_id": "a", "completion": "def f(x): return lambda y: x + y"}"#;
    let verdict = &code_grading::grade(line, "lines", &tasks, &sandbox).await?[0];
    assert!(!verdict.correct && verdict.unsupported.as_ref().is_some_and(|doubt| doubt.contains("`function`")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn public_tests_take_the_same_road() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let public = ["assert candidate(9) == 3", "assert candidate(8) == 2"].map(str::to_owned).to_vec();
    let tests = Tests { entry_point: "root".to_owned(), test: String::new(), public };
    let check = async |code: &str, expected: &str| -> Result<()> {
        let trial = tests.public_trial(ROOT.prompt, code).expect("public tests");
        let outcome = trial.run(&sandbox).await?.outcome;
        let said = match &outcome {
            TestResult::Passed => "",
            TestResult::Failed(fault) => fault,
            TestResult::Doubtful { doubt, .. } => doubt,
        };
        assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{code}: {outcome:?}");
        Ok(())
    };
    check(ROOT.canonical, "").await?;
    check("def root(n): return n // 3", "").await?;
    check("def root(n): return 3", "assert candidate(8) == 2").await?;
    check("def root(n):\n  return n // 0", "ZeroDivisionError: ").await?;
    check("def root(n):\n  return n // 0", "File \"solution.py\", line 2, in root").await?;
    check("import sys; sys.exit = print\ndef root(n): return -1", "AssertionError").await?;
    check("def root(n): return lambda: n", "result of type `function`").await?;
    // A prompt may end where the body begins.
    let outcome = tests.public_trial("def root(n):\n", "def root(n): return n // 3").expect("public tests");
    assert_eq!(outcome.run(&sandbox).await?.outcome, TestResult::Passed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_solutions_get_their_verdicts() -> Result<()> {
    let (Some(folder), Some(sandbox)) = (shared("faults"), open().await?) else { return Ok(()) };
    let lines = std::fs::read_to_string(folder.join("code.jsonl"))?;
    let tasks = code_grading::tasks(&std::fs::read_to_string(folder.join("code_tasks.jsonl"))?, "tasks")?;
    let verdicts = code_grading::grade(&lines, "code.jsonl", &tasks, &sandbox).await?;
    let known: Vec<BTreeMap<String, serde_json::Value>> =
        lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let faults: Vec<String> = known
        .iter()
        .zip(&verdicts)
        .filter(|(known, verdict)| known["correct"] != verdict.correct || verdict.unsupported.is_some())
        .map(|(known, verdict)| format!("{}: {verdict:?}", known["what"]))
        .collect();
    assert_eq!((faults, verdicts.len()), (Vec::new(), known.len()));
    Ok(())
}
