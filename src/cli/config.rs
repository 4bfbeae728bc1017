//! The flags of all commands that solve queries. Preset, then TOML file, then environment and flags, resolved once.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use serde::Serialize;

use crate::model::openai::EndpointConfig;
use crate::model::{Definitions, Mode, definitions};
use crate::plan::Billing;
use crate::settings::{Dtype, Preset, Settings, modernise};

/// Flags shared by all commands that solve queries. A missing flag leaves what the file or the preset says.
#[derive(Debug, Default, Serialize, clap::Args)]
pub struct Common {
    /// Settings file in TOML; flags override it
    #[arg(long, value_name = "FILE", env = "LAMAS_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Device: auto, cpu, cuda, cuda:N or metal
    #[arg(long, env = "LAMAS_DEVICE", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Encoder: static (built in), minilm, static:FOLDER, minilm:FOLDER or hub:OWNER/NAME
    #[arg(long, env = "LAMAS_ENCODER", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<String>,
    /// gsm8k, math, or a benchmark folder (benchmark.toml, catalogue, splits); default: the built-in workload
    #[arg(long, value_name = "DIR", env = "LAMAS_BENCHMARK", help_heading = "Questions and operators")]
    #[serde(skip_serializing_if = "Option::is_none")]
    benchmark: Option<PathBuf>,
    /// Operator catalogue: a TOML file or a built-in name (see `lamas catalogues`); default: the benchmark's
    #[arg(long, value_name = "FILE|NAME", env = "LAMAS_CATALOGUE", help_heading = "Questions and operators")]
    #[serde(skip_serializing_if = "Option::is_none")]
    catalogue: Option<PathBuf>,
    /// Let a catalogue from somebody else's run send the key in VARIABLE to this server; repeatable
    #[arg(long = "send-key", value_name = "VARIABLE=URL", value_parser = sent, help_heading = "Endpoint")]
    #[serde(skip)]
    keys: Vec<(String, String)>,
    /// Run the commands that the catalogue of somebody else's run names, confined like those of your own catalogues
    #[arg(long)]
    #[serde(skip)]
    run_commands: bool,
    #[command(flatten)]
    #[serde(flatten)]
    local_model: ModelFlags,
    /// Price list in TOML; default: the built-in list
    #[arg(long, value_name = "FILE", env = "LAMAS_PRICES", help_heading = "Endpoint")]
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    python: PythonFlags,
    #[command(flatten)]
    endpoint: EndpointFlags,
    /// Use recorded operator outputs (JSON lines) instead of a model
    #[arg(long, value_name = "FILE", env = "LAMAS_TRACES", help_heading = "Questions and operators")]
    #[serde(skip_serializing_if = "Option::is_none")]
    traces: Option<PathBuf>,
    /// Database of recorded completions, or its folder; default: in your cache folder
    #[arg(long, value_name = "DIR|FILE", help_heading = "Recorded calls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<PathBuf>,
    /// use, record (ask again), replay (ask nothing) or off; default: use, but off for the built-in model without --cache
    #[arg(long, value_name = "MODE", env = "LAMAS_CACHE_MODE", help_heading = "Recorded calls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_mode: Option<Mode>,
    /// Record of calls (JSON lines) to use and extend; calls in it are not made again. `train` always keeps one in its run folder
    #[arg(long, value_name = "FILE", env = "LAMAS_RECORD", help_heading = "Recorded calls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<PathBuf>,
    /// Seed for everything random [default: 0]
    #[arg(long, value_name = "N", env = "LAMAS_SEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// What a second of critical path costs, in score; latency is then counted in seconds
    #[arg(long, value_name = "SCORE", help_heading = "Reward and execution")]
    #[serde(skip)]
    second_costs: Option<f64>,
    /// What a dollar costs, in score
    #[arg(long, value_name = "SCORE", help_heading = "Reward and execution")]
    #[serde(skip)]
    dollar_costs: Option<f64>,
    /// When operators start: layered (after the previous layer), dataflow (when their inputs exist), sequential (one by one)
    #[arg(long, value_name = "SCHEDULE", env = "LAMAS_SCHEDULE", value_parser = ["layered", "dataflow", "sequential"], help_heading = "Reward and execution")]
    #[serde(skip)]
    schedule: Option<String>,
    /// End a plan once nothing still to come can change its answer
    #[arg(long, value_name = "BOOL", env = "LAMAS_QUORUM", help_heading = "Reward and execution")]
    #[serde(skip)]
    quorum: Option<bool>,
    /// What a call dropped before its end costs: the share that had run, or all of it [default: share]
    #[arg(long, value_name = "share|full", help_heading = "Reward and execution")]
    #[serde(skip)]
    dropped_calls: Option<Billing>,
    /// End a plan once a trained head expects the rest to cost more than it brings
    #[arg(long, value_name = "BOOL", env = "LAMAS_HALTING", help_heading = "Reward and execution")]
    #[serde(skip)]
    halting: Option<bool>,
}

/// Flags of an endpoint.
#[derive(Debug, Default, Serialize, clap::Args)]
struct EndpointFlags {
    /// Base URL of an OpenAI-compatible endpoint; default: OPENAI_BASE_URL, else OpenAI. The key comes from OPENAI_API_KEY
    #[arg(
        long = "endpoint",
        value_name = "URL",
        env = "LAMAS_BASE_URL",
        hide_env_values = true,
        help_heading = "Endpoint"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Name of the model at the endpoint
    #[arg(id = "model-name", long, value_name = "NAME", env = "LAMAS_MODEL_NAME", help_heading = "Endpoint")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Dollars per million tokens of any kind, instead of the price list; 0 for your own server
    #[arg(long, value_name = "DOLLARS", help_heading = "Endpoint")]
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    /// Stop before the endpoint costs more than this
    #[arg(long, value_name = "DOLLARS", help_heading = "Endpoint")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cost: Option<f64>,
    /// Stop before the endpoint reads and writes more tokens than this
    #[arg(long, value_name = "N", help_heading = "Endpoint")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
}

/// Flags of all commands that may ask a local model.
#[derive(Debug, Default, Serialize, clap::Args)]
struct ModelFlags {
    /// A checkpoint: a folder, a GGUF file, or OWNER/NAME[/FILE.gguf] on the Hugging Face hub; default: the built-in model
    /// (`built-in` for a run that was trained with another)
    #[arg(long, value_name = "DIR|FILE|ID", env = "LAMAS_MODEL", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
    /// Set a variable of the model's chat template, such as `enable_thinking=true`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, help_heading = "Model in this process")]
    #[serde(skip)]
    template: Vec<(String, serde_json::Value)>,
    /// Number type of the model's weights on a CUDA or Metal device (the CPU always uses f32) [default: f32]
    #[arg(long, env = "LAMAS_DTYPE", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<Dtype>,
    /// Tokens of prompt and completion that the model has room for [default: its own number, at most 8192]
    #[arg(long, value_name = "TOKENS", env = "LAMAS_CONTEXT", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<usize>,
}

/// Flags of all commands that may run Python.
#[derive(Debug, Default, Serialize, clap::Args)]
pub struct PythonFlags {
    /// Python 3 for model-written programs and for tests of code; default: `python3`
    #[arg(long, value_name = "PATH", env = "LAMAS_PYTHON", help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// If this machine has no sandbox, run model-written programs with your own rights
    #[arg(long, help_heading = "Model in this process")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_unsandboxed: bool,
}

impl Common {
    /// The settings that `preset`, the file and the flags give together.
    ///
    /// # Errors
    /// Names the file and the setting at fault.
    pub fn resolve(&self, preset: Preset) -> Result<Settings> {
        self.complete(preset.settings())
    }

    /// Environment variables whose keys may go to a server, each with the server's URL.
    pub fn keys(&self) -> &[(String, String)] {
        &self.keys
    }

    /// Whether commands in the catalogues of others may run.
    pub fn runs_commands(&self) -> bool {
        self.run_commands
    }

    /// What the user asks for, whatever a run that is there already asks for.
    ///
    /// # Errors
    /// Those of [`Common::resolve`].
    pub fn own(&self) -> Result<Settings> {
        let own = self.merge(&Preset::default().settings())?;
        settled(own)
    }

    /// `run`, the settings that a run was started with, under the file and the flags.
    ///
    /// # Errors
    /// Those of [`Common::resolve`].
    pub fn resolve_over(&self, run: &Settings) -> Result<Settings> {
        let settings = settled(self.merge(run)?)?;
        settings.validate()?;
        Ok(settings)
    }

    fn complete(&self, mut settings: Settings) -> Result<Settings> {
        // The objective belongs to the benchmark, which the file or a flag may name.
        let benchmark = self.merge(&settings)?.benchmark()?;
        settings.training.objective = benchmark.reward.objective();
        self.resolve_over(&settings)
    }

    /// `defaults`, then the file, then the flags.
    fn merge(&self, defaults: &Settings) -> Result<Settings> {
        let mut figment = Figment::from(Serialized::defaults(defaults));
        let mut models = Definitions::new();
        if let Some(path) = &self.config {
            // figment takes a missing file for an empty one.
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let mut written: serde_json::Value = toml::from_str(&text).unwrap_or_default();
            let before = written.clone();
            let gone = modernise(&mut written);
            ensure!(
                !written.get("model").is_some_and(serde_json::Value::is_object),
                "{}: expected `[[model]]` tables, in two brackets each, or `model = \"PATH\"`, found `[model]`",
                path.display()
            );
            // A model is defined whole: what a run says of one of the same name has no part in it.
            if written.get("model").is_some_and(serde_json::Value::is_array) {
                models = definitions(&text, &path.display().to_string())?;
                written.as_object_mut().and_then(|written| written.remove("model"));
            }
            if let Some(named) = written.as_object_mut().and_then(|written| written.remove("models")) {
                let named: Definitions =
                    serde_json::from_value(named).with_context(|| format!("{}: `models`", path.display()))?;
                models.extend(named);
            }
            gone.iter().for_each(|gone| eprintln!("{}: {gone}", path.display()));
            // As it is, its mistakes are told with their places.
            figment = match written == before {
                true => figment.merge(Toml::file_exact(path)),
                false => figment.merge(Serialized::defaults(written)),
            };
        }
        figment = figment.merge(Serialized::defaults(self));
        let seconds = self.second_costs.map(|_| Value::from("seconds"));
        let training = [
            ("execution.schedule", self.schedule.clone().map(Value::from)),
            ("execution.quorum", self.quorum.map(Value::from)),
            ("execution.halting", self.halting.map(Value::from)),
            ("execution.billing", self.dropped_calls.map(|billing| Value::from(billing.name()))),
            ("objective.latency_weight", self.second_costs.map(Value::from)),
            ("objective.unit", seconds),
            ("objective.cost_weight", self.dollar_costs.map(Value::from)),
        ];
        for (name, value) in training {
            if let Some(value) = value {
                figment = figment.merge(Serialized::default(&format!("training.{name}"), value));
            }
        }
        for (name, value) in &self.local_model.template {
            figment = figment.merge(Serialized::default(&format!("template.{name}"), value));
        }
        let mut settings: Settings = figment.extract().map_err(|error| {
            let causes: Vec<String> = error.into_iter().map(|cause| cause.to_string()).collect();
            anyhow!("settings: {}", causes.join("; "))
        })?;
        settings.models.extend(models);
        Ok(settings)
    }
}

/// With the URL of the endpoint spelled out, also where the environment gives it, and Python where it is: another process
/// may have another environment and another folder.
fn settled(mut settings: Settings) -> Result<Settings> {
    if let Some(python) = settings.python.as_mut().filter(|python| python.components().count() > 1) {
        *python = std::path::absolute(&*python)?;
    }
    if settings.endpoint.is_used() {
        settings.endpoint.url = Some(settings.endpoint.base_url()?);
    }
    Ok(settings)
}

/// `VARIABLE=URL`.
fn sent(text: &str) -> Result<(String, String), String> {
    let (variable, url) = text.split_once('=').ok_or_else(|| format!("expected VARIABLE=URL, found `{text}`"))?;
    let server = EndpointConfig { url: Some(url.to_owned()), ..EndpointConfig::default() };
    Ok((variable.to_owned(), server.base_url().map_err(|error| error.to_string())?))
}

/// `NAME=VALUE`; a value that is no JSON is text.
fn variable(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, found `{text}`"))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

impl ValueEnum for Preset {
    fn value_variants<'a>() -> &'a [Self] {
        &[Preset::Adaptive, Preset::Paper, Preset::Maas]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Preset::Adaptive => "Measures every way to answer, the trained network included, and uses the best",
            Preset::Paper => "LAMaS as published",
            Preset::Maas => "MaAS: one operator after another, no latency term",
        };
        let value = PossibleValue::new(self.name()).help(help);
        Some(if *self == Preset::Adaptive { value.alias("lamas") } else { value })
    }
}

impl ValueEnum for Dtype {
    fn value_variants<'a>() -> &'a [Self] {
        &[Dtype::F32, Dtype::Bf16, Dtype::F16]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::variable;

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
