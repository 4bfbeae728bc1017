//! Grading for Python.

use std::path::PathBuf;

use anyhow::{Result, bail};
use pyo3::prelude::*;

use super::fault::raised;
use super::runtime::wait;
use crate::settings::open_sandbox;
use crate::task::{AnswerForm, code_grading, grading};

/// Grades JSON lines of predictions and references; `form` is `math` or `gsm8k`, or a form of answers as a benchmark names it.
/// Returns the verdicts in JSON.
#[pyfunction]
pub fn grade(py: Python<'_>, form: &str, lines: &str, origin: &str) -> PyResult<String> {
    let graded = || -> Result<String> {
        let form = form_named(form)?;
        Ok(serde_json::to_string(&grading::grade(form, lines, origin)?)?)
    };
    py.detach(graded).map_err(|error| raised(py, &error))
}

/// Grades JSON lines of completions by running the tests of their tasks in the sandbox. Returns the verdicts in JSON.
#[pyfunction]
pub fn grade_code(
    py: Python<'_>,
    lines: String,
    origin: String,
    tests: Option<String>,
    python: Option<PathBuf>,
    allow_unsandboxed: bool,
) -> PyResult<String> {
    wait(py, async move {
        let tasks = match &tests {
            Some(text) => code_grading::tasks(text, "tests")?,
            None => Default::default(),
        };
        let (sandbox, _) = open_sandbox(python.as_deref(), allow_unsandboxed).await?;
        Ok(serde_json::to_string(&code_grading::grade(&lines, &origin, &tasks, &sandbox).await?)?)
    })
}

fn form_named(name: &str) -> Result<AnswerForm> {
    let form = match name {
        "math" => "mathematics",
        "gsm8k" => "number",
        other => other,
    };
    let known = serde_json::from_value(form.into()).ok().filter(|form| *form != AnswerForm::Python);
    match known {
        Some(form) => Ok(form),
        None => bail!("expected `math`, `gsm8k`, `humaneval`, `integer`, `exact` or `choice`, found `{name}`"),
    }
}
