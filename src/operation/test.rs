//! Test: checks the current solution and repairs it while a check fails.

use super::calls::ToolRun;
use super::catalogue::Material;
use super::{Board, Checker, Effect, Solution, Work};
use crate::model;
use crate::task::{TestResult, TestRun};

/// What a check says of a solution.
pub(super) enum CheckResult {
    /// Nothing against it.
    Silent,
    /// It did what it must: evidence for it.
    Passed,
    /// What is wrong with it.
    Failed(String),
}

pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
    let solutions = board.texts();
    let mut repaired = None;
    let mut has_passed = false;
    for _ in 0..work.operator.rounds {
        let solution = repaired.as_deref().unwrap_or(board.current_text());
        match check(work, solution).await? {
            CheckResult::Silent => break,
            CheckResult::Passed => {
                has_passed = true;
                break;
            }
            CheckResult::Failed(feedback) => {
                repaired = Some(work.ask(Material { solution, solutions: &solutions, feedback: &feedback }).await?);
            }
        }
    }
    // A solution that passed is added once more: it has earned a second vote, and wins a tie.
    let added = repaired.or_else(|| has_passed.then(|| board.current_text().to_owned()));
    let solution = |text| Solution { executed: has_passed, ..work.solution(text) };
    Ok(added.map_or(Effect::Keep, |text| Effect::Append(vec![solution(text)])))
}

/// Checks a solution as the operator at work does.
///
/// # Errors
/// Those of the sandbox.
pub(super) async fn check(work: &mut Work<'_>, solution: &str) -> Result<CheckResult, model::Error> {
    match work.operator.checker {
        Some(Checker::Equations) => {
            let fault = work.evaluate(|evaluator| evaluator.wrong_equation(solution));
            Ok(fault.map_or(CheckResult::Silent, CheckResult::Failed))
        }
        Some(Checker::Tests) => run_tests(work, solution).await,
        None => Ok(CheckResult::Silent),
    }
}

async fn run_tests(work: &mut Work<'_>, solution: &str) -> Result<CheckResult, model::Error> {
    let Some(tests) = work.query.tests else { return Ok(CheckResult::Silent) };
    let Some(code) = work.query.answer.extract(solution) else {
        return Ok(CheckResult::Failed("expected Python code in a code block, found none".to_owned()));
    };
    let Some(trial) = tests.public_trial(work.query.question, &code) else { return Ok(CheckResult::Silent) };
    let name = &work.operator.name;
    let missing = || model::Error::Permanent(format!("expected a sandbox for operator `{name}`, found none"));
    let sandbox = work.query.sandbox.ok_or_else(missing)?;
    let charged = ToolRun::new(work.steps.clone(), work.tariff());
    let tried = trial.run(sandbox).await;
    charged.ended();
    let TestRun { outcome, seconds } = tried.map_err(|error| model::Error::Transient(format!("sandbox: {error:#}")))?;
    work.charge(seconds);
    Ok(match outcome {
        TestResult::Passed => CheckResult::Passed,
        TestResult::Failed(fault) => CheckResult::Failed(fault),
        // Nothing is known against it.
        TestResult::Doubtful { .. } => CheckResult::Silent,
    })
}
