//! Program: writes a program and runs it; a program that does not run adds nothing.

use super::catalogue::Material;
use super::{Board, Effect, Solution, Work};
use crate::llm;
use crate::sandbox::Executed;

pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, llm::Error> {
    let solutions = board.texts();
    let mut feedback = String::new();
    for _ in 0..=work.operator.rounds {
        let material = Material { solution: board.current_text(), solutions: &solutions, feedback: &feedback };
        let program = work.ask(material).await?;
        match work.evaluate(|evaluator| evaluator.run(&program)) {
            Ok(executed) => return Ok(Effect::Append(vec![worded(executed)])),
            Err(error) => feedback = error.to_string(),
        }
    }
    Ok(Effect::Keep)
}

/// The run as a chain of equations, so that later operators read it like any other solution.
fn worded(Executed { value, mut steps }: Executed) -> Solution {
    steps.push(format!("the answer is {value}"));
    Solution { text: steps.join(" . "), answer: Some(value.to_string()), executed: true }
}
