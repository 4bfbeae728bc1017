//! Products with a matrix that many rows share.

use multiversion::multiversion;
use rayon::prelude::*;

/// Outputs computed side by side; weights are stored so that these are neighbours.
pub const LANES: usize = 32;
/// Sums of one lane that are taken side by side, lest each addition wait for the one before it.
pub(super) const ABREAST: usize = 4;
/// Multiply-adds below which waking other threads costs more than it saves.
const WORTH_SHARING: usize = 1 << 23;

/// A matrix (outputs, inputs), stored as panels of `LANES` outputs for each input.
pub struct Matrix {
    panels: Vec<[f32; LANES]>,
    inputs: usize,
    outputs: usize,
}

impl Matrix {
    /// Stores row-major matrices of the same number of inputs, one below the other.
    pub fn stack(parts: &[Vec<f32>], inputs: usize) -> Self {
        let outputs = parts.iter().map(Vec::len).sum::<usize>() / inputs;
        let mut panels = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        for (output, row) in parts.iter().flat_map(|part| part.chunks_exact(inputs)).enumerate() {
            let panel = &mut panels[output / LANES * inputs..][..inputs];
            for (lanes, weight) in panel.iter_mut().zip(row) {
                lanes[output % LANES] = *weight;
            }
        }
        Matrix { panels, inputs, outputs }
    }

    /// `x W^T`: (rows, inputs) to (rows, outputs).
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut sums = vec![[0.0; LANES]; rows * self.panels.len() / self.inputs];
        let column = |(panel, sums): (&[[f32; LANES]], &mut [[f32; LANES]])| accumulate_rows(panel, x, sums);
        if worth_sharing(x.len() * self.outputs) {
            self.panels.par_chunks_exact(self.inputs).zip(sums.par_chunks_exact_mut(rows)).for_each(column);
        } else {
            self.panels.chunks_exact(self.inputs).zip(sums.chunks_exact_mut(rows)).for_each(column);
        }
        let mut y = vec![0.0; rows * self.outputs];
        for (row, y) in y.chunks_exact_mut(self.outputs).enumerate() {
            for (y, sums) in y.chunks_mut(LANES).zip(sums.chunks_exact(rows)) {
                y.copy_from_slice(&sums[row][..y.len()]);
            }
        }
        y
    }
}

/// Adds `x` (rows, inputs) times the panel (inputs, LANES) to the sums (rows, LANES), input after input.
fn accumulate_rows(panel: &[[f32; LANES]], x: &[f32], sums: &mut [[f32; LANES]]) {
    let (blocks, rest) = sums.as_chunks_mut::<ABREAST>();
    let (whole, last) = x.split_at(blocks.len() * ABREAST * panel.len());
    for (x, sums) in whole.chunks_exact(ABREAST * panel.len()).zip(blocks) {
        accumulate_block(panel, std::array::from_fn(|row| &x[row * panel.len()..][..panel.len()]), sums);
    }
    for (x, sums) in last.chunks_exact(panel.len()).zip(rest) {
        accumulate_row(panel, x, sums);
    }
}

#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
fn accumulate_block(panel: &[[f32; LANES]], x: [&[f32]; ABREAST], sums: &mut [[f32; LANES]; ABREAST]) {
    accumulate([panel; ABREAST], x, sums);
}

#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub(super) fn accumulate_apart(
    panels: [&[[f32; LANES]]; ABREAST],
    x: [&[f32]; ABREAST],
    sums: &mut [[f32; LANES]; ABREAST],
) {
    accumulate(panels, x, sums);
}

#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
fn accumulate_row(panel: &[[f32; LANES]], x: &[f32], sums: &mut [f32; LANES]) {
    let mut block = [*sums];
    accumulate([panel], [x], &mut block);
    *sums = block[0];
}

/// Adds each `x` (inputs) times its panel (inputs, LANES) to its sums, input after input.
///
/// The sums stay in registers only in a function that does nothing else.
#[inline(always)]
fn accumulate<const N: usize>(panels: [&[[f32; LANES]]; N], x: [&[f32]; N], sums: &mut [[f32; LANES]; N]) {
    let inputs = panels[0].len();
    let (panels, x) = (panels.map(|panel| &panel[..inputs]), x.map(|x| &x[..inputs]));
    let mut local = *sums;
    for input in 0..inputs {
        for n in 0..N {
            let (weights, x) = (&panels[n][input], x[n][input]);
            for lane in 0..LANES {
                local[n][lane] = x.mul_add(weights[lane], local[n][lane]);
            }
        }
    }
    *sums = local;
}

/// A matrix and what is added to each row of its products, if anything is.
pub struct Affine {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

impl Affine {
    /// As [`Matrix::stack`]; the bias is as long as all outputs together.
    pub fn stack(parts: &[Vec<f32>], inputs: usize, bias: Option<Vec<f32>>) -> Self {
        Affine { matrix: Matrix::stack(parts, inputs), bias }
    }

    /// `x W^T + b`: (rows, inputs) to (rows, outputs).
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = self.matrix.multiply(x);
        if let Some(bias) = &self.bias {
            y.chunks_exact_mut(bias.len()).for_each(|row| super::add(row, bias));
        }
        y
    }
}

/// Whether so many multiply-adds are worth more than one thread.
pub fn is_worth_sharing(multiply_adds: usize) -> bool {
    multiply_adds >= WORTH_SHARING
}

pub(super) fn worth_sharing(multiply_adds: usize) -> bool {
    is_worth_sharing(multiply_adds) && rayon::current_num_threads() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = crate::random::stream(seed, &[&"kernels"]);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    #[test]
    fn product_of_a_row_has_the_same_bits_in_any_company() {
        let (inputs, outputs) = (40, 75);
        let weights = random(inputs * outputs, 1);
        let matrix = Matrix::stack(std::slice::from_ref(&weights), inputs);
        let x = random(inputs * 37, 2);
        let together = matrix.multiply(&x);
        for (row, x) in x.chunks_exact(inputs).enumerate() {
            let alone = matrix.multiply(x);
            assert_eq!(alone, together[row * outputs..][..outputs]);
            for (y, weights) in alone.iter().zip(weights.chunks_exact(inputs)) {
                let chain = x.iter().zip(weights).fold(0.0f32, |sum, (x, weight)| x.mul_add(*weight, sum));
                assert_eq!(y.to_bits(), chain.to_bits());
            }
        }
        for rows in 2..20 {
            assert_eq!(matrix.multiply(&x[..rows * inputs]), together[..rows * outputs]);
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let x = random(256 * 256, 3);
        let matrix = Matrix::stack(&[random(256 * 256, 4)], 256);
        const { assert!(256 * 256 * 256 >= WORTH_SHARING) };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
            pool.install(|| matrix.multiply(&x))
        };
        assert_eq!(with(1), with(3));
    }
}
