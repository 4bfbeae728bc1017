//! What answers the prompts: a local model, or the client of an endpoint with its prices.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};

use super::host::Host;
use super::{Dtype, Settings};
use crate::benchmarks;
use crate::folder::Folder;
use crate::llm::local::{ARITHMETIC_LLAMA, HubId, LocalModel, Options};
use crate::llm::openai::OpenAi;
use crate::llm::{LanguageModel, Prices};
use crate::operators::Catalogue;

/// The price list in a file, or the built-in one.
///
/// # Errors
/// Names the file, and the line at fault.
pub fn prices(path: Option<&Path>) -> Result<Prices> {
    let Some(path) = path else { return Prices::load(&benchmarks::PRICES, "prices.toml") };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = path.file_name().and_then(|name| name.to_str());
    Prices::load(&Folder::Disk(folder), file.with_context(|| format!("expected a file, found `{}`", path.display()))?)
}

/// The client of the endpoint, if the settings name one.
///
/// # Errors
/// Those of [`OpenAi::new`].
pub(super) fn endpoint(settings: &Settings, host: &Host, prices: &Prices) -> Result<Option<Arc<OpenAi>>> {
    let config = &settings.endpoint;
    let open = || -> Result<_> {
        let client = OpenAi::new(config.clone(), host.key.clone(), prices)?;
        Ok(Arc::new(match host.listener {
            Some(listener) => client.telling(listener()),
            None => client,
        }))
    };
    config.is_used().then(open).transpose()
}

/// Opens the local model that the settings name, for all operators of the catalogue; `shows_progress` draws a bar where
/// it has to be fetched.
///
/// # Errors
/// It cannot be found, fetched or read, or an operator names another model.
pub(super) fn local(
    settings: &Settings,
    catalogue: &Catalogue,
    device: &Device,
    shows_progress: bool,
) -> Result<LocalModel> {
    let mut options = Options { device: device.clone(), ..Options::default() };
    options.dtype = match settings.dtype {
        None | Some(Dtype::F32) => DType::F32,
        Some(Dtype::Bf16) => DType::BF16,
        Some(Dtype::F16) => DType::F16,
    };
    options.template.extend(settings.template.clone());
    let model = LocalModel::load(&folder(settings, shows_progress)?, &options)?;
    for operator in catalogue.operators() {
        ensure!(
            operator.model.is_empty() || operator.model == model.id(),
            "operator `{}`: expected no model of its own, found `{}`, where the local model `{}` answers for all; hint: \
             take its `model` out of the catalogue, or ask an endpoint (`--model-name`)",
            operator.name,
            operator.model,
            model.id()
        );
    }
    Ok(model)
}

/// A path that exists is a path; what looks like an id of the hub is fetched from there.
fn folder(settings: &Settings, shows_progress: bool) -> Result<Folder> {
    let Some(path) = &settings.model else { return Ok(ARITHMETIC_LLAMA) };
    match path.to_str().and_then(HubId::parse) {
        Some(id) if !path.exists() => id.fetch(shows_progress),
        _ => Ok(Folder::Disk(path.clone())),
    }
}
