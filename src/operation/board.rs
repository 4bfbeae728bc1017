//! The solutions of a query, and how operators change them.

use std::collections::{BTreeMap, BTreeSet};

use super::prompts::Material;
use super::weight::{Mark, Weight};

/// One attempt at the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solution {
    pub text: String,
    /// The final answer found in the text, in its canonical spelling.
    pub answer: Option<String>,
    /// Whether the answer was computed by a program that ran.
    pub executed: bool,
    /// Set by the judges that have rated it since.
    pub weight: Weight,
}

/// What an operator can read from the operators before it, in plan order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    pub solutions: Vec<Solution>,
    /// Information that they left for others to read.
    pub context: Vec<String>,
}

impl Board {
    /// The solution that tests and refinements work on: the last one.
    pub fn current(&self) -> Option<&Solution> {
        self.solutions.last()
    }

    pub(super) fn current_text(&self) -> &str {
        self.current().map_or("", |solution| &solution.text)
    }

    /// The board in the form that prompts use.
    pub(super) fn sheet(&self) -> Sheet<'_> {
        Sheet {
            solution: self.current_text(),
            solutions: self.solutions.iter().map(|solution| solution.text.as_str()).collect(),
            context: self.context.join("\n\n"),
        }
    }
}

/// A board in the form that prompts use.
pub(super) struct Sheet<'a> {
    solution: &'a str,
    solutions: Vec<&'a str>,
    context: String,
}

impl Sheet<'_> {
    pub fn material(&self) -> Material<'_> {
        let Sheet { solution, solutions, context } = self;
        Material { solution, solutions, context, ..Material::default() }
    }
}

/// What an operator does to the solutions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Adds solutions.
    Append(Vec<Solution>),
    /// Replaces all solutions that the operator read by one.
    Replace(Solution),
    /// Marks the solutions that the operator read, in their order; `None` for those it says nothing about.
    Judge(Vec<Option<Mark>>),
    /// Leaves context for others to read.
    Inform(String),
    /// Leaves the solutions as they are.
    Keep,
    /// Leaves the solutions as they are, because nothing in this reply could be used.
    Unusable(String),
}

/// The solutions that remain after operators had these effects, each given with its layer, in plan order.
///
/// A replacement removes only what its operator read; solutions found in parallel remain, whatever the order within the
/// layer. In the same way, a judge marks those of the solutions it read that still stand.
pub fn standing<'a>(effects: impl Iterator<Item = (usize, &'a Effect)>) -> Vec<Solution> {
    struct Stood<'a> {
        layer: usize,
        number: usize,
        solution: &'a Solution,
        weight: Weight,
    }
    let mut standing: Vec<Stood<'a>> = Vec::new();
    let (mut numbers, mut read, mut read_by) = (0.., Vec::new(), usize::MAX);
    for (layer, effect) in effects {
        if read_by != layer {
            read_by = layer;
            read = standing.iter().map(|stood| stood.number).collect();
        }
        let stood = |(number, solution)| Stood { layer, number, solution, weight: Weight::default() };
        match effect {
            Effect::Append(solutions) => standing.extend(numbers.by_ref().zip(solutions).map(stood)),
            Effect::Replace(solution) => {
                standing.retain(|stood| stood.layer >= layer);
                standing.extend(numbers.by_ref().zip([solution]).map(stood));
            }
            Effect::Judge(marks) => {
                for (number, mark) in read.iter().zip(marks) {
                    let stood = standing.iter_mut().find(|stood| stood.number == *number);
                    if let (Some(stood), Some(mark)) = (stood, mark) {
                        stood.weight = stood.weight.with(*mark);
                    }
                }
            }
            Effect::Inform(_) | Effect::Keep | Effect::Unusable(_) => {}
        }
    }
    standing.into_iter().map(|Stood { solution, weight, .. }| Solution { weight, ..solution.clone() }).collect()
}

/// The most consistent solution: one with the answer of greatest weight. Each solution has one vote.
///
/// Among answers of equal weight, the one that more solutions gave wins. Among equally frequent ones, an answer that a
/// program computed wins, then the one given last, which may have seen the others. Of the solutions with the winning
/// answer, the last executed one is returned, or the last one if none was executed. Solutions without an answer have no
/// vote.
pub fn vote(solutions: &[Solution]) -> Option<&Solution> {
    let ballots: Vec<Ballot> = solutions.iter().map(Ballot::from).collect();
    winner(&ballots).map(|best| &solutions[best])
}

/// What a vote needs to know about a solution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ballot<'a> {
    pub answer: Option<&'a str>,
    pub executed: bool,
    pub weight: Weight,
}

impl<'a> From<&'a Solution> for Ballot<'a> {
    fn from(solution: &'a Solution) -> Self {
        Ballot { answer: solution.answer.as_deref(), executed: solution.executed, weight: solution.weight }
    }
}

/// The position of the ballot that [`vote`] would return.
pub fn winner(ballots: &[Ballot<'_>]) -> Option<usize> {
    let mut supporters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, ballot) in ballots.iter().enumerate() {
        if let Some(answer) = ballot.answer {
            supporters.entry(answer).or_default().push(position);
        }
    }
    let champion = |supporters: &Vec<usize>| {
        let (executed, best) = supporters.iter().map(|&position| (ballots[position].executed, position)).max()?;
        let weight: u64 = supporters.iter().map(|&position| u64::from(ballots[position].weight.thousandths())).sum();
        Some((weight, supporters.len(), executed, supporters.last().copied(), best))
    };
    supporters.values().filter_map(champion).max().map(|(.., best)| best)
}

/// Whether the vote gives the same answer whatever the outstanding solutions turn out to say.
///
/// `ballots` are in plan order. The `pending` ones stand in their places, and are `executed` if a program may give
/// them. An outstanding ballot has a full vote; while a judge may still speak, no vote is settled (`Standing`). A rival
/// does best if it gets all pending ballots, and none of these helps the leader less than a ballot that is not cast. So
/// one vote for each rival decides.
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
    // An answer that nobody has given yet does no better than one that somebody has given.
    let unheard = format!("{leader}?");
    let wins_over = |rival| cast(Some(rival)).as_ref() == Some(&leader);
    if rivals.is_empty() { wins_over(&unheard) } else { rivals.into_iter().all(wins_over) }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    /// `answers`: `x` for no answer; `!` follows an executed one.
    #[track_caller]
    fn check(answers: &[&str], winner: Option<usize>) {
        let solution = |(position, text): (usize, &&str)| Solution {
            text: position.to_string(),
            answer: (*text != "x").then(|| text.trim_end_matches('!').to_owned()),
            executed: text.ends_with('!'),
            ..Solution::default()
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
            ..Ballot::default()
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

    /// All ways in which the pending ballots may turn out: each gives one of `answers`, or none.
    fn outcomes<'a>(ballots: &[Ballot<'a>], pending: &[bool], answers: &[&'a str]) -> Vec<Vec<Ballot<'a>>> {
        let mut all = vec![Vec::new()];
        for (ballot, is_pending) in ballots.iter().zip(pending) {
            let ways: Vec<Ballot<'a>> = match is_pending {
                false => vec![*ballot],
                true => {
                    let answered = answers.iter().map(|answer| Some(*answer)).chain([None]);
                    // A program may also give an answer that it did not compute.
                    let answered = answered.map(|answer| Ballot { answer, ..*ballot });
                    answered.flat_map(|cast| [cast, Ballot { executed: false, ..cast }]).collect()
                }
            };
            all = all
                .iter()
                .flat_map(|cast: &Vec<Ballot<'a>>| ways.iter().map(move |way| [cast.as_slice(), &[*way]].concat()))
                .collect();
        }
        all
    }

    #[test]
    fn a_settled_vote_of_weights_is_one_that_nothing_to_come_can_change() {
        let mut rng = crate::random::stream(7, &[&"settled"]);
        let (mut settled, mut open) = (0, 0);
        for _ in 0..20_000 {
            let count = rng.random_range(1..=5);
            let pending: Vec<bool> = (0..count).map(|_| rng.random_bool(0.35)).collect();
            let ballots: Vec<Ballot> = pending
                .iter()
                .map(|&is_pending| {
                    let executed = rng.random_bool(0.3);
                    if is_pending {
                        return Ballot { executed, ..Ballot::default() };
                    }
                    let marks =
                        (0..rng.random_range(0..3)).filter_map(|_| Mark::new(rng.random_range(0..=4) as f64 / 4.0));
                    let weight = marks.fold(Weight::default(), Weight::with);
                    Ballot { answer: [Some("7"), Some("8"), Some("9"), None][rng.random_range(0..4)], executed, weight }
                })
                .collect();
            // Includes an answer that nobody has given yet.
            let ends: BTreeSet<Option<&str>> = outcomes(&ballots, &pending, &["7", "8", "9", "new"])
                .iter()
                .map(|cast| winner(cast).and_then(|best| cast[best].answer))
                .collect();
            let found = is_settled(&ballots, &pending);
            assert_eq!(found, ends.len() == 1, "{ballots:?} {pending:?} {ends:?}");
            *(if found { &mut settled } else { &mut open }) += 1;
        }
        assert!(settled > 2000 && open > 2000, "{settled} {open}");
    }

    #[test]
    fn heavier_answers_win() {
        let solution = |answer: &str, mark: Option<f64>| Solution {
            answer: Some(answer.to_owned()),
            weight: mark.and_then(Mark::new).map_or(Weight::default(), |mark| Weight::default().with(mark)),
            ..Solution::default()
        };
        let check = |solutions: &[Solution], expected: &str| {
            assert_eq!(vote(solutions).and_then(|best| best.answer.as_deref()), Some(expected), "{solutions:?}");
        };
        check(&[solution("7", Some(0.9)), solution("8", Some(0.4)), solution("8", Some(0.4))], "7");
        check(&[solution("7", Some(0.9)), solution("8", Some(0.5)), solution("8", Some(0.5))], "8");
        check(&[solution("7", Some(0.9)), solution("8", None)], "8");
        // If a judge gives all answers zero, the one with more solutions wins.
        check(&[solution("7", Some(0.0)), solution("7", Some(0.0)), solution("8", Some(0.0))], "7");
    }

    #[test]
    fn a_judge_weighs_what_it_read() {
        let text = |text: &str| Solution { text: text.to_owned(), ..Solution::default() };
        let append = |texts: &[&str]| Effect::Append(texts.iter().map(|it| text(it)).collect());
        let marks = |shares: &[f64]| Effect::Judge(shares.iter().map(|&share| Mark::new(share)).collect());
        let check = |effects: &[(usize, Effect)], expected: &[(&str, u32)]| {
            let stands = standing(effects.iter().map(|(layer, effect)| (*layer, effect)));
            let found: Vec<(&str, u32)> =
                stands.iter().map(|solution| (solution.text.as_str(), solution.weight.thousandths())).collect();
            assert_eq!(found, expected, "{effects:?}");
        };
        let (two, judge) = (append(&["a", "b"]), marks(&[0.2, 0.9]));
        check(&[(0, two.clone()), (1, judge.clone())], &[("a", 200), ("b", 900)]);
        // A solution found in parallel with the judge, or later, has its full weight.
        let beside = append(&["c"]);
        check(&[(0, two.clone()), (1, beside.clone()), (1, judge.clone())], &[("a", 200), ("b", 900), ("c", 1000)]);
        check(&[(0, two.clone()), (1, judge.clone()), (2, beside)], &[("a", 200), ("b", 900), ("c", 1000)]);
        // Two judges in one layer count the same, in either order.
        let other = marks(&[0.4, 0.1]);
        check(&[(0, two.clone()), (1, judge.clone()), (1, other.clone())], &[("a", 300), ("b", 500)]);
        check(&[(0, two.clone()), (1, other), (1, judge.clone())], &[("a", 300), ("b", 500)]);
        // A solution that is replaced in the judge's layer is no longer there to be weighed.
        let replace = Effect::Replace(text("b"));
        check(&[(0, two.clone()), (1, replace.clone()), (1, judge.clone())], &[("b", 1000)]);
        check(&[(0, two.clone()), (1, judge), (1, replace)], &[("b", 1000)]);
        check(&[(0, two), (1, marks(&[0.5])), (1, Effect::Inform("c".into()))], &[("a", 500), ("b", 1000)]);
    }
}
