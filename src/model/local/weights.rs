//! The weights of a checkpoint: every tensor by name, with the shape that the configuration asks for.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

use super::config::{Config, QueryKeyNorm};
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
    pub norms: Norms<Tensor>,
    pub query: Linear<M>,
    pub key: Linear<M>,
    pub value: Linear<M>,
    /// Of queries and of keys, one head or all heads wide, if they are normalised.
    pub query_key_norms: Option<(Tensor, Tensor)>,
    pub attention_output: Linear<M>,
    pub gate: M,
    pub up: M,
    pub down: M,
}

/// The norms of a layer, where they stand.
pub struct Norms<V> {
    pub before_attention: Option<V>,
    pub after_attention: Option<V>,
    pub before_feed_forward: Option<V>,
    pub after_feed_forward: Option<V>,
}

impl<V> Norms<V> {
    /// The same in another form.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn map<W>(&self, change: impl Fn(&V) -> Result<W>) -> Result<Norms<W>> {
        let change = |norm: &Option<V>| norm.as_ref().map(&change).transpose();
        Ok(Norms {
            before_attention: change(&self.before_attention)?,
            after_attention: change(&self.after_attention)?,
            before_feed_forward: change(&self.before_feed_forward)?,
            after_feed_forward: change(&self.after_feed_forward)?,
        })
    }
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

    /// Rows of it, each of `inputs` numbers.
    ///
    /// # Errors
    /// It has fewer rows.
    fn part(&self, rows: Range<usize>, inputs: usize) -> Result<Self>;
}

impl Weight for Tensor {
    fn read(tensors: &dyn Tensors, name: &str, shape: &[usize; 2], device: &Device, dtype: DType) -> Result<Self> {
        read(tensors, name, shape, device, dtype)
    }

    fn part(&self, rows: Range<usize>, _inputs: usize) -> Result<Self> {
        Ok(self.narrow(0, rows.start, rows.len())?.contiguous()?)
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

    fn part(&self, rows: Range<usize>, inputs: usize) -> Result<Self> {
        let part = match self {
            Stored::Floats(numbers) => {
                numbers.get(rows.start * inputs..rows.end * inputs).map(|part| Stored::Floats(part.to_vec()))
            }
            Stored::Packed(packed) => packed.part(rows).map(Stored::Packed),
        };
        part.context("expected more rows")
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
            layers: (0..config.layers.len()).map(|layer| self.layer(config, layer)).collect::<Result<_>>()?,
            norm: self.norm("model.norm", hidden, config.norm_offset)?,
            output: match config.tied {
                true => None,
                false => Some(self.matrix("lm_head.weight", &[config.vocabulary, hidden])?),
            },
            source: self.tensors.source(),
        };
        // A tied output layer may be written out, and old files hold the rotations; both say nothing new.
        let known = |name: &str| name == "lm_head.weight" || name.ends_with("rotary_emb.inv_freq");
        match self.unread.iter().find(|name| !known(name)) {
            Some(name) => bail!("expected no tensor `{name}` in this network of {} layers", config.layers.len()),
            None => Ok(weights),
        }
    }

    fn layer<M: Weight>(&mut self, config: &Config, layer: usize) -> Result<Layer<M>> {
        let (hidden, wide) = (config.hidden, config.feed_forward);
        let (queries, keys) = (config.heads * config.head, config.key_value_heads * config.head);
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let attention = |part: &str| name(&format!("self_attn.{part}"));
        let inputs = ["q_proj", "k_proj", "v_proj"].map(attention);
        let fused = config.fused.then(|| attention("qkv_proj"));
        let sizes = [queries, keys, keys];
        let [query, key, value] = self.parts(inputs.each_ref(), fused, sizes, hidden)?;
        let mut affine = |name: &str, weight: M, outputs: usize, has_bias: bool| -> Result<Linear<M>> {
            let bias = has_bias.then(|| self.take(&format!("{name}.bias"), &[outputs]));
            Ok(Linear { weight, bias: bias.transpose()? })
        };
        let query = affine(&inputs[0], query, queries, config.input_bias)?;
        let key = affine(&inputs[1], key, keys, config.input_bias)?;
        let value = affine(&inputs[2], value, keys, config.input_bias)?;
        let output = attention("o_proj");
        let weight = self.matrix(&format!("{output}.weight"), &[hidden, queries])?;
        let bias = config.output_bias.then(|| self.take(&format!("{output}.bias"), &[hidden])).transpose()?;
        let attention_output = Linear { weight, bias };
        let mut norm = |part: &str, size: usize| self.norm(&name(part), size, config.norm_offset);
        let query_key_norms = match config.query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => {
                Some((norm("self_attn.q_norm", config.head)?, norm("self_attn.k_norm", config.head)?))
            }
            QueryKeyNorm::Row => Some((norm("self_attn.q_norm", queries)?, norm("self_attn.k_norm", keys)?)),
        };
        let mut standing = |part: Option<&str>| part.map(|part| norm(part, hidden)).transpose();
        let norms = Norms {
            before_attention: standing(config.norms.before_attention)?,
            after_attention: standing(config.norms.after_attention)?,
            before_feed_forward: standing(config.norms.before_feed_forward)?,
            after_feed_forward: standing(config.norms.after_feed_forward)?,
        };
        let both = ["mlp.gate_proj", "mlp.up_proj"].map(name);
        let fused = config.fused.then(|| name("mlp.gate_up_proj"));
        let [gate, up] = self.parts(both.each_ref(), fused, [wide; 2], hidden)?;
        let down = self.matrix(&name("mlp.down_proj.weight"), &[hidden, wide])?;
        Ok(Layer { norms, query, key, value, query_key_norms, attention_output, gate, up, down })
    }

    /// Matrices of their own, or one below the other in the matrix `fused`.
    fn parts<M: Weight, const N: usize>(
        &mut self,
        names: [&String; N],
        fused: Option<String>,
        outputs: [usize; N],
        inputs: usize,
    ) -> Result<[M; N]> {
        let mut parts = Vec::with_capacity(N);
        match fused {
            None => {
                for (name, outputs) in names.into_iter().zip(outputs) {
                    parts.push(self.matrix(&format!("{name}.weight"), &[outputs, inputs])?);
                }
            }
            Some(name) => {
                let whole: M = self.matrix(&format!("{name}.weight"), &[outputs.iter().sum(), inputs])?;
                let mut first = 0;
                for outputs in outputs {
                    parts.push(whole.part(first..first + outputs, inputs)?);
                    first += outputs;
                }
            }
        }
        parts.try_into().ok().context("expected a matrix for each name")
    }

    fn matrix<M: Weight>(&mut self, name: &str, shape: &[usize; 2]) -> Result<M> {
        ensure!(self.unread.remove(name), "no tensor `{name}`");
        let matrix = M::read(self.tensors, name, shape, self.device, self.dtype);
        matrix.with_context(|| format!("tensor `{name}`"))
    }

    /// The weights of a norm, which become what they are to be multiplied by.
    fn norm(&mut self, name: &str, size: usize, offset: f32) -> Result<Tensor> {
        let name = format!("{name}.weight");
        if offset == 0.0 {
            return self.take(&name, &[size]);
        }
        ensure!(self.unread.remove(&name), "no tensor `{name}`");
        let norm =
            read(self.tensors, &name, &[size], &Device::Cpu, DType::F32).with_context(|| format!("tensor `{name}`"))?;
        Ok((norm + f64::from(offset))?.to_dtype(self.dtype)?.to_device(self.device)?)
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        ensure!(self.unread.remove(name), "no tensor `{name}`");
        read(self.tensors, name, shape, self.device, self.dtype).with_context(|| format!("tensor `{name}`"))
    }
}
