//! Methods put together from evaluations that were made already: a router that sees only the question's length, and
//! the best plan in hindsight.

use std::collections::BTreeMap;

use crate::benchmarks::Problem;
use crate::system::Episode;

use super::statistics::{mean, quantile};
use super::{Evaluation, Objective};

/// Name of the upper bound.
pub const HINDSIGHT: &str = "best in hindsight";

/// Ranges of question length for which the router chooses separately.
const RANGES: usize = 4;

/// Chooses among fixed plans by the number of words in the question alone: what a controller must beat to show that
/// it understands more than length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LengthRouter {
    /// Range `i` ends below `cuts[i]` words; the last range has no end.
    cuts: Vec<usize>,
    /// Candidate of each range, one more than there are cuts.
    choices: Vec<usize>,
}

impl LengthRouter {
    /// Gives each range of lengths the candidate of highest mean utility; ties go to the earlier candidate.
    ///
    /// `problems` and `candidates` must come from a split that is not the one reported.
    pub fn fit(problems: &[Problem], candidates: &[Evaluation], objective: &Objective) -> Self {
        let lengths: BTreeMap<&str, usize> =
            problems.iter().map(|problem| (problem.id.as_str(), words(problem))).collect();
        let sizes: Vec<f64> = lengths.values().map(|&length| length as f64).collect();
        let mut cuts: Vec<usize> =
            (1..RANGES).map(|range| quantile(&sizes, range as f64 / RANGES as f64).ceil() as usize).collect();
        cuts.dedup();
        let best = |range: usize| {
            let utility = |candidate: &Evaluation| {
                let inside = candidate.episodes.iter().filter(|episode| {
                    lengths.get(episode.problem.as_str()).is_some_and(|&length| range_of(&cuts, length) == range)
                });
                mean(&inside.map(|episode| objective.measure(episode).utility).collect::<Vec<_>>())
            };
            first_best(candidates.iter().map(utility)).unwrap_or_default()
        };
        let choices = (0..=cuts.len()).map(best).collect();
        LengthRouter { cuts, choices }
    }

    /// What the router would have scored on another split, from the same candidates' evaluations there.
    pub fn route(&self, problems: &[Problem], candidates: &[Evaluation]) -> Evaluation {
        let candidates: Vec<_> = candidates.iter().map(by_problem).collect();
        let solve = |problem: &Problem| {
            let choice = self.choices.get(range_of(&self.cuts, words(problem)))?;
            candidates.get(*choice)?.get(problem.id.as_str()).copied()
        };
        assemble("length-only router", problems, solve)
    }
}

/// For each problem the candidate's episode of highest utility: an upper bound that no method reaches, because it also
/// picks the lucky draws.
pub fn hindsight(problems: &[Problem], candidates: &[Evaluation], objective: &Objective) -> Evaluation {
    let candidates: Vec<_> = candidates.iter().map(by_problem).collect();
    let solve = |problem: &Problem| {
        let episodes: Vec<&Episode> =
            candidates.iter().filter_map(|episodes| episodes.get(problem.id.as_str()).copied()).collect();
        let best = first_best(episodes.iter().map(|episode| objective.measure(episode).utility));
        best.and_then(|best| episodes.get(best).copied())
    };
    assemble(HINDSIGHT, problems, solve)
}

fn words(problem: &Problem) -> usize {
    problem.question.split_whitespace().count()
}

fn range_of(cuts: &[usize], length: usize) -> usize {
    cuts.iter().take_while(|&&cut| length >= cut).count()
}

fn first_best(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

fn by_problem(evaluation: &Evaluation) -> BTreeMap<&str, &Episode> {
    evaluation.episodes.iter().map(|episode| (episode.problem.as_str(), episode)).collect()
}

fn assemble<'a>(name: &str, problems: &[Problem], solve: impl Fn(&Problem) -> Option<&'a Episode>) -> Evaluation {
    let episodes: Vec<Episode> = problems.iter().filter_map(solve).cloned().collect();
    Evaluation { name: name.into(), failed: problems.len() - episodes.len(), episodes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(lengths: &[usize]) -> Vec<Problem> {
        let problem = |(index, length): (usize, &usize)| Problem {
            id: format!("p{index}"),
            question: "word ".repeat(*length),
            answer: String::new(),
            kind: None,
            steps: None,
            tests: None,
        };
        lengths.iter().enumerate().map(problem).collect()
    }

    fn evaluation(scores: &[f64]) -> Evaluation {
        let episode = |(index, score): (usize, &f64)| Episode {
            problem: format!("p{index}"),
            plan: Default::default(),
            trace: Default::default(),
            answer: None,
            score: *score,
        };
        Evaluation { episodes: scores.iter().enumerate().map(episode).collect(), ..Default::default() }
    }

    fn scores(evaluation: &Evaluation) -> Vec<f64> {
        evaluation.episodes.iter().map(|episode| episode.score).collect()
    }

    #[test]
    fn the_router_splits_by_length() {
        let problems = problems(&[3, 3, 9, 9, 9, 20, 20, 20]);
        let short = evaluation(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let long = evaluation(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let candidates = [short, long];
        let router = LengthRouter::fit(&problems, &candidates, &Objective::default());
        let routed = router.route(&problems, &candidates);
        assert_eq!(scores(&routed), [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let best = hindsight(&problems, &candidates, &Objective::default());
        assert_eq!(scores(&best), [1.0; 8]);
    }

    #[test]
    fn nothing_to_choose_from_counts_as_failed() {
        let problems = problems(&[3, 4]);
        let router = LengthRouter::fit(&problems, &[], &Objective::default());
        assert_eq!(router.route(&problems, &[]).failed, 2);
        assert_eq!(hindsight(&problems, &[evaluation(&[1.0])], &Objective::default()).failed, 1);
    }
}
