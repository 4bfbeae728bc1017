//! Ridge regression of several targets on the same features: `|y - base - <slopes, x>|^2 + penalty |slopes|^2`.

use crate::kernels::cholesky;

/// Penalties to choose from, for features of length one.
pub const PENALTIES: [f64; 9] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4];

/// Everything that a fit needs to know about some rows.
pub struct Gram {
    centre: Vec<f64>,
    /// Lower triangle of the centred features' products, `[E][E]`.
    products: Vec<Vec<f64>>,
    /// Mean of each target, `[T]`.
    means: Vec<f64>,
    /// Centred products of features and targets, `[T][E]`.
    moments: Vec<Vec<f64>>,
}

impl Gram {
    /// From rows of features with their targets `[T]`; at least one row.
    pub fn new<'a>(rows: impl Iterator<Item = (&'a [f32], &'a [f64])> + Clone) -> Self {
        let count = rows.clone().count().max(1) as f64;
        let (features, targets) = rows.clone().next().map_or((0, 0), |(row, targets)| (row.len(), targets.len()));
        let (mut centre, mut means) = (vec![0.0; features], vec![0.0; targets]);
        for (row, of_row) in rows.clone() {
            centre.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) / count);
            means.iter_mut().zip(of_row).for_each(|(sum, value)| *sum += value / count);
        }
        let (mut products, mut moments) = (vec![vec![0.0; features]; features], vec![vec![0.0; features]; targets]);
        for (row, of_row) in rows {
            let row: Vec<f64> = row.iter().zip(&centre).map(|(&value, centre)| f64::from(value) - centre).collect();
            for (at, &feature) in row.iter().enumerate() {
                products[at].iter_mut().zip(&row[..=at]).for_each(|(sum, other)| *sum += feature * other);
            }
            for ((moment, target), mean) in moments.iter_mut().zip(of_row).zip(&means) {
                moment.iter_mut().zip(&row).for_each(|(sum, feature)| *sum += feature * (target - mean));
            }
        }
        Gram { centre, products, means, moments }
    }

    /// Intercept and slopes of each target.
    pub fn fit(&self, penalty: f64) -> Vec<(f64, Vec<f64>)> {
        let mut factor = self.products.clone();
        factor.iter_mut().enumerate().for_each(|(at, row)| row[at] += penalty);
        cholesky::factor(&mut factor);
        let fitted = self.moments.iter().zip(&self.means).map(|(moment, mean)| {
            let slopes = cholesky::solve(&factor, moment.clone());
            let shift: f64 = slopes.iter().zip(&self.centre).map(|(slope, centre)| slope * centre).sum();
            (mean - shift, slopes)
        });
        fitted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_found_and_shrunk() {
        let rows: [[f32; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 3.0]];
        let targets: [[f64; 2]; 4] = [[1.0, 5.0], [3.0, 5.0], [0.0, 5.0], [2.0, 5.0]];
        let gram = Gram::new(rows.iter().map(|row| &row[..]).zip(targets.iter().map(|row| &row[..])));
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        let exact = gram.fit(0.0);
        near(exact[0].0, 1.0);
        near(exact[0].1[0], 2.0);
        near(exact[0].1[1], -1.0);
        near(exact[1].0, 5.0);
        let shrunk = gram.fit(1e9);
        near(shrunk[0].0, 1.5);
        assert!(shrunk[0].1.iter().all(|slope| slope.abs() < 1e-6));
    }
}
