//! Weights of a folder: `model.safetensors`, or the files that `model.safetensors.index.json` lists.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::safetensors::BufferedSafetensors;
use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::weights::Tensors;
use crate::folder::Folder;

pub const WHOLE: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

/// The files, read into memory.
pub struct Safetensors(Vec<BufferedSafetensors>);

#[derive(Deserialize)]
struct Index {
    /// File of each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Names of the files with weights, the index first if there is one.
///
/// # Errors
/// The index cannot be read, or names files elsewhere.
pub fn files(folder: &Folder) -> Result<Vec<String>> {
    if folder.holds(WHOLE) || !folder.holds(INDEX) {
        return Ok(vec![WHOLE.into()]);
    }
    let shards = shards(&folder.read_text(INDEX)?).with_context(|| format!("`{folder}/{INDEX}`"))?;
    Ok([INDEX.to_owned()].into_iter().chain(shards).collect())
}

/// The files that an index lists.
///
/// # Errors
/// It is not an index, or names files elsewhere.
pub fn shards(index: &str) -> Result<BTreeSet<String>> {
    let index: Index = serde_json::from_str(index)?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    ensure!(!shards.is_empty(), "expected files in `weight_map`, found none");
    let elsewhere = shards.iter().find(|shard| shard.contains(['/', '\\']) || !shard.ends_with(".safetensors"));
    match elsewhere {
        Some(shard) => Err(anyhow!("expected `.safetensors` files in the same folder, found `{shard}`")),
        None => Ok(shards),
    }
}

impl Safetensors {
    /// Reads all files.
    ///
    /// # Errors
    /// A file is missing or cut.
    pub fn open(folder: &Folder) -> Result<Self> {
        let files = files(folder)?;
        let open = |file: &String| {
            BufferedSafetensors::new(folder.read(file)?.into_owned())
                .map_err(|error| anyhow!("{}", error.to_string().lines().next().unwrap_or_default()))
                .with_context(|| format!("`{folder}/{file}` is not a whole safetensors file"))
        };
        files.iter().filter(|file| *file != INDEX).map(open).collect::<Result<_>>().map(Safetensors)
    }
}

impl Tensors for Safetensors {
    fn names(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|file| file.tensors()).map(|(name, _)| name).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let file = self.0.iter().find(|file| file.get(name).is_ok());
        Ok(file.context("expected it in one of the files, found it in none")?.load(name, &Device::Cpu)?)
    }
}
