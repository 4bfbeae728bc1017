//! Products of rows, each the sum of sixteen chains.
//!
//! Chain `n` takes the inputs `n`, `n + 16`, `n + 32` and so on, one fused multiply-add after another; then the chains
//! are added in halves: the upper eight to the lower eight, and so on. So the bits of a product do not depend on what
//! else is computed with it.

use super::blocks::Block;
use super::vector::{LANES, Lanes, Vector};

/// Weight rows multiplied at once, so that additions need not wait for the ones before them.
pub(super) const ABREAST: usize = 4;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Products of packed weights, as they are unpacked, with one row of inputs.
#[inline(always)]
pub(super) fn dot<V: Vector, B: Block<BYTES>, const BYTES: usize>(
    rows: [&[u8]; ABREAST],
    x: &[Lanes],
    parts: usize,
) -> [f32; ABREAST] {
    let count = rows.iter().map(|row| row.len() / BYTES).fold(x.len() / parts, usize::min);
    let [one, two, three, four] = rows.map(|row| &row.as_chunks::<BYTES>().0[..count]);
    let [mut first, mut second, mut third, mut fourth] = [V::splat(0.0); ABREAST];
    // The next rows usually lie behind these.
    let mut next = rows[0].as_ptr().wrapping_add(ABREAST * rows[0].len());
    for ((((x, one), two), three), four) in x.chunks_exact(parts).zip(one).zip(two).zip(three).zip(four) {
        for line in 0..(ABREAST * BYTES).div_ceil(LINE) {
            V::expect(next.wrapping_add(line * LINE));
        }
        next = next.wrapping_add(ABREAST * BYTES);
        B::unpack(one, |n, weights: V| first = weights.times_plus(V::load(&x[n]), first));
        B::unpack(two, |n, weights: V| second = weights.times_plus(V::load(&x[n]), second));
        B::unpack(three, |n, weights: V| third = weights.times_plus(V::load(&x[n]), third));
        B::unpack(four, |n, weights: V| fourth = weights.times_plus(V::load(&x[n]), fourth));
    }
    [first.sum(), second.sum(), third.sum(), fourth.sum()]
}

/// The weights of a row.
#[inline(always)]
pub(super) fn unpack<V: Vector, B: Block<BYTES>, const BYTES: usize>(row: &[u8], weights: &mut [Lanes], parts: usize) {
    for (block, weights) in row.as_chunks::<BYTES>().0.iter().zip(weights.chunks_exact_mut(parts)) {
        B::unpack(block, |n, own: V| own.store(&mut weights[n]));
    }
}

/// All products of rows of as many vectors as `width` says: `x` (rows) with `weights` (outputs) into `y` (rows, outputs).
/// `M` rows and `N` outputs are taken at a time: their sums and what is added to them fill the registers.
#[inline(always)]
pub(super) fn products<V: Vector, const M: usize, const N: usize>(
    x: &[Lanes],
    weights: &[Lanes],
    width: usize,
    y: &mut [f32],
) {
    let (rows, outputs) = (x.len() / width, weights.len() / width);
    let mut row = 0;
    while row < rows {
        let y = &mut y[row * outputs..];
        let x = &x[row * width..];
        row += match rows - row {
            left if left >= M => strip::<V, M, N>(x, weights, width, y),
            2.. => strip::<V, 2, N>(x, weights, width, y),
            _ => strip::<V, 1, N>(x, weights, width, y),
        };
    }
}

/// The first `M` rows with all weights.
#[inline(always)]
fn strip<V: Vector, const M: usize, const N: usize>(
    x: &[Lanes],
    weights: &[Lanes],
    width: usize,
    y: &mut [f32],
) -> usize {
    let x: [&[Lanes]; M] = std::array::from_fn(|m| &x[m * width..][..width]);
    let outputs = weights.len() / width;
    for output in (0..outputs).step_by(N) {
        // If fewer are left, the last one is repeated.
        let nth: [usize; N] = std::array::from_fn(|n| (output + n).min(outputs - 1));
        let weights: [&[Lanes]; N] = nth.map(|n| &weights[n * width..][..width]);
        let mut sums = [[V::splat(0.0); N]; M];
        for part in 0..width {
            let weights = weights.map(|weights| V::load(&weights[part]));
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = V::load(&x[part]);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = weights.times_plus(x, *sum);
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (n, sum) in nth.into_iter().zip(sums) {
                y[m * outputs + n] = sum.sum();
            }
        }
    }
    M
}

/// Inputs padded with zeros to whole vectors.
pub(super) fn whole_vectors(x: &[f32], inputs: usize) -> Vec<Lanes> {
    let rows = x.chunks_exact(inputs).flat_map(|row| {
        let (whole, rest) = row.as_chunks::<LANES>();
        let filled = || std::array::from_fn(|n| rest.get(n).copied().unwrap_or(0.0));
        whole.iter().copied().chain((!rest.is_empty()).then(filled))
    });
    rows.collect()
}
