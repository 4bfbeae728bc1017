//! Routers: which plan suits which question, as regressions from the embedding to the utility of each plan have it.

use super::crossfit::{FOLDS, first_best, mean};
use crate::plan::Plan;
use crate::random;
use crate::strategy::{Gram, Landmarks, PENALTIES, Router, best};

/// Plans among which the ensemble chooses: the best on average.
const ENSEMBLE_PLANS: usize = 10;

/// What routers are fitted to.
pub(super) struct Routing<'a> {
    /// `[P]`
    pub plans: &'a [Plan],
    /// Utility of each plan on each problem, `[P][N]`.
    pub of_plans: &'a [Vec<f64>],
    /// `[N][E]`
    pub queries: &'a [&'a [f32]],
    /// Of each problem.
    pub folds: &'a [usize],
    pub seed: u64,
}

/// Predictions out of fold for each penalty, and what is fitted to all.
struct Regression {
    /// `[penalties][N][P]`
    predicted: Vec<Vec<Vec<f64>>>,
    whole: Gram,
}

impl Routing<'_> {
    /// A ridge router with the penalty that chooses best out of fold, and what it is worth there on each problem.
    pub fn linear(&self) -> (Router, Vec<f64>) {
        let targets = self.targets(self.of_plans);
        let regression = Regression::new(self.queries.iter().copied(), &targets, self.folds);
        let worths: Vec<Vec<f64>> = regression.predicted.iter().map(|predicted| chosen(predicted, &targets)).collect();
        let at = first_best(worths.iter().map(|worth| mean(worth))).unwrap_or(0);
        let router = Router::new(self.plans.to_vec()).with_linear(regression.whole.fit(PENALTIES[at]));
        (router, worths.into_iter().nth(at).unwrap_or_default())
    }

    /// A ridge and a kernel regression together, each with the penalty that predicts best out of fold.
    pub fn ensemble(&self) -> (Router, Vec<f64>) {
        let mut order: Vec<usize> = (0..self.plans.len()).collect();
        order.sort_by(|&one, &other| mean(&self.of_plans[other]).total_cmp(&mean(&self.of_plans[one])));
        order.truncate(ENSEMBLE_PLANS);
        let plans: Vec<Plan> = order.iter().map(|&at| self.plans[at].clone()).collect();
        let of_plans: Vec<Vec<f64>> = order.iter().map(|&at| self.of_plans[at].clone()).collect();
        let targets = self.targets(&of_plans);

        let landmarks = Landmarks::new(self.queries, &mut random::stream(self.seed, &[&"landmarks"]));
        let features: Vec<Vec<f32>> = self.queries.iter().map(|query| landmarks.features(query)).collect();
        let linear = Regression::new(self.queries.iter().copied(), &targets, self.folds);
        let kernel = Regression::new(features.iter().map(Vec::as_slice), &targets, self.folds);
        let [by_linear, by_kernel] = [&linear, &kernel].map(|regression| regression.closest(&targets));
        let both = linear.predicted[by_linear].iter().zip(&kernel.predicted[by_kernel]);
        let both: Vec<Vec<f64>> =
            both.map(|(one, other)| one.iter().zip(other).map(|(a, b)| a + b).collect()).collect();
        let router = Router::new(plans)
            .with_linear(linear.whole.fit(PENALTIES[by_linear]))
            .with_kernel(&landmarks, kernel.whole.fit(PENALTIES[by_kernel]));
        (router, chosen(&both, &targets))
    }

    /// `[N][P]`
    fn targets(&self, of_plans: &[Vec<f64>]) -> Vec<Vec<f64>> {
        (0..self.queries.len()).map(|problem| of_plans.iter().map(|of_plan| of_plan[problem]).collect()).collect()
    }
}

impl Regression {
    fn new<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone, targets: &'a [Vec<f64>], folds: &[usize]) -> Self {
        let without = |fold: usize| {
            let rows = rows.clone().zip(targets).zip(folds).filter(move |(_, own)| **own != fold);
            Gram::new(rows.map(|((row, targets), _)| (row, targets.as_slice())))
        };
        let grams: Vec<Gram> = (0..FOLDS).map(without).collect();
        let predict = |penalty: f64| -> Vec<Vec<f64>> {
            let fitted: Vec<Vec<(f64, Vec<f64>)>> = grams.iter().map(|gram| gram.fit(penalty)).collect();
            let predict = |(row, &fold): (&[f32], &usize)| {
                let value = |(base, slopes): &(f64, Vec<f64>)| {
                    base + slopes.iter().zip(row).map(|(slope, &x)| slope * f64::from(x)).sum::<f64>()
                };
                fitted[fold].iter().map(value).collect()
            };
            rows.clone().zip(folds).map(predict).collect()
        };
        Regression { predicted: PENALTIES.map(predict).into(), whole: without(FOLDS) }
    }

    /// The penalty of the least squared error out of fold.
    fn closest(&self, targets: &[Vec<f64>]) -> usize {
        let error = |predicted: &Vec<Vec<f64>>| {
            let squares = predicted.iter().zip(targets).map(|(predicted, targets)| {
                predicted.iter().zip(targets).map(|(one, other)| (one - other).powi(2)).sum::<f64>()
            });
            -squares.sum::<f64>()
        };
        first_best(self.predicted.iter().map(error)).unwrap_or(0)
    }
}

/// Utility of the plan of the highest prediction, on each problem.
fn chosen(predicted: &[Vec<f64>], targets: &[Vec<f64>]) -> Vec<f64> {
    predicted.iter().zip(targets).map(|(predicted, targets)| best(predicted).map_or(0.0, |at| targets[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_learn_which_plan_suits_which_question() {
        let queries: Vec<Vec<f32>> =
            (0..60).map(|at| vec![if at % 2 == 0 { 1.0 } else { -1.0 }, (at as f32 * 0.1).sin() * 0.1]).collect();
        let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        let of_plans: Vec<Vec<f64>> =
            (0..2).map(|plan| (0..60).map(|at| f64::from(u8::from(at % 2 == plan))).collect()).collect();
        let plans = [Plan::from_indices(&[&[7]]), Plan::from_indices(&[&[8]])];
        let folds: Vec<usize> = (0..60).map(|at| at / 2 % FOLDS).collect();
        let routing = Routing { plans: &plans, of_plans: &of_plans, queries: &queries, folds: &folds, seed: 1 };
        for (router, honest) in [routing.linear(), routing.ensemble()] {
            let found = (router.choose(&[1.0, 0.0]), router.choose(&[-1.0, 0.0]));
            assert_eq!((mean(&honest), found), (1.0, (&plans[0], &plans[1])));
        }
    }
}
