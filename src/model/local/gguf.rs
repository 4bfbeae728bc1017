//! A GGUF file: metadata and tensors under the names of llama.cpp, turned into those of transformers.
//!
//! Quantised tensors become floats when they are read: the network then takes as much memory as the unquantised one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use serde_json::json;

use super::config::Config;
use super::weights::Tensors;

/// An opened file.
pub struct Gguf {
    path: PathBuf,
    content: Content,
    /// `general.architecture`, which begins the names of the sizes.
    family: &'static str,
    /// What transformers calls it.
    architecture: &'static str,
}

const FAMILIES: [(&str, &str); 3] =
    [(LLAMA, "LlamaForCausalLM"), ("qwen2", "Qwen2ForCausalLM"), ("qwen3", "Qwen3ForCausalLM")];
const LLAMA: &str = "llama";

/// Parts of names, llama.cpp's and transformers'.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
const OUTSIDE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];
const EMBEDDING: &str = "token_embd.weight";
const ROTATIONS: &str = "rope_freqs.weight";

impl Gguf {
    /// Reads what stands before the tensors.
    ///
    /// # Errors
    /// The file cannot be read, is cut, one of several parts, or of another architecture.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let content = Content::read(&mut BufReader::new(file))
            .map_err(first_line)
            .with_context(|| format!("`{}` is not a whole GGUF file", path.display()))?;
        let found = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok());
        let known = FAMILIES.into_iter().find(|(family, _)| found.is_some_and(|found| found == family));
        let Some((family, architecture)) = known else {
            let found = found.map_or("none", String::as_str);
            bail!("`{}`: expected architecture `llama`, `qwen2` or `qwen3`, found `{found}`", path.display())
        };
        let gguf = Gguf { path: path.to_owned(), content, family, architecture };
        for (name, info) in &gguf.content.tensor_infos {
            let size = info.shape.dims().iter().try_fold(1usize, |size, dimension| size.checked_mul(*dimension));
            let place = gguf.path.display();
            ensure!(
                size.is_some_and(|size| size > 0),
                "`{place}`: expected numbers in tensor `{name}`, found {:?}",
                info.shape
            );
        }
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
    /// Metadata is missing, or asks for what the network does not do.
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
        let ends: Vec<u64> = ["eos_token_id", "eot_token_id"]
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

    fn number(&self, name: &str) -> Option<u64> {
        whole(self.value(name)?)
    }

    fn float(&self, name: &str) -> Option<f32> {
        match self.value(name)? {
            Value::F64(value) => Some(*value as f32),
            value => value.to_f32().ok(),
        }
    }

    /// In f32, by llama.cpp's name.
    fn tensor(&self, name: &str) -> Result<Tensor> {
        let mut file = File::open(&self.path)?;
        let read = self.content.tensor(&mut file, name, &Device::Cpu);
        read.and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .map_err(first_line)
            .with_context(|| format!("`{}` is not a whole GGUF file", self.path.display()))
    }
}

impl Tensors for Gguf {
    fn names(&self) -> BTreeSet<String> {
        let names = self.content.tensor_infos.keys().filter(|name| *name != ROTATIONS);
        names.map(|name| rename(name).unwrap_or_else(|| name.clone())).collect()
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let names = &mut self.content.tensor_infos.keys();
        let own = names.find(|own| rename(own).as_deref() == Some(name)).context("expected it in the file")?;
        let tensor = self.tensor(own)?;
        let heads = match own.rsplit_once('.').map(|(part, _)| part) {
            Some(part) if part.ends_with(".attn_q") => self.number("attention.head_count"),
            Some(part) if part.ends_with(".attn_k") => {
                self.number("attention.head_count_kv").or(self.number("attention.head_count"))
            }
            _ => None,
        };
        match heads {
            Some(heads) if self.family == LLAMA => apart(&tensor, heads as usize),
            _ => Ok(tensor),
        }
    }
}

/// llama.cpp rotates neighbouring dimensions of a Llama's heads, transformers those half a head apart: the rows go back
/// to where they were.
fn apart(tensor: &Tensor, heads: usize) -> Result<Tensor> {
    let shape = tensor.dims();
    let rows = shape.first().copied().unwrap_or(0);
    ensure!(rows > 0 && heads > 0 && rows.is_multiple_of(2 * heads), "expected rows of {heads} heads, found {rows}");
    let pairs = tensor.reshape((heads, rows / heads / 2, 2, tensor.elem_count() / rows))?;
    Ok(pairs.transpose(1, 2)?.reshape(shape)?)
}

/// The name that transformers gives a tensor.
fn rename(name: &str) -> Option<String> {
    if let Some((_, theirs)) = OUTSIDE.iter().find(|(own, _)| *own == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let (_, theirs) = PARTS.iter().find(|(own, _)| *own == part)?;
    Some(format!("model.layers.{layer}.{theirs}.{kind}"))
}

/// A number of any of the types that files give it.
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
    fn names_become_those_of_transformers() {
        let check = |own: &str, expected: Option<&str>| assert_eq!(rename(own).as_deref(), expected, "{own}");
        check("token_embd.weight", Some("model.embed_tokens.weight"));
        check("blk.11.attn_q.bias", Some("model.layers.11.self_attn.q_proj.bias"));
        check("blk.0.attn_q_norm.weight", Some("model.layers.0.self_attn.q_norm.weight"));
        check("blk.0.ssm_in.weight", None);
        check("output", None);
    }

    #[test]
    fn neighbouring_rows_of_a_head_go_half_a_head_apart() {
        let rows = Tensor::arange(0f32, 8.0, &Device::Cpu).unwrap().reshape((8, 1)).unwrap();
        let found: Vec<f32> = apart(&rows, 2).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(found, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert!(apart(&rows, 3).is_err());
    }

    #[test]
    fn a_file_of_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, b"something else").unwrap();
        let error = format!("{:#}", Gguf::open(&path).err().unwrap());
        assert!(error.contains("model.gguf` is not a whole GGUF file"), "{error}");
    }
}
