//! Plain Adam as in PyTorch, with moments that can be saved and restored.
//!
//! ```text
//! m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//! w = w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//! ```
//!
//! The state lives on the host whatever the device: a controller is so small that one pass over plain numbers is
//! faster than a dozen tensor operations for each variable.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use multiversion::multiversion;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimiser's state for a fixed list of variables.
pub struct Adam {
    /// `t`, updates done so far.
    step: u64,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    var: Var,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>) -> Self {
        let parameter = |(name, var): (String, Var)| {
            let zeros = vec![0.0; var.elem_count()];
            Parameter { name, var, first: zeros.clone(), second: zeros }
        };
        Adam { step: 0, parameters: vars.into_iter().map(parameter).collect() }
    }

    /// Updates done so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One update; `gradients` in the order of the variables, none where the loss does not reach (as in PyTorch, that
    /// variable and its moments then stay as they are).
    ///
    /// # Errors
    /// A gradient of another size.
    pub fn step(&mut self, gradients: &[Option<Vec<f32>>], learning_rate: f64) -> Result<()> {
        let (expected, found) = (self.parameters.len(), gradients.len());
        ensure!(found == expected, "expected {expected} gradients, found {found}");
        self.step += 1;
        let t = self.step as f64;
        let rate = (learning_rate / (1.0 - BETA_1.powf(t))) as f32;
        let correction = (1.0 - BETA_2.powf(t)).sqrt() as f32;
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                parameter.step(gradient, rate, correction)?;
            }
        }
        Ok(())
    }

    /// The moments by name, to be saved.
    ///
    /// # Errors
    /// None is expected.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut moments = BTreeMap::new();
        for Parameter { name, var, first, second } in &self.parameters {
            for (moment, values) in [("first", first), ("second", second)] {
                let tensor = Tensor::from_slice(values, var.shape(), &Device::Cpu)?;
                moments.insert(format!("{moment}.{name}"), tensor);
            }
        }
        Ok(moments)
    }

    /// Takes up where a saved optimiser stopped, after `step` updates.
    ///
    /// # Errors
    /// Names a moment that is missing or of another shape.
    pub fn restore(&mut self, step: u64, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        for parameter in &mut self.parameters {
            for (moment, values) in [("first", &mut parameter.first), ("second", &mut parameter.second)] {
                let name = format!("{moment}.{}", parameter.name);
                let saved = moments.get(&name).with_context(|| format!("no tensor `{name}`"))?;
                let (expected, found) = (parameter.var.dims(), saved.dims());
                ensure!(found == expected, "tensor `{name}`: expected shape {expected:?}, found {found:?}");
                *values = saved.flatten_all()?.to_vec1()?;
            }
        }
        self.step = step;
        Ok(())
    }
}

impl Parameter {
    fn step(&mut self, gradient: &[f32], rate: f32, correction: f32) -> Result<()> {
        let Parameter { name, var, first, second } = self;
        let (expected, found) = (first.len(), gradient.len());
        ensure!(found == expected, "gradient of `{name}`: expected {expected} numbers, found {found}");
        let mut weights: Vec<f32> = var.flatten_all()?.to_vec1()?;
        descend(&mut weights, first, second, gradient, [rate, correction]);
        var.set(&Tensor::from_vec(weights, var.shape(), var.device())?)?;
        Ok(())
    }
}

/// The update of every number of one variable; `rate` and `correction` hold what depends on the step.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn descend(weights: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], [rate, correction]: [f32; 2]) {
    let (keep_1, take_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
    let (keep_2, take_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
    let epsilon = EPSILON as f32;
    for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
        *m = keep_1 * *m + take_1 * g;
        *v = keep_2 * *v + take_2 * g * g;
        *w -= rate * (*m / (v.sqrt() / correction + epsilon));
    }
}
