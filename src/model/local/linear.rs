//! The matrices of the network on the CPU: floats, laid out anew, or packed rows, as in the file.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Result;
use candle_core::Tensor;

use super::weights::{self, Stored};
use crate::kernels::{self, Format, Matrix, Packed, Rows};

/// A matrix, and what is added to each row of its products, if anything is.
pub struct Linear {
    weights: Weights,
    bias: Option<Vec<f32>>,
}

enum Weights {
    Floats(Matrix),
    Packed(Packed),
}

impl Linear {
    /// Matrices with the same number of inputs, one below the other.
    pub fn stack(parts: Vec<Stored>, inputs: usize) -> Self {
        let mut floats = Vec::with_capacity(parts.len());
        let mut rows = Vec::with_capacity(parts.len());
        let any_packed = parts.iter().any(|part| matches!(part, Stored::Packed(_)));
        for part in parts {
            match part {
                Stored::Packed(packed) => rows.push(packed),
                Stored::Floats(numbers) if any_packed => rows.extend(pack(&numbers, inputs)),
                Stored::Floats(numbers) => floats.push(numbers),
            }
        }
        let weights = match any_packed {
            true => Weights::Packed(Packed::stack(rows)),
            false => Weights::Floats(Matrix::stack(&floats, inputs)),
        };
        Linear { weights, bias: None }
    }

    /// As [`Linear::stack`], with biases: all parts have one, or none has.
    ///
    /// # Errors
    /// A bias is not in f32 on the CPU.
    pub fn affine(parts: Vec<weights::Linear<Stored>>, inputs: usize) -> Result<Self> {
        let (weights, biases): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.weight, part.bias)).unzip();
        let biases: Option<Vec<Tensor>> = biases.into_iter().collect();
        let bias = biases.map(|biases| vector(&Tensor::cat(&biases, 0)?)).transpose()?;
        Ok(Linear { bias, ..Linear::stack(weights, inputs) })
    }

    /// `x W^T + b`: (rows, inputs) to (rows, outputs).
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = match &self.weights {
            Weights::Floats(matrix) => matrix.multiply(x),
            Weights::Packed(packed) => packed.multiply(x),
        };
        if let Some(bias) = &self.bias {
            y.chunks_exact_mut(bias.len()).for_each(|row| kernels::add(row, bias));
        }
        y
    }
}

/// Floats as packed rows.
fn pack(numbers: &[f32], inputs: usize) -> Option<Rows> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Rows::new(Arc::new(bytes), Format::F32, 0, inputs, numbers.len() / inputs, None)
}

impl Stored {
    /// One row of `inputs` numbers; None if there are fewer rows.
    pub fn row(&self, row: usize, inputs: usize) -> Option<Cow<'_, [f32]>> {
        match self {
            Stored::Floats(numbers) => numbers.get(row * inputs..(row + 1) * inputs).map(Cow::Borrowed),
            Stored::Packed(rows) => rows.unpack(row).map(Cow::Owned),
        }
    }
}

/// The numbers of a tensor.
///
/// # Errors
/// They are not f32.
pub fn vector(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}
