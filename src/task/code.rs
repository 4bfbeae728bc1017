//! Code as an answer: found in a text, and judged by running tests. Tasks have the fields of HumanEval.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::sandbox::{Ended, Limits, Run, Sandbox, Script};

/// Some editors put it at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What code that answers a question must pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tests {
    /// The requested function.
    pub entry_point: String,
    /// Defines `check(candidate)`, which decides the score; operators never see it.
    pub test: String,
    /// Assertions on `candidate` that operators may run.
    #[serde(skip)]
    pub public: Vec<String>,
}

impl Tests {
    /// The tests on a line of a file of problems, in the fields of HumanEval; `None` if it has none of these fields.
    pub(super) fn of(line: &Map<String, Value>) -> Result<Option<Self>> {
        let has_tests = line.contains_key("entry_point") && line.contains_key("test");
        let tests =
            || serde_json::from_value(Value::Object(line.clone())).context("expected text in `entry_point` and `test`");
        has_tests.then(tests).transpose()
    }

    /// What the tests that decide the score say about `code` as an answer to `question`. If a failure may be due to the
    /// task, the published solution, `reference`, is tried as well. If it passes, the code is wrong.
    ///
    /// # Errors
    /// The sandbox broke. Code that breaks is wrong.
    pub async fn grade(
        &self,
        question: &str,
        code: &str,
        reference: Option<&str>,
        sandbox: &Sandbox,
    ) -> Result<TestResult> {
        let outcome = self.trial(question, code, &self.hidden()).run(sandbox).await?.outcome;
        let (TestResult::Doubtful { fault, .. }, Some(reference)) = (&outcome, reference) else { return Ok(outcome) };
        let published = self.trial(question, reference, &self.hidden()).run(sandbox).await?.outcome;
        Ok(if published == TestResult::Passed { TestResult::Failed(fault.clone()) } else { outcome })
    }

    fn hidden(&self) -> String {
        format!("{}\n\ncheck({})\n", self.test, self.entry_point)
    }

    /// A trial of `code` with the public tests; `None` if there are none.
    pub fn public_trial(&self, question: &str, code: &str) -> Option<Trial> {
        let tests = format!("candidate = {}\n{}\n", self.entry_point, self.public.join("\n"));
        (!self.public.is_empty()).then(|| self.trial(question, code, &tests))
    }

    /// The question comes first: it is itself code, with imports and helpers that the answer may use. Code that does
    /// not define the function is taken as its body.
    fn trial(&self, question: &str, code: &str, tests: &str) -> Trial {
        let (code, entry_point) = (code.trim_start_matches(BYTE_ORDER_MARK), &self.entry_point);
        let (prompt, solution) =
            if defines(code, entry_point) { (question, code) } else { ("", &*format!("{question}{code}\n")) };
        Trial {
            judge: json!({ "prompt": question, "tests": tests, "entry_point": entry_point }).to_string(),
            candidate: json!({ "prompt": prompt, "solution": solution, "entry_point": entry_point }).to_string(),
        }
    }
}

/// What tests say about code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    Passed,
    /// What went wrong, worded for the author of the code.
    Failed(String),
    /// It failed, but the tests may need something that they cannot reach; `doubt` says what.
    Doubtful {
        fault: String,
        doubt: String,
    },
}

/// One run of tests in two programs: one has the tests and makes the calls, the other has the code and answers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    judge: String,
    candidate: String,
}

/// The result of a [`Trial`].
#[derive(Clone, Debug, PartialEq)]
pub struct TestRun {
    pub outcome: TestResult,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What the judge writes when the tests have ended.
#[derive(Deserialize)]
struct Verdict {
    is_right: bool,
    /// Whether the other program ended before the tests did.
    #[serde(default)]
    has_left: bool,
    #[serde(default)]
    fault: String,
    doubt: Option<String>,
}

impl Trial {
    /// The program of one side, appended to what both sides need.
    fn program(side: &str) -> String {
        [include_str!("harness/wire.py"), include_str!("harness/values.py"), side].join("\n\n")
    }

    /// Runs the tests.
    ///
    /// # Errors
    /// The sandbox broke. What the code does is not an error.
    pub async fn run(&self, sandbox: &Sandbox) -> Result<TestRun> {
        let programs = [include_str!("harness/judge.py"), include_str!("harness/candidate.py")].map(Self::program);
        let judge = Script { program: &programs[0], job: Some(&self.judge) };
        let candidate = Script { program: &programs[1], job: Some(&self.candidate) };
        let [judge, candidate] = sandbox.run_pair(judge, candidate, &Limits::default()).await?;
        Ok(TestRun { outcome: outcome(&judge, &candidate), seconds: judge.seconds.max(candidate.seconds) })
    }
}

/// The judge's verdict, unless the code broke a limit. Nothing that the code says counts.
fn outcome(judge: &Run, candidate: &Run) -> TestResult {
    let is_over = matches!(candidate.ended, Ended::Output | Ended::Disk | Ended::TimedOut);
    let verdict = serde_json::from_str(&judge.stdout).ok().filter(|_| !is_over && judge.ended == Ended::Exited(0));
    let ended = || candidate.fault().or_else(|| judge.fault());
    match verdict {
        Some(Verdict { is_right: true, .. }) => TestResult::Passed,
        Some(Verdict { fault, doubt: Some(doubt), .. }) => TestResult::Doubtful { fault, doubt },
        Some(Verdict { fault, has_left, .. }) => TestResult::Failed(ended().filter(|_| has_left).unwrap_or(fault)),
        None => TestResult::Failed(ended().unwrap_or_else(|| "the program ended its tests".to_owned())),
    }
}

/// Whether some line defines a function with that name.
fn defines(code: &str, name: &str) -> bool {
    code.lines().any(|line| {
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ").map(str::trim_start);
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// The Python code in a reply, without trailing spaces. It consists of the fenced blocks that define or import
/// something. If there are none, it is the last block, or else everything from the first line that looks like code.
pub(super) fn extract(text: &str) -> Option<String> {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let blocks = blocks(text);
    if blocks.is_empty() {
        return bare(text);
    }
    let defining: Vec<&str> = blocks.iter().copied().filter(|block| block.lines().any(is_definition)).collect();
    let chosen =
        if defining.is_empty() { blocks.last().copied().unwrap_or_default().to_owned() } else { defining.join("\n\n") };
    tidy(&chosen)
}

/// The contents of fenced blocks that are marked as Python or not marked at all. An unfinished block ends with the
/// text.
fn blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("```") {
        let (language, body) = after.split_once('\n').unwrap_or((after, ""));
        let (block, next) = body.split_once("```").unwrap_or((body, ""));
        if matches!(language.trim().to_ascii_lowercase().as_str(), "" | "python" | "python3" | "py") {
            blocks.push(block.trim_start_matches(BYTE_ORDER_MARK));
        }
        rest = next;
    }
    blocks
}

/// Code without a fence: everything from the first definition on, or a whole text that returns something.
fn bare(text: &str) -> Option<String> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if is_definition(line) {
            return tidy(&text[start..]);
        }
        start += line.len();
    }
    let is_body = |line: &str| {
        line.starts_with([' ', '\t']) && ["return", "yield"].iter().any(|word| line.trim_start().starts_with(word))
    };
    text.lines().any(is_body).then(|| tidy(text)).flatten()
}

fn is_definition(line: &str) -> bool {
    ["def ", "async def ", "class ", "import ", "from ", "@"].iter().any(|start| line.starts_with(start))
        && !line.trim_end().ends_with(['.', ','])
}

/// The code without empty lines around it and without trailing spaces; indentation is kept.
fn tidy(code: &str) -> Option<String> {
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    let code = lines.join("\n");
    let code = code.trim_matches('\n');
    (!code.is_empty()).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, code: Option<&str>) {
        assert_eq!(extract(text).as_deref(), code, "{text}");
    }

    #[test]
    fn code_is_found_in_a_reply() {
        check("Sure:\n```python\ndef f(x):  \n    return x\n```\nDone.", Some("def f(x):\n    return x"));
        check("```\ndef f(): pass\n```\nUse it:\n```python\nprint(f())\n```", Some("def f(): pass"));
        check("```py\nimport re\n```\nand\n```python\ndef f(): pass\n```", Some("import re\n\n\ndef f(): pass"));
        check("```python\nx = 1\nprint(x)\n```", Some("x = 1\nprint(x)"));
        check("```bash\npip install x\n```\n```python\ndef f(): pass", Some("def f(): pass"));
        check("Here it is:\ndef f():\n    return 1\n", Some("def f():\n    return 1"));
        check("    total = 1\n    return total\n", Some("    total = 1\n    return total"));
        check("I cannot return anything.", None);
        check("from what I see, there is none.", None);
        check("```python\n```", None);
        check("\u{feff}def f(): pass", Some("def f(): pass"));
        check("```python\n\u{feff}import re\n```", Some("import re"));
        check("```", None);
        check("", None);
    }

    #[test]
    fn a_body_is_told_from_a_function() {
        assert!(defines("import re\n\ndef f(x):\n    return x", "f") && defines("def f (x): pass", "f"));
        assert!(
            !defines("def ff(x): pass", "f") && !defines("    def f(x): pass", "f") && !defines("return f(x)", "f")
        );
    }

    proptest! {
        #[test]
        fn extraction_never_panics(text in "\\PC{0,60}", near in "(```|python|\n|def | |return|é){0,20}") {
            extract(&text);
            extract(&near);
        }
    }
}
