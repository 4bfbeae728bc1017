//! BERT in candle, for a GPU: texts of a batch are padded to one length, and nothing attends to the padding.
//!
//! The same function as [`super::bert::CpuBert`].

use anyhow::Result;
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, VarBuilder, embedding, layer_norm, linear, ops};

use super::bert_config::BertConfig;

pub struct DeviceBert {
    heads: usize,
    head_size: usize,
    words: Embedding,
    positions: Embedding,
    segments: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    device: Device,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
    feed_forward_norm: LayerNorm,
}

impl DeviceBert {
    /// Takes the weights by the names that transformers gives them, with or without `bert.` before.
    ///
    /// # Errors
    /// A tensor is missing or of another shape; otherwise those of [`BertConfig::head_size`].
    pub fn new(weights: VarBuilder<'_>, config: &BertConfig) -> Result<Self> {
        let head_size = config.head_size()?;
        let is_inner = weights.contains_tensor("bert.embeddings.word_embeddings.weight");
        let weights = if is_inner { weights.pp("bert") } else { weights };
        let (hidden, wide, epsilon) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let layer = |at: VarBuilder<'_>| -> candle_core::Result<Layer> {
            Ok(Layer {
                query: linear(hidden, hidden, at.pp("attention.self.query"))?,
                key: linear(hidden, hidden, at.pp("attention.self.key"))?,
                value: linear(hidden, hidden, at.pp("attention.self.value"))?,
                attention_output: linear(hidden, hidden, at.pp("attention.output.dense"))?,
                attention_norm: layer_norm(hidden, epsilon, at.pp("attention.output.LayerNorm"))?,
                wide: linear(hidden, wide, at.pp("intermediate.dense"))?,
                narrow: linear(wide, hidden, at.pp("output.dense"))?,
                feed_forward_norm: layer_norm(hidden, epsilon, at.pp("output.LayerNorm"))?,
            })
        };
        let input = weights.pp("embeddings");
        Ok(DeviceBert {
            heads: config.num_attention_heads,
            head_size,
            words: embedding(config.vocab_size, hidden, input.pp("word_embeddings"))?,
            positions: embedding(config.max_position_embeddings, hidden, input.pp("position_embeddings"))?,
            segments: embedding(config.type_vocab_size, hidden, input.pp("token_type_embeddings"))?,
            norm: layer_norm(hidden, epsilon, input.pp("LayerNorm"))?,
            layers: (0..config.num_hidden_layers)
                .map(|index| layer(weights.pp(format!("encoder.layer.{index}"))))
                .collect::<Result<_, _>>()?,
            device: weights.device().clone(),
        })
    }

    /// The last layer's mean over the tokens of each text, `[texts][hidden]`.
    ///
    /// # Errors
    /// A text with more tokens than there are positions; the device fails.
    pub fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let width = texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let padded = |value: fn(u32) -> u32| {
            let row = |text: &&[u32]| {
                let tokens: Vec<u32> = text.iter().map(|&token| value(token)).collect();
                tokens.into_iter().chain(std::iter::repeat_n(0, width - text.len()))
            };
            Tensor::from_iter(texts.iter().flat_map(row), &self.device)?.reshape((texts.len(), width))
        };
        let tokens = padded(|token| token)?;
        let mask = padded(|_| 1)?.to_dtype(DType::F32)?;
        // Nothing attends to the padding: its scores are as low as they can be.
        let hidden_scores = ((&mask - 1.0)? * f64::from(f32::MAX))?.unsqueeze(1)?.unsqueeze(1)?;
        let positions = Tensor::arange(0, width as u32, &self.device)?;
        let input = self.words.forward(&tokens)?.broadcast_add(&self.positions.forward(&positions)?)?;
        let mut x = self.norm.forward(&(input + self.segments.forward(&tokens.zeros_like()?)?)?)?;
        for layer in &self.layers {
            let attended = self.attend(layer, &x, &hidden_scores)?;
            let y = layer.attention_norm.forward(&(layer.attention_output.forward(&attended)? + &x)?)?;
            let wide = layer.wide.forward(&y)?.gelu_erf()?;
            x = layer.feed_forward_norm.forward(&(layer.narrow.forward(&wide)? + y)?)?;
        }
        let sum = x.broadcast_mul(&mask.unsqueeze(2)?)?.sum(1)?;
        Ok(sum.broadcast_div(&mask.sum_keepdim(1)?)?.to_vec2()?)
    }

    /// `softmax(Q K^T / sqrt(head_size)) V` for each head: `[texts, width, hidden]`.
    fn attend(&self, layer: &Layer, x: &Tensor, hidden_scores: &Tensor) -> candle_core::Result<Tensor> {
        let (texts, width, hidden) = x.dims3()?;
        let by_head = |projected: Tensor| {
            projected.reshape((texts, width, self.heads, self.head_size))?.transpose(1, 2)?.contiguous()
        };
        let query = by_head(layer.query.forward(x)?)?;
        let key = by_head(layer.key.forward(x)?)?;
        let value = by_head(layer.value.forward(x)?)?;
        let scores = (query.matmul(&key.transpose(D::Minus2, D::Minus1)?)? / (self.head_size as f64).sqrt())?;
        let weights = ops::softmax(&scores.broadcast_add(hidden_scores)?, D::Minus1)?;
        weights.matmul(&value)?.transpose(1, 2)?.contiguous()?.reshape((texts, width, hidden))
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::VarMap;
    use candle_transformers::models::bert::{BertModel, Config};

    use super::super::bert::CpuBert;
    use super::super::bert_config::small;
    use super::*;

    /// Random weights, in candle-transformers' network and in both of ours, one text alone and texts of different lengths.
    #[test]
    fn agrees_with_candle_and_with_the_cpu() -> Result<()> {
        let variables = VarMap::new();
        let weights = || VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let config = small();
        let described = Config {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            intermediate_size: config.intermediate_size,
            max_position_embeddings: config.max_position_embeddings,
            ..Config::default()
        };
        let theirs = BertModel::load(weights(), &described)?;
        let on_device = DeviceBert::new(weights(), &config)?;
        let tensors = variables.data().lock().expect("no panic before").clone();
        let tensors = tensors.into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
        let on_cpu = CpuBert::new(&tensors, &config)?;

        let texts: [&[u32]; 3] = [&[1, 2, 3, 4, 5, 6, 7], &[49], &[9, 9, 0, 11, 12, 13, 14, 15, 16, 17, 18, 19]];
        let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let [together, cpu] = [on_device.forward(&texts)?, on_cpu.forward(&texts)?];
        for ((tokens, together), cpu) in texts.iter().zip(&together).zip(&cpu) {
            let alone = &on_device.forward(&[tokens])?[0];
            let tokens = Tensor::new(*tokens, &Device::Cpu)?.unsqueeze(0)?;
            let hidden = theirs.forward(&tokens, &tokens.zeros_like()?, None)?;
            let expected: Vec<f32> = hidden.mean(1)?.squeeze(0)?.to_vec1()?;
            for found in [together, alone, cpu] {
                assert!(distance(&expected, found) < 1e-5, "{}", distance(&expected, found));
            }
            assert_eq!(cpu, &on_cpu.forward(&[&tokens.squeeze(0)?.to_vec1::<u32>()?])?[0]);
        }
        Ok(())
    }

    #[test]
    fn weights_are_found_inside_a_larger_model() -> Result<()> {
        let variables = VarMap::new();
        let weights = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let bare = DeviceBert::new(weights.pp("bert"), &small())?;
        let tensors = variables.data().lock().expect("no panic before").clone();
        let tensors = tensors.into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
        let inner = DeviceBert::new(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &small())?;
        let texts: [&[u32]; 1] = [&[3, 1, 4]];
        assert_eq!(bare.forward(&texts)?, inner.forward(&texts)?);
        Ok(())
    }
}
