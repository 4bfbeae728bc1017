//! The built-in encoder: v(text) = normalize(P^T sum over tokens of E_token).
//!
//! E [tokens, rank] is stored in 8 bits with one scale a row, P [rank, 384] in 16; the weight of a token is part of its
//! row. `scripts/distill_encoder.py` fits both to all-MiniLM-L6-v2.

use anyhow::{Context, Result, anyhow, ensure};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper, Tokenizer};

use super::{DIMENSION, Embeddings, Encoder, normalize};
use crate::folder::Folder;

/// The table that ships with the crate.
pub const EMBEDDED: Folder = Folder::Embedded {
    name: "static-minilm",
    files: &[
        ("config.json", include_bytes!("../../models/static-minilm/config.json")),
        ("tokenizer.json", include_bytes!("../../models/static-minilm/tokenizer.json")),
        ("embeddings.safetensors", include_bytes!("../../models/static-minilm/embeddings.safetensors")),
    ],
};

/// Token vectors, their tokenizer and the projection to [`DIMENSION`].
pub struct StaticTable {
    id: String,
    tokenizer: Tokenizer,
    normalizer: Option<NormalizerWrapper>,
    /// E, [tokens, rank]; row `t` times `scales[t]` is the vector of token `t`.
    codes: Vec<i8>,
    scales: Vec<f32>,
    /// P, [rank, DIMENSION].
    projection: Vec<f32>,
    rank: usize,
}

#[derive(Deserialize)]
struct Config {
    id: String,
}

impl StaticTable {
    /// Reads `config.json`, `tokenizer.json` and `embeddings.safetensors`.
    ///
    /// # Errors
    /// Names the file that is missing, broken or does not fit the others.
    pub fn load(folder: &Folder) -> Result<Self> {
        let config: Config = serde_json::from_str(&folder.read_text("config.json")?)
            .with_context(|| format!("`{folder}/config.json` does not describe an encoder"))?;
        let mut tokenizer = Tokenizer::from_bytes(folder.read("tokenizer.json")?)
            .map_err(|error| anyhow!("`{folder}/tokenizer.json` is no tokenizer: {error}"))?;
        tokenizer.with_padding(None);
        // Only truncation that leaves no room for special tokens can fail.
        tokenizer.with_truncation(None).map_err(|error| anyhow!(error))?;
        let normalizer = tokenizer.get_normalizer().cloned();
        tokenizer.with_normalizer(None::<NormalizerWrapper>).map_err(|error| anyhow!(error))?;

        let bytes = folder.read("embeddings.safetensors")?;
        let table = Self::read_tensors(&bytes)
            .with_context(|| format!("cannot use `{folder}/embeddings.safetensors`; hint: is the file truncated?"))?;
        let (codes, scales, projection) = table;
        let rank = projection.len() / DIMENSION;
        let tokens = tokenizer.get_vocab_size(true);
        ensure!(
            scales.len() == tokens,
            "expected one vector for each of the {tokens} tokens of `{folder}/tokenizer.json`, found {}",
            scales.len()
        );
        Ok(StaticTable { id: config.id, tokenizer, normalizer, codes, scales, projection, rank })
    }

    fn read_tensors(bytes: &[u8]) -> Result<(Vec<i8>, Vec<f32>, Vec<f32>)> {
        let file = SafeTensors::deserialize(bytes)?;
        let read = |name: &str, dtype: Dtype| -> Result<(Vec<usize>, Vec<u8>)> {
            let tensor = file.tensor(name)?;
            ensure!(tensor.dtype() == dtype, "tensor `{name}`: expected {dtype:?}, found {:?}", tensor.dtype());
            Ok((tensor.shape().to_vec(), tensor.data().to_vec()))
        };
        let (codes_shape, codes) = read("codes", Dtype::I8)?;
        let (scales_shape, scales) = read("scales", Dtype::F32)?;
        let (projection_shape, projection) = read("projection", Dtype::F16)?;
        let [rank, DIMENSION] = projection_shape[..] else {
            return Err(anyhow!("tensor `projection`: expected shape [rank, {DIMENSION}], found {projection_shape:?}"));
        };
        ensure!(
            rank > 0 && matches!(codes_shape[..], [tokens, width] if scales_shape == [tokens] && width == rank),
            "expected `codes` [tokens, {rank}] and `scales` [tokens], found {codes_shape:?} and {scales_shape:?}"
        );
        let codes = codes.into_iter().map(|byte| byte as i8).collect();
        let scales = scales.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let projection = projection.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect();
        Ok((codes, scales, projection))
    }

    /// Token ids of a text. The tokenizer's own normalizer takes as long as all the rest, so plain ASCII, where it only
    /// lowers the case, goes without it.
    fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'));
        let normalized = match &self.normalizer {
            Some(normalizer) if !plain => {
                let mut normalized = NormalizedString::from(text);
                normalizer.normalize(&mut normalized).map_err(|error| anyhow!("cannot normalise a text: {error}"))?;
                normalized.get().to_owned()
            }
            Some(_) => text.to_ascii_lowercase(),
            None => text.to_owned(),
        };
        let encoding = self
            .tokenizer
            .encode_fast(normalized, false)
            .map_err(|error| anyhow!("cannot split a text into tokens: {error}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let mut sum = vec![0f32; self.rank];
        for token in self.tokenize(text)? {
            let token = token as usize;
            let codes = self.codes.chunks_exact(self.rank).nth(token).unwrap_or_default();
            let scale = self.scales.get(token).copied().unwrap_or_default();
            for (total, code) in sum.iter_mut().zip(codes) {
                *total += scale * f32::from(*code);
            }
        }
        let mut row = vec![0f32; DIMENSION];
        for (weight, column) in sum.iter().zip(self.projection.chunks_exact(DIMENSION)) {
            for (value, entry) in row.iter_mut().zip(column) {
                *value += weight * entry;
            }
        }
        normalize(&mut row);
        Ok(row)
    }
}

impl Encoder for StaticTable {
    fn id(&self) -> &str {
        &self.id
    }

    fn encode(&self, texts: &[&str]) -> Result<Embeddings> {
        let mut values = Vec::with_capacity(texts.len() * DIMENSION);
        for text in texts {
            values.extend(self.embed(text)?);
        }
        Embeddings::new(values, DIMENSION)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn embedded() -> &'static StaticTable {
        static TABLE: std::sync::OnceLock<StaticTable> = std::sync::OnceLock::new();
        TABLE.get_or_init(|| StaticTable::load(&EMBEDDED).unwrap())
    }

    fn cosine(left: &str, right: &str) -> f32 {
        let rows = embedded().encode(&[left, right]).unwrap();
        rows.row(0).unwrap().iter().zip(rows.row(1).unwrap()).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn similar_questions_are_close() {
        let question = "Sam has 14 apples and gives 5 to Ann. How many apples does Sam have now?";
        let alike = "Tom had 12 oranges and gave 3 to Eva. How many oranges are left?";
        let other = "Write a function that returns the longest common prefix of a list of strings.";
        assert!(cosine(question, alike) > cosine(question, other) + 0.2);
        assert!((cosine(question, question) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn texts_without_known_tokens_are_zero() {
        for text in ["", " \n\t", "\u{0}"] {
            assert!(embedded().embed(text).unwrap().iter().all(|value| *value == 0.0), "{text:?}");
        }
    }

    #[test]
    fn case_and_white_space_do_not_matter() {
        assert_eq!(embedded().embed("How  many\nLEFT ?").unwrap(), embedded().embed("how many left?").unwrap());
    }

    proptest! {
        #[test]
        fn any_text_is_a_unit_or_zero_row(text in any::<String>()) {
            let row = embedded().embed(&text).unwrap();
            let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-4 || norm == 0.0, "norm {norm}");
        }

        #[test]
        fn a_batch_equals_its_texts_alone(texts in proptest::collection::vec("\\PC{0,40}", 0..5)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let batch = embedded().encode(&texts).unwrap();
            prop_assert_eq!(batch.len(), texts.len());
            for (text, row) in texts.iter().zip(batch.rows()) {
                let alone = embedded().embed(text).unwrap();
                prop_assert_eq!(alone.as_slice(), row);
            }
        }

        #[test]
        fn plain_text_needs_no_normalizer(text in "[ -~\\t\\n]{0,80}") {
            let table = embedded();
            let mut slow = NormalizedString::from(text.as_str());
            table.normalizer.as_ref().unwrap().normalize(&mut slow).unwrap();
            let slow = table.tokenizer.encode_fast(slow.get(), false).unwrap();
            prop_assert_eq!(table.tokenize(&text).unwrap(), slow.get_ids());
        }
    }
}
