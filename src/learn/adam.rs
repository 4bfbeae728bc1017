//! Plain Adam as in PyTorch, and gradient clipping.
//!
//! ```text
//! m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//! w = w - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//! ```
//!
//! Weights, gradients and moments stay on the device of the weights. On the CPU, one pass over plain numbers is faster than a
//! dozen tensor operations for each variable.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, Storage, Tensor, Var};
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
    moments: Moments,
}

/// `m` and `v`.
enum Moments {
    Host([Vec<f32>; 2]),
    Device([Tensor; 2]),
}

/// The gradients of `vars`, scaled down together to a Euclidean norm of at most `clip` (0 for no limit), and the norm before
/// that. A variable that does not affect the loss has no gradient.
///
/// # Errors
/// The device failed.
pub fn gradients(store: &GradStore, vars: &[Var], clip: f64) -> Result<(Vec<Option<Tensor>>, f64)> {
    let mut found = Vec::with_capacity(vars.len());
    for var in vars {
        found.push(store.get(var).map(Tensor::contiguous).transpose()?);
    }
    let norm = norm(found.iter().flatten())?;
    if clip > 0.0 && norm > clip {
        for gradient in found.iter_mut().flatten() {
            *gradient = (&*gradient * (clip / norm))?;
        }
    }
    Ok((found, norm))
}

impl Adam {
    pub fn new(vars: impl IntoIterator<Item = (String, Var)>) -> Result<Self> {
        let parameter = |(name, var): (String, Var)| {
            let moments = Moments::of([var.zeros_like()?, var.zeros_like()?])?;
            Ok(Parameter { name, var, moments })
        };
        Ok(Adam { step: 0, parameters: vars.into_iter().map(parameter).collect::<Result<_>>()? })
    }

    /// Updates done so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One update; `gradients` are in the order of the variables. As in PyTorch, a variable without a gradient stays as it is,
    /// with its moments.
    ///
    /// # Errors
    /// A gradient has another shape.
    pub fn step(&mut self, gradients: &[Option<Tensor>], learning_rate: f64) -> Result<()> {
        let (expected, found) = (self.parameters.len(), gradients.len());
        ensure!(found == expected, "expected {expected} gradients, found {found}");
        self.step += 1;
        let t = self.step as f64;
        let rate = learning_rate / (1.0 - BETA_1.powf(t));
        let correction = (1.0 - BETA_2.powf(t)).sqrt();
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
    /// The device failed.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut named = BTreeMap::new();
        for Parameter { name, var, moments } in &self.parameters {
            let tensors = match moments {
                Moments::Host(host) => [
                    Tensor::from_slice(&host[0], var.shape(), &Device::Cpu)?,
                    Tensor::from_slice(&host[1], var.shape(), &Device::Cpu)?,
                ],
                Moments::Device([first, second]) => [first.to_device(&Device::Cpu)?, second.to_device(&Device::Cpu)?],
            };
            named.extend(["first", "second"].map(|moment| format!("{moment}.{name}")).into_iter().zip(tensors));
        }
        Ok(named)
    }

    /// Continues where a saved optimiser stopped, after `step` updates.
    ///
    /// # Errors
    /// Names a moment that is missing or of another shape.
    pub fn restore(&mut self, step: u64, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        for parameter in &mut self.parameters {
            let Parameter { name, var, .. } = &parameter;
            let saved = |moment: &str| {
                let name = format!("{moment}.{name}");
                let saved = moments.get(&name).with_context(|| format!("no tensor `{name}`"))?;
                let (expected, found) = (var.dims(), saved.dims());
                ensure!(found == expected, "tensor `{name}`: expected shape {expected:?}, found {found:?}");
                Ok(saved.to_device(var.device())?)
            };
            parameter.moments = Moments::of([saved("first")?, saved("second")?])?;
        }
        self.step = step;
        Ok(())
    }
}

impl Moments {
    fn of([first, second]: [Tensor; 2]) -> Result<Self> {
        Ok(match first.device().is_cpu() {
            true => Moments::Host([first.flatten_all()?.to_vec1()?, second.flatten_all()?.to_vec1()?]),
            false => Moments::Device([first, second]),
        })
    }
}

impl Parameter {
    fn step(&mut self, gradient: &Tensor, rate: f64, correction: f64) -> Result<()> {
        let Parameter { name, var, moments } = self;
        let (expected, found) = (var.dims(), gradient.dims());
        ensure!(found == expected, "gradient of `{name}`: expected shape {expected:?}, found {found:?}");
        let updated = match moments {
            Moments::Host(moments) => {
                let mut weights: Vec<f32> = var.flatten_all()?.to_vec1()?;
                on_host(gradient, |gradient| descend(&mut weights, moments, gradient, [rate, correction]))?;
                Tensor::from_vec(weights, var.shape(), var.device())?
            }
            Moments::Device(moments) => descended(var, moments, gradient, [rate, correction])?,
        };
        Ok(var.set(&updated)?)
    }
}

/// The update of every number of one variable; `rate` and `correction` hold what depends on the step.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn descend(weights: &mut [f32], moments: &mut [Vec<f32>; 2], gradient: &[f32], [rate, correction]: [f64; 2]) {
    let (keep_1, take_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
    let (keep_2, take_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
    let (rate, correction, epsilon) = (rate as f32, correction as f32, EPSILON as f32);
    let [first, second] = moments;
    for (((w, m), v), g) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
        *m = keep_1 * *m + take_1 * g;
        *v = keep_2 * *v + take_2 * g * g;
        *w -= rate * (*m / (v.sqrt() / correction + epsilon));
    }
}

/// The same where the numbers are; returns the weights.
fn descended(var: &Var, moments: &mut [Tensor; 2], gradient: &Tensor, [rate, correction]: [f64; 2]) -> Result<Tensor> {
    let [first, second] = moments;
    *first = ((&*first * BETA_1)? + (gradient * (1.0 - BETA_1))?)?;
    *second = ((&*second * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
    let direction = (&*first / ((second.sqrt()? / correction)? + EPSILON)?)?;
    Ok((var.as_tensor() - (direction * rate)?)?)
}

/// The Euclidean norm of some tensors together.
fn norm<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let (mut squares, mut elsewhere) = (0.0, Vec::new());
    for tensor in tensors {
        match tensor.device().is_cpu() {
            true => on_host(tensor, |values| squares += sum_of_squares(values))?,
            false => elsewhere.push(tensor.sqr()?.sum_all()?),
        }
    }
    if !elsewhere.is_empty() {
        squares += f64::from(Tensor::stack(&elsewhere, 0)?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(squares.sqrt())
}

/// Shows the numbers of a contiguous tensor of the CPU.
fn on_host(tensor: &Tensor, show: impl FnOnce(&[f32])) -> Result<()> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => show(&values[start..end]),
        _ => show(&tensor.flatten_all()?.to_vec1::<f32>()?),
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_steps_as_the_host_does() -> Result<()> {
        let numbers = |scale: f32| (0..40).map(|at| (at as f32 * 0.7).sin() * scale).collect::<Vec<_>>();
        let tensor = |values: Vec<f32>| Tensor::from_vec(values, (5, 8), &Device::Cpu);
        let [host, device] = [Var::from_tensor(&tensor(numbers(1.0))?)?, Var::from_tensor(&tensor(numbers(1.0))?)?];
        let mut adam = Adam::new([("w".to_owned(), host.clone())])?;
        let mut moments = [device.zeros_like()?, device.zeros_like()?];
        for step in 1..=9i32 {
            let gradient = tensor(numbers(1.0 / step as f32))?;
            adam.step(&[Some(gradient.clone())], 0.01)?;
            let scale = [0.01 / (1.0 - BETA_1.powi(step)), (1.0 - BETA_2.powi(step)).sqrt()];
            device.set(&descended(&device, &mut moments, &gradient, scale)?)?;
        }
        let difference = (host.as_tensor() - device.as_tensor())?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(difference < 1e-6, "differs by {difference}");
        Ok(())
    }

    #[test]
    fn gradients_are_clipped_together() -> Result<()> {
        let vars = [
            Var::new(&[3.0f32, 0.0], &Device::Cpu)?,
            Var::new(&[4.0f32], &Device::Cpu)?,
            Var::new(&[9.0f32], &Device::Cpu)?,
        ];
        let loss = ((vars[0].sqr()?.sum_all()? + vars[1].sqr()?.sum_all()?)? * 0.5)?;
        let (found, norm) = gradients(&loss.backward()?, &vars, 1.0)?;
        let numbers: Vec<Option<Vec<f32>>> = found
            .iter()
            .map(|gradient| gradient.as_ref().map(Tensor::to_vec1).transpose())
            .collect::<Result<_, _>>()?;
        assert!((norm - 5.0).abs() < 1e-6);
        assert_eq!(numbers, [Some(vec![0.6, 0.0]), Some(vec![0.8]), None]);
        Ok(())
    }
}
