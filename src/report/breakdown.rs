//! Which plan for which question: the plans followed most often, and the results for each kind of question.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::operator_name;
use crate::evaluate::{Evaluation, statistics};
use crate::execute::Episode;
use crate::objective::Objective;
use crate::plan::Plan;
use crate::task::Problem;

/// Number of plans with a line of their own.
const PLANS: usize = 10;
/// Number of sorts of question with a line of their own.
const SORTS: usize = 14;

/// The results of some of the queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub name: String,
    /// Queries, over all passes.
    pub queries: usize,
    /// Share of all queries.
    pub share: f64,
    pub score: f64,
    /// Mean critical path, in the objective's unit.
    pub path: f64,
    /// Mean dollars.
    pub cost: f64,
}

/// Questions of one sort.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sort {
    pub all: Share,
    /// The plan that most of them got.
    pub plan: Share,
}

/// The questions, sorted by one of their properties.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sorted {
    /// The property that they are sorted by.
    pub by: String,
    pub sorts: Vec<Sort>,
}

/// The whole breakdown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The most common first. The rest comes last, without the name of a plan.
    pub plans: Vec<Share>,
    pub sorted: Vec<Sorted>,
}

/// The operators of each layer by name: those of one layer joined with `+`, the layers with an arrow.
pub fn plan_name(plan: &Plan, names: &[String]) -> String {
    let layer = |layer: &crate::plan::Layer| {
        let operators: Vec<String> = layer.operators.iter().map(|&id| operator_name(names, id)).collect();
        operators.join(" + ")
    };
    let layers: Vec<String> = plan.layers.iter().map(layer).collect();
    if layers.is_empty() { "(nothing)".to_owned() } else { layers.join(" \u{2192} ") }
}

impl Breakdown {
    /// The breakdown of one method's passes over `problems`; `names` are the names of the operators.
    pub fn new(passes: &[Evaluation], problems: &[Problem], names: &[String], objective: &Objective) -> Self {
        let problems: BTreeMap<&str, &Problem> =
            problems.iter().map(|problem| (problem.id.as_str(), problem)).collect();
        let episodes: Vec<&Episode> = passes.iter().flat_map(|pass| &pass.episodes).collect();
        let total = episodes.len();
        let of_all = |name: String, episodes: &[&Episode]| share(name, episodes, total, objective);
        let by_plan = grouped(&episodes, |episode| plan_name(&episode.plan, names));
        let mut plans: Vec<Share> = by_plan.iter().take(PLANS).map(|(name, of)| of_all(name.clone(), of)).collect();
        let rest: Vec<&Episode> = by_plan.iter().skip(PLANS).flat_map(|(_, of)| of.iter().copied()).collect();
        if !rest.is_empty() {
            let others = by_plan.len() - PLANS;
            plans.push(of_all(format!("{others} other plan{}", if others == 1 { "" } else { "s" }), &rest));
        }
        let sort = |name: String, of: &[&Episode]| {
            let by_plan = grouped(of, |episode| plan_name(&episode.plan, names));
            let plan = by_plan.first().map(|(name, most)| share(name.clone(), most, of.len(), objective));
            Sort { all: of_all(name, of), plan: plan.unwrap_or_default() }
        };
        let of_problem = |property: &dyn Fn(&Problem) -> Option<String>| -> Vec<(String, Vec<&Episode>)> {
            let named = |episode: &&Episode| property(problems.get(episode.problem.as_str())?);
            let known: Vec<&Episode> = episodes.iter().copied().filter(|episode| named(episode).is_some()).collect();
            grouped(&known, |episode| named(&episode).unwrap_or_default())
        };
        let sorted = |by: &str, groups: Vec<(String, Vec<&Episode>)>| {
            let mut sorts: Vec<Sort> = groups.iter().take(SORTS).map(|(name, of)| sort(name.clone(), of)).collect();
            let rest: Vec<&Episode> = groups.iter().skip(SORTS).flat_map(|(_, of)| of.iter().copied()).collect();
            if !rest.is_empty() {
                sorts.push(sort(format!("{} others", groups.len() - SORTS), &rest));
            }
            Sorted { by: by.to_owned(), sorts }
        };
        let kinds = sorted("kind", of_problem(&|problem| problem.kind.clone()));
        let mut steps = of_problem(&|problem| Some(problem.steps?.to_string()));
        steps.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or_default());
        let steps = sorted("steps", steps);
        let lengths = sorted("words of the question", by_length(&episodes, &problems));
        let all = [kinds, steps, lengths].into_iter().filter(|sorted| sorted.sorts.len() > 1);
        Breakdown { plans, sorted: all.collect() }
    }
}

fn share(name: String, episodes: &[&Episode], total: usize, objective: &Objective) -> Share {
    let mean = |value: &dyn Fn(&Episode) -> f64| {
        statistics::mean(&episodes.iter().map(|episode| value(episode)).collect::<Vec<_>>())
    };
    Share {
        name,
        queries: episodes.len(),
        share: episodes.len() as f64 / total.max(1) as f64,
        score: mean(&|episode| episode.score),
        path: mean(&|episode| objective.path(&episode.trace)),
        cost: mean(&|episode| episode.trace.cost()),
    }
}

/// The episodes grouped by a name, the largest group first.
fn grouped<'e>(episodes: &[&'e Episode], name: impl Fn(&'e Episode) -> String) -> Vec<(String, Vec<&'e Episode>)> {
    let mut groups: BTreeMap<String, Vec<&Episode>> = BTreeMap::new();
    for &episode in episodes {
        groups.entry(name(episode)).or_default().push(episode);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    groups
}

/// Four ranges of length, or fewer if lengths do not differ enough.
fn by_length<'e>(episodes: &[&'e Episode], problems: &BTreeMap<&str, &Problem>) -> Vec<(String, Vec<&'e Episode>)> {
    let words = |episode: &Episode| problems.get(episode.problem.as_str()).map_or(0, |problem| problem.words());
    let all: Vec<f64> = episodes.iter().map(|episode| words(episode) as f64).collect();
    let mut cuts: Vec<usize> =
        [0.25, 0.5, 0.75].iter().map(|&at| statistics::quantile(&all, at).ceil() as usize).collect();
    cuts.dedup();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min).min(f64::MAX) as usize;
    let most = all.iter().copied().fold(0.0, f64::max) as usize;
    let bounds: Vec<(usize, usize)> = {
        let starts = std::iter::once(least).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([most + 1]);
        starts.zip(ends).filter(|(start, end)| start < end).collect()
    };
    let range = |&(start, end): &(usize, usize)| {
        let name = if start + 1 == end { start.to_string() } else { format!("{start} to {}", end - 1) };
        let of = episodes.iter().copied().filter(|episode| (start..end).contains(&words(episode)));
        (name, of.collect::<Vec<_>>())
    };
    bounds.iter().map(range).filter(|(_, of)| !of.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Trace;

    fn problem(id: usize, kind: Option<&str>, steps: Option<u32>, words: usize) -> Problem {
        let kind = kind.map(str::to_owned);
        let question = vec!["word"; words].join(" ");
        Problem { id: id.to_string(), question, answer: "1".into(), kind, steps, tests: None }
    }

    fn episode(id: usize, layers: &[&[u16]], score: f64) -> Episode {
        let (plan, trace) = (Plan::from_indices(layers), Trace::default());
        Episode { problem: id.to_string(), plan, trace, answer: None, confidence: None, score }
    }

    #[test]
    fn plans_and_sorts_are_counted_and_scored() {
        let names = ["A", "B"].map(str::to_owned);
        let problems: Vec<Problem> = (0..8)
            .map(|id| problem(id, Some(if id < 6 { "easy" } else { "hard" }), Some(id as u32 % 2 + 1), 3 + id))
            .collect();
        let episodes = (0..8).map(|id| match id {
            0..5 => episode(id, &[&[0]], 1.0),
            5 | 6 => episode(id, &[&[0, 1], &[0]], 0.5),
            _ => episode(id, &[], 0.0),
        });
        let pass = Evaluation { name: "ours".into(), episodes: episodes.collect(), failed: 0 };
        let Breakdown { plans, sorted } = Breakdown::new(&[pass], &problems, &names, &Objective::default());
        let found: Vec<(&str, usize, f64)> = plans.iter().map(|it| (it.name.as_str(), it.queries, it.score)).collect();
        assert_eq!(found, [("A", 5, 1.0), ("A + B \u{2192} A", 2, 0.5), ("(nothing)", 1, 0.0)]);
        assert_eq!(plans[0].share, 0.625);
        let shown = |sorted: &Sorted| -> Vec<(String, usize, String)> {
            sorted.sorts.iter().map(|it| (it.all.name.clone(), it.all.queries, it.plan.name.clone())).collect()
        };
        let row = |name: &str, queries, plan: &str| (name.to_owned(), queries, plan.to_owned());
        assert_eq!(
            sorted.iter().map(|it| it.by.as_str()).collect::<Vec<_>>(),
            ["kind", "steps", "words of the question"]
        );
        assert_eq!(shown(&sorted[0]), [row("easy", 6, "A"), row("hard", 2, "(nothing)")]);
        assert_eq!(shown(&sorted[1]), [row("1", 4, "A"), row("2", 4, "A")]);
        assert_eq!(sorted[2].sorts.iter().map(|it| it.all.queries).sum::<usize>(), 8);
        assert_eq!(sorted[2].sorts[0].all.name, "3 to 4");
    }

    #[test]
    fn many_plans_end_in_one_line_and_none_is_no_plan() {
        let names: Vec<String> = (0..16).map(|id| format!("O{id}")).collect();
        let episodes = (0..16).map(|id| episode(id as usize, &[&[id]], 1.0)).collect();
        let pass = Evaluation { name: "ours".into(), episodes, failed: 0 };
        let Breakdown { plans, sorted } = Breakdown::new(&[pass], &[], &names, &Objective::default());
        assert_eq!(plans.len(), 11);
        assert_eq!((plans[10].name.as_str(), plans[10].queries), ("6 other plans", 6));
        assert!(sorted.is_empty());
        assert_eq!(Breakdown::new(&[], &[], &names, &Objective::default()), Breakdown::default());
    }
}
