//! The policy-gradient loss (E7) and what is done to its gradient.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

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

/// The gradients of `vars`, scaled down together so that their Euclidean norm is at most `clip` (0 for no
/// limit); with the norm before.
/// A variable that the loss does not reach has no gradient.
///
/// # Errors
/// The device failed.
pub fn gradients(store: &GradStore, vars: &[Var], clip: f64) -> Result<(Vec<Option<Tensor>>, f64)> {
    let mut found: Vec<Option<Tensor>> = vars.iter().map(|var| store.get(var).cloned()).collect();
    let mut squares = Vec::with_capacity(found.len());
    for gradient in found.iter().flatten() {
        squares.push(gradient.sqr()?.sum_all()?);
    }
    let norm = match squares.is_empty() {
        true => 0.0,
        false => f64::from(Tensor::stack(&squares, 0)?.sum_all()?.sqrt()?.to_scalar::<f32>()?),
    };
    if clip > 0.0 && norm > clip {
        for gradient in found.iter_mut().flatten() {
            *gradient = (&*gradient * (clip / norm))?;
        }
    }
    Ok((found, norm))
}
