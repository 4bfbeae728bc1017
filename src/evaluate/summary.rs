//! The figures of one method over all problems and seeds, and its paired difference from another method.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::statistics::{Difference, Estimate, interval, mean, paired, quantile, standard_deviation};
use super::{Evaluation, Measures, has_score};
use crate::objective::Objective;
use crate::plan::{Billing, Dropped};

// The resampling is part of the estimate, not of the experiment: one seed for all.
const SEED: u64 = 0;

/// Mean and quantiles over all episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
}

/// One method over all problems and seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub name: String,
    /// Problems solved under at least one seed.
    pub problems: usize,
    /// Passes over the split, one per seed.
    pub seeds: usize,
    /// Queries that failed, over all seeds; they count as wrong.
    pub failed: usize,
    /// None if too many queries failed, see [`has_score`].
    pub score: Option<Estimate>,
    pub utility: Option<Estimate>,
    /// Standard deviation between the means of the seeds; none for a single seed.
    pub score_between_seeds: Option<f64>,
    pub utility_between_seeds: Option<f64>,
    /// Critical path, in the objective's unit.
    pub path: Spread,
    /// Mean wall-clock seconds per query.
    pub seconds: f64,
    /// Dollars for one pass over the split.
    pub cost: f64,
    /// The same with dropped calls billed by the share that had run, and in full.
    #[serde(default)]
    pub dropped: Dropped,
    /// Per query, over all operators.
    pub completion_tokens: f64,
    /// Operators per query.
    pub operators: f64,
    /// Layers per query.
    pub layers: f64,
}

impl Summary {
    /// Mean dollars per problem.
    pub fn cost_per_problem(&self) -> f64 {
        self.cost / self.problems.max(1) as f64
    }

    /// Sums up the passes of one method, one evaluation per seed.
    pub fn new(runs: &[Evaluation], objective: &Objective) -> Self {
        let measured: Vec<Vec<Measures>> = runs.iter().map(|run| measure_all(run, objective)).collect();
        let pooled = |value: fn(&Measures) -> f64| measured.iter().flatten().map(value).collect::<Vec<f64>>();
        let between = |value: fn(&Measures) -> f64| {
            let means = measured.iter().map(|run| mean(&run.iter().map(value).collect::<Vec<_>>()));
            standard_deviation(&means.collect::<Vec<_>>())
        };
        let failed = runs.iter().map(|run| run.failed).sum();
        let is_scored = has_score(failed, runs.iter().map(|run| run.episodes.len()).sum());
        let estimate = |value| interval(&by_problem(runs, objective, value).into_values().collect::<Vec<_>>(), SEED);
        let paths = pooled(|episode| episode.path);
        let billed = |billing| {
            let episodes = runs.iter().flat_map(|run| &run.episodes);
            episodes.map(|episode| episode.trace.billed(billing)).sum::<f64>() / runs.len().max(1) as f64
        };
        Summary {
            name: runs.first().map(|run| run.name.clone()).unwrap_or_default(),
            problems: by_problem(runs, objective, |episode| episode.score).len(),
            seeds: runs.len(),
            failed,
            score: is_scored.then(|| estimate(|episode| episode.score)),
            utility: is_scored.then(|| estimate(|episode| episode.utility)),
            score_between_seeds: between(|episode| episode.score).filter(|_| is_scored),
            utility_between_seeds: between(|episode| episode.utility).filter(|_| is_scored),
            path: Spread { mean: mean(&paths), p50: quantile(&paths, 0.5), p95: quantile(&paths, 0.95) },
            seconds: mean(&pooled(|episode| episode.seconds)),
            cost: pooled(|episode| episode.cost).iter().sum::<f64>() / runs.len().max(1) as f64,
            dropped: Dropped { share: billed(Billing::Share), full: billed(Billing::Full) },
            completion_tokens: mean(&pooled(|episode| episode.completion_tokens)),
            operators: mean(&pooled(|episode| episode.operators)),
            layers: mean(&pooled(|episode| episode.layers)),
        }
    }
}

/// A row of the table: a method compared with the trained controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub summary: Summary,
    /// By how much the trained controller beats this method; none for the controller itself.
    pub gain: Option<Comparison>,
}

/// A row for each method, one evaluation per seed each, and the trained controller's row last.
pub fn compare(methods: &[Vec<Evaluation>], trained: &[Evaluation], objective: &Objective) -> Vec<Row> {
    let row = |runs: &Vec<Evaluation>| Row {
        summary: Summary::new(runs, objective),
        gain: Some(Comparison::new(trained, runs, objective)),
    };
    let last = Row { summary: Summary::new(trained, objective), gain: None };
    methods.iter().map(row).chain([last]).collect()
}

/// By how much one method beats another, over the problems that both were asked; over none if one of them has no score. Every figure
/// is ours minus theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The other method.
    pub name: String,
    /// Problems in both.
    pub problems: usize,
    pub score: Difference,
    pub utility: Difference,
    /// Critical path, in the objective's unit; below zero is faster.
    pub path: Difference,
}

impl Comparison {
    /// Compares problem by problem, each averaged over the seeds of its method.
    pub fn new(ours: &[Evaluation], theirs: &[Evaluation], objective: &Objective) -> Self {
        let has_score = [ours, theirs].into_iter().all(|runs| runs.iter().all(Evaluation::has_score));
        let name = theirs.first().map(|run| run.name.clone()).unwrap_or_default();
        let (ours, theirs) = if has_score { (ours, theirs) } else { (&[][..], &[][..]) };
        let differences = |value| {
            let theirs = by_problem(theirs, objective, value);
            let ours = by_problem(ours, objective, value);
            let shared = ours.iter().filter_map(|(problem, value)| theirs.get(problem).map(|other| value - other));
            shared.collect::<Vec<f64>>()
        };
        let utility = differences(|episode| episode.utility);
        Comparison {
            name,
            problems: utility.len(),
            score: paired(&differences(|episode| episode.score), SEED),
            utility: paired(&utility, SEED),
            path: paired(&differences(|episode| episode.path), SEED),
        }
    }
}

fn measure_all(run: &Evaluation, objective: &Objective) -> Vec<Measures> {
    run.episodes.iter().map(|episode| objective.measure(episode)).collect()
}

/// The mean of a figure for each problem, over the runs that solved it.
fn by_problem<'a>(
    runs: &'a [Evaluation],
    objective: &Objective,
    value: fn(&Measures) -> f64,
) -> BTreeMap<&'a str, f64> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for episode in runs.iter().flat_map(|run| &run.episodes) {
        values.entry(&episode.problem).or_default().push(value(&objective.measure(episode)));
    }
    values.into_iter().map(|(problem, values)| (problem, mean(&values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Episode;
    use crate::plan::{Latency, OperatorId, Plan, Schedule, Span, Status, Trace, Unit, Usage};

    const OBJECTIVE: Objective = Objective { latency_weight: 0.01, cost_weight: 2.0, unit: Unit::Tokens };

    /// Two operators side by side of 10 and `tokens` tokens.
    fn episode(problem: &str, score: f64, tokens: u64) -> Episode {
        let span = |operator, tokens: u64| Span {
            layer: 0,
            operator: OperatorId(operator),
            calls: 1,
            usage: Usage { prompt_tokens: 5, completion_tokens: tokens, ..Usage::default() },
            cost: 0.01,
            tool_seconds: 0.0,
            latency: Latency { tokens: tokens as f64, seconds: 0.5 },
            started: 0.25,
            outcome: Status::Done,
            ..Span::default()
        };
        let plan = Plan::from_indices(&[&[0, 1]]);
        let dependencies = Schedule::Layered.dependencies(&plan, &[]);
        let trace = Trace { spans: vec![span(0, 10), span(1, tokens)], dependencies, finish: None };
        Episode { problem: problem.into(), plan, trace, answer: None, confidence: None, score }
    }

    fn run(name: &str, episodes: Vec<Episode>) -> Evaluation {
        Evaluation { name: name.into(), episodes, failed: 0 }
    }

    #[test]
    fn figures_match_hand_computed_values() {
        let runs = [
            run("ours", vec![episode("a", 1.0, 20), episode("b", 0.0, 40)]),
            run("ours", vec![episode("a", 1.0, 20), episode("b", 1.0, 6)]),
        ];
        let summary = Summary::new(&runs, &OBJECTIVE);
        assert_eq!((summary.problems, summary.seeds, summary.failed), (2, 2, 0));
        let [score, utility] = [summary.score, summary.utility].map(Option::unwrap_or_default);
        assert_eq!(score.mean, 0.75);
        assert!((utility.mean - (0.75 - 0.01 * 22.5 - 2.0 * 0.02)).abs() < 1e-12);
        assert_eq!(summary.path.mean, 22.5);
        assert_eq!(summary.path.p50, 20.0);
        assert!((summary.path.p95 - 37.0).abs() < 1e-12);
        assert_eq!((summary.seconds, summary.cost), (0.75, 0.04));
        assert_eq!((summary.completion_tokens, summary.operators, summary.layers), (31.5, 2.0, 1.0));
        assert_eq!(summary.score_between_seeds, Some(0.125_f64.sqrt()));
        assert_eq!(Summary::new(&[], &OBJECTIVE), Summary::default());
    }

    #[test]
    fn comparisons_pair_by_problem() {
        let ours = [run("ours", vec![episode("b", 1.0, 20), episode("a", 1.0, 30), episode("c", 1.0, 1)])];
        let theirs = [run("theirs", vec![episode("a", 0.0, 50), episode("b", 1.0, 40)])];
        let comparison = Comparison::new(&ours, &theirs, &OBJECTIVE);
        assert_eq!((comparison.name.as_str(), comparison.problems), ("theirs", 2));
        assert_eq!(comparison.score.estimate.mean, 0.5);
        assert_eq!(comparison.path.estimate.mean, -20.0);
        assert!((comparison.utility.estimate.mean - 0.7).abs() < 1e-12);
    }

    #[test]
    fn there_is_no_score_where_more_than_one_in_twenty_failed() {
        for (failed, queries, expected) in [(0, 0, false), (0, 3, true), (1, 20, true), (1, 19, false), (20, 20, false)]
        {
            let episodes = (0..queries).map(|index| episode(&index.to_string(), 1.0, 20)).collect();
            let passes = [Evaluation { failed, ..run("theirs", episodes) }];
            let summary = Summary::new(&passes, &OBJECTIVE);
            assert_eq!(
                (summary.score.is_some(), summary.utility.is_some(), summary.failed),
                (expected, expected, failed)
            );
            assert_eq!(summary.problems, queries);
            let ours = [run("ours", vec![episode("0", 1.0, 20)])];
            let compared = Comparison::new(&ours, &passes, &OBJECTIVE);
            assert_eq!((compared.name.as_str(), compared.problems > 0), ("theirs", expected));
        }
    }

    #[test]
    fn a_trace_that_does_not_match_its_plan_is_no_panic() {
        let mut broken = episode("a", 1.0, 20);
        broken.trace.spans.pop();
        assert_eq!(OBJECTIVE.measure(&broken).path, 10.0);
        broken.trace = Trace::default();
        assert_eq!(OBJECTIVE.measure(&broken).path, 0.0);
    }
}
