//! Settings: defaults of the preset <- TOML file <- environment and flags, resolved once.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use serde::{Deserialize, Serialize};

use super::{local_model, python};
use crate::benchmarks::Benchmark;
use crate::controller::ControllerConfig;
use crate::device::DeviceChoice;
use crate::encoder::EncoderChoice;
use crate::executor::ExecutionConfig;
use crate::llm::Mode;
use crate::llm::local::Variables;
use crate::llm::openai::EndpointConfig;
use crate::training::TrainingConfig;

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
    /// The local language model: a folder, a GGUF file, or its name on the hub; the built-in one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// What the chat template of the local model is given.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub template: Variables,
    /// Of the weights of the local model on a CUDA or Metal device; f32 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<local_model::Dtype>,
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
    pub controller: ControllerConfig,
    pub training: TrainingConfig,
}

/// A published method, or ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Our best method.
    #[default]
    Lamas,
    /// LAMaS as published.
    Paper,
    /// MaAS: one operator after another, no latency term.
    Maas,
}

impl Preset {
    /// Name in run folders and tables.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Lamas => "lamas",
            Preset::Paper => "paper",
            Preset::Maas => "maas",
        }
    }

    /// The settings of the method before any file or flag.
    pub fn settings(self) -> Settings {
        let (controller, training) = match self {
            Preset::Lamas => (ControllerConfig::default(), TrainingConfig::ours()),
            Preset::Paper => (ControllerConfig::published(), TrainingConfig::paper()),
            Preset::Maas => (ControllerConfig::published(), TrainingConfig::maas()),
        };
        Settings {
            seed: 0,
            device: "auto".into(),
            encoder: "static".into(),
            benchmark: None,
            model: None,
            template: Variables::new(),
            dtype: None,
            prices: None,
            python: None,
            allow_unsandboxed: false,
            endpoint: EndpointConfig::default(),
            traces: None,
            cache: None,
            cache_mode: None,
            controller,
            training,
        }
    }
}

/// Flags shared by all commands that solve queries. What is not given stays as the file or the preset has it.
#[derive(Debug, Default, Serialize, clap::Args)]
pub struct Common {
    /// Settings in TOML; the flags take precedence
    #[arg(long, value_name = "FILE", env = "LAMAS_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// auto, cpu, cuda, cuda:N or metal
    #[arg(long, env = "LAMAS_DEVICE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// static (built in), minilm, static:FOLDER, minilm:FOLDER or hub:OWNER/NAME
    #[arg(long, env = "LAMAS_ENCODER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<String>,
    /// gsm8k, math, or the folder of a benchmark (benchmark.toml, catalogue, splits); default: the built-in workload
    #[arg(long, value_name = "DIR", env = "LAMAS_BENCHMARK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    benchmark: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    local_model: local_model::ModelFlags,
    /// Price list in TOML; default: the built-in one
    #[arg(long, value_name = "FILE", env = "LAMAS_PRICES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    python: python::Flags,
    #[command(flatten)]
    endpoint: EndpointFlags,
    /// Recorded outputs of operators (JSON lines) in place of a model
    #[arg(long, value_name = "FILE", env = "LAMAS_TRACES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traces: Option<PathBuf>,
    /// Database of recorded completions, or the folder that holds it; default: in the user's cache folder
    #[arg(long, value_name = "DIR|FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<PathBuf>,
    /// use, record (ask anew), replay (ask nothing) or off; default: use, and off for the built-in model without --cache
    #[arg(long, value_name = "MODE", env = "LAMAS_CACHE_MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_mode: Option<Mode>,
    /// Seed of everything random [default: 0]
    #[arg(long, value_name = "N", env = "LAMAS_SEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// When operators start: after the layer before, when what they read exists, or one after another
    #[arg(long, value_name = "SCHEDULE", env = "LAMAS_SCHEDULE", value_parser = ["layered", "dataflow", "sequential"])]
    #[serde(skip)]
    schedule: Option<String>,
    /// Whether the plan compiler leaves out what the answer does not need
    #[arg(long, value_name = "BOOL", env = "LAMAS_OPTIMIZE")]
    #[serde(skip)]
    optimize: Option<bool>,
    /// Whether a plan ends once nothing that is still to come can change its answer
    #[arg(long, value_name = "BOOL", env = "LAMAS_QUORUM")]
    #[serde(skip)]
    quorum: Option<bool>,
    /// End a plan once K solutions agree and none is against them; 0: never
    #[arg(long, value_name = "K", env = "LAMAS_AGREEMENT")]
    #[serde(skip)]
    agreement: Option<u32>,
    /// Whether a plan ends once a trained head expects its rest to bring less than it takes
    #[arg(long, value_name = "BOOL", env = "LAMAS_HALTING")]
    #[serde(skip)]
    halting: Option<bool>,
}

/// Flags of an endpoint.
#[derive(Debug, Default, Serialize, clap::Args)]
struct EndpointFlags {
    /// Base URL of an OpenAI-compatible endpoint; default: OPENAI_BASE_URL, or OpenAI. Its key: OPENAI_API_KEY
    #[arg(long = "endpoint", value_name = "URL", env = "LAMAS_BASE_URL", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Model at the endpoint
    #[arg(id = "model-name", long, value_name = "NAME", env = "LAMAS_MODEL_NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Dollars per million tokens of any kind, in place of the price list; 0 for a server of your own
    #[arg(long, value_name = "DOLLARS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    /// Stop before the endpoint has cost more
    #[arg(long, value_name = "DOLLARS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cost: Option<f64>,
    /// Stop before the endpoint has read and written more tokens
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
}

impl Common {
    /// The settings that `preset`, the file and the flags give together.
    ///
    /// # Errors
    /// Names the file and the setting at fault.
    pub fn resolve(&self, preset: Preset) -> Result<Settings> {
        self.complete(preset, preset.settings())
    }

    /// As [`Common::resolve`], for a controller that was trained with `configuration`: unless told otherwise, plans run
    /// as they did then.
    ///
    /// # Errors
    /// Those of [`Common::resolve`].
    pub fn resolve_for(&self, configuration: &serde_json::Value) -> Result<Settings> {
        let preset = Preset::default();
        let mut settings = preset.settings();
        let execution = &mut settings.training.execution;
        match configuration.pointer("/training/execution") {
            Some(known) => {
                *execution = ExecutionConfig::deserialize(known)
                    .context("configuration of the checkpoint, `training.execution`")?;
            }
            // An imported checkpoint, which has no head.
            None => execution.halting = false,
        }
        self.complete(preset, settings)
    }

    fn complete(&self, preset: Preset, mut settings: Settings) -> Result<Settings> {
        // The reward's weights belong to the benchmark, which the file or a flag may name.
        let benchmark = self.merge(&settings)?.benchmark()?;
        let reward = &mut settings.training.reward;
        reward.cost_weight = benchmark.reward.cost_weight;
        if preset != Preset::Maas {
            reward.latency_weight = benchmark.reward.latency_weight;
        }
        let settings = self.merge(&settings)?;
        settings.controller.validate()?;
        settings.training.validate()?;
        settings.endpoint.validate()?;
        ensure!(
            settings.model.is_none() || !settings.endpoint.is_used(),
            "expected a local model (`--model`) or an endpoint (`--endpoint`, `--model-name`), found both"
        );
        settings.device()?;
        settings.encoder()?;
        Ok(settings)
    }
}

impl Common {
    /// `defaults`, then the file, then the flags.
    fn merge(&self, defaults: &Settings) -> Result<Settings> {
        let mut figment = Figment::from(Serialized::defaults(defaults));
        if let Some(path) = &self.config {
            // figment takes a missing file for an empty one.
            std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            figment = figment.merge(Toml::file_exact(path));
        }
        figment = figment.merge(Serialized::defaults(self));
        let execution = [
            ("schedule", self.schedule.clone().map(Value::from)),
            ("optimize", self.optimize.map(Value::from)),
            ("quorum", self.quorum.map(Value::from)),
            ("agreement", self.agreement.map(Value::from)),
            ("halting", self.halting.map(Value::from)),
        ];
        for (name, value) in execution {
            if let Some(value) = value {
                figment = figment.merge(Serialized::default(&format!("training.execution.{name}"), value));
            }
        }
        for (name, value) in &self.local_model.template {
            figment = figment.merge(Serialized::default(&format!("template.{name}"), value));
        }
        figment.extract().map_err(|error| {
            let causes: Vec<String> = error.into_iter().map(|cause| cause.to_string()).collect();
            anyhow!("settings: {}", causes.join("; "))
        })
    }
}

impl Settings {
    /// The benchmark that the settings name.
    pub fn benchmark(&self) -> Result<Benchmark> {
        Benchmark::open(self.benchmark.as_deref())
    }

    /// The device as a value.
    pub fn device(&self) -> Result<DeviceChoice> {
        self.device.parse().map_err(|error| anyhow!("setting `device`: {error}"))
    }

    /// The encoder as a value.
    pub fn encoder(&self) -> Result<EncoderChoice> {
        self.encoder.parse().map_err(|error| anyhow!("setting `encoder`: {error}"))
    }
}
