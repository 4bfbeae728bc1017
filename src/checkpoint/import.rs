//! Reads the published controller's `.pth` files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

/// The tensors of a PyTorch state dict by name, as float32; nothing in the file is executed.
///
/// # Errors
/// Names the file if it is missing, damaged or has no tensors.
pub fn state_dict(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    read(path).with_context(|| format!("cannot import `{}` as a PyTorch state dict", path.display()))
}

fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file = PthTensors::new(path, None)?;
    let names: std::collections::BTreeSet<&String> = file.tensor_infos().keys().collect();
    ensure!(!names.is_empty(), "expected named tensors, found none; hint: was it saved by `torch.save(state_dict)`?");
    let mut tensors = BTreeMap::new();
    for name in names {
        let tensor = file.get(name)?.with_context(|| format!("no data for tensor `{name}`"))?;
        tensors.insert(name.clone(), tensor.to_dtype(DType::F32)?);
    }
    Ok(tensors)
}
