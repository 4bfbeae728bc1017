//! Checkpoints: a trained controller in one safetensors file, with everything needed to use it again.
//!
//! Tensors are named as in the published state dict (`layers.0.query_encoder.weight`, ...). The embeddings of the operators are
//! `operators` `[O, E]`, and the halting head, if there is one, is `halting.*`. Everything else is text in the metadata.

mod atomic;
mod import;
mod tensor_file;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub use atomic::{write_atomic, write_atomic_by};
pub use import::state_dict;
pub use tensor_file::TensorFile;

/// Increased when older versions of the program can no longer read the files.
const FORMAT_VERSION: u32 = 1;
const OPERATORS: &str = "operators";
const HALTING: &str = "halting.";
const STRATEGIES: &str = "strategies";

/// The origin of a controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The encoder of the embeddings.
    pub encoder: String,
    /// The operator catalogue, TOML text.
    pub catalogue: String,
    /// The whole configuration; its field `controller` is the controller's own.
    pub configuration: serde_json::Value,
    pub seed: u64,
    /// Git revision of the program, if known.
    pub revision: Option<String>,
}

/// A saved controller.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The trained tensors by name, float32.
    pub weights: BTreeMap<String, Tensor>,
    /// Embeddings of the operators' descriptions, `[O, E]`.
    pub operators: Tensor,
    /// The tensors of the halting head, float32; empty if there is none.
    pub halting: BTreeMap<String, Tensor>,
    /// The strategies as JSON text; empty if only the controller answers.
    pub strategies: String,
    pub provenance: Provenance,
    /// Updates done when the weights were taken.
    pub step: u64,
}

impl Checkpoint {
    /// Writes the file completely or not at all; equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// Names the file if the folder is missing or not writable, or the disk is full; an earlier file stays as it was.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = self.weights.clone();
        tensors.insert(OPERATORS.into(), self.operators.clone());
        tensors.extend(self.halting.iter().map(|(name, tensor)| (format!("{HALTING}{name}"), tensor.clone())));
        let provenance = &self.provenance;
        let mut metadata = BTreeMap::from([
            ("format_version".to_string(), FORMAT_VERSION.to_string()),
            ("encoder".into(), provenance.encoder.clone()),
            ("catalogue".into(), provenance.catalogue.clone()),
            ("configuration".into(), serde_json::to_string(&provenance.configuration)?),
            ("seed".into(), provenance.seed.to_string()),
            ("step".into(), self.step.to_string()),
        ]);
        if !self.strategies.is_empty() {
            metadata.insert(STRATEGIES.into(), self.strategies.clone());
        }
        if let Some(revision) = &provenance.revision {
            metadata.insert("revision".into(), revision.clone());
        }
        TensorFile { tensors, metadata }.save(path)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: missing, truncated, not a checkpoint, or of a newer format.
    pub fn load(path: &Path) -> Result<Self> {
        let file = TensorFile::load(path)?;
        Self::from_file(file).with_context(|| format!("`{}` is not a usable checkpoint", path.display()))
    }

    fn from_file(mut file: TensorFile) -> Result<Self> {
        let version: u32 = number(&file.metadata, "format_version")?;
        if version > FORMAT_VERSION {
            bail!("expected format version {FORMAT_VERSION} or older, found {version}; hint: a newer program wrote it");
        }
        let operators = file.tensors.remove(OPERATORS).with_context(|| format!("no tensor `{OPERATORS}`"))?;
        let found = operators.dims();
        ensure!(found.len() == 2, "tensor `{OPERATORS}`: expected shape [operators, embedding], found {found:?}");
        let (halting, weights): (Vec<_>, Vec<_>) =
            file.tensors.into_iter().partition(|(name, _)| name.starts_with(HALTING));
        let halting = halting.into_iter().map(|(name, tensor)| (name[HALTING.len()..].to_owned(), tensor)).collect();
        let configuration = text(&file.metadata, "configuration")?;
        let provenance = Provenance {
            encoder: text(&file.metadata, "encoder")?.into(),
            catalogue: text(&file.metadata, "catalogue")?.into(),
            configuration: serde_json::from_str(configuration).context("metadata `configuration` is not JSON")?,
            seed: number(&file.metadata, "seed")?,
            revision: file.metadata.get("revision").cloned(),
        };
        let (step, weights) = (number(&file.metadata, "step")?, weights.into_iter().collect());
        let strategies = file.metadata.get(STRATEGIES).cloned().unwrap_or_default();
        Ok(Checkpoint { weights, operators, halting, strategies, provenance, step })
    }
}

fn text<'a>(metadata: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str> {
    let value = metadata.get(key).map(String::as_str);
    value
        .with_context(|| format!("no metadata `{key}`; hint: import a published state dict first, with `lamas import`"))
}

fn number<T: FromStr>(metadata: &BTreeMap<String, String>, key: &str) -> Result<T> {
    let value = text(metadata, key)?;
    value.parse().ok().with_context(|| format!("metadata `{key}`: expected a whole number, found `{value}`"))
}
