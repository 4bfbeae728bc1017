//! Opens the model that answers prompts: a local one, or the client of an endpoint with its prices.

use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device};

use super::host::Host;
use super::{Dtype, Settings};
use crate::folder::Folder;
use crate::model::Prices;
use crate::model::local::{ARITHMETIC_LLAMA, HubId, LocalModel, Options};
use crate::model::openai::{EndpointConfig, Key, OpenAi};
use crate::task;

/// The price list in a file, or the built-in one.
///
/// # Errors
/// Names the file and the faulty line.
pub fn prices(path: Option<&Path>) -> Result<Prices> {
    let Some(path) = path else { return Prices::load(&task::PRICES, "prices.toml") };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = path.file_name().and_then(|name| name.to_str());
    Prices::load(&Folder::Disk(folder), file.with_context(|| format!("expected a file, found `{}`", path.display()))?)
}

/// The client of an endpoint.
///
/// # Errors
/// Those of [`OpenAi::new`].
pub(super) fn client(config: EndpointConfig, key: Key, prices: &Prices, host: &Host) -> Result<OpenAi> {
    let client = OpenAi::new(config, key, prices)?;
    Ok(match host.listener {
        Some(listener) => client.telling(listener()),
        None => client,
    })
}

/// Opens a local model, or the built-in one. `shows_progress` shows a progress bar if it has to be downloaded.
///
/// # Errors
/// It cannot be found, downloaded or read.
pub(super) fn local(
    path: Option<&Path>,
    settings: &Settings,
    device: &Device,
    shows_progress: bool,
) -> Result<LocalModel> {
    let mut options = Options { device: device.clone(), ..Options::default() };
    options.dtype = match settings.dtype {
        None | Some(Dtype::F32) => DType::F32,
        Some(Dtype::Bf16) => DType::BF16,
        Some(Dtype::F16) => DType::F16,
    };
    options.context = settings.context;
    options.template.extend(settings.template.clone());
    LocalModel::load(&folder(path, shows_progress)?, &options)
}

/// A path that exists is used as a path; what looks like a hub id is downloaded from the hub.
fn folder(path: Option<&Path>, shows_progress: bool) -> Result<Folder> {
    let Some(path) = path else { return Ok(ARITHMETIC_LLAMA) };
    match path.to_str().and_then(HubId::parse) {
        Some(id) if !path.exists() => id.fetch(shows_progress),
        _ => Ok(Folder::Disk(path.to_owned())),
    }
}
