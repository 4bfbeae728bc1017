//! Problems and their files: one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::code::Tests;
use crate::folder::Folder;

/// One question with its reference answer. The field names of HumanEval are understood too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Unique within a data set; keys the random streams, so it never changes.
    #[serde(alias = "task_id")]
    pub id: String,
    #[serde(alias = "prompt")]
    pub question: String,
    #[serde(alias = "canonical_solution")]
    pub answer: String,
    /// The kind of problem, for tables by kind; the controller never sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Lines of reasoning that the worked solution takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// What code that answers the question must pass; other answers are compared.
    #[serde(flatten)]
    pub tests: Option<Tests>,
}

/// Reads a file of problems; fields that a [`Problem`] does not have are passed over.
pub(super) fn read(folder: &Folder, file: &str) -> Result<Vec<Problem>> {
    parse(&folder.read_text(file)?, &format!("{folder}/{file}"))
}

fn parse(text: &str, origin: &str) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut lines = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let problem = read_line(line).with_context(|| format!("{origin}:{number}"))?;
        if let Some(first) = lines.insert(problem.id.clone(), number) {
            bail!("{origin}:{number}: expected an id of its own, found `{}` of line {first} again", problem.id);
        }
        problems.push(problem);
    }
    ensure!(!problems.is_empty(), "{origin}: expected at least one problem, found none");
    Ok(problems)
}

fn read_line(line: &str) -> Result<Problem> {
    let problem: Problem = serde_json::from_str(line).map_err(|error| {
        let shown: String = line.chars().take(60).collect();
        anyhow::anyhow!("expected an object with id, question and answer, found `{shown}`: {error}")
    })?;
    for (field, value) in [("id", &problem.id), ("question", &problem.question), ("answer", &problem.answer)] {
        ensure!(!value.trim().is_empty(), "expected a non-empty `{field}`, found \"{value}\"");
    }
    Ok(problem)
}

/// One line of a file of public tests.
#[derive(Deserialize)]
struct PublicTests {
    problem_id: String,
    test: Vec<String>,
}

/// Gives the problems the tests that operators may run, by id; some problems have none.
pub(super) fn add_public_tests(
    folder: &Folder,
    file: &str,
    without: &BTreeSet<String>,
    problems: &mut [Problem],
) -> Result<()> {
    let mut tests = BTreeMap::new();
    let text = folder.read_text(file)?;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: PublicTests = serde_json::from_str(line)
            .with_context(|| format!("{folder}/{file}:{number}: expected an object with problem_id and test"))?;
        if !without.contains(&line.problem_id) {
            tests.insert(line.problem_id, line.test);
        }
    }
    for problem in problems {
        if let (Some(tested), Some(public)) = (&mut problem.tests, tests.remove(&problem.id)) {
            tested.public = public;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        match (parse(text, "data/x.jsonl"), expected) {
            (Ok(problems), Ok(count)) => assert_eq!(problems.len(), count, "{text}"),
            (Err(error), Err(start)) => assert!(format!("{error:#}").starts_with(start), "{error:#}"),
            (found, expected) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn broken_lines_are_named() {
        let line = |id: &str| format!(r#"{{"id": "{id}", "question": "1 + 1", "answer": "2", "program": null}}"#);
        let (a, b) = (line("a"), line("b"));
        check(&format!("{a}\n\n{b}\n"), Ok(2));
        check(&format!("{a}\r\n{b}"), Ok(2));
        check(&format!("{a}\n{{\"id\": 3}}\n"), Err("data/x.jsonl:2: expected an object with id, question and answer"));
        check(&format!("{a}\n{b}\n{a}"), Err("data/x.jsonl:3: expected an id of its own, found `a` of line 1 again"));
        check(&format!("{a}\n{}", line(" ")), Err("data/x.jsonl:2: expected a non-empty `id`, found \" \""));
        check(&format!("{b}\n{}", &a[..20]), Err("data/x.jsonl:2: "));
        check("\n", Err("data/x.jsonl: expected at least one problem"));
    }
}
