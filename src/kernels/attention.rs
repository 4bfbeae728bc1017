//! Attention over the positions of one or several runs.

use std::ops::Range;

use rayon::prelude::*;

use super::matrix::{ABREAST, LANES, accumulate_apart, worth_sharing};
use super::pointwise::scaled_numerators;

/// Keys and values of consecutive positions, as panels for the products of attention.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Those before it are not seen.
    first: usize,
    positions: usize,
    /// For each `LANES` positions (key heads * size) rows: scores of neighbouring positions are neighbours.
    keys: &'a [[f32; LANES]],
    /// For each head and each `LANES` of its dimensions one row a position.
    values: &'a [Vec<[f32; LANES]>],
}

/// Sizes of an attention layer.
#[derive(Clone, Copy)]
pub struct Heads {
    pub queries: usize,
    pub keys: usize,
    /// Dimensions of a head.
    pub size: usize,
    /// What products of queries and keys are multiplied by.
    pub scale: f32,
    /// Then they are squeezed into plus and minus this number.
    pub cap: Option<f32>,
}

impl Heads {
    /// Plain ones, whose products are divided by the root of their size.
    pub fn new(queries: usize, keys: usize, size: usize) -> Self {
        Heads { queries, keys, size, scale: 1.0 / (size as f32).sqrt(), cap: None }
    }
}

/// Keys and values of a growing number of positions, laid out as in [`Run`].
#[derive(Clone)]
pub struct KeysAndValues {
    keys: Vec<[f32; LANES]>,
    values: Vec<Vec<[f32; LANES]>>,
}

impl KeysAndValues {
    /// None yet, for so many heads of keys of so many dimensions.
    pub fn new(heads: Heads) -> Self {
        KeysAndValues { keys: Vec::new(), values: vec![Vec::new(); heads.keys * heads.size.div_ceil(LANES)] }
    }

    /// None yet, in the same shape.
    pub fn emptied(&self) -> Self {
        KeysAndValues { keys: Vec::new(), values: vec![Vec::new(); self.values.len()] }
    }

    /// Adds a position; `key` and `value` hold those of all heads, of `size` dimensions each.
    pub fn push(&mut self, key: &[f32], value: &[f32], size: usize) {
        let position = self.values.first().map_or(0, Vec::len);
        self.keys.resize((position / LANES + 1) * key.len(), [0.0; LANES]);
        for (lanes, key) in self.keys[position / LANES * key.len()..].iter_mut().zip(key) {
            lanes[position % LANES] = *key;
        }
        let parts = value.chunks_exact(size).flat_map(|head| head.chunks(LANES));
        for (panel, part) in self.values.iter_mut().zip(parts) {
            let mut lanes = [0.0; LANES];
            lanes[..part.len()].copy_from_slice(part);
            panel.push(lanes);
        }
    }

    /// Some of them.
    pub fn run(&self, positions: Range<usize>) -> Run<'_> {
        Run { first: positions.start, positions: positions.len(), keys: &self.keys, values: &self.values }
    }
}

/// Attention of one row: `softmax(cap(scale q K^T)) V` for each head, over the positions of all runs.
fn attend_row(heads: Heads, query: &[f32], runs: &[Run], output: &mut [f32]) {
    let (size, width) = (heads.size, heads.keys * heads.size);
    let panels = size.div_ceil(LANES);
    let mut weights: [Vec<f32>; ABREAST] = Default::default();
    for first in (0..heads.queries).step_by(ABREAST) {
        // Where there are fewer heads left, the last is taken again.
        let head = std::array::from_fn(|n| (first + n).min(heads.queries - 1));
        let key = |n: usize| head[n] / (heads.queries / heads.keys);
        weights.iter_mut().for_each(Vec::clear);
        for run in runs {
            let end = weights[0].len() + run.positions;
            let blocks = run.first / LANES..(run.first + run.positions).div_ceil(LANES);
            let mut unseen = run.first % LANES;
            for keys in run.keys.chunks_exact(width).take(blocks.end).skip(blocks.start) {
                let mut scores = [[0.0; LANES]; ABREAST];
                let queries = head.map(|head| &query[head * size..][..size]);
                accumulate_apart(std::array::from_fn(|n| &keys[key(n) * size..][..size]), queries, &mut scores);
                weights
                    .iter_mut()
                    .zip(&scores)
                    .for_each(|(weights, scores)| weights.extend_from_slice(&scores[unseen..]));
                unseen = 0;
            }
            weights.iter_mut().for_each(|weights| weights.truncate(end));
        }
        let totals = weights.each_mut().map(|weights| scaled_numerators(weights, heads.scale, heads.cap));
        for panel in 0..panels {
            let mut sums = [[0.0; LANES]; ABREAST];
            let mut past = 0;
            for run in runs {
                let here = weights.each_ref().map(|weights| &weights[past..][..run.positions]);
                let values = |n| &run.values[key(n) * panels + panel][run.first..][..run.positions];
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
