//! The settings of a run as plain data, and opening the parts that they name.
//!
//! Nothing here prints or reads the environment. A [`Host`] supplies what the settings do not contain, and remarks are returned as
//! text.

mod catalogues;
mod drift;
mod endpoints;
mod host;
mod model;
mod models;
mod open;
mod past;
mod preset;
mod python;
mod recording;
mod run_file;
mod traced;
mod trust;

pub use catalogues::{CATALOGUES, catalogue_named};
pub use drift::{drift, same_benchmark};
pub use endpoints::{Endpoint, Endpoints};
pub use host::{Host, Own};
pub use model::prices;
pub use models::{defined, reserve};
pub use open::Parts;
pub use past::{modernise, of_checkpoint};
pub use preset::Preset;
pub use python::open_sandbox;
pub use recording::{Recording, database};
pub use run_file::{RunFile, SETTINGS, Started, contradictions};
pub use trust::{admit, record};

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::controller::ControllerConfig;
use crate::device::DeviceChoice;
use crate::encoder::EncoderChoice;
use crate::execute::ExecutionConfig;
use crate::folder::Folder;
use crate::learn::TrainingConfig;
use crate::model::local::Variables;
use crate::model::openai::EndpointConfig;
use crate::model::{Definitions, Mode};
use crate::operation::Catalogue;
use crate::task::Benchmark;

/// The built-in model by its name: it takes the place of what a run was trained with.
const BUILT_IN: &str = "built-in";

/// Everything that a run depends on; stored in its checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
    pub device: String,
    /// `static`, `minilm`, `static:FOLDER`, `minilm:FOLDER` or `hub:OWNER/NAME`.
    pub encoder: String,
    /// Folder of the benchmark, or the name of a published one; the built-in workload if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<PathBuf>,
    /// File of the operator catalogue, or the name of a built-in one; that of the benchmark if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<PathBuf>,
    /// Models that operators may name, in place of those of the catalogue that have the same names.
    #[serde(default, skip_serializing_if = "Definitions::is_empty")]
    pub models: Definitions,
    /// The local language model: a folder, a GGUF file, or its name on the hub; the built-in one if absent, or `built-in`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// What the chat template of the local model is given.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub template: Variables,
    /// Of the weights of the local model on a CUDA or Metal device; f32 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// Tokens of prompt and completion that the local model has room for; its own number, at most 8,192, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// Price list; the built-in one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<PathBuf>,
    /// The Python that runs programs; `python3` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// Whether programs may run without a sandbox where the machine has none.
    #[serde(default)]
    pub allow_unsandboxed: bool,
    /// The endpoint that answers in place of a local model, if it names a URL or a model.
    pub endpoint: EndpointConfig,
    /// Recorded outputs of operators, which stand for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<PathBuf>,
    /// Where completions are recorded. No result depends on it, so that no checkpoint holds it.
    #[serde(skip_serializing)]
    pub cache: Option<PathBuf>,
    #[serde(skip_serializing)]
    pub cache_mode: Option<Mode>,
    /// The record of calls that is used and extended. No result depends on it, so that no checkpoint holds it.
    #[serde(skip_serializing)]
    pub record: Option<PathBuf>,
    pub controller: ControllerConfig,
    pub training: TrainingConfig,
}

/// Numbers of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Settings {
    /// # Errors
    /// Names the first setting out of range, or two that exclude each other.
    pub fn validate(&self) -> Result<()> {
        self.controller.validate()?;
        self.training.validate()?;
        self.endpoint.validate()?;
        self.models.iter().try_for_each(|(name, model)| model.check().with_context(|| model.describe(name)))?;
        ensure!(
            self.model.is_none() || !self.endpoint.is_used(),
            "expected a local model (`--model`) or an endpoint (`--endpoint`, `--model-name`), found both"
        );
        ensure!(
            self.traces.is_none() || self.record.is_none(),
            "expected recorded outputs in place of a model (`--traces`) or a record to extend (`--record`), found both"
        );
        self.device()?;
        self.encoder()?;
        Ok(())
    }

    /// The benchmark that the settings name.
    ///
    /// # Errors
    /// Those of [`Benchmark::open`].
    pub fn benchmark(&self) -> Result<Benchmark> {
        Benchmark::open(self.benchmark.as_deref())
    }

    /// The operators that the settings name for a benchmark.
    ///
    /// # Errors
    /// Those of [`Catalogue::load`].
    pub fn catalogue(&self, benchmark: &Benchmark) -> Result<Catalogue> {
        match &self.catalogue {
            Some(path) => catalogue_named(path),
            None => Catalogue::load(benchmark.folder(), &benchmark.catalogue),
        }
    }

    /// A catalogue that was read from elsewhere, such as a checkpoint, with the paths of its commands starting where those of
    /// the settings' catalogue do.
    pub fn place(&self, catalogue: Catalogue, benchmark: &Benchmark) -> Catalogue {
        let named = self.catalogue.as_deref().filter(|path| path.is_file()).and_then(Path::parent);
        match named {
            Some(folder) => catalogue.in_folder(&Folder::Disk(folder.to_owned())),
            None => catalogue.in_folder(benchmark.folder()),
        }
    }

    /// The local model that the settings name; none where that is the built-in one.
    pub fn local_model(&self) -> Option<&Path> {
        self.model.as_deref().filter(|model| *model != Path::new(BUILT_IN) || model.exists())
    }

    /// The device as a value.
    ///
    /// # Errors
    /// There is no such device.
    pub fn device(&self) -> Result<DeviceChoice> {
        self.device.parse().map_err(|error| anyhow!("setting `device`: {error}"))
    }

    /// The encoder as a value.
    ///
    /// # Errors
    /// There is no such encoder.
    pub fn encoder(&self) -> Result<EncoderChoice> {
        self.encoder.parse().map_err(|error| anyhow!("setting `encoder`: {error}"))
    }

    /// How plans are run on a benchmark. A halting head foresees the answer of the vote, which a finish may still change.
    pub fn execution(&self, benchmark: &Benchmark) -> ExecutionConfig {
        let execution = self.training.execution;
        ExecutionConfig { halting: execution.halting && benchmark.finish.is_none(), ..execution }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_end_by_a_head_only_where_its_answer_is_the_last() -> Result<()> {
        let [arithmetic, code] = [None, Some(Path::new("humaneval"))].map(Benchmark::open);
        let (arithmetic, code) = (arithmetic?, code?);
        let settings = Preset::Adaptive.settings();
        assert!(settings.execution(&arithmetic).halting);
        assert!(code.finish.is_some() && !settings.execution(&code).halting, "before a finish");
        for preset in [Preset::Paper, Preset::Maas] {
            assert!(!preset.settings().execution(&arithmetic).halting, "{}", preset.name());
        }
        Ok(())
    }

    #[test]
    fn settings_at_fault_are_named() {
        let check = |change: fn(&mut Settings), expected: Option<&str>| {
            let mut settings = Preset::default().settings();
            change(&mut settings);
            let found = settings.validate().err().map(|error| error.to_string());
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) if found.contains(expected) => {}
                _ => panic!("expected {expected:?}, found {found:?}"),
            }
        };
        check(|_| {}, None);
        check(|settings| settings.device = "abacus".into(), Some("`device`"));
        check(|settings| settings.encoder = "bert".into(), Some("`encoder`"));
        check(|settings| settings.endpoint.attempts = 0, Some("`attempts`"));
        check(
            |settings| {
                settings.model = Some("here".into());
                settings.endpoint.model = Some("there".into());
            },
            Some("found both"),
        );
    }
}
