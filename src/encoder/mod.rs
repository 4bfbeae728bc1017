//! Encoders: text -> embedding of 384 numbers, the controller's input.
//!
//! `static` is a table of token vectors inside the binary, `minilm` the transformer that the table was distilled from.

mod bert;
mod bert_config;
mod cache;
mod choice;
mod device_bert;
pub mod minilm;
pub mod static_table;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

pub use cache::{cache_folder, encode_cached};
pub use choice::EncoderChoice;
pub use minilm::MiniLm;
pub use static_table::StaticTable;

/// The length of every embedding, so that all encoders fit one controller.
pub const DIMENSION: usize = 384;

/// Turns texts into embeddings of [`DIMENSION`] numbers and unit length (or zero, where a text holds nothing known).
pub trait Encoder: Send + Sync {
    /// Names the weights: equal ids give equal embeddings.
    fn id(&self) -> &str;

    /// Embeds the texts, one row each, in order.
    ///
    /// # Errors
    /// The back end failed; no text is an error.
    fn encode(&self, texts: &[&str]) -> Result<Embeddings>;
}

/// Rows of equal length, one per text: a [texts, dimension] matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    dimension: usize,
}

impl Embeddings {
    /// Takes the rows laid end to end.
    ///
    /// # Errors
    /// `values` is no whole number of rows.
    pub fn new(values: Vec<f32>, dimension: usize) -> Result<Self> {
        ensure!(
            dimension > 0 && values.len().is_multiple_of(dimension),
            "expected rows of {dimension} numbers, found {} numbers in all",
            values.len()
        );
        Ok(Embeddings { values, dimension })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn dimension(&self) -> usize {
        self.dimension
    }

    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.rows().nth(index)
    }

    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.dimension)
    }

    /// The rows laid end to end.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A [texts, dimension] tensor of `f32`.
    ///
    /// # Errors
    /// The device has no room.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, (self.len(), self.dimension), device)?)
    }
}

/// Scales a row to unit length; a zero row stays zero.
fn normalize(row: &mut [f32]) {
    let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm > 0.0 && norm.is_finite() {
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_whole_rows() {
        let rows = Embeddings::new(vec![1.0, 2.0, 3.0, 4.0], 2).unwrap();
        assert_eq!((rows.len(), rows.row(1), rows.row(2)), (2, Some([3.0, 4.0].as_slice()), None));
        assert!(Embeddings::new(vec![1.0; 3], 2).is_err());
        assert!(Embeddings::new(vec![], 0).is_err());
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let mut row = [0.0; 4];
        normalize(&mut row);
        assert_eq!(row, [0.0; 4]);
    }
}
