//! A GGUF file: its metadata, which become the configuration of the network, and where its tensors lie.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use serde_json::json;

use super::config::Config;
use super::gguf_formats;
use super::mapped::Mapped;

/// An opened file.
pub struct Gguf {
    path: PathBuf,
    file: Arc<Mapped>,
    content: Content,
    /// `general.architecture`, which begins the names of the sizes.
    family: &'static str,
    /// What transformers calls it.
    architecture: &'static str,
}

const FAMILIES: [(&str, &str); 3] =
    [(LLAMA, "LlamaForCausalLM"), ("qwen2", "Qwen2ForCausalLM"), ("qwen3", "Qwen3ForCausalLM")];
const LLAMA: &str = "llama";

const EMBEDDING: &str = "token_embd.weight";
/// How much slower each pair of dimensions rotates.
pub const ROTATIONS: &str = "rope_freqs.weight";

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
        let known = FAMILIES.into_iter().find(|(family, _)| found.is_some_and(|found| found == family));
        let Some((family, architecture)) = known else {
            let found = found.map_or("none", String::as_str);
            bail!("`{}`: expected architecture `llama`, `qwen2` or `qwen3`, found `{found}`", path.display())
        };
        let gguf = Gguf { path: path.to_owned(), file, content, family, architecture };
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

    /// Whether neighbouring dimensions of a head rotate together; in transformers, those half a head apart do.
    pub fn rotates_neighbours(&self) -> bool {
        self.family == LLAMA
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
        let missing = |name: &str| format!("expected a number `{}.{name}`, found none", self.family);
        let size = |name: &str| self.number(name).with_context(|| missing(name));
        let epsilon = "attention.layer_norm_rms_epsilon";
        let (hidden, heads) = (size("embedding_length")?, size("attention.head_count")?);
        let head = self.number("attention.key_length").or_else(|| hidden.checked_div(heads)).unwrap_or(0);
        let turned = self.number("rope.dimension_count").unwrap_or(head);
        ensure!(turned == head, "expected rotations of all {head} dimensions of a head, found {turned}");
        let experts = self.number("expert_count").unwrap_or(0);
        ensure!(experts == 0, "expected one feed-forward network a layer, found {experts} experts");
        let embedding = self.content.tensor_infos.get(EMBEDDING);
        let vocabulary = embedding.and_then(|info| info.shape.dims().first().copied());
        let rope = match self.text(&format!("{}.rope.scaling.type", self.family)) {
            None | Some("none") => json!(null),
            Some(kind) => json!({"rope_type": kind, "factor": self.float("rope.scaling.factor")}),
        };
        let has_tensor = |name: &str| self.content.tensor_infos.contains_key(name);
        let ends: Vec<u64> = ["eos_token_id", "eot_token_id", "eom_token_id"]
            .iter()
            .filter_map(|name| whole(self.content.metadata.get(&format!("tokenizer.ggml.{name}"))?))
            .collect();
        let mut config = Config::from_value(json!({
            "architectures": [self.architecture],
            "hidden_size": hidden,
            "intermediate_size": size("feed_forward_length")?,
            "num_hidden_layers": size("block_count")?,
            "num_attention_heads": heads,
            "num_key_value_heads": self.number("attention.head_count_kv"),
            "head_dim": head,
            "vocab_size": vocabulary.with_context(|| format!("no tensor `{EMBEDDING}`"))?,
            "max_position_embeddings": size("context_length")?,
            "rms_norm_eps": self.float(epsilon).with_context(|| missing(epsilon))?,
            "rope_theta": self.float("rope.freq_base"),
            "rope_scaling": rope,
            "tie_word_embeddings": !has_tensor("output.weight"),
            "attention_bias": self.family == LLAMA && has_tensor("blk.0.attn_q.bias"),
            "eos_token_id": ends,
        }))?;
        if has_tensor(ROTATIONS) {
            config.slow_down(&self.tensor(ROTATIONS)?.flatten_all()?.to_vec1()?)?;
        }
        Ok(config)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.content.metadata.get(&format!("{}.{name}", self.family))
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

/// A number, of any type that files use for it.
pub fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::I8(value) => u64::try_from(*value).ok(),
        Value::I16(value) => u64::try_from(*value).ok(),
        Value::I32(value) => u64::try_from(*value).ok(),
        Value::I64(value) => u64::try_from(*value).ok(),
        value => value.to_u64().ok(),
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
