//! Test: checks the current solution and repairs it while a check fails.

use super::catalogue::{Checker, Material};
use super::{Board, Effect, Work};
use crate::llm;

pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, llm::Error> {
    let solutions = board.texts();
    let mut repaired = None;
    for _ in 0..work.operator.rounds {
        let solution = repaired.as_deref().unwrap_or(board.current_text());
        let Some(feedback) = fault(work, solution) else { break };
        repaired = Some(work.ask(Material { solution, solutions: &solutions, feedback: &feedback }).await?);
    }
    Ok(repaired.map_or(Effect::Keep, |text| Effect::Append(vec![work.solution(text)])))
}

/// What is wrong with `solution`, if anything.
fn fault(work: &mut Work<'_>, solution: &str) -> Option<String> {
    match work.operator.checker? {
        Checker::Equations => work.evaluate(|evaluator| evaluator.wrong_equation(solution)),
    }
}
