//! Ridge regression: `y = base + <slopes, x>` with `penalty |slopes|^2` added to the squared errors.

use crate::kernels::cholesky;

/// A linear function of the features.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Linear {
    pub base: f64,
    /// One for each feature; empty if no feature is informative.
    pub slopes: Vec<f64>,
}

/// Fits `targets` on rows of features of equal length. The intercept is not penalised. No rows give zero.
pub(super) fn ridge(rows: &[Vec<f64>], targets: &[f64], penalty: f64) -> Linear {
    if rows.is_empty() {
        return Linear::default();
    }
    let count = rows.len() as f64;
    let target = targets.iter().sum::<f64>() / count;
    let features = rows.first().map_or(0, Vec::len);
    if targets.iter().all(|value| (value - target).abs() < 1e-9) {
        return Linear { base: target, slopes: Vec::new() };
    }
    let mut centre = vec![0.0; features];
    for row in rows {
        centre.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / count);
    }
    let mut gram = vec![vec![0.0; features]; features];
    let mut moment = vec![0.0; features];
    for (row, value) in rows.iter().zip(targets) {
        let row: Vec<f64> = row.iter().zip(&centre).map(|(value, centre)| value - centre).collect();
        for (at, &feature) in row.iter().enumerate() {
            moment[at] += feature * (value - target);
            gram[at].iter_mut().zip(&row[..=at]).for_each(|(sum, other)| *sum += feature * other);
        }
    }
    gram.iter_mut().enumerate().for_each(|(at, row)| row[at] += penalty);
    cholesky::factor(&mut gram);
    let slopes = cholesky::solve(&gram, moment);
    let shift: f64 = slopes.iter().zip(&centre).map(|(slope, centre)| slope * centre).sum();
    Linear { base: target - shift, slopes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[&[f64]], targets: &[f64], penalty: f64, base: f64, slopes: &[f64]) {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
        let found = ridge(&rows, targets, penalty);
        assert_eq!(found.slopes.len(), slopes.len());
        let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-9;
        assert!(is_near((&found.base, &base)) && found.slopes.iter().zip(slopes).all(is_near), "{found:?}");
    }

    #[test]
    fn planes_are_found_and_shrunk() {
        check(&[], &[], 1.0, 0.0, &[]);
        check(&[&[1.0], &[2.0]], &[3.0, 3.0], 1.0, 3.0, &[]);
        check(&[&[1.0], &[3.0]], &[5.0, 9.0], 0.0, 3.0, &[2.0]);
        check(&[&[0.0, 0.0], &[1.0, 0.0], &[0.0, 1.0], &[2.0, 3.0]], &[1.0, 3.0, 0.0, 2.0], 0.0, 1.0, &[2.0, -1.0]);
        // Half of the variance is penalty: half of the slope is left.
        check(&[&[-1.0], &[1.0]], &[-2.0, 2.0], 2.0, 0.0, &[1.0]);
        // Two equal features share the slope.
        check(&[&[-1.0, -1.0], &[1.0, 1.0]], &[-5.0, 5.0], 1.0, 0.0, &[2.0, 2.0]);
    }
}
