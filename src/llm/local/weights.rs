//! `model.safetensors` of a Llama checkpoint: every tensor by name, with the shape that the configuration asks for.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use super::config::Config;
use crate::folder::Folder;

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
    pub query: Tensor,
    pub key: Tensor,
    pub value: Tensor,
    pub attention_output: Tensor,
    pub feed_forward_norm: Tensor,
    pub gate: Tensor,
    pub up: Tensor,
    pub down: Tensor,
}

impl Weights {
    /// Reads the tensors onto `device` as `dtype`.
    ///
    /// # Errors
    /// The file is missing or cut, or a tensor is missing, of another shape or type, or unknown.
    pub fn load(folder: &Folder, config: &Config, device: &Device, dtype: DType) -> Result<Self> {
        const FILE: &str = "model.safetensors";
        let bytes = folder.read(FILE)?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| anyhow::anyhow!("{}", error.to_string().lines().next().unwrap_or_default()))
            .with_context(|| format!("`{folder}/{FILE}` is not a whole safetensors file"))?;
        Reader { tensors, device, dtype }.read(config).with_context(|| format!("`{folder}/{FILE}`"))
    }
}

struct Reader<'a> {
    tensors: HashMap<String, Tensor>,
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
        match self.tensors.keys().filter(|name| !known(name)).min() {
            Some(name) => bail!("expected no tensor `{name}` in a network of {} layers without biases", config.layers),
            None => Ok(weights),
        }
    }

    fn layer(&mut self, config: &Config, layer: usize) -> Result<Layer> {
        let (hidden, wide) = (config.hidden, config.feed_forward);
        let (queries, keys) = (config.heads * config.head, config.key_value_heads * config.head);
        let mut take = |name: &str, shape: &[usize]| self.take(&format!("model.layers.{layer}.{name}.weight"), shape);
        Ok(Layer {
            attention_norm: take("input_layernorm", &[hidden])?,
            query: take("self_attn.q_proj", &[queries, hidden])?,
            key: take("self_attn.k_proj", &[keys, hidden])?,
            value: take("self_attn.v_proj", &[keys, hidden])?,
            attention_output: take("self_attn.o_proj", &[hidden, queries])?,
            feed_forward_norm: take("post_attention_layernorm", &[hidden])?,
            gate: take("mlp.gate_proj", &[wide, hidden])?,
            up: take("mlp.up_proj", &[wide, hidden])?,
            down: take("mlp.down_proj", &[hidden, wide])?,
        })
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.tensors.remove(name).with_context(|| format!("no tensor `{name}`"))?;
        ensure!(tensor.dims() == shape, "tensor `{name}`: expected shape {shape:?}, found {:?}", tensor.dims());
        ensure!(tensor.dtype().is_float(), "tensor `{name}`: expected floats, found {:?}", tensor.dtype());
        Ok(tensor.to_dtype(self.dtype)?.to_device(self.device)?)
    }
}
