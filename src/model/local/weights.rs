//! The weights of a checkpoint: every tensor by name, with the shape that the configuration asks for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use super::config::Config;

/// The tensors of a network. Matrices are (outputs, inputs), as PyTorch keeps them.
pub struct Weights {
    pub embedding: Tensor,
    pub layers: Vec<Layer>,
    pub norm: Tensor,
    /// None where the embedding serves.
    pub output: Option<Tensor>,
}

/// The tensors of one layer.
pub struct Layer {
    pub attention_norm: Tensor,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    /// Of each head of queries and of keys (head), where heads are normalised.
    pub head_norms: Option<(Tensor, Tensor)>,
    pub attention_output: Linear,
    pub feed_forward_norm: Tensor,
    pub gate: Tensor,
    pub up: Tensor,
    pub down: Tensor,
}

/// A matrix and what is added to its products (outputs).
pub struct Linear {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

/// Where tensors are read from, under the names that transformers gives them.
pub trait Tensors {
    /// All names.
    fn names(&self) -> BTreeSet<String>;

    /// The tensor of one of the names, on the CPU, in the numbers of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    fn read(&self, name: &str) -> Result<Tensor>;
}

impl Weights {
    /// Reads the tensors onto `device` as `dtype`, one after another.
    ///
    /// # Errors
    /// A tensor is missing, of another shape or type, or unknown.
    pub fn load(tensors: &dyn Tensors, config: &Config, device: &Device, dtype: DType) -> Result<Self> {
        Reader { unread: tensors.names(), tensors, device, dtype }.read(config)
    }
}

struct Reader<'a> {
    tensors: &'a dyn Tensors,
    unread: BTreeSet<String>,
    device: &'a Device,
    dtype: DType,
}

impl Reader<'_> {
    fn read(mut self, config: &Config) -> Result<Weights> {
        let hidden = config.hidden;
        let weights = Weights {
            embedding: self.take("model.embed_tokens.weight", &[config.vocabulary, hidden])?,
            layers: (0..config.layers).map(|layer| self.layer(config, layer)).collect::<Result<_>>()?,
            norm: self.take("model.norm.weight", &[hidden])?,
            output: match config.tied {
                true => None,
                false => Some(self.take("lm_head.weight", &[config.vocabulary, hidden])?),
            },
        };
        // A tied output layer may be written out, and old files hold the rotations; both say nothing new.
        let known = |name: &str| name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq");
        match self.unread.iter().find(|name| !known(name)) {
            Some(name) => bail!("expected no tensor `{name}` in this network of {} layers", config.layers),
            None => Ok(weights),
        }
    }

    fn layer(&mut self, config: &Config, layer: usize) -> Result<Layer> {
        let (hidden, wide) = (config.hidden, config.feed_forward);
        let (queries, keys) = (config.heads * config.head, config.key_value_heads * config.head);
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let mut linear = |part: &str, outputs: usize, inputs: usize, has_bias: bool| -> Result<Linear> {
            let weight = self.take(&name(&format!("self_attn.{part}.weight")), &[outputs, inputs])?;
            let bias = has_bias.then(|| self.take(&name(&format!("self_attn.{part}.bias")), &[outputs]));
            Ok(Linear { weight, bias: bias.transpose()? })
        };
        let query = linear("q_proj", queries, hidden, config.input_bias)?;
        let key = linear("k_proj", keys, hidden, config.input_bias)?;
        let value = linear("v_proj", keys, hidden, config.input_bias)?;
        let attention_output = linear("o_proj", hidden, queries, config.output_bias)?;
        let mut take = |part: &str, shape: &[usize]| self.take(&name(&format!("{part}.weight")), shape);
        let head_norms = match config.head_norm {
            true => Some((take("self_attn.q_norm", &[config.head])?, take("self_attn.k_norm", &[config.head])?)),
            false => None,
        };
        Ok(Layer {
            attention_norm: take("input_layernorm", &[hidden])?,
            query,
            key,
            value,
            head_norms,
            attention_output,
            feed_forward_norm: take("post_attention_layernorm", &[hidden])?,
            gate: take("mlp.gate_proj", &[wide, hidden])?,
            up: take("mlp.up_proj", &[wide, hidden])?,
            down: take("mlp.down_proj", &[hidden, wide])?,
        })
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        ensure!(self.unread.remove(name), "no tensor `{name}`");
        let tensor = self.tensors.read(name).with_context(|| format!("tensor `{name}`"))?;
        ensure!(tensor.dims() == shape, "tensor `{name}`: expected shape {shape:?}, found {:?}", tensor.dims());
        ensure!(tensor.dtype().is_float(), "tensor `{name}`: expected floats, found {:?}", tensor.dtype());
        Ok(tensor.to_dtype(self.dtype)?.to_device(self.device)?)
    }
}
