//! Ensemble: puts the most consistent solution in the place of all.

use super::catalogue::Material;
use super::{Board, Effect, Solution, Work, vote};
use crate::model;

/// Without a prompt a plain vote, which needs no model; with one the model names its choice by number or letter.
pub(super) async fn run(work: &mut Work<'_>, board: &Board) -> Result<Effect, model::Error> {
    let mut choice = None;
    if work.operator.prompt.is_some() && board.solutions.len() > 1 {
        let solutions = board.texts();
        let material = Material { solution: board.current_text(), solutions: &solutions, feedback: "" };
        choice = chosen(&work.ask(material).await?, &board.solutions);
    }
    Ok(choice.or_else(|| vote(&board.solutions)).map_or(Effect::Keep, |solution| Effect::Replace(solution.clone())))
}

/// The solution that the last number from 1, or the last capital letter from `A`, of `reply` names.
fn chosen<'a>(reply: &str, solutions: &'a [Solution]) -> Option<&'a Solution> {
    let position = |word: &str| match word.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => word.parse::<usize>().ok()?.checked_sub(1),
    };
    reply.split(|c: char| !c.is_alphanumeric()).rev().filter_map(position).find_map(|position| solutions.get(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, choice: Option<usize>) {
        let solution = |text: usize| Solution { text: text.to_string(), answer: None, executed: false };
        let solutions: Vec<_> = (0..3).map(solution).collect();
        assert_eq!(chosen(reply, &solutions), choice.map(|position| &solutions[position]), "{reply}");
    }

    #[test]
    fn the_choice_is_read_from_the_reply() {
        check("B", Some(1));
        check("the most consistent solution is C.", Some(2));
        check("Solution 1", Some(0));
        check("(A) agrees with 7 others", Some(0));
        check("Z", None);
        check("0", None);
        check("99999999999999999999", None);
        check("none of them", None);
    }
}
