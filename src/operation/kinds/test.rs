//! Test: checks the current solution, and repairs it while a check fails.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use serde::Deserialize;

use crate::model;
use crate::operation::board::{Board, Effect, Solution};
use crate::operation::calls::ToolRun;
use crate::operation::identity::Reads;
use crate::operation::kind::{Content, Kind};
use crate::operation::operator::Operator;
use crate::operation::prompts::{Material, PromptReads};
use crate::operation::tools::{Checker, MOST_ROUNDS};
use crate::operation::work::Work;
use crate::plan::Signature;
use crate::task::{TestResult, TestRun};

/// Settings of a `test` operator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Test {
    checker: Checker,
    /// The maximum number of repairs.
    #[serde(default)]
    rounds: u32,
}

/// What a check says about a solution.
pub(in crate::operation) enum CheckResult {
    /// Found nothing against it.
    Silent,
    /// It did what it must, which is evidence for it.
    Passed,
    /// What is wrong with it.
    Failed(String),
}

#[async_trait]
impl Kind for Test {
    fn signature(&self, _: &Operator) -> Signature {
        let executes = self.checker == Checker::Tests;
        Signature { uses_tool: true, executes, most_calls: self.rounds, ..Signature::IMPROVES }
    }

    fn check(&self, _: &Operator, _: PromptReads) -> Result<()> {
        ensure!(self.rounds <= MOST_ROUNDS, "expected at most {MOST_ROUNDS} `rounds`, found {}", self.rounds);
        Ok(())
    }

    fn reads(&self, prompt: PromptReads) -> Reads {
        if prompt.solutions { Reads::Texts } else { Reads::Current }
    }

    fn content(&self) -> Content {
        Content { rounds: self.rounds, checker: Some(self.checker), ..Content::default() }
    }

    fn checker(&self) -> Option<Checker> {
        Some(self.checker)
    }

    fn needs_python(&self) -> bool {
        self.checker == Checker::Tests
    }

    async fn run(&self, work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
        let sheet = board.sheet();
        let mut repaired = None;
        let mut has_passed = false;
        for _ in 0..self.rounds {
            let solution = repaired.as_deref().unwrap_or(board.current_text());
            match check(work, self.checker, solution).await? {
                CheckResult::Silent => break,
                CheckResult::Passed => {
                    has_passed = true;
                    break;
                }
                CheckResult::Failed(feedback) => {
                    let material = Material { solution, feedback: &feedback, ..sheet.material() };
                    repaired = Some(work.ask(material).await?);
                }
            }
        }
        // A solution that passed is added once more: this earns it a second vote, and it wins a tie.
        let added = repaired.or_else(|| has_passed.then(|| board.current_text().to_owned()));
        let solution = |text| Solution { executed: has_passed, ..work.solution(text) };
        Ok(added.map_or(Effect::Keep, |text| Effect::Append(vec![solution(text)])))
    }
}

/// Checks a solution.
///
/// # Errors
/// Those of the sandbox.
pub(in crate::operation) async fn check(
    work: &mut Work<'_>,
    checker: Checker,
    solution: &str,
) -> Result<CheckResult, model::Error> {
    match checker {
        Checker::Equations => {
            let fault = work.evaluate(|evaluator| evaluator.wrong_equation(solution));
            Ok(fault.map_or(CheckResult::Silent, CheckResult::Failed))
        }
        Checker::Tests => run_tests(work, solution).await,
    }
}

async fn run_tests(work: &mut Work<'_>, solution: &str) -> Result<CheckResult, model::Error> {
    let Some(tests) = work.task().tests else { return Ok(CheckResult::Silent) };
    let Some(code) = work.task().answer.extract(solution) else {
        return Ok(CheckResult::Failed("expected Python code in a code block, found none".to_owned()));
    };
    let Some(trial) = tests.public_trial(work.task().question, &code) else { return Ok(CheckResult::Silent) };
    let name = &work.operator().name;
    let missing = || model::Error::Permanent(format!("expected a sandbox for operator `{name}`, found none"));
    let sandbox = work.task().sandbox.ok_or_else(missing)?;
    let charged = ToolRun::new(work.steps().clone(), work.tariff());
    let tried = trial.run(sandbox).await;
    charged.ended();
    let TestRun { outcome, seconds } = tried.map_err(|error| model::Error::Transient(format!("sandbox: {error:#}")))?;
    work.charge(seconds);
    Ok(match outcome {
        TestResult::Passed => CheckResult::Passed,
        TestResult::Failed(fault) => CheckResult::Failed(fault),
        // Nothing is known to be wrong with it.
        TestResult::Doubtful { .. } => CheckResult::Silent,
    })
}
