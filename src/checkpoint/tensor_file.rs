//! Named tensors and text in one safetensors file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;

use super::write_atomic;

/// The content of a safetensors file: float32 tensors on the CPU, and metadata.
#[derive(Clone, Debug, Default)]
pub struct TensorFile {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// The file's bytes; equal content gives equal bytes.
    ///
    /// # Errors
    /// The device of a tensor failed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            tensors.push((name, tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?));
        }
        with_metadata(&safetensors::serialize(tensors, None)?, &self.metadata)
    }

    /// # Errors
    /// Those of [`write_atomic`].
    pub fn save(&self, path: &Path) -> Result<()> {
        write_atomic(path, &self.to_bytes()?)
    }

    /// # Errors
    /// Names the file if it is missing, truncated, not safetensors, or has numbers other than float32.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("cannot read `{}` as safetensors", path.display()))
    }

    /// # Errors
    /// The bytes are truncated, not safetensors, or have numbers other than float32.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let whole = SafeTensors::deserialize(bytes).context("the file is truncated or damaged")?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in whole.iter() {
            let found = view.dtype();
            ensure!(found == safetensors::Dtype::F32, "tensor `{name}`: expected numbers of type F32, found {found:?}");
            let tensor = Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), &Device::Cpu)?;
            tensors.insert(name.to_string(), tensor);
        }
        let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(TensorFile { tensors, metadata })
    }
}

/// Puts sorted metadata into the header; the safetensors crate would write it in random order.
fn with_metadata(file: &[u8], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let (length, rest) = file.split_first_chunk::<8>().context("expected a header length")?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).context("expected a header")?;
    let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)?;
    header.insert("__metadata__".into(), serde_json::to_value(metadata)?);
    let mut header = serde_json::to_vec(&header)?;
    // Keeps the data aligned to 8 bytes, as the format requires.
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], &header, data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn files_round_trip(
            tensors in prop::collection::btree_map(".*", prop::collection::vec(any::<f32>(), 0..9), 0..4),
            metadata in prop::collection::btree_map(".*", ".*", 0..4),
        ) {
            let tensor = |(name, values): (String, Vec<f32>)| Some((name, Tensor::new(values, &Device::Cpu).ok()?));
            let tensors = tensors.into_iter().filter(|(name, _)| name != "__metadata__").filter_map(tensor).collect();
            let file = TensorFile { tensors, metadata };
            let bytes = file.to_bytes().expect("bytes");
            let again = TensorFile::from_bytes(&bytes).expect("a file");
            prop_assert_eq!(&again.metadata, &file.metadata);
            prop_assert_eq!(again.to_bytes().expect("bytes"), bytes);
        }

        #[test]
        fn a_damaged_file_is_an_error_or_another_file(cut in 0usize..200, flip in 0usize..200, bit in 0u8..8) {
            let tensor = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu)?;
            let file = TensorFile { tensors: [("a".into(), tensor)].into(), metadata: [("k".into(), "v".into())].into() };
            let mut bytes = file.to_bytes().expect("bytes");
            let short = &bytes[..cut.min(bytes.len() - 1)];
            prop_assert!(TensorFile::from_bytes(short).is_err());
            let position = flip.min(bytes.len() - 1);
            bytes[position] ^= 1 << bit;
            if let Ok(other) = TensorFile::from_bytes(&bytes) {
                prop_assert!(other.tensors.len() <= 1);
            }
        }
    }
}
