//! The solutions of a query, and what operators do to them.

use std::collections::BTreeMap;

/// One attempt at the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    pub text: String,
    /// The final answer found in the text, in its one spelling.
    pub answer: Option<String>,
    /// Whether the answer was computed by a program that ran.
    pub executed: bool,
}

/// What an operator reads: the solutions that the operators before it left, in plan order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    pub solutions: Vec<Solution>,
}

impl Board {
    /// The solution that tests and refinements act on: the last one.
    pub fn current(&self) -> Option<&Solution> {
        self.solutions.last()
    }

    pub(super) fn current_text(&self) -> &str {
        self.current().map_or("", |solution| &solution.text)
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.solutions.iter().map(|solution| solution.text.as_str()).collect()
    }
}

/// What an operator does to the solutions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Adds solutions.
    Append(Vec<Solution>),
    /// Puts one solution in the place of all that the operator read.
    Replace(Solution),
    /// Leaves them as they are.
    Keep,
}

/// The most consistent solution: one with the most frequent answer.
///
/// Among equally frequent answers one that a program computed wins, then the one given last, which may have seen the
/// others; of the solutions with the winning answer the last executed one is returned, else the last. Solutions without
/// an answer have no vote.
pub fn vote(solutions: &[Solution]) -> Option<&Solution> {
    let mut ballots: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, solution) in solutions.iter().enumerate() {
        if let Some(answer) = &solution.answer {
            ballots.entry(answer).or_default().push(position);
        }
    }
    let champion = |supporters: &Vec<usize>| {
        let (executed, best) = supporters.iter().map(|&position| (solutions[position].executed, position)).max()?;
        Some((supporters.len(), executed, supporters.last().copied(), best))
    };
    ballots.values().filter_map(champion).max().map(|(.., best)| &solutions[best])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `answers`: `x` for no answer, `!` after an executed one.
    #[track_caller]
    fn check(answers: &[&str], winner: Option<usize>) {
        let solution = |(position, text): (usize, &&str)| Solution {
            text: position.to_string(),
            answer: (*text != "x").then(|| text.trim_end_matches('!').to_owned()),
            executed: text.ends_with('!'),
        };
        let solutions: Vec<_> = answers.iter().enumerate().map(solution).collect();
        assert_eq!(
            vote(&solutions).map(|solution| solution.text.clone()),
            winner.map(|at| at.to_string()),
            "{answers:?}"
        );
    }

    #[test]
    fn the_most_frequent_answer_wins() {
        check(&[], None);
        check(&["x", "x"], None);
        check(&["x", "7"], Some(1));
        check(&["9", "7", "7"], Some(2));
        check(&["9", "7", "7", "9!"], Some(3));
        check(&["9", "7"], Some(1));
        check(&["9", "7!"], Some(1));
        check(&["9!", "7!"], Some(1));
        check(&["3", "7", "7!", "9", "9!"], Some(4));
        check(&["7", "9!", "9", "7!", "1!"], Some(3));
    }
}
