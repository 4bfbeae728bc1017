//! What knowing the recorded outcomes would give: the best plan for all problems, for each length of question, and for each
//! problem in hindsight.
//!
//! Plans are chosen on some draws and scored on others, so that luck does not count.

use super::statistics::{mean, quantile};

/// Name of the upper bound.
pub const HINDSIGHT: &str = "best in hindsight";

/// Prefix of the names of methods that choose among a few plans in hindsight.
const AMONG: &str = "best of ";

/// Whether a method uses outcomes that cannot be known in advance: a bound, not a usable method.
pub fn is_hindsight(name: &str) -> bool {
    name == HINDSIGHT || name.starts_with(AMONG)
}

/// Ranges of question length for which the router chooses separately.
const RANGES: usize = 4;

/// Utilities of some plans on the problems of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanUtilities {
    /// `[plans][draws][problems]`, every row of the same length.
    pub utilities: Vec<Vec<Vec<f64>>>,
}

impl PlanUtilities {
    /// The plan of highest mean utility; ties go to the earlier one.
    pub fn best(&self) -> usize {
        first_best(self.utilities.iter().map(|draws| mean(&draws.concat()))).unwrap_or_default()
    }

    /// The `size` plans that are worth most together if the right one is taken for each problem, chosen greedily: each is the one
    /// that adds most.
    pub fn best_together(&self, size: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        while chosen.len() < size.min(self.utilities.len()) {
            let left: Vec<usize> = (0..self.utilities.len()).filter(|plan| !chosen.contains(plan)).collect();
            let worth = left.iter().map(|&plan| self.worth(&[chosen.as_slice(), &[plan]].concat()));
            match first_best(worth) {
                Some(best) => chosen.push(left[best]),
                None => break,
            }
        }
        chosen
    }

    /// For each problem, the plan of `among` that did best in all draws of the other parity than `draw`.
    pub fn choose(&self, among: &[usize], draw: usize) -> Vec<usize> {
        let problems = self.utilities.first().and_then(|draws| draws.first()).map_or(0, Vec::len);
        let seen = |plan: usize, problem: usize| -> f64 {
            let others = self.utilities[plan].iter().enumerate().filter(|(other, _)| other % 2 != draw % 2);
            mean(&others.map(|(_, utilities)| utilities[problem]).collect::<Vec<_>>())
        };
        let best = |problem| first_best(among.iter().map(|&plan| seen(plan, problem))).map(|at| among[at]);
        (0..problems).map(|problem| best(problem).unwrap_or_default()).collect()
    }

    /// Mean utility when the right plan of `among` is taken for each problem.
    fn worth(&self, among: &[usize]) -> f64 {
        let draws = self.utilities.first().map_or(0, Vec::len);
        let scored = |draw: usize| {
            let choice = self.choose(among, draw);
            mean(&choice.iter().enumerate().map(|(at, &plan)| self.utilities[plan][draw][at]).collect::<Vec<_>>())
        };
        mean(&(0..draws).map(scored).collect::<Vec<_>>())
    }
}

/// Chooses a plan only by the number of words in the question. A controller must beat it to show that it understands more than
/// length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LengthRouter {
    /// Range `i` ends below `cuts[i]` words; the last range is open.
    cuts: Vec<usize>,
    /// Plan of each range, one more than there are cuts.
    choices: Vec<usize>,
}

impl LengthRouter {
    /// Gives each range of lengths the plan with the highest mean utility. `words` holds the length of each problem's question. It
    /// and `recorded` must come from a split other than the one reported.
    pub fn fit(words: &[usize], recorded: &PlanUtilities) -> Self {
        let sizes: Vec<f64> = words.iter().map(|&length| length as f64).collect();
        let mut cuts: Vec<usize> =
            (1..RANGES).map(|range| quantile(&sizes, range as f64 / RANGES as f64).ceil() as usize).collect();
        cuts.dedup();
        let best = |range: usize| {
            let inside = |utilities: &Vec<f64>| {
                let inside = utilities.iter().zip(words).filter(|(_, length)| range_of(&cuts, **length) == range);
                inside.map(|(utility, _)| *utility).collect::<Vec<_>>()
            };
            let worth = |draws: &Vec<Vec<f64>>| mean(&draws.iter().flat_map(inside).collect::<Vec<_>>());
            first_best(recorded.utilities.iter().map(worth)).unwrap_or_default()
        };
        let choices = (0..=cuts.len()).map(best).collect();
        LengthRouter { cuts, choices }
    }

    /// The plan for a question of `words` words.
    pub fn choose(&self, words: usize) -> usize {
        self.choices.get(range_of(&self.cuts, words)).copied().unwrap_or_default()
    }
}

fn range_of(cuts: &[usize], length: usize) -> usize {
    cuts.iter().take_while(|&&cut| length >= cut).count()
}

fn first_best(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three plans, two draws, four problems; plan 2 is never bad, never best.
    fn recorded() -> PlanUtilities {
        let draws = |utilities: [f64; 4]| vec![utilities.to_vec(); 2];
        PlanUtilities { utilities: vec![draws([1.0, 1.2, 0.0, 0.0]), draws([0.0, 0.0, 1.0, 1.0]), draws([0.8; 4])] }
    }

    #[test]
    fn one_plan_for_all_or_several_for_each() {
        let recorded = recorded();
        assert_eq!(recorded.best(), 2);
        assert_eq!(recorded.best_together(3), [2, 0, 1]);
        assert_eq!(recorded.best_together(9).len(), 3);
        assert_eq!(recorded.choose(&[0, 1, 2], 0), [0, 0, 1, 1]);
        assert_eq!(recorded.choose(&[2, 1], 1), [2, 2, 1, 1]);
    }

    #[test]
    fn luck_does_not_count() {
        // Right in one draw only, each plan in another one.
        let lucky = PlanUtilities { utilities: vec![vec![vec![1.0], vec![0.0]], vec![vec![0.0], vec![1.0]]] };
        assert_eq!((lucky.choose(&[0, 1], 0), lucky.choose(&[0, 1], 1)), (vec![1], vec![0]));
        assert_eq!(lucky.worth(&[0, 1]), 0.0);
    }

    #[test]
    fn the_router_splits_by_length() {
        let words = [3, 3, 20, 20];
        let router = LengthRouter::fit(&words, &recorded());
        assert_eq!(words.map(|length| router.choose(length)), [0, 0, 1, 1]);
        assert_eq!(LengthRouter::fit(&[], &PlanUtilities { utilities: Vec::new() }).choose(7), 0);
    }
}
