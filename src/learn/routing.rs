//! Routers: three kinds of regression from a question to the utility of each proposal.

use super::crossfit::{FOLDS, first_best, mean};
use crate::decide::Proposal;
use crate::evidence::Asked;
use crate::random;
use crate::strategy::{COUNTS, Features, Forest, Gram, Neighbours, PENALTIES, Predictor, Router, Rows, best};

/// How many proposals a forest chooses from: those that are best on average.
const FOREST_PROPOSALS: usize = 10;
/// How many principal axes a forest reads.
const FOREST_AXES: usize = 20;

/// The data that routers are fitted to.
pub(super) struct Routing<'a> {
    /// `[P]`
    pub proposals: &'a [Proposal],
    /// Utility of each proposal on each problem, `[P][N]`.
    pub utilities: &'a [Vec<f64>],
    /// `[N]`
    pub asked: &'a [Asked<'a>],
    pub features: &'a Features,
    /// Of each problem.
    pub folds: &'a [usize],
    pub seed: u64,
}

/// A regression's out-of-fold predictions for each penalty, and the fit to all data.
pub(super) struct Regression {
    /// `[penalties][N][T]`
    pub predicted: Vec<Vec<Vec<f64>>>,
    whole: Gram,
}

impl Routing<'_> {
    /// A ridge router with the penalty that chooses best out of fold, and the index of its out-of-fold choice on each problem.
    pub fn linear(&self) -> (Router, Vec<usize>) {
        let targets = self.targets(self.utilities);
        let rows = self.asked.iter().map(|asked| asked.embedding);
        let regression = Regression::new(rows, &targets, self.folds, &PENALTIES);
        let picks: Vec<Vec<usize>> = regression.predicted.iter().map(|predicted| picks(predicted)).collect();
        let worth = |picks: &Vec<usize>| picks.iter().zip(&targets).map(|(&pick, targets)| targets[pick]).sum::<f64>();
        let at = first_best(picks.iter().map(worth)).unwrap_or(0);
        let predictor = Predictor::linear(regression.fit(PENALTIES[at]));
        (Router { proposals: self.proposals.to_vec(), predictor }, picks.into_iter().nth(at).unwrap_or_default())
    }

    /// A nearest-neighbour router, with the number of neighbours that predicts best out of fold.
    pub fn nearest(&self) -> (Router, Vec<usize>) {
        let targets = self.targets(self.utilities);
        let places: Vec<Vec<f32>> = self.asked.iter().map(|asked| self.features.place(asked.embedding)).collect();
        let all = Neighbours::new(places.clone(), &targets, 0);
        let mut predicted = vec![Vec::with_capacity(targets.len()); COUNTS.len()];
        for (place, &own) in places.iter().zip(self.folds) {
            let by_count = all.among(place, |other| self.folds[other] != own, &COUNTS);
            predicted.iter_mut().zip(by_count).for_each(|(rows, row)| rows.push(row));
        }
        let at = closest(&predicted, &targets);
        let neighbours = Neighbours::new(places, &targets, COUNTS[at]);
        let predictor = Predictor::Nearest { features: self.features.clone(), neighbours };
        (Router { proposals: self.proposals.to_vec(), predictor }, picks(&predicted[at]))
    }

    /// A forest router among the proposals that are best on average.
    pub fn forest(&self) -> (Router, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.proposals.len()).collect();
        order.sort_by(|&one, &other| mean(&self.utilities[other]).total_cmp(&mean(&self.utilities[one])));
        order.truncate(FOREST_PROPOSALS);
        let utilities: Vec<Vec<f64>> = order.iter().map(|&at| self.utilities[at].clone()).collect();
        let targets = self.targets(&utilities);
        let features: Vec<Vec<f32>> = self.asked.iter().map(|&asked| self.features.of(asked, FOREST_AXES)).collect();
        let rows = Rows { features: &features, targets: &targets };
        let without = |fold: usize| {
            let among: Vec<usize> = (0..targets.len()).filter(|&at| self.folds[at] != fold).collect();
            Forest::new(rows, &among, &mut random::stream(self.seed, &[&"forest", &fold]))
        };
        let forests: Vec<Forest> = (0..FOLDS).map(without).collect();
        let predicted: Vec<Vec<f64>> =
            features.iter().zip(self.folds).map(|(row, &fold)| forests[fold].predict(row)).collect();
        let axes = FOREST_AXES.min(self.features.axes());
        let predictor = Predictor::Forest { features: self.features.clone(), axes, forest: without(FOLDS) };
        let proposals = order.iter().map(|&at| self.proposals[at].clone()).collect();
        let picks = picks(&predicted).into_iter().map(|pick| order[pick]).collect();
        (Router { proposals, predictor }, picks)
    }

    /// `[N][P]`
    fn targets(&self, utilities: &[Vec<f64>]) -> Vec<Vec<f64>> {
        (0..self.asked.len()).map(|problem| utilities.iter().map(|of| of[problem]).collect()).collect()
    }
}

impl Regression {
    /// For features `[N][F]` and targets `[N][T]`.
    pub fn new<'a>(
        rows: impl Iterator<Item = &'a [f32]> + Clone,
        targets: &'a [Vec<f64>],
        folds: &[usize],
        penalties: &[f64],
    ) -> Self {
        let without = |fold: usize| {
            let rows = rows.clone().zip(targets).zip(folds).filter(move |(_, own)| **own != fold);
            Gram::new(rows.map(|((row, targets), _)| (row, targets.as_slice())))
        };
        let grams: Vec<Gram> = (0..FOLDS).map(without).collect();
        let predict = |&penalty: &f64| -> Vec<Vec<f64>> {
            let fitted: Vec<Vec<(f64, Vec<f64>)>> = grams.iter().map(|gram| gram.fit(penalty)).collect();
            let predict = |(row, &fold): (&[f32], &usize)| {
                let value = |(base, slopes): &(f64, Vec<f64>)| {
                    base + slopes.iter().zip(row).map(|(slope, &x)| slope * f64::from(x)).sum::<f64>()
                };
                fitted[fold].iter().map(value).collect()
            };
            rows.clone().zip(folds).map(predict).collect()
        };
        Regression { predicted: penalties.iter().map(predict).collect(), whole: without(FOLDS) }
    }

    /// Intercept and slopes of each target, fitted to all rows.
    pub fn fit(&self, penalty: f64) -> Vec<(f64, Vec<f64>)> {
        self.whole.fit(penalty)
    }
}

/// The index of the prediction `[..][N][T]` with the least squared error.
pub(super) fn closest(predicted: &[Vec<Vec<f64>>], targets: &[Vec<f64>]) -> usize {
    let error = |predicted: &Vec<Vec<f64>>| {
        let squares = predicted.iter().zip(targets).map(|(predicted, targets)| {
            predicted.iter().zip(targets).map(|(one, other)| (one - other).powi(2)).sum::<f64>()
        });
        -squares.sum::<f64>()
    };
    first_best(predicted.iter().map(error)).unwrap_or(0)
}

/// The index of the highest prediction on each problem.
fn picks(predicted: &[Vec<f64>]) -> Vec<usize> {
    predicted.iter().map(|predicted| best(predicted).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn routers_learn_which_plan_suits_which_question() {
        let queries: Vec<Vec<f32>> =
            (0..60).map(|at| vec![if at % 2 == 0 { 1.0 } else { -1.0 }, (at as f32 * 0.1).sin() * 0.1]).collect();
        let asked: Vec<Asked<'_>> = queries.iter().map(|embedding| Asked { question: "?", embedding }).collect();
        let embeddings: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        let features = Features::new(&embeddings, &mut random::stream(1, &[&"axes"]));
        let utilities: Vec<Vec<f64>> =
            (0..2).map(|plan| (0..60).map(|at| f64::from(u8::from(at % 2 == plan))).collect()).collect();
        let proposals = [Plan::from_indices(&[&[7]]), Plan::from_indices(&[&[8]])].map(Proposal::from);
        let folds: Vec<usize> = (0..60).map(|at| at / 2 % FOLDS).collect();
        let routing = Routing {
            proposals: &proposals,
            utilities: &utilities,
            asked: &asked,
            features: &features,
            folds: &folds,
            seed: 1,
        };
        let right: Vec<usize> = (0..60).map(|at| at % 2).collect();
        for (router, picks) in [routing.linear(), routing.nearest(), routing.forest()] {
            let choose = |side| router.choose(Asked { question: "?", embedding: &[side, 0.0] });
            assert_eq!((picks, choose(1.0), choose(-1.0)), (right.clone(), proposals[0].clone(), proposals[1].clone()));
        }
    }
}
