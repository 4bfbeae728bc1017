//! The weights of a checkpoint: every tensor by name, with the shape that the configuration asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use super::config::Config;
use super::mapped::Mapped;
use crate::kernels::Rows;

/// The tensors of a network. Matrices are (outputs, inputs), as PyTorch keeps them; what they are is up to the network.
pub struct Weights<M> {
    pub embedding: M,
    pub layers: Vec<Layer<M>>,
    pub norm: Tensor,
    /// None if the embedding table is used.
    pub output: Option<M>,
    /// The file that holds the matrices, if they stay in it.
    pub source: Option<Arc<Mapped>>,
}

/// The tensors of one layer.
pub struct Layer<M> {
    pub attention_norm: Tensor,
    pub query: Linear<M>,
    pub key: Linear<M>,
    pub value: Linear<M>,
    /// Of each head of queries and of keys (head), if heads are normalised.
    pub head_norms: Option<(Tensor, Tensor)>,
    pub attention_output: Linear<M>,
    pub feed_forward_norm: Tensor,
    pub gate: M,
    pub up: M,
    pub down: M,
}

/// A matrix and what is added to its products (outputs).
pub struct Linear<M> {
    pub weight: M,
    pub bias: Option<Tensor>,
}

/// A matrix of the network on the CPU.
#[derive(Clone)]
pub enum Stored {
    Floats(Vec<f32>),
    /// As the file has it.
    Packed(Rows),
}

/// A matrix, as a network reads it.
pub trait Weight: Sized {
    /// The matrix (outputs, inputs) of one of the names.
    ///
    /// # Errors
    /// It has another shape or type; the file cannot be read.
    fn read(tensors: &dyn Tensors, name: &str, shape: &[usize; 2], device: &Device, dtype: DType) -> Result<Self>;
}

impl Weight for Tensor {
    fn read(tensors: &dyn Tensors, name: &str, shape: &[usize; 2], device: &Device, dtype: DType) -> Result<Self> {
        read(tensors, name, shape, device, dtype)
    }
}

impl Weight for Stored {
    fn read(tensors: &dyn Tensors, name: &str, shape: &[usize; 2], device: &Device, dtype: DType) -> Result<Self> {
        let Some(rows) = tensors.rows(name)? else {
            return Ok(Stored::Floats(read(tensors, name, shape, device, dtype)?.flatten_all()?.to_vec1()?));
        };
        let found = [rows.outputs(), rows.inputs()];
        ensure!(found == *shape, "expected shape {shape:?}, found {found:?}");
        Ok(Stored::Packed(rows))
    }
}

fn read(tensors: &dyn Tensors, name: &str, shape: &[usize], device: &Device, dtype: DType) -> Result<Tensor> {
    let tensor = tensors.read(name)?;
    ensure!(tensor.dims() == shape, "expected shape {shape:?}, found {:?}", tensor.dims());
    ensure!(tensor.dtype().is_float(), "expected floats, found {:?}", tensor.dtype());
    Ok(tensor.to_dtype(dtype)?.to_device(device)?)
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

    /// The matrix of one of the names as the file packs it; None if a file does not pack matrices.
    ///
    /// # Errors
    /// It is not a matrix, or packed in a way that has no kernel.
    fn rows(&self, _name: &str) -> Result<Option<Rows>> {
        Ok(None)
    }

    /// The file that matrices stay in.
    fn source(&self) -> Option<Arc<Mapped>> {
        None
    }
}

impl<M: Weight> Weights<M> {
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
    fn read<M: Weight>(mut self, config: &Config) -> Result<Weights<M>> {
        let hidden = config.hidden;
        let weights = Weights {
            embedding: self.matrix("model.embed_tokens.weight", &[config.vocabulary, hidden])?,
            layers: (0..config.layers).map(|layer| self.layer(config, layer)).collect::<Result<_>>()?,
            norm: self.take("model.norm.weight", &[hidden])?,
            output: match config.tied {
                true => None,
                false => Some(self.matrix("lm_head.weight", &[config.vocabulary, hidden])?),
            },
            source: self.tensors.source(),
        };
        // A tied output layer may be written out, and old files hold the rotations; both say nothing new.
        let known = |name: &str| name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq");
        match self.unread.iter().find(|name| !known(name)) {
            Some(name) => bail!("expected no tensor `{name}` in this network of {} layers", config.layers),
            None => Ok(weights),
        }
    }

    fn layer<M: Weight>(&mut self, config: &Config, layer: usize) -> Result<Layer<M>> {
        let (hidden, wide) = (config.hidden, config.feed_forward);
        let (queries, keys) = (config.heads * config.head, config.key_value_heads * config.head);
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let mut linear = |part: &str, outputs: usize, inputs: usize, has_bias: bool| -> Result<Linear<M>> {
            let weight = self.matrix(&name(&format!("self_attn.{part}.weight")), &[outputs, inputs])?;
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
        let attention_norm = take("input_layernorm", &[hidden])?;
        let feed_forward_norm = take("post_attention_layernorm", &[hidden])?;
        let mut matrix = |part: &str, shape: &[usize; 2]| self.matrix(&name(&format!("mlp.{part}.weight")), shape);
        let gate = matrix("gate_proj", &[wide, hidden])?;
        let up = matrix("up_proj", &[wide, hidden])?;
        let down = matrix("down_proj", &[hidden, wide])?;
        Ok(Layer { attention_norm, query, key, value, head_norms, attention_output, feed_forward_norm, gate, up, down })
    }

    fn matrix<M: Weight>(&mut self, name: &str, shape: &[usize; 2]) -> Result<M> {
        ensure!(self.unread.remove(name), "no tensor `{name}`");
        let matrix = M::read(self.tensors, name, shape, self.device, self.dtype);
        matrix.with_context(|| format!("tensor `{name}`"))
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        ensure!(self.unread.remove(name), "no tensor `{name}`");
        read(self.tensors, name, shape, self.device, self.dtype).with_context(|| format!("tensor `{name}`"))
    }
}
