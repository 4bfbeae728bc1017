//! From an episode to advantages: the credit of each chosen operator (E5), and the baseline that it is compared with (E6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::execute::Episode;
use crate::objective::Objective;

/// Who is charged for the latency of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// Each bottleneck is charged the whole critical path, the others nothing (E5).
    CriticalPath,
    /// Every operator is charged the whole critical path (the ablation of the paper).
    Uniform,
    /// Each operator is charged what the critical path would lose without it: nothing off the path, and a bottleneck
    /// no more than its lead over the runner-up.
    #[default]
    Marginal,
    /// No operator feels the latency (MaAS).
    None,
}

impl Credit {
    /// The objective that the operators are trained on.
    pub fn felt(self, objective: Objective) -> Objective {
        if self == Credit::None { objective.at(0.0) } else { objective }
    }
}

/// How much of the critical path a choice is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// None: it is off the path.
    Nothing,
    /// What the path would lose without it.
    Share,
    Whole,
}

/// The credit of the operators of one episode: `value + latency`. The two are kept apart, because only operators that are
/// charged latency may be compared by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilities {
    /// `S - lambda_c C`, the same for every choice.
    pub value: f64,
    /// `-lambda_t T`.
    pub path: f64,
    /// The share of the path that each choice is charged, in the order of [`crate::plan::Plan::choices`]; never positive.
    pub latency: Vec<f64>,
    pub charges: Vec<Charge>,
}

impl Utilities {
    /// Utility of each choice, `U_o` of (E5).
    pub fn totals(&self) -> impl Iterator<Item = f64> + '_ {
        self.latency.iter().map(|latency| self.value + latency)
    }

    /// Divides everything by a positive number.
    fn divide(&mut self, divisor: f64) {
        self.value /= divisor;
        self.path /= divisor;
        self.latency.iter_mut().for_each(|latency| *latency /= divisor);
    }
}

/// Credits every choice of an episode (E5).
pub fn utilities(episode: &Episode, objective: &Objective, credit: Credit) -> Utilities {
    let Objective { latency_weight, unit, .. } = credit.felt(*objective);
    let path = episode.trace.path(unit);
    let mut charges = Vec::with_capacity(episode.plan.len());
    let mut latency = Vec::with_capacity(episode.plan.len());
    for choice in 0..episode.plan.len() {
        let charge = match credit {
            Credit::Uniform | Credit::None => Charge::Whole,
            _ if !path.on_path.get(choice).is_some_and(|on_path| *on_path) => Charge::Nothing,
            Credit::CriticalPath => Charge::Whole,
            Credit::Marginal => Charge::Share,
        };
        let charged = match charge {
            Charge::Nothing => 0.0,
            Charge::Whole => path.length,
            Charge::Share => path.length - episode.trace.path_without(unit, choice),
        };
        charges.push(charge);
        latency.push(-latency_weight * charged);
    }
    let value = objective.value(episode.score, &episode.trace);
    Utilities { value, path: -latency_weight * path.length, latency, charges }
}

/// What a utility is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Nothing: advantages are utilities (MaAS).
    None,
    /// The moving average of all utilities (E6).
    MovingAverage,
    /// The mean over the other samples of the same query, or over the rest of the batch if there are none. Value and
    /// latency are centred separately, so that an operator off the path feels no latency at all.
    #[default]
    LeaveOneOut,
}

/// Moving averages of the batch mean and standard deviation of utilities (E6); empty before the first batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MovingAverages {
    pub mean: Option<f64>,
    pub deviation: Option<f64>,
    /// Standard deviations of the value and of the path, used when learning from episodes of many latency weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<[f64; 2]>,
}

/// `new = MOMENTUM old + (1 - MOMENTUM) batch`.
const MOMENTUM: f64 = 0.95;
/// Prevents a division by zero when all utilities of a batch are equal.
const SMALLEST_DEVIATION: f64 = 1e-8;

impl MovingAverages {
    /// Adds one batch; the first batch sets the averages.
    pub fn update(&mut self, utilities: &[f64]) {
        if utilities.is_empty() {
            return;
        }
        let (mean, deviation) = moments(utilities);
        self.mean = Some(moved(self.mean, mean));
        self.deviation = Some(moved(self.deviation, deviation));
    }

    /// Brings utilities at different latency weights to one scale: divides them by their spread at their weight,
    /// `sd(value) + weight sd(path)`. Otherwise the highest weights would dominate.
    pub fn level(&mut self, samples: &mut [Sample], latency_weights: &[f64]) {
        let value: Vec<f64> = samples.iter().map(|sample| sample.utilities.value).collect();
        let tokens = |(sample, weight): (&Sample, &f64)| -sample.utilities.path / weight.max(SMALLEST_DEVIATION);
        let path: Vec<f64> = samples.iter().zip(latency_weights).map(tokens).collect();
        let old = self.parts.map_or([None; 2], |parts| parts.map(Some));
        let [value, path] = [moved(old[0], moments(&value).1), moved(old[1], moments(&path).1)];
        self.parts = Some([value, path]);
        for (sample, weight) in samples.iter_mut().zip(latency_weights) {
            sample.utilities.divide((value + weight * path).max(SMALLEST_DEVIATION));
        }
    }
}

fn moved(old: Option<f64>, batch: f64) -> f64 {
    old.map_or(batch, |old| MOMENTUM * old + (1.0 - MOMENTUM) * batch)
}

/// Mean and standard deviation (divisor `n`) of at least one value.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The utilities of one sample, and its query.
pub struct Sample {
    pub query: usize,
    pub utilities: Utilities,
}

/// The advantage of every choice of every sample, in order; `scaled` divides by the moving standard deviation.
///
/// Updates the moving averages with this batch first, as the published code does.
pub fn advantages(samples: &[Sample], baseline: Baseline, scaled: bool, averages: &mut MovingAverages) -> Vec<f64> {
    let totals: Vec<f64> = samples.iter().flat_map(|sample| sample.utilities.totals()).collect();
    averages.update(&totals);
    let mut advantages = match baseline {
        Baseline::None => totals,
        Baseline::MovingAverage => {
            let mean = averages.mean.unwrap_or_default();
            totals.iter().map(|total| total - mean).collect()
        }
        Baseline::LeaveOneOut => leave_one_out(samples),
    };
    if scaled {
        let deviation = averages.deviation.unwrap_or_default().max(SMALLEST_DEVIATION);
        advantages.iter_mut().for_each(|advantage| *advantage /= deviation);
    }
    advantages
}

/// Each part minus its mean over the other samples of the query, or over all others if there are none.
fn leave_one_out(samples: &[Sample]) -> Vec<f64> {
    let parts: [fn(&Utilities) -> Option<f64>; 3] = [|own| Some(own.value), |own| Some(own.path), mean_share];
    let all = parts.map(|part| sum(samples.iter().filter_map(|sample| part(&sample.utilities))));
    let mut of_query: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        of_query.entry(sample.query).or_default().push(index);
    }
    let mut advantages = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let same_query = || of_query[&sample.query].iter().filter(|other| **other != index);
        let baseline = |number: usize| {
            let part = parts[number];
            let (sum_all, count_all) = all[number];
            let (own, is_counted) = part(&sample.utilities).map_or((0.0, 0), |own| (own, 1));
            mean(sum(same_query().filter_map(|&other| part(&samples[other].utilities))))
                .or_else(|| mean((sum_all - own, count_all - is_counted)))
                .unwrap_or_default()
        };
        let utilities = &sample.utilities;
        let value = utilities.value - baseline(0);
        let (path, share) = (baseline(1), baseline(2));
        for (latency, charge) in utilities.latency.iter().zip(&utilities.charges) {
            advantages.push(match charge {
                Charge::Nothing => value,
                Charge::Share => value + (latency - share),
                Charge::Whole => value + (latency - path),
            });
        }
    }
    advantages
}

/// Mean latency over the choices that are charged their share.
fn mean_share(utilities: &Utilities) -> Option<f64> {
    let charged = utilities.latency.iter().zip(&utilities.charges);
    mean(sum(charged.filter_map(|(&latency, &charge)| (charge == Charge::Share).then_some(latency))))
}

/// Sum and number of the values.
fn sum(values: impl Iterator<Item = f64>) -> (f64, u32) {
    values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1))
}

fn mean((sum, count): (f64, u32)) -> Option<f64> {
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::episode;
    use crate::plan::{Latency, Schedule, Signature, Span};

    use Charge::{Nothing, Share, Whole};

    const SIGNATURES: [Signature; 4] = [Signature::ANSWERS, Signature::ANSWERS, Signature::IMPROVES, Signature::ENDS];

    fn check(credit: Credit, schedule: Schedule, latency: [f64; 4], charges: [Charge; 4]) {
        let objective = Objective { latency_weight: 0.5, cost_weight: 2.0, ..Objective::default() };
        let mut episode = episode("p", &[&[0, 1], &[2, 3]], &[3.0, 5.0, 2.0, 0.0], 1.0, 0.25);
        episode.trace.dependencies = schedule.dependencies(&episode.plan, &SIGNATURES);
        let expected = Utilities { value: 0.5, path: -3.5, latency: latency.to_vec(), charges: charges.to_vec() };
        let expected = match schedule {
            Schedule::Sequential => Utilities { path: -5.0, ..expected },
            _ => expected,
        };
        assert_eq!(utilities(&episode, &objective, credit), expected, "{credit:?} {schedule:?}");
        // A finish of 4 tokens and 0.125 dollars is nobody's choice: the path is longer, everybody's share of it is the same.
        let latency = Latency { tokens: 4.0, seconds: 0.0 };
        episode.trace.finish = Some(Span { latency, cost: 0.125, ..Span::default() });
        let added = |(&latency, &charge): (&f64, &Charge)| if charge == Whole { latency - 2.0 } else { latency };
        let latency = expected.latency.iter().zip(&charges).map(added).collect();
        let expected = Utilities { value: expected.value - 0.25, path: expected.path - 2.0, latency, ..expected };
        assert_eq!(utilities(&episode, &objective, credit), expected, "{credit:?} {schedule:?} and a finish");
    }

    #[test]
    fn latency_is_charged_to_bottlenecks() {
        let layered = Schedule::Layered;
        check(Credit::CriticalPath, layered, [0.0, -3.5, -3.5, 0.0], [Nothing, Whole, Whole, Nothing]);
        check(Credit::Uniform, layered, [-3.5; 4], [Whole; 4]);
        check(Credit::Marginal, layered, [0.0, -1.0, -1.0, 0.0], [Nothing, Share, Share, Nothing]);
        check(Credit::CriticalPath, Schedule::Sequential, [-5.0; 4], [Whole; 4]);
        check(Credit::Marginal, Schedule::Sequential, [-1.5, -2.5, -1.0, 0.0], [Share; 4]);
    }

    fn sample(query: usize, value: f64, latency: &[f64]) -> Sample {
        let charge = |&latency: &f64| if latency == 0.0 { Charge::Nothing } else { Charge::Whole };
        let charges = latency.iter().map(charge).collect();
        let path = latency.iter().copied().fold(0.0, f64::min);
        Sample { query, utilities: Utilities { value, path, latency: latency.to_vec(), charges } }
    }

    fn check_advantages(samples: &[Sample], baseline: Baseline, scaled: bool, expected: &[f64]) {
        let found = advantages(samples, baseline, scaled, &mut MovingAverages::default());
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{baseline:?}: {found} is not {expected}");
        }
    }

    #[test]
    fn each_baseline() {
        let samples = [sample(0, 1.0, &[-2.0, 0.0]), sample(0, 0.0, &[-4.0]), sample(7, 2.0, &[-1.0])];
        check_advantages(&samples, Baseline::None, false, &[-1.0, 1.0, -4.0, 1.0]);
        check_advantages(&samples, Baseline::MovingAverage, false, &[-0.25, 1.75, -3.25, 1.75]);
        // The third query has one sample: it is compared with the other queries.
        check_advantages(&samples, Baseline::LeaveOneOut, false, &[1.0 + 2.0, 1.0, -1.0 - 2.0, 1.5 + 2.0]);
        check_advantages(&samples[..1], Baseline::LeaveOneOut, false, &[-1.0, 1.0]);
        check_advantages(&[], Baseline::LeaveOneOut, true, &[]);
        check_advantages(
            &[sample(0, 3.0, &[0.0]), sample(1, 1.0, &[0.0])],
            Baseline::MovingAverage,
            true,
            &[1.0, -1.0],
        );
    }

    #[test]
    fn shares_are_compared_with_shares() {
        let share = |latency: f64| {
            let mut sample = sample(0, 0.0, &[latency, -9.0]);
            sample.utilities.charges[0] = Charge::Share;
            sample
        };
        check_advantages(&[share(-1.0), share(-3.0)], Baseline::LeaveOneOut, false, &[2.0, 0.0, -2.0, 0.0]);
    }

    #[test]
    fn the_first_batch_sets_the_averages() {
        let mut averages = MovingAverages::default();
        averages.update(&[1.0, 3.0]);
        assert_eq!(averages, MovingAverages { mean: Some(2.0), deviation: Some(1.0), parts: None });
        averages.update(&[4.0, 4.0]);
        let mean = Some(0.95 * 2.0 + (1.0 - 0.95) * 4.0);
        assert_eq!(averages, MovingAverages { mean, deviation: Some(0.95), parts: None });
    }

    #[test]
    fn utilities_of_all_weights_come_to_one_scale() {
        // Values 1 and 3, paths 10 and 30 tokens, at weights 0.1 and 2.
        let mut samples = [sample(0, 1.0, &[-1.0]), sample(1, 3.0, &[-60.0])];
        MovingAverages::default().level(&mut samples, &[0.1, 2.0]);
        let found: Vec<[f64; 3]> = samples
            .iter()
            .map(|Sample { utilities, .. }| [utilities.value, utilities.path, utilities.latency[0]])
            .collect();
        assert_eq!(found, [[1.0 / 2.0, -1.0 / 2.0, -1.0 / 2.0], [3.0 / 21.0, -60.0 / 21.0, -60.0 / 21.0]]);
    }
}
