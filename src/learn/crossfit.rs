//! Cross-fitting: measuring a choice on problems that it did not see, and deciding when a gain is more than noise.

use rand::seq::SliceRandom;

use crate::random;

/// Number of folds.
pub const FOLDS: usize = 5;
/// A gain counts from this many standard errors.
const SURE: f64 = 1.5;

/// The fold of each problem.
pub fn folds(problems: usize, seed: u64) -> Vec<usize> {
    let mut folds: Vec<usize> = (0..problems).map(|at| at % FOLDS).collect();
    folds.shuffle(&mut random::stream(seed, &[&"folds"]));
    folds
}

/// The best of the columns `[columns][N]`, and for each problem the column that is best on the other folds.
pub fn nested(columns: &[Vec<f64>], folds: &[usize]) -> (usize, Vec<usize>) {
    let all: Vec<usize> = (0..columns.len()).collect();
    nested_among(columns, &all, folds).unwrap_or((0, vec![0; folds.len()]))
}

pub fn nested_among(columns: &[Vec<f64>], among: &[usize], folds: &[usize]) -> Option<(usize, Vec<usize>)> {
    let best_without = |fold: usize| {
        let worth = |&column: &usize| {
            let seen = columns[column].iter().zip(folds).filter(|(_, own)| **own != fold).map(|(value, _)| *value);
            mean(&seen.collect::<Vec<f64>>())
        };
        first_best(among.iter().map(worth)).map(|at| among[at])
    };
    let by_fold = (0..FOLDS).map(best_without).collect::<Option<Vec<usize>>>()?;
    Some((best_without(FOLDS)?, folds.iter().map(|&fold| by_fold[fold]).collect()))
}

/// Whether the gain is more than noise.
pub fn is_sure(utilities: &[f64], against: &[f64]) -> bool {
    let (gain, error) = gain(utilities, against);
    gain > 0.0 && gain >= SURE * error
}

/// The mean gain and its standard error.
pub fn gain(utilities: &[f64], against: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = utilities.iter().zip(against).map(|(own, other)| own - other).collect();
    let mean = mean(&gains);
    let variance = gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (gains.len().max(2) - 1) as f64;
    (mean, (variance / gains.len().max(1) as f64).sqrt())
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn first_best(values: impl Iterator<Item = f64>) -> Option<usize> {
    values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_by_luck_is_worth_little_elsewhere() {
        let folds: Vec<usize> = (0..20).map(|at| at % FOLDS).collect();
        // Each column is right in one fold alone: the best elsewhere is wrong here.
        let columns: Vec<Vec<f64>> =
            (0..FOLDS).map(|fold| folds.iter().map(|&own| f64::from(u8::from(own == fold))).collect()).collect();
        let (best, picks) = nested(&columns, &folds);
        let honest: Vec<f64> = picks.iter().enumerate().map(|(problem, &pick)| columns[pick][problem]).collect();
        assert_eq!((best, mean(&honest)), (0, 0.0));
        let good = vec![0.5; 20];
        assert_eq!(nested(&[columns[0].clone(), good.clone()], &folds), (1, vec![1; 20]));
        assert!(is_sure(&good, &honest) && !is_sure(&honest, &good) && !is_sure(&columns[1], &columns[0]));
    }
}
