//! The local language model: where it is, and how it is opened.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::{DType, Device};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::Settings;
use crate::folder::Folder;
use crate::llm::local::{self, ARITHMETIC_LLAMA, HubId, LocalModel};

/// Flags of all commands that may ask a local model.
#[derive(Debug, Default, Serialize, clap::Args)]
pub struct ModelFlags {
    /// Llama, Qwen2 or Qwen3: a folder, a GGUF file, or OWNER/NAME (or OWNER/NAME/FILE.gguf) on the Hugging Face hub;
    /// default: the built-in model
    #[arg(long, value_name = "DIR|FILE|ID", env = "LAMAS_MODEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// A variable of the model's chat template, as `enable_thinking=true`
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    #[serde(skip)]
    pub template: Vec<(String, Value)>,
    /// Numbers of the model's weights on a CUDA or Metal device (the CPU computes in f32) [default: f32]
    #[arg(long, env = "LAMAS_DTYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<Dtype>,
}

/// Numbers of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    F32,
    Bf16,
    F16,
}

/// `NAME=VALUE`; a value that is no JSON is text.
fn variable(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Opens the model that the settings name.
///
/// # Errors
/// It cannot be found, fetched or read.
pub fn load(settings: &Settings, device: &Device) -> Result<LocalModel> {
    let mut options = local::Options { device: device.clone(), ..local::Options::default() };
    options.dtype = match settings.dtype {
        None | Some(Dtype::F32) => DType::F32,
        Some(Dtype::Bf16) => DType::BF16,
        Some(Dtype::F16) => DType::F16,
    };
    options.template.extend(settings.template.clone());
    LocalModel::load(&folder(settings)?, &options)
}

/// A path that exists is a path; what looks like an id of the hub is fetched from there.
fn folder(settings: &Settings) -> Result<Folder> {
    let Some(path) = &settings.model else { return Ok(ARITHMETIC_LLAMA) };
    match path.to_str().and_then(HubId::parse) {
        Some(id) if !path.exists() => id.fetch(true),
        _ => Ok(Folder::Disk(path.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_json_or_text() {
        let check = |text: &str, expected: (&str, Value)| {
            assert_eq!(variable(text), Ok((expected.0.to_owned(), expected.1)), "{text}");
        };
        check("enable_thinking=true", ("enable_thinking", json!(true)));
        check("date=26 Jul 2024", ("date", json!("26 Jul 2024")));
        check("a=b=c", ("a", json!("b=c")));
        assert_eq!(variable("thinking"), Err("expected NAME=VALUE, found `thinking`".into()));
    }
}
