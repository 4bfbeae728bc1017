//! Encoders: text -> embedding of 384 numbers, the controller's input.
//!
//! `static` is a table of token vectors inside the binary, `minilm` the transformer that the table was distilled from.

pub mod bert;
mod cache;
pub mod minilm;
pub mod static_table;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

use crate::folder::Folder;

pub use cache::{cache_folder, encode_cached};
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

/// An encoder as written in a setting: `static`, `minilm`, `static:FOLDER`, `minilm:FOLDER` or `hub:OWNER/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// The table inside the binary.
    #[default]
    Static,
    /// A table of the same form in a folder.
    StaticFolder(PathBuf),
    /// The transformer from the hub, by owner and name.
    MiniLmHub(String),
    /// The transformer in a folder.
    MiniLmFolder(PathBuf),
}

impl EncoderChoice {
    /// Loads the encoder; the transformer goes to the device.
    ///
    /// # Errors
    /// Names the file that is missing, cut short or of another shape.
    pub fn open(&self, device: &Device) -> Result<Box<dyn Encoder>> {
        Ok(match self {
            EncoderChoice::Static => Box::new(StaticTable::load(&static_table::EMBEDDED)?),
            EncoderChoice::StaticFolder(path) => Box::new(StaticTable::load(&Folder::Disk(path.clone()))?),
            EncoderChoice::MiniLmHub(id) => Box::new(MiniLm::from_hub(id, device)?),
            EncoderChoice::MiniLmFolder(path) => Box::new(MiniLm::load(&Folder::Disk(path.clone()), device)?),
        })
    }
}

impl FromStr for EncoderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "static" => Ok(EncoderChoice::Static),
            None if text == "minilm" => Ok(EncoderChoice::MiniLmHub(minilm::HUB_ID.into())),
            Some(("static", folder)) if !folder.is_empty() => Ok(EncoderChoice::StaticFolder(folder.into())),
            Some(("minilm", folder)) if !folder.is_empty() => Ok(EncoderChoice::MiniLmFolder(folder.into())),
            Some(("hub", id)) if id.split('/').count() == 2 => Ok(EncoderChoice::MiniLmHub(id.into())),
            _ => Err(format!(
                "expected `static`, `minilm`, `static:FOLDER`, `minilm:FOLDER` or `hub:OWNER/NAME`, found `{text}`"
            )),
        }
    }
}

impl fmt::Display for EncoderChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncoderChoice::Static => write!(out, "static"),
            EncoderChoice::StaticFolder(path) => write!(out, "static:{}", path.display()),
            EncoderChoice::MiniLmHub(id) if id == minilm::HUB_ID => write!(out, "minilm"),
            EncoderChoice::MiniLmHub(id) => write!(out, "hub:{id}"),
            EncoderChoice::MiniLmFolder(path) => write!(out, "minilm:{}", path.display()),
        }
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
    fn choices_read_back_as_written() {
        for text in ["static", "static:models/table", "minilm", "minilm:/models/minilm", "hub:owner/name"] {
            let choice: EncoderChoice = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", "bert", "static:", "minilm:", "hub:name", "hub:a/b/c"] {
            let error = text.parse::<EncoderChoice>().unwrap_err();
            assert!(error.contains(&format!("found `{text}`")), "{error}");
        }
    }

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
