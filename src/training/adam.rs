//! Plain Adam as in PyTorch, with moments that can be saved and restored.
//!
//! ```text
//! m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//! w = w - lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimiser's state for a fixed list of variables.
pub struct Adam {
    learning_rate: f64,
    /// `t`, updates done so far.
    step: u64,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    var: Var,
    first: Tensor,
    second: Tensor,
}

impl Adam {
    /// # Errors
    /// The device failed.
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>, learning_rate: f64) -> Result<Self> {
        let parameter = |(name, var): (String, Var)| -> Result<Parameter> {
            Ok(Parameter { name, first: var.zeros_like()?, second: var.zeros_like()?, var })
        };
        Ok(Adam { learning_rate, step: 0, parameters: vars.into_iter().map(parameter).collect::<Result<_>>()? })
    }

    /// Updates done so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One update; `gradients` in the order of the variables, none where the loss does not reach (as in PyTorch, that
    /// variable and its moments then stay as they are).
    ///
    /// # Errors
    /// A gradient of another shape.
    pub fn step(&mut self, gradients: &[Option<Tensor>]) -> Result<()> {
        ensure!(
            gradients.len() == self.parameters.len(),
            "expected {} gradients, found {}",
            self.parameters.len(),
            gradients.len()
        );
        self.step += 1;
        let t = self.step as f64;
        let (correction_1, correction_2) = (1.0 - BETA_1.powf(t), 1.0 - BETA_2.powf(t));
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            parameter.first = ((&parameter.first * BETA_1)? + (gradient * (1.0 - BETA_1))?)?;
            parameter.second = ((&parameter.second * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
            let denominator = ((parameter.second.sqrt()? / correction_2.sqrt())? + EPSILON)?;
            let change = ((&parameter.first / denominator)? * (self.learning_rate / correction_1))?;
            parameter.var.set(&(parameter.var.as_tensor() - change)?)?;
        }
        Ok(())
    }

    /// The moments by name, to be saved.
    pub fn moments(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.parameters.iter().flat_map(|parameter| {
            [
                (format!("first.{}", parameter.name), &parameter.first),
                (format!("second.{}", parameter.name), &parameter.second),
            ]
        })
    }

    /// Takes up where a saved optimiser stopped, after `step` updates.
    ///
    /// # Errors
    /// Names a moment that is missing or of another shape.
    pub fn restore(&mut self, step: u64, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        for parameter in &mut self.parameters {
            for (moment, slot) in [("first", &mut parameter.first), ("second", &mut parameter.second)] {
                let name = format!("{moment}.{}", parameter.name);
                let saved = moments.get(&name).with_context(|| format!("no tensor `{name}`"))?;
                let (expected, found) = (slot.dims(), saved.dims());
                ensure!(found == expected, "tensor `{name}`: expected shape {expected:?}, found {found:?}");
                *slot = saved.to_device(slot.device())?;
            }
        }
        self.step = step;
        Ok(())
    }
}
