//! The policy-gradient loss (E7) and what is done to its gradient.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use multiversion::multiversion;

/// (E7): minus the mean over all choices of log-probability times advantage, both `[choices]`; a scalar.
///
/// # Errors
/// The shapes differ.
pub fn policy_loss(log_probs: &Tensor, advantages: &Tensor) -> Result<Tensor> {
    Ok((log_probs * advantages)?.mean_all()?.neg()?)
}

/// Minus the sum over an episode's choices, averaged over `episodes`: the gradient of the expected utility, in which a
/// plan of many operators weighs no less than one of few.
///
/// # Errors
/// The shapes differ.
pub fn episode_loss(log_probs: &Tensor, advantages: &Tensor, episodes: usize) -> Result<Tensor> {
    Ok(((log_probs * advantages)?.sum_all()? / -(episodes.max(1) as f64))?)
}

/// The gradients of `vars` on the host, scaled down together so that their Euclidean norm is at most `clip` (0 for no
/// limit); with the norm before. A variable that the loss does not reach has no gradient.
///
/// # Errors
/// The device failed.
pub fn gradients(store: &GradStore, vars: &[Var], clip: f64) -> Result<(Vec<Option<Vec<f32>>>, f64)> {
    let mut found = Vec::with_capacity(vars.len());
    for var in vars {
        let gradient = store.get(var).map(|gradient| gradient.flatten_all()?.to_vec1::<f32>());
        found.push(gradient.transpose()?);
    }
    let squares = found.iter().flatten().map(|gradient| sum_of_squares(gradient));
    let norm = squares.sum::<f64>().sqrt();
    if clip > 0.0 && norm > clip {
        let scale = (clip / norm) as f32;
        found.iter_mut().flatten().flatten().for_each(|value| *value *= scale);
    }
    Ok((found, norm))
}

/// In blocks, so that neither speed nor precision is lost.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(1024) {
        let mut sums = [0.0f32; 16];
        let lanes = block.chunks_exact(16);
        let rest: f32 = lanes.remainder().iter().map(|value| value * value).sum();
        for lane in lanes {
            for (sum, value) in sums.iter_mut().zip(lane) {
                *sum += value * value;
            }
        }
        total += f64::from(sums.iter().sum::<f32>() + rest);
    }
    total
}
