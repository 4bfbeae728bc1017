//! BERT on the CPU: the rows of all texts go through the matrices together, each text attends to itself, and nothing is padded.
//!
//! The same function as [`super::device_bert::DeviceBert`], which computes it on other devices.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;

use super::bert_config::BertConfig;
use crate::kernels::{self, Affine, Heads, KeysAndValues};

pub struct CpuBert {
    heads: Heads,
    words: Vec<f32>,
    /// Of each position, with the type of the only segment.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Queries, keys and values, one below the other.
    attention_input: Affine,
    attention_output: Affine,
    attention_norm: Norm,
    wide: Affine,
    narrow: Affine,
    feed_forward_norm: Norm,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl CpuBert {
    /// Lays the weights out for the CPU, under the names that transformers gives them, with or without `bert.` before.
    ///
    /// # Errors
    /// A tensor is missing or of another shape; otherwise those of [`BertConfig::head_size`].
    pub fn new(tensors: &HashMap<String, Tensor>, config: &BertConfig) -> Result<Self> {
        let size = config.head_size()?;
        let (hidden, wide, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        let source = Source { tensors, epsilon: config.layer_norm_eps as f32 };
        let mut positions =
            source.take("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?;
        let types = source.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden])?;
        positions.chunks_exact_mut(hidden).for_each(|position| kernels::add(position, &types[..hidden]));
        let layer = |index: usize| -> Result<Layer> {
            let name = |part: &str| format!("encoder.layer.{index}.{part}");
            let inputs = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            Ok(Layer {
                attention_input: source.affine(&inputs, hidden, hidden)?,
                attention_output: source.affine(&[name("attention.output.dense")], hidden, hidden)?,
                attention_norm: source.norm(&name("attention.output.LayerNorm"), hidden)?,
                wide: source.affine(&[name("intermediate.dense")], wide, hidden)?,
                narrow: source.affine(&[name("output.dense")], hidden, wide)?,
                feed_forward_norm: source.norm(&name("output.LayerNorm"), hidden)?,
            })
        };
        Ok(CpuBert {
            heads: Heads::new(heads, heads, size),
            words: source.take("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?,
            positions,
            norm: source.norm("embeddings.LayerNorm", hidden)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
        })
    }

    /// The last layer's mean over the tokens of each text, `[texts][hidden]`.
    ///
    /// # Errors
    /// A token outside the vocabulary, a text without tokens or with more than there are positions.
    pub fn forward(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let hidden = self.heads.queries * self.heads.size;
        let mut x = Vec::new();
        // The text of each row.
        let mut rows = Vec::new();
        for (text, tokens) in texts.iter().enumerate() {
            let most = self.positions.len() / hidden;
            ensure!((1..=most).contains(&tokens.len()), "expected 1 to {most} tokens, found {}", tokens.len());
            for (&token, position) in tokens.iter().zip(self.positions.chunks_exact(hidden)) {
                let word = self.words.chunks_exact(hidden).nth(token as usize);
                let word = word.with_context(|| format!("no token {token} in the vocabulary"))?;
                x.extend(word.iter().zip(position).map(|(word, position)| word + position));
                rows.push(text);
            }
        }
        self.norm.apply(&mut x);
        for layer in &self.layers {
            layer.apply(&mut x, self.heads, &rows);
        }
        let mut means = vec![vec![0.0; hidden]; texts.len()];
        for (row, &text) in x.chunks_exact(hidden).zip(&rows) {
            kernels::add(&mut means[text], row);
        }
        for (mean, tokens) in means.iter_mut().zip(texts) {
            mean.iter_mut().for_each(|x| *x /= tokens.len() as f32);
        }
        Ok(means)
    }
}

impl Layer {
    /// (rows, hidden), in place; `rows` tells the text of each.
    fn apply(&self, x: &mut Vec<f32>, heads: Heads, rows: &[usize]) {
        let hidden = heads.queries * heads.size;
        let projected = self.attention_input.multiply(x);
        let mut seen: Vec<(KeysAndValues, usize)> = Vec::new();
        for (row, &text) in projected.chunks_exact(3 * hidden).zip(rows) {
            if text == seen.len() {
                seen.push((KeysAndValues::new(heads), 0));
            }
            let (keys_and_values, positions) = &mut seen[text];
            keys_and_values.push(&row[hidden..2 * hidden], &row[2 * hidden..], heads.size);
            *positions += 1;
        }
        let positions = rows.iter().map(|&text| seen[text].1).sum();
        let attended = kernels::attend(heads, &projected, 3 * hidden, positions, |row| {
            let (keys_and_values, positions) = &seen[rows[row]];
            vec![keys_and_values.run(0..*positions)]
        });
        let mut y = self.attention_output.multiply(&attended);
        kernels::add(&mut y, x);
        self.attention_norm.apply(&mut y);
        let mut wide = self.wide.multiply(&y);
        kernels::gelu(&mut wide);
        *x = self.narrow.multiply(&wide);
        kernels::add(x, &y);
        self.feed_forward_norm.apply(x);
    }
}

impl Norm {
    fn apply(&self, x: &mut [f32]) {
        kernels::layer_norm(x, &self.weight, &self.bias, self.epsilon);
    }
}

/// Where the weights come from.
struct Source<'a> {
    tensors: &'a HashMap<String, Tensor>,
    epsilon: f32,
}

impl Source<'_> {
    fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = self.tensors.get(name).or_else(|| self.tensors.get(&format!("bert.{name}")));
        let tensor = found.with_context(|| format!("no tensor `{name}`"))?;
        ensure!(tensor.dims() == shape, "tensor `{name}`: expected shape {shape:?}, found {:?}", tensor.dims());
        Ok(tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()?)
    }

    fn affine(&self, names: &[String], outputs: usize, inputs: usize) -> Result<Affine> {
        let mut weights = Vec::with_capacity(names.len());
        let mut biases = Vec::with_capacity(names.len() * outputs);
        for name in names {
            weights.push(self.take(&format!("{name}.weight"), &[outputs, inputs])?);
            biases.extend(self.take(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(Affine::stack(&weights, inputs, Some(biases)))
    }

    fn norm(&self, name: &str, size: usize) -> Result<Norm> {
        let take = |part: &str| self.take(&format!("{name}.{part}"), &[size]);
        Ok(Norm { weight: take("weight")?, bias: take("bias")?, epsilon: self.epsilon })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::{VarBuilder, VarMap};

    use super::super::bert_config::small;
    use super::super::device_bert::DeviceBert;
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() -> Result<()> {
        let variables = VarMap::new();
        DeviceBert::new(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu), &small())?;
        let tensors = variables.data().lock().expect("no panic before").clone();
        let tensors = tensors.into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
        let ours = CpuBert::new(&tensors, &small())?;
        let check = |tokens: &[u32], expected: &str| {
            let error = ours.forward(&[tokens]).expect_err("no forward pass").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[], "expected 1 to 12 tokens, found 0");
        check(&[0; 13], "expected 1 to 12 tokens, found 13");
        check(&[50], "no token 50 in the vocabulary");
        let missing = CpuBert::new(&HashMap::new(), &small()).err().map(|error| error.to_string());
        assert_eq!(missing.as_deref(), Some("no tensor `embeddings.position_embeddings.weight`"));
        Ok(())
    }
}
