//! all-MiniLM-L6-v2: v(text) = normalize(mean of BERT's last layer over the text's tokens).
//!
//! Tokens, truncation and pooling as in sentence-transformers.

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use hf_hub::api::sync::ApiBuilder;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use super::bert::CpuBert;
use super::bert_config::BertConfig;
use super::device_bert::DeviceBert;
use super::{DIMENSION, Embeddings, Encoder, normalize};
use crate::folder::Folder;
use crate::hub::HubError;

/// Where the weights are published.
pub const HUB_ID: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// Padded tokens per forward pass: bounds the memory of a batch.
const BATCH_TOKENS: usize = 8192;

const FILES: [&str; 4] = ["config.json", "sentence_bert_config.json", "tokenizer.json", "model.safetensors"];

/// The transformer and its tokenizer.
pub struct MiniLm {
    id: String,
    tokenizer: Tokenizer,
    network: Network,
}

enum Network {
    Cpu(CpuBert),
    /// In its place on another device.
    Device(DeviceBert),
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

impl MiniLm {
    /// Fetches the files from the Hugging Face hub, or finds them in its local cache, and loads them.
    ///
    /// # Errors
    /// The hub cannot be reached or lacks a file; otherwise as [`MiniLm::load`].
    pub fn from_hub(id: &str, device: &Device) -> Result<Self> {
        let hint = "hint: give a folder that holds the files as `minilm:FOLDER`, or use the built-in encoder `static`";
        let api = ApiBuilder::from_env().with_progress(false).build().context("cannot set up the download")?;
        let repository = api.model(id.to_owned());
        let mut folder = None;
        for file in FILES {
            let path = repository
                .get(file)
                .map_err(HubError::from)
                .with_context(|| format!("cannot fetch `{file}` of `{id}`; {hint}"))?;
            folder = path.parent().map(|parent| Folder::Disk(parent.to_owned()));
        }
        MiniLm::load(&folder.context("the downloaded files lie in no folder")?, device)
    }

    /// Reads `config.json`, `tokenizer.json`, `model.safetensors` and, for the longest text, `sentence_bert_config.json`.
    ///
    /// # Errors
    /// Names the file that is missing, cut short or of another shape.
    pub fn load(folder: &Folder, device: &Device) -> Result<Self> {
        let config: BertConfig = serde_json::from_str(&folder.read_text("config.json")?)
            .with_context(|| format!("`{folder}/config.json` does not describe a BERT model"))?;
        ensure!(
            config.hidden_size == DIMENSION,
            "`{folder}/config.json`: expected embeddings of {DIMENSION} numbers, found {}",
            config.hidden_size
        );
        let sentence: SentenceConfig = serde_json::from_str(&folder.read_text("sentence_bert_config.json")?)
            .with_context(|| format!("`{folder}/sentence_bert_config.json` does not give `max_seq_length`"))?;
        ensure!(
            (3..=config.max_position_embeddings).contains(&sentence.max_seq_length),
            "`{folder}/sentence_bert_config.json`: expected `max_seq_length` in 3..={}, found {}",
            config.max_position_embeddings,
            sentence.max_seq_length
        );
        let mut tokenizer = Tokenizer::from_bytes(folder.read("tokenizer.json")?)
            .map_err(|error| anyhow!("`{folder}/tokenizer.json` is no tokenizer: {error}"))?;
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: sentence.max_seq_length, ..Default::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| anyhow!(error))?;

        let weights = folder.read("model.safetensors")?.into_owned();
        let digest = format!("{:x}", Sha256::digest(&weights));
        let id = format!("minilm-{}", digest.get(..12).unwrap_or_default());
        let network = Network::load(weights, &config, device)
            .with_context(|| format!("cannot use `{folder}/model.safetensors`; hint: is the file truncated?"))?;
        Ok(MiniLm { id, tokenizer, network })
    }
}

impl Network {
    fn load(weights: Vec<u8>, config: &BertConfig, device: &Device) -> Result<Self> {
        // candle's own text may carry a backtrace: its first line says enough.
        let short = |error: &dyn std::fmt::Display| anyhow!("{}", error.to_string().lines().next().unwrap_or_default());
        if device.is_cpu() {
            let tensors = candle_core::safetensors::load_buffer(&weights, device).map_err(|error| short(&error))?;
            return Ok(Network::Cpu(CpuBert::new(&tensors, config)?));
        }
        let variables =
            VarBuilder::from_buffered_safetensors(weights, DType::F32, device).map_err(|error| short(&error))?;
        Ok(Network::Device(DeviceBert::new(variables, config).map_err(|error| short(&error))?))
    }

    /// Embeds token rows that lie next to each other in length: [texts, DIMENSION], not yet of unit length.
    fn forward(&self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        match self {
            Network::Cpu(network) => network.forward(rows),
            Network::Device(network) => network.forward(rows),
        }
    }
}

impl Encoder for MiniLm {
    fn id(&self) -> &str {
        &self.id
    }

    fn encode(&self, texts: &[&str]) -> Result<Embeddings> {
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts.to_vec(), true)
            .map_err(|error| anyhow!("cannot split a text into tokens: {error}"))?;
        let mut order: Vec<(usize, &[u32])> = encodings.iter().map(|encoding| encoding.get_ids()).enumerate().collect();
        order.sort_by_key(|(_, row)| row.len());

        let mut values = vec![0f32; texts.len() * DIMENSION];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_size(rest));
            rest = after;
            let rows: Vec<&[u32]> = batch.iter().map(|(_, row)| *row).collect();
            for ((index, _), mut row) in batch.iter().zip(self.network.forward(&rows)?) {
                normalize(&mut row);
                if let Some(place) = values.chunks_exact_mut(DIMENSION).nth(*index) {
                    place.copy_from_slice(&row);
                }
            }
        }
        Embeddings::new(values, DIMENSION)
    }
}

/// How many of the rows, shortest first, fit one forward pass; at least one.
fn batch_size(rows: &[(usize, &[u32])]) -> usize {
    rows.iter().enumerate().take_while(|(index, (_, row))| (index + 1) * row.len() <= BATCH_TOKENS).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_and_never_empty() {
        let check = |lengths: &[usize], expected: usize| {
            let rows: Vec<Vec<u32>> = lengths.iter().map(|length| vec![0; *length]).collect();
            let rows: Vec<(usize, &[u32])> = rows.iter().map(Vec::as_slice).enumerate().collect();
            assert_eq!(batch_size(&rows), expected, "{lengths:?}");
        };
        check(&[2, 3, 5], 3);
        check(&[BATCH_TOKENS / 2, BATCH_TOKENS / 2, BATCH_TOKENS], 2);
        check(&[2 * BATCH_TOKENS, 2 * BATCH_TOKENS], 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = MiniLm::load(&Folder::Disk("no/such/folder".into()), &Device::Cpu).err().unwrap();
        assert!(format!("{error:#}").contains("no/such/folder/config.json"), "{error:#}");
    }
}
