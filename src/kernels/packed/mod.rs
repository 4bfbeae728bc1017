//! Products with weights that stay packed as a file has them: they are unpacked in registers, or a few rows at a time.
//! Inputs and sums are f32.

mod blocks;
mod formats;
mod product;
mod super_blocks;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

pub use formats::Format;
use formats::Processor;
use product::{ABREAST, whole_vectors};
use vector::{LANES, Lanes};

/// Multiply-adds below which waking other threads costs more than it saves.
const WORTH_SHARING: usize = 1 << 17;
/// Weights unpacked at a time, for many rows of inputs: a quarter of a megabyte.
const UNPACKED: usize = 1 << 16;
/// The number of pieces in each thread's share of a product; a thread that is held up leaves the rest to others.
const PIECES: usize = 2;

/// What holds the bytes of packed weights.
type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Packed rows of one format, one after another.
#[derive(Clone)]
pub struct Rows {
    bytes: Bytes,
    format: Format,
    /// Where the first row begins.
    start: usize,
    /// Of a row.
    row_bytes: usize,
    inputs: usize,
    outputs: usize,
    /// Rows of a head, if its two halves alternate in the file.
    head: Option<usize>,
}

impl Rows {
    /// Rows in `bytes`, from `start` on. With `head`, each head has that many rows, and the file has its row 0, then
    /// the one half a head further, then row 1, and so on.
    ///
    /// None if the bytes are too few, blocks do not fill a row, or heads do not fill the rows.
    pub fn new(
        bytes: Bytes,
        format: Format,
        start: usize,
        inputs: usize,
        outputs: usize,
        head: Option<usize>,
    ) -> Option<Self> {
        let row_bytes = format.row_bytes(inputs)?;
        let end = start.checked_add(row_bytes.checked_mul(outputs)?)?;
        let fits = end <= (*bytes).as_ref().len() && inputs > 0;
        let whole = head.is_none_or(|head| head > 0 && head.is_multiple_of(2) && outputs.is_multiple_of(head));
        (fits && whole).then_some(Rows { bytes, format, start, row_bytes, inputs, outputs, head })
    }

    /// Numbers of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many rows there are.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Some of the rows; None if there are fewer, or if the halves of heads alternate.
    pub fn part(&self, rows: Range<usize>) -> Option<Self> {
        (rows.start <= rows.end && rows.end <= self.outputs && self.head.is_none()).then_some(())?;
        Some(Rows { start: self.start + rows.start * self.row_bytes, outputs: rows.len(), ..self.clone() })
    }

    /// The weights of a row; None if there are fewer.
    pub fn unpack(&self, row: usize) -> Option<Vec<f32>> {
        (row < self.outputs).then_some(())?;
        let mut weights = vec![[0.0; LANES]; self.width()];
        self.unpack_into(row, Processor::here(), &mut weights);
        Some(weights.as_flattened()[..self.inputs].to_vec())
    }

    /// Vectors of a row.
    fn width(&self) -> usize {
        self.inputs.div_ceil(LANES)
    }

    fn unpack_into(&self, row: usize, processor: Processor, weights: &mut [Lanes]) {
        self.format.unpack(processor, &self.filled((*self.bytes).as_ref(), row), weights);
    }

    /// The bytes of a row, filled up with zeros to whole blocks: only floats need that.
    fn filled<'a>(&self, bytes: &'a [u8], row: usize) -> Cow<'a, [u8]> {
        let row = self.row(bytes, row);
        match self.format.padded_bytes(self.inputs) {
            whole if whole == row.len() => Cow::Borrowed(row),
            whole => Cow::Owned(row.iter().copied().chain(std::iter::repeat(0)).take(whole).collect()),
        }
    }

    fn row<'a>(&self, bytes: &'a [u8], row: usize) -> &'a [u8] {
        let place = match self.head {
            None => row,
            Some(head) => {
                let (first, within) = (row / head * head, row % head);
                first + within % (head / 2) * 2 + within / (head / 2)
            }
        };
        &bytes[self.start + place * self.row_bytes..][..self.row_bytes]
    }

    /// The products of some rows with one row of inputs.
    fn multiply_one(&self, rows: Range<usize>, processor: Processor, x: &[Lanes], y: &mut [f32]) {
        let bytes = (*self.bytes).as_ref();
        for (first, y) in rows.clone().step_by(ABREAST).zip(y.chunks_mut(ABREAST)) {
            // If fewer are left, the last one is repeated.
            let filled: [Cow<[u8]>; ABREAST] =
                std::array::from_fn(|n| self.filled(bytes, (first + n).min(rows.end - 1)));
            let products = self.format.dot(processor, filled.each_ref().map(|row| &**row), x);
            y.copy_from_slice(&products[..y.len()]);
        }
    }

    /// The products of some rows with rows of inputs: (inputs' rows, rows).
    fn multiply_many(&self, rows: Range<usize>, processor: Processor, x: &[Lanes]) -> Vec<f32> {
        let (width, outputs) = (self.width(), rows.len());
        let mut weights = vec![[0.0; LANES]; outputs * width];
        for (row, weights) in rows.zip(weights.chunks_exact_mut(width)) {
            self.unpack_into(row, processor, weights);
        }
        let mut y = vec![0.0; x.len() / width * outputs];
        processor.products(x, &weights, width, &mut y);
        y
    }
}

/// A matrix (outputs, inputs) of packed rows.
pub struct Packed {
    parts: Vec<Rows>,
    inputs: usize,
    outputs: usize,
}

impl Packed {
    /// Matrices with the same number of inputs, one below the other; at least one.
    pub fn stack(parts: Vec<Rows>) -> Self {
        let inputs = parts.first().map_or(0, Rows::inputs);
        let outputs = parts.iter().map(Rows::outputs).sum();
        Packed { parts, inputs, outputs }
    }

    /// `x W^T`: (rows, inputs) to (rows, outputs).
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        self.multiply_on(Processor::here(), x)
    }

    fn multiply_on(&self, processor: Processor, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let x = match self.inputs.is_multiple_of(LANES) {
            true => Cow::Borrowed(x.as_chunks().0),
            false => Cow::Owned(whole_vectors(x, self.inputs)),
        };
        let threads = match rows * self.inputs * self.outputs >= WORTH_SHARING {
            true => rayon::current_num_threads(),
            false => 1,
        };
        match rows {
            1 => self.multiply_one(processor, &x, threads),
            _ => self.multiply_many(processor, &x, rows, threads),
        }
    }

    fn multiply_one(&self, processor: Processor, x: &[Lanes], threads: usize) -> Vec<f32> {
        let mut y = vec![0.0; self.outputs];
        let most = if threads == 1 { self.outputs } else { self.outputs.div_ceil(threads * PIECES) };
        let mut left = y.as_mut_slice();
        let mut tasks = Vec::new();
        for (part, range) in self.pieces(most.next_multiple_of(ABREAST)) {
            let (y, others) = std::mem::take(&mut left).split_at_mut(range.len());
            tasks.push((part, range, y));
            left = others;
        }
        let run = |(part, range, y): (&Rows, Range<usize>, &mut [f32])| part.multiply_one(range, processor, x, y);
        match threads {
            1 => tasks.into_iter().for_each(run),
            _ => tasks.into_par_iter().with_max_len(1).for_each(run),
        }
        y
    }

    fn multiply_many(&self, processor: Processor, x: &[Lanes], rows: usize, threads: usize) -> Vec<f32> {
        let pieces: Vec<_> = self.pieces((UNPACKED / self.inputs).clamp(8, 64) / 8 * 8).collect();
        let run = |(part, range): &(&Rows, Range<usize>)| part.multiply_many(range.clone(), processor, x);
        let products: Vec<Vec<f32>> = match threads {
            1 => pieces.iter().map(run).collect(),
            _ => pieces.par_iter().with_max_len(1).map(run).collect(),
        };
        let mut y = vec![0.0; rows * self.outputs];
        let mut first = 0;
        for ((_, range), products) in pieces.iter().zip(products) {
            for (y, products) in y.chunks_exact_mut(self.outputs).zip(products.chunks_exact(range.len())) {
                y[first..][..range.len()].copy_from_slice(products);
            }
            first += range.len();
        }
        y
    }

    /// All rows in runs of at most this many, each within one part.
    fn pieces(&self, most: usize) -> impl Iterator<Item = (&Rows, Range<usize>)> {
        let runs = move |part: &Rows| {
            let outputs = part.outputs;
            (0..outputs).step_by(most).map(move |first| first..outputs.min(first + most))
        };
        self.parts.iter().flat_map(move |part| runs(part).map(move |range| (part, range)))
    }
}

#[cfg(test)]
mod tests;
