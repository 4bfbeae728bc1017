//! The solutions of a query, and what operators do to them.

use std::collections::{BTreeMap, BTreeSet};

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
    let ballots: Vec<Ballot> = solutions.iter().map(Ballot::from).collect();
    winner(&ballots).map(|best| &solutions[best])
}

/// What counts of a solution in a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot<'a> {
    pub answer: Option<&'a str>,
    pub executed: bool,
}

impl<'a> From<&'a Solution> for Ballot<'a> {
    fn from(solution: &'a Solution) -> Self {
        Ballot { answer: solution.answer.as_deref(), executed: solution.executed }
    }
}

/// The place of the ballot that [`vote`] would return.
pub fn winner(ballots: &[Ballot<'_>]) -> Option<usize> {
    let mut supporters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, ballot) in ballots.iter().enumerate() {
        if let Some(answer) = ballot.answer {
            supporters.entry(answer).or_default().push(position);
        }
    }
    let champion = |supporters: &Vec<usize>| {
        let (executed, best) = supporters.iter().map(|&position| (ballots[position].executed, position)).max()?;
        Some((supporters.len(), executed, supporters.last().copied(), best))
    };
    supporters.values().filter_map(champion).max().map(|(.., best)| best)
}

/// Whether a vote gives the same answer whatever the solutions say that are still to come.
///
/// `ballots` are in plan order; the `pending` ones among them stand in their places, `executed` where a program may give
/// them. No rival gets further than with all of the pending ballots, and none of those helps the leader less
/// than not being cast, so that one vote for each rival decides.
pub fn is_settled(ballots: &[Ballot<'_>], pending: &[bool]) -> bool {
    let cast = |rival: Option<&str>| {
        let mut cast = ballots.to_vec();
        let open = cast.iter_mut().zip(pending).filter(|(_, is_pending)| **is_pending);
        open.for_each(|(ballot, _)| ballot.answer = rival);
        winner(&cast).and_then(|best| cast[best].answer).map(str::to_owned)
    };
    if !pending.contains(&true) {
        return true;
    }
    let Some(leader) = cast(None) else { return false };
    let known = ballots.iter().zip(pending).filter(|(_, is_pending)| !**is_pending);
    let rivals: BTreeSet<&str> =
        known.filter_map(|(ballot, _)| ballot.answer).filter(|answer| *answer != leader).collect();
    // An answer that nobody has given yet gets no further than one that somebody has.
    let unheard = format!("{leader}?");
    let wins_over = |rival| cast(Some(rival)).as_ref() == Some(&leader);
    if rivals.is_empty() { wins_over(&unheard) } else { rivals.into_iter().all(wins_over) }
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

    /// `ballots`: `?` for a pending one, `?!` for one that a program may give.
    #[track_caller]
    fn check_settled(ballots: &[&'static str], settled: bool) {
        let ballot = |text: &&'static str| Ballot {
            answer: (!matches!(*text, "x" | "?" | "?!")).then(|| text.trim_end_matches('!')),
            executed: text.ends_with('!'),
        };
        let cast: Vec<Ballot> = ballots.iter().map(ballot).collect();
        let pending: Vec<bool> = ballots.iter().map(|text| text.starts_with('?')).collect();
        assert_eq!(is_settled(&cast, &pending), settled, "{ballots:?}");
    }

    #[test]
    fn a_vote_is_settled_when_nothing_can_change_it() {
        check_settled(&[], true);
        check_settled(&["7", "9"], true);
        check_settled(&["?"], false);
        check_settled(&["x", "?"], false);
        check_settled(&["7", "?"], false);
        check_settled(&["?", "7"], true);
        check_settled(&["?!", "7"], false);
        check_settled(&["7!", "?"], true);
        check_settled(&["7", "7", "?"], true);
        check_settled(&["7", "7", "9", "?"], false);
        check_settled(&["7", "7!", "9", "?"], true);
        check_settled(&["7", "7", "?", "?"], false);
        check_settled(&["7", "7", "7", "9", "?", "?"], false);
        check_settled(&["7", "7", "7", "x", "?", "?"], true);
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
