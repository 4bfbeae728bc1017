//! Grades files of code: JSON lines of completions against the tests of their tasks.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::code::{TestResult, Tests, extract};
use crate::sandbox::Sandbox;

/// A task with its tests, as published in HumanEval.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    task_id: String,
    prompt: String,
    /// Tells a wrong solution from a task that cannot be judged.
    canonical_solution: Option<String>,
    #[serde(flatten)]
    tests: Tests,
}

/// One line to grade. It may contain its task.
#[derive(Deserialize)]
struct Prediction {
    task_id: String,
    #[serde(alias = "pred", alias = "text", alias = "solution")]
    completion: String,
    #[serde(flatten)]
    task: Option<OwnTask>,
}

#[derive(Deserialize)]
struct OwnTask {
    prompt: String,
    canonical_solution: Option<String>,
    #[serde(flatten)]
    tests: Tests,
}

/// The result for a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradedCode {
    /// Counted from 1.
    pub line: usize,
    pub task_id: String,
    pub correct: bool,
    /// Why it cannot be decided whether the solution is right: a fault of the task, not of the solution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
    /// The code that was run.
    pub extracted: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Reads a file of tasks, by id; entry points are not unique.
///
/// # Errors
/// Names the faulty line.
pub fn tasks(text: &str, origin: &str) -> Result<BTreeMap<String, Task>> {
    let tasks = numbered(text).map(|(number, line)| {
        let task: Task = serde_json::from_str(line)
            .with_context(|| format!("{origin}:{number}: expected task_id, prompt, entry_point and test"))?;
        Ok((task.task_id.clone(), task))
    });
    tasks.collect()
}

/// Grades lines with `task_id` and `completion` (or `pred`, `text`, `solution`), several at once; results are in order.
/// A completion is the rest of the function, a whole function, or a reply with a code block.
///
/// # Errors
/// Names the faulty line; or the sandbox broke.
pub async fn grade(
    text: &str,
    origin: &str,
    tasks: &BTreeMap<String, Task>,
    sandbox: &Sandbox,
) -> Result<Vec<GradedCode>> {
    let judge = |(line, text): (usize, String)| async move {
        let Prediction { task_id, completion, task } = serde_json::from_str(&text)
            .with_context(|| format!("{origin}:{line}: expected an object with task_id and completion"))?;
        let (prompt, reference, tests) = match (&task, tasks.get(&task_id)) {
            (Some(OwnTask { prompt, canonical_solution, tests }), _)
            | (None, Some(Task { prompt, canonical_solution, tests, .. })) => (prompt, canonical_solution, tests),
            (None, None) => {
                return Err(anyhow!("{origin}:{line}: no task `{task_id}`; hint: name HumanEval.jsonl with `--tests`"));
            }
        };
        let fenced = completion.contains("```").then(|| extract(&completion)).flatten();
        let extracted = fenced.unwrap_or(completion);
        let outcome = tests.grade(prompt, &extracted, reference.as_deref(), sandbox).await?;
        let correct = outcome == TestResult::Passed;
        let (fault, unsupported) = match outcome {
            TestResult::Passed => (None, None),
            TestResult::Failed(fault) => (Some(fault), None),
            TestResult::Doubtful { fault, doubt } => (Some(fault), Some(doubt)),
        };
        Ok(GradedCode { line, task_id, correct, unsupported, extracted, fault })
    };
    let lines: Vec<(usize, String)> = numbered(text).map(|(number, line)| (number, line.to_owned())).collect();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    stream::iter(lines).map(judge).buffered(at_once).try_collect().await
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}
