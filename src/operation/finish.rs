//! The finish, which follows every plan: it checks the current solution, and improves it while the check fails.

use anyhow::{Context, Result, ensure};

use super::kinds::{CheckResult, check};
use super::prompts::Material;
use super::{Catalogue, Checker, Query, Solution, Work};
use crate::model;
use crate::plan::OperatorId;
use crate::task;

/// The finish of a benchmark. The controller does not choose it, and it also runs after a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The `test` operator of the catalogue whose checker and prompt the finish uses.
    pub operator: OperatorId,
    pub checker: Checker,
    /// The maximum number of improvements, one after another.
    pub improve: u32,
}

impl Finish {
    /// The finish that a benchmark describes, with its operator looked up in the catalogue.
    ///
    /// # Errors
    /// The catalogue has no `test` operator of that name, or the number of improvements is out of range.
    pub fn new(described: &task::FinishConfig, catalogue: &Catalogue) -> Result<Self> {
        let operator = catalogue.find(&described.operator).context("`finish` of the benchmark")?;
        let checker = catalogue.checker(operator).with_context(|| {
            format!("`finish` of the benchmark: expected a `test` operator, found `{}`", described.operator)
        })?;
        let improve = described.improve;
        ensure!((1..=16).contains(&improve), "`finish` of the benchmark: expected 1 to 16 `improve`, found {improve}");
        Ok(Finish { operator, checker, improve })
    }

    /// Whether there is anything to check solutions of `query` against.
    pub fn applies(&self, query: &Query<'_>) -> bool {
        match self.checker {
            Checker::Tests => query.task.tests.is_some_and(|tests| !tests.public.is_empty()),
            Checker::Equations => true,
        }
    }

    /// Checks `standing`. While the check fails, the model improves the solution, which is then checked again. Returns
    /// the improved solution if the check finds nothing wrong with it. What this took is counted in `work`, also on
    /// failure.
    ///
    /// # Errors
    /// Those of the model and of the sandbox.
    pub async fn run(&self, work: &mut Work<'_>, standing: &Solution) -> Result<Option<Solution>, model::Error> {
        let mut improved: Option<String> = None;
        for left in (0..=self.improve).rev() {
            let solution = improved.as_deref().unwrap_or(&standing.text);
            let verdict = check(work, self.checker, solution).await?;
            let executed = matches!(verdict, CheckResult::Passed);
            match verdict {
                CheckResult::Failed(_) if left == 0 => break,
                CheckResult::Failed(feedback) => {
                    let material =
                        Material { solution, solutions: &[solution], feedback: &feedback, ..Material::default() };
                    improved = Some(work.ask(material).await?);
                }
                CheckResult::Passed | CheckResult::Silent => {
                    return Ok(improved.map(|text| Solution { executed, ..work.solution(text) }));
                }
            }
        }
        Ok(None)
    }
}
