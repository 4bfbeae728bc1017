//! The arithmetic of the CPU network in f32.
//!
//! Every sum is taken in a fixed order: vectors run across outputs, or across sixteen fixed parts of a sum, and a fused
//! multiply-add is fused on every machine. So a row's result has the same bits whatever rows stand beside it, whatever
//! the number of threads and whatever the width of the processor's vectors.

use multiversion::multiversion;
use rayon::prelude::*;

/// Outputs computed side by side; weights are stored so that these are neighbours.
pub const LANES: usize = 32;
/// Sums of one lane that are taken side by side, lest each addition wait for the one before it.
const ABREAST: usize = 4;
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
fn accumulate_apart(panels: [&[[f32; LANES]]; ABREAST], x: [&[f32]; ABREAST], sums: &mut [[f32; LANES]; ABREAST]) {
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

/// Whether so many multiply-adds are worth more than one thread.
pub fn is_worth_sharing(multiply_adds: usize) -> bool {
    multiply_adds >= WORTH_SHARING
}

fn worth_sharing(multiply_adds: usize) -> bool {
    is_worth_sharing(multiply_adds) && rayon::current_num_threads() > 1
}

/// `x / sqrt(mean(x^2) + epsilon) * weight`, for each row.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    for (x, y) in x.chunks_exact(weight.len()).zip(y.chunks_exact_mut(weight.len())) {
        let scale = 1.0 / (dot(x, x) / weight.len() as f32 + epsilon).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = x * scale * weight;
        }
    }
    y
}

/// As [`rms_norm`], in place: for the heads of one position.
pub fn rms_norm_in_place(x: &mut [f32], weight: &[f32], epsilon: f32) {
    x.copy_from_slice(&rms_norm(x, weight, epsilon));
}

/// `silu(gate) * up` for rows of gate and up side by side: (rows, 2 width) to (rows, width).
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn swiglu(x: &[f32], width: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len() / 2];
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = x.split_at(width);
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate / (1.0 + exp(-gate)) * up;
        }
    }
    y
}

/// `x += y`
pub fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Turns each head's pairs of dimensions (i, i + head / 2) by the angles of one position.
pub fn rotate(x: &mut [f32], (cosines, sines): &(Vec<f32>, Vec<f32>)) {
    for head in x.chunks_exact_mut(2 * cosines.len()) {
        let (first, second) = head.split_at_mut(cosines.len());
        for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
        }
    }
}

/// Keys and values of consecutive positions, as panels for the products of attention.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub positions: usize,
    /// For each `LANES` positions (key heads * size) rows: scores of neighbouring positions are neighbours.
    pub keys: &'a [[f32; LANES]],
    /// For each head and each `LANES` of its dimensions one row a position.
    pub values: &'a [Vec<[f32; LANES]>],
}

/// Sizes of an attention layer.
#[derive(Clone, Copy)]
pub struct Heads {
    pub queries: usize,
    pub keys: usize,
    /// Dimensions of a head.
    pub size: usize,
}

/// Attention of one row: `softmax(q K^T / sqrt(size)) V` for each head, over the positions of all runs.
fn attend_row(heads: Heads, query: &[f32], runs: &[Run], output: &mut [f32]) {
    let (size, width) = (heads.size, heads.keys * heads.size);
    let (scale, panels) = (1.0 / (size as f32).sqrt(), size.div_ceil(LANES));
    let mut weights: [Vec<f32>; ABREAST] = Default::default();
    for first in (0..heads.queries).step_by(ABREAST) {
        // Where there are fewer heads left, the last is taken again.
        let head = std::array::from_fn(|n| (first + n).min(heads.queries - 1));
        let key = |n: usize| head[n] / (heads.queries / heads.keys);
        weights.iter_mut().for_each(Vec::clear);
        for run in runs {
            let end = weights[0].len() + run.positions;
            for keys in run.keys.chunks_exact(width).take(run.positions.div_ceil(LANES)) {
                let mut scores = [[0.0; LANES]; ABREAST];
                let queries = head.map(|head| &query[head * size..][..size]);
                accumulate_apart(std::array::from_fn(|n| &keys[key(n) * size..][..size]), queries, &mut scores);
                weights.iter_mut().zip(&scores).for_each(|(weights, scores)| weights.extend_from_slice(scores));
            }
            weights.iter_mut().for_each(|weights| weights.truncate(end));
        }
        let totals = weights.each_mut().map(|weights| scaled_numerators(weights, scale));
        for panel in 0..panels {
            let mut sums = [[0.0; LANES]; ABREAST];
            let mut past = 0;
            for run in runs {
                let here = weights.each_ref().map(|weights| &weights[past..][..run.positions]);
                let values = |n| &run.values[key(n) * panels + panel][..run.positions];
                accumulate_apart(std::array::from_fn(values), here, &mut sums);
                past += run.positions;
            }
            for ((head, sums), total) in head.iter().zip(sums).zip(totals) {
                let output = output[head * size..][..size].chunks_mut(LANES).nth(panel);
                output.into_iter().flatten().zip(sums).for_each(|(output, sum)| *output = sum / total);
            }
        }
    }
}

/// Attention of many rows, shared among threads where that pays; `runs` tells what a row sees.
pub fn attend<'a>(
    heads: Heads,
    queries: &[f32],
    stride: usize,
    positions: usize,
    runs: impl Fn(usize) -> Vec<Run<'a>> + Sync,
) -> Vec<f32> {
    let width = heads.queries * heads.size;
    let mut output = vec![0.0; queries.len() / stride * width];
    let row = |(row, output): (usize, &mut [f32])| {
        attend_row(heads, &queries[row * stride..][..width], &runs(row), output);
    };
    if worth_sharing(2 * positions * width) {
        output.par_chunks_exact_mut(width).enumerate().for_each(row);
    } else {
        output.chunks_exact_mut(width).enumerate().for_each(row);
    }
    output
}

/// Turns `x` into the [`softmax_numerators`] of `scale x`.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
fn scaled_numerators(x: &mut [f32], scale: f32) -> f32 {
    x.iter_mut().for_each(|x| *x *= scale);
    exponentials(x)
}

/// Turns `x` into `exp(x - max)` and gives the sum.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn softmax_numerators(x: &mut [f32]) -> f32 {
    exponentials(x)
}

#[inline(always)]
fn exponentials(x: &mut [f32]) -> f32 {
    let max = reduce(x, f32::NEG_INFINITY, |max, x| if x > max { x } else { max });
    x.iter_mut().for_each(|x| *x = exp(*x - max));
    reduce(x, 0.0, |sum, x| sum + x)
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = a.mul_add(*b, *lane);
    }
    fold(lanes, |a, b| a + b)
}

/// Folds sixteen interleaved parts of `x`, then those.
#[inline(always)]
fn reduce(x: &[f32], start: f32, operation: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut lanes = [start; 16];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = operation(*lane, *x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane = operation(*lane, *x));
    fold(lanes, operation)
}

#[inline(always)]
fn fold(mut lanes: [f32; 16], operation: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = operation(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// `e^x` to about one unit in the last place: the standard library's differs from platform to platform, and no compiler
/// makes vectors of it.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN_2_LOW, power.mul_add(-LN_2_HIGH, x));
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = rest.mul_add(series, coefficient);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
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

    #[test]
    fn exponential_is_exact_to_the_last_places() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            let found = f64::from(exp(x));
            assert!((found / exact - 1.0).abs() < 2e-7, "exp({x}) = {exact}, found {found}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }
}
