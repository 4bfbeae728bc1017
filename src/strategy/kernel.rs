//! A Gaussian kernel on some landmarks (Nystroem): features in which a linear function is a smooth function of the question.

use rand::Rng;
use rand::seq::index;

use crate::kernels::cholesky;

/// Most landmarks.
const LANDMARKS: usize = 300;
/// Keeps near twins among the landmarks from dividing by zero.
const JITTER: f64 = 1e-4;

/// Landmarks with what makes their features independent.
pub struct Landmarks {
    /// `[M][E]`
    pub centres: Vec<Vec<f32>>,
    /// Of the kernel among the landmarks.
    factor: Vec<Vec<f64>>,
}

impl Landmarks {
    /// Some of the queries `[N][E]`, which have length one.
    pub fn new(queries: &[&[f32]], rng: &mut impl Rng) -> Self {
        let chosen = index::sample(rng, queries.len(), LANDMARKS.min(queries.len()));
        let centres: Vec<Vec<f32>> = chosen.into_iter().map(|at| queries[at].to_vec()).collect();
        let mut factor: Vec<Vec<f64>> = centres.iter().map(|centre| similarities(&centres, centre)).collect();
        factor.iter_mut().enumerate().for_each(|(at, row)| row[at] += JITTER);
        cholesky::factor(&mut factor);
        Landmarks { centres, factor }
    }

    /// Features of a query, `[M]`.
    pub fn features(&self, query: &[f32]) -> Vec<f32> {
        let features = cholesky::forward(&self.factor, similarities(&self.centres, query));
        features.into_iter().map(|feature| feature as f32).collect()
    }

    /// What slopes on the features are on the similarities with the landmarks.
    pub fn weights(&self, slopes: Vec<f64>) -> Vec<f64> {
        cholesky::backward(&self.factor, slopes)
    }
}

/// `exp(-|x - c|^2)` for each centre.
pub fn similarities(centres: &[Vec<f32>], query: &[f32]) -> Vec<f64> {
    let distance = |centre: &[f32]| centre.iter().zip(query).map(|(c, x)| (c - x).powi(2)).sum::<f32>();
    centres.iter().map(|centre| f64::from(-distance(centre)).exp()).collect()
}
