//! A GGUF file: its metadata, which become the configuration of the network, and where its tensors lie.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use serde_json::json;

use super::config::Config;
use super::config_file;
use super::gguf_families::Family;
use super::gguf_formats;
use super::gguf_tokenizer;
use super::gguf_value::whole;
use super::mapped::Mapped;

/// An opened file.
pub struct Gguf {
    path: PathBuf,
    file: Arc<Mapped>,
    content: Content,
    family: Family,
}

const EMBEDDING: &str = "token_embd.weight";
/// How much slower each pair of dimensions rotates.
const ROTATIONS: &str = "rope_freqs.weight";
/// The same for contexts that are no longer, and longer, than the one that the model was first trained on.
const SHORT_ROTATIONS: &str = "rope_factors_short.weight";
const LONG_ROTATIONS: &str = "rope_factors_long.weight";
/// The tensors that are part of the configuration.
pub const SETTINGS: [&str; 3] = [ROTATIONS, SHORT_ROTATIONS, LONG_ROTATIONS];

/// Metadata that changes a network in ways that are not built, unless it is 0 or false.
const REFUSED: [&str; 9] = [
    "expert_count",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.chunk_size",
    "attention.temperature_length",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
    "rope.scaling.yarn_log_multiplier",
];

impl Gguf {
    /// Reads what comes before the tensors.
    ///
    /// # Errors
    /// The file cannot be read, is cut, one of several parts, of another architecture, or packs weights in a way that
    /// has no kernel.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Arc::new(Mapped::open(path)?);
        let content = Content::read(&mut Cursor::new((*file).as_ref())).map_err(|error| {
            let error = first_line(error);
            match gguf_formats::unknown_format(&error) {
                Some(refusal) => refusal.context(format!("`{}`", path.display())),
                None => error.context(format!("`{}` is not a whole GGUF file", path.display())),
            }
        })?;
        let found = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok());
        let family = Family::of(found.map(String::as_str)).with_context(|| format!("`{}`", path.display()))?;
        let gguf = Gguf { path: path.to_owned(), file, content, family };
        gguf.check_tensors().with_context(|| format!("`{}`", path.display()))?;
        let parts = gguf.content.metadata.get("split.count").and_then(whole).unwrap_or(1);
        ensure!(
            parts <= 1,
            "`{}`: expected a whole model, found one of {parts} parts; hint: join them with `llama-gguf-split --merge`",
            path.display()
        );
        Ok(gguf)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        (*self.file).as_ref()
    }

    /// The same, for those who keep parts of it.
    pub fn file(&self) -> &Arc<Mapped> {
        &self.file
    }

    /// What is particular to its architecture.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Its metadata, and where its tensors are.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// A text of the metadata.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.content.metadata.get(name)?.to_string().ok().map(String::as_str)
    }

    /// The text of a special token, such as `bos`.
    pub fn special(&self, name: &str) -> Option<&str> {
        let id = whole(self.content.metadata.get(&format!("tokenizer.ggml.{name}_token_id"))?)?;
        let tokens = self.content.metadata.get("tokenizer.ggml.tokens")?.to_vec().ok()?;
        tokens.get(id as usize)?.to_string().ok().map(String::as_str)
    }

    /// What `config.json` of the same model says.
    ///
    /// # Errors
    /// Metadata is missing, or asks for something that the network does not do.
    pub fn config(&self) -> Result<Config> {
        self.read_config().with_context(|| format!("`{}`", self.path.display()))
    }

    fn read_config(&self) -> Result<Config> {
        let missing = |name: &str| format!("expected a number `{}.{name}`, found none", self.family.name);
        let size = |name: &str| self.number(name).with_context(|| missing(name));
        for name in REFUSED {
            let found = self.value(name).and_then(|value| whole(value).map(|value| value as f32).or(self.float(name)));
            let found = found.filter(|found| *found != 0.0);
            ensure!(found.is_none(), "expected no `{}.{name}`, found {}", self.family.name, found.unwrap_or_default());
        }
        let is_causal = self.value("attention.causal").and_then(|value| value.to_bool().ok()).unwrap_or(true);
        ensure!(
            is_causal,
            "expected attention to earlier tokens, found `{}.attention.causal` to be false",
            self.family.name
        );
        let epsilon = "attention.layer_norm_rms_epsilon";
        let (hidden, heads) = (size("embedding_length")?, size("attention.head_count")?);
        let layers = size("block_count")?;
        let head = self.number("attention.key_length").or_else(|| hidden.checked_div(heads)).unwrap_or(0);
        let turned = self.number("rope.dimension_count").unwrap_or(head);
        let fits = turned == head || turned < head && !self.family.rotates_neighbours;
        let value = self.number("attention.value_length").unwrap_or(head);
        ensure!(value == head, "expected values as long as keys, found {value} and {head} dimensions");
        ensure!(fits, "expected rotations of all {head} dimensions of a head, found {turned}");
        let embedding = self.content.tensor_infos.get(EMBEDDING);
        let vocabulary = embedding.and_then(|info| info.shape.dims().first().copied());
        let window = self.number("attention.sliding_window").filter(|window| *window > 0);
        let mut config = json!({
            "architectures": [if window.is_some() { self.family.windowed } else { self.family.architecture }],
            "hidden_size": hidden,
            "intermediate_size": size("feed_forward_length")?,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": self.number("attention.head_count_kv"),
            "head_dim": head,
            "vocab_size": vocabulary.with_context(|| format!("no tensor `{EMBEDDING}`"))?,
            "max_position_embeddings": size("context_length")?,
            "rms_norm_eps": self.float(epsilon).with_context(|| missing(epsilon))?,
            "hidden_act": self.family.activation,
            "tie_word_embeddings": !self.has_tensor("output.weight"),
            "attention_bias": self.has_tensor("blk.0.attn_q.bias"),
            "query_pre_attn_scalar": self.family.query_scalar(layers, hidden, heads),
            "sliding_window": window,
            "rope_theta": self.float("rope.freq_base"),
            "rope_local_base_freq": self.float("rope.freq_base_swa"),
            "rope_scaling": self.rotation(turned as f64 / head.max(1) as f64)?,
            "eos_token_id": gguf_tokenizer::ends(&self.content),
        });
        let pattern = "attention.sliding_window_pattern";
        if let Some(list) = self.value(pattern).and_then(|value| value.to_vec().ok()) {
            let has_window = |value: &Value| value.to_bool().ok().or_else(|| whole(value).map(|value| value != 0));
            let kind = |value| if has_window(value) == Some(true) { "sliding_attention" } else { "full_attention" };
            config["layer_types"] = list.iter().map(kind).collect();
        } else if let Some(interval) = self.number(pattern) {
            config["sliding_window_pattern"] = interval.into();
        }
        for (own, theirs) in [
            ("attn_logit_softcapping", "attn_logit_softcapping"),
            ("final_logit_softcapping", "final_logit_softcapping"),
        ] {
            if let Some(cap) = self.float(own) {
                config[theirs] = if cap == 0.0 { json!(null) } else { cap.into() };
            }
        }
        let mut config = config_file::read(config)?;
        // llama.cpp's converter has added it.
        config.norm_offset = 0.0;
        if self.has_tensor(ROTATIONS) {
            config.slow_down(&self.numbers(ROTATIONS)?)?;
        }
        Ok(config)
    }

    /// How positions are stretched, as `config.json` says it, where this share of a head's dimensions turns.
    fn rotation(&self, share: f64) -> Result<serde_json::Value> {
        let factor = self.float("rope.scaling.factor").or_else(|| self.float("rope.scale_linear"));
        let kind = match self.text(&format!("{}.rope.scaling.type", self.family.name)) {
            Some("none") => None,
            // Older files say by how much only.
            None => factor.filter(|factor| *factor > 0.0).map(|_| "linear"),
            kind => kind,
        };
        let mut rotation = json!({
            "rope_type": kind,
            "factor": factor,
            "original_max_position_embeddings": self.float_or_whole("rope.scaling.original_context_length"),
            "attention_factor": self.float("rope.scaling.yarn_attn_factor"),
            "beta_fast": self.float("rope.scaling.yarn_beta_fast"),
            "beta_slow": self.float("rope.scaling.yarn_beta_slow"),
            "partial_rotary_factor": share,
        });
        if self.has_tensor(LONG_ROTATIONS) {
            rotation["rope_type"] = "longrope".into();
            rotation["short_factor"] = self.numbers(SHORT_ROTATIONS)?.into();
            rotation["long_factor"] = self.numbers(LONG_ROTATIONS)?.into();
            rotation["attention_factor"] = self.float("rope.scaling.attn_factor").into();
        }
        Ok(rotation)
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.tensor(name)?.flatten_all()?.to_vec1()?)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.content.metadata.get(&format!("{}.{name}", self.family.name))
    }

    /// A number of the architecture's, such as `block_count`.
    pub fn number(&self, name: &str) -> Option<u64> {
        whole(self.value(name)?)
    }

    fn float(&self, name: &str) -> Option<f32> {
        match self.value(name)? {
            Value::F64(value) => Some(*value as f32),
            value => value.to_f32().ok(),
        }
    }

    fn float_or_whole(&self, name: &str) -> Option<f32> {
        self.number(name).map(|number| number as f32).or_else(|| self.float(name))
    }

    /// A tensor in f32, by llama.cpp's name.
    ///
    /// # Errors
    /// It is not in the file.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let read = self.content.tensor(&mut Cursor::new(self.bytes()), name, &Device::Cpu);
        read.and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .map_err(first_line)
            .with_context(|| format!("`{}` is not a whole GGUF file", self.path.display()))
    }
}

fn first_line(error: candle_core::Error) -> anyhow::Error {
    anyhow!("{}", error.to_string().lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, b"something else").unwrap();
        let error = format!("{:#}", Gguf::open(&path).err().unwrap());
        assert!(error.contains("model.gguf` is not a whole GGUF file"), "{error}");
    }
}
