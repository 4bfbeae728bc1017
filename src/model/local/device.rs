//! The network as candle operations: for CUDA and Metal.
//!
//! Matrices see blocks of a fixed number of rows; attention sees one sequence, a block of its positions at a time, with
//! the keys up to the end of that block. So the shapes of the operations on a row, and with them its bits, depend on
//! its position alone: not on what else runs in the pass, nor on how much of its prompt was read before.

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops;
use candle_nn::rotary_emb::rope_thd;

use super::config::{Activation, Config};
use super::network::{Cache, Chunk, Network};
use super::rotation::Rotation;
use super::weights::{Layer, Linear, Weights};

/// Rows that go through a matrix together, and positions that attend together; shorter blocks are padded.
const BLOCK: usize = 64;

pub struct DeviceNetwork {
    config: Config,
    weights: Weights<Tensor>,
    /// (BLOCK, BLOCK): minus infinity where a key comes after the query.
    causal: Tensor,
    device: Device,
    dtype: DType,
}

impl DeviceNetwork {
    /// Computes with weights where they are.
    ///
    /// # Errors
    /// They are not floats; the device failed.
    pub fn new(weights: Weights<Tensor>, config: Config) -> Result<Self> {
        let (device, dtype) = (weights.embedding.device().clone(), weights.embedding.dtype());
        ensure!(dtype.is_float(), "expected weights of floats, found {dtype:?}");
        let later = (0..BLOCK).flat_map(|query| (0..BLOCK).map(move |key| key > query));
        let mask: Vec<f32> = later.map(|later| if later { f32::NEG_INFINITY } else { 0.0 }).collect();
        let causal = Tensor::from_vec(mask, (BLOCK, BLOCK), &device)?;
        Ok(DeviceNetwork { config, weights, causal, device, dtype })
    }

    /// Keys, values (tokens, key_value_heads, head) of the new rows join those of their sequence; then each row attends.
    fn attention(
        &self,
        layer: &Layer<Tensor>,
        index: usize,
        x: &Tensor,
        rotation: Option<&(Tensor, Tensor)>,
        chunks: &mut [Chunk<DeviceCache>],
    ) -> candle_core::Result<Tensor> {
        let Config { heads, key_value_heads, head, .. } = self.config;
        let rows = x.dim(0)?;
        let split = |x: Tensor, heads: usize| x.reshape((rows, heads, head));
        let turn = |x: Tensor, heads: usize, norm: Option<&Tensor>| {
            let x = match norm {
                Some(norm) => {
                    // As wide as the norm is: one head, or all.
                    let x = x.reshape((rows, heads * head / norm.dim(0)?, norm.dim(0)?))?;
                    split(self.norm(&x, Some(norm))?, heads)?
                }
                None => split(x, heads)?,
            };
            rotation.map_or(Ok(x.clone()), |rotation| rotate(&x, rotation))
        };
        let (query_norm, key_norm) = layer.query_key_norms.as_ref().map(|(query, key)| (query, key)).unzip();
        let queries = turn(apply(&layer.query, x)?, heads, query_norm)?;
        let keys = turn(apply(&layer.key, x)?, key_value_heads, key_norm)?;
        let values = split(apply(&layer.value, x)?, key_value_heads)?;
        let window = self.config.layers[index].window;
        let mut attended = Vec::with_capacity(chunks.len());
        let mut start = 0;
        for Chunk { tokens, cache } in chunks {
            let new = tokens.len();
            let (all_keys, all_values) =
                cache.append(index, &keys.narrow(0, start, new)?, &values.narrow(0, start, new)?)?;
            let first = all_keys.dim(0)? - new;
            for block in first / BLOCK..(first + new).div_ceil(BLOCK) {
                let rows = first.max(block * BLOCK)..(first + new).min((block + 1) * BLOCK);
                let queries = queries.narrow(0, start + rows.start - first, rows.len())?;
                let rows = (block, rows.start % BLOCK);
                attended.push(self.attend(&queries, rows, window, &all_keys, &all_values)?);
            }
            start += new;
        }
        apply(&layer.attention_output, &Tensor::cat(&attended, 0)?)
    }

    /// Neighbouring positions of one block of a sequence, the first one at `offset`, which see the tokens of a window:
    /// (rows, heads, head) to (rows, heads * head).
    fn attend(
        &self,
        queries: &Tensor,
        (block, offset): (usize, usize),
        window: Option<usize>,
        keys: &Tensor,
        values: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let Config { heads, key_value_heads, head, .. } = self.config;
        let (rows, group, seen) = (queries.dim(0)?, heads / key_value_heads, (block + 1) * BLOCK);
        let up_to_block = |tensor: &Tensor| {
            let known = tensor.dim(0)?.min(seen);
            tensor.narrow(0, 0, known)?.pad_with_zeros(0, 0, seen - known)
        };
        let queries = queries.pad_with_zeros(0, offset, BLOCK - offset - rows)?;
        // Query heads that share keys stand below each other.
        let queries = queries.transpose(0, 1)?.reshape((key_value_heads, group * BLOCK, head))?;
        let keys = up_to_block(keys)?.permute((1, 2, 0))?.contiguous()?;
        let values = up_to_block(values)?.transpose(0, 1)?.contiguous()?;
        let scores = (queries.matmul(&keys)?.to_dtype(DType::F32)? * f64::from(self.config.scores.scale))?;
        let scores = soft_cap(scores, self.config.scores.cap)?;
        let mask = match window.filter(|window| *window < seen) {
            None => self.causal.pad_with_zeros(1, block * BLOCK, 0)?,
            Some(window) => self.mask(block, window)?,
        };
        let scores = scores.reshape((heads, BLOCK, seen))?.broadcast_add(&mask)?;
        let weights = ops::softmax_last_dim(&scores)?.to_dtype(self.dtype)?;
        let attended = weights.reshape((key_value_heads, group * BLOCK, seen))?.matmul(&values)?;
        let attended = attended.reshape((heads, BLOCK, head))?.narrow(1, offset, rows)?;
        attended.transpose(0, 1)?.reshape((rows, heads * head))
    }

    /// (BLOCK, positions up to the end of the block): minus infinity where a key comes after the query, or as many
    /// positions before it as a window has.
    fn mask(&self, block: usize, window: usize) -> candle_core::Result<Tensor> {
        let seen = (block + 1) * BLOCK;
        let sees = |query: usize, key: usize| key <= query && query < key + window;
        let mask = (block * BLOCK..seen).flat_map(|query| (0..seen).map(move |key| (query, key)));
        let mask: Vec<f32> = mask.map(|(query, key)| if sees(query, key) { 0.0 } else { f32::NEG_INFINITY }).collect();
        Tensor::from_vec(mask, (BLOCK, seen), &self.device)
    }

    fn feed_forward(&self, layer: &Layer<Tensor>, x: &Tensor) -> candle_core::Result<Tensor> {
        let gate = multiply(x, &layer.gate)?;
        let gate = match self.config.activation {
            Activation::Silu => gate.silu()?,
            Activation::TanhGelu => gate.gelu()?,
        };
        multiply(&(gate * multiply(x, &layer.up)?)?, &layer.down)
    }

    /// The rows, normalised if there is a norm.
    fn norm(&self, x: &Tensor, norm: Option<&Tensor>) -> candle_core::Result<Tensor> {
        norm.map_or(Ok(x.clone()), |norm| ops::rms_norm(x, norm, self.config.epsilon))
    }
}

/// Turns pairs of dimensions of heads (rows, heads, head) by angles (rows, pairs); other dimensions stay.
fn rotate(x: &Tensor, (cosines, sines): &(Tensor, Tensor)) -> candle_core::Result<Tensor> {
    let (head, turned) = (x.dim(2)?, 2 * cosines.dim(1)?);
    if turned == head {
        return rope_thd(&x.unsqueeze(0)?, cosines, sines)?.squeeze(0);
    }
    let first = x.narrow(2, 0, turned)?.contiguous()?.unsqueeze(0)?;
    let first = rope_thd(&first, cosines, sines)?.squeeze(0)?;
    Tensor::cat(&[&first, &x.narrow(2, turned, head - turned)?], 2)
}

/// `cap tanh(x / cap)`, if there is a cap.
fn soft_cap(x: Tensor, cap: Option<f32>) -> candle_core::Result<Tensor> {
    match cap.map(f64::from) {
        Some(cap) => (x / cap)?.tanh()? * cap,
        None => Ok(x),
    }
}

/// `x W^T + b`
fn apply(linear: &Linear<Tensor>, x: &Tensor) -> candle_core::Result<Tensor> {
    let product = multiply(x, &linear.weight)?;
    linear.bias.as_ref().map_or(Ok(product.clone()), |bias| product.broadcast_add(bias))
}

/// `x W^T`, block by block.
fn multiply(x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
    let rows = x.dim(0)?;
    let blocks = x.pad_with_zeros(0, 0, rows.next_multiple_of(BLOCK) - rows)?.chunk(rows.div_ceil(BLOCK), 0)?;
    let products = blocks.iter().map(|block| block.matmul(&weight.t()?)).collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::cat(&products, 0)?.narrow(0, 0, rows)
}

impl Network for DeviceNetwork {
    type Cache = DeviceCache;

    fn empty(&self) -> DeviceCache {
        DeviceCache { layers: vec![None; self.config.layers.len()], tokens: 0 }
    }

    fn forward(&self, chunks: &mut [Chunk<DeviceCache>]) -> Result<Vec<f32>> {
        let config = &self.config;
        let (mut tokens, mut positions, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in chunks.iter() {
            tokens.extend_from_slice(chunk.tokens);
            positions.extend((chunk.cache.tokens..).take(chunk.tokens.len()));
            last.push(tokens.len() as u32 - 1);
        }
        let angles = |rotation: &Rotation| -> candle_core::Result<(Tensor, Tensor)> {
            let (cosines, sines): (Vec<_>, Vec<_>) = positions.iter().map(|position| rotation.at(*position)).unzip();
            let rows = |values: Vec<Vec<f32>>| {
                let shape = (positions.len(), rotation.pairs());
                Tensor::from_vec(values.concat(), shape, &self.device)?.to_dtype(self.dtype)
            };
            Ok((rows(cosines)?, rows(sines)?))
        };
        let rotations = config.rotations.iter().map(angles).collect::<candle_core::Result<Vec<_>>>()?;
        let mut x = self.weights.embedding.index_select(&Tensor::new(tokens.as_slice(), &self.device)?, 0)?;
        if config.embedding_scale != 1.0 {
            x = (x * f64::from(config.embedding_scale))?;
        }
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let norms = &layer.norms;
            let normal = self.norm(&x, norms.before_attention.as_ref())?;
            let rotation = config.layers[index].rotation.map(|rotation| &rotations[rotation]);
            let attended = self.attention(layer, index, &normal, rotation, chunks)?;
            x = (x + self.norm(&attended, norms.after_attention.as_ref())?)?;
            let normal = self.norm(&x, norms.before_feed_forward.as_ref())?;
            let wide = self.feed_forward(layer, &normal)?;
            x = (x + self.norm(&wide, norms.after_feed_forward.as_ref())?)?;
        }
        chunks.iter_mut().for_each(|chunk| chunk.cache.tokens += chunk.tokens.len());
        let x = x.index_select(&Tensor::new(last.as_slice(), &self.device)?, 0)?;
        let x = self.norm(&x, Some(&self.weights.norm))?;
        let logits = multiply(&x, self.weights.output.as_ref().unwrap_or(&self.weights.embedding))?;
        let logits = soft_cap(logits.to_dtype(DType::F32)?, config.logit_cap)?;
        Ok(logits.flatten(0, D::Minus1)?.to_vec1()?)
    }
}

/// Keys and values of all layers, each (tokens, key_value_heads, head); None before the first token.
pub struct DeviceCache {
    layers: Vec<Option<(Tensor, Tensor)>>,
    tokens: usize,
}

impl DeviceCache {
    fn append(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let joined = match &self.layers[layer] {
            None => (keys.contiguous()?, values.contiguous()?),
            Some((known_keys, known_values)) => {
                // A fork may hold more than its own tokens.
                let known = |tensor: &Tensor| tensor.narrow(0, 0, self.tokens);
                (Tensor::cat(&[&known(known_keys)?, keys], 0)?, Tensor::cat(&[&known(known_values)?, values], 0)?)
            }
        };
        self.layers[layer] = Some(joined.clone());
        Ok(joined)
    }
}

impl Cache for DeviceCache {
    fn fork(&mut self, tokens: usize) -> Self {
        DeviceCache { layers: self.layers.clone(), tokens }
    }
}
