//! The shape of a BERT model, from `config.json` of transformers.

use anyhow::{Result, ensure};
use serde::Deserialize;

/// What the networks need of `config.json`; fields that it does not name are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct BertConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub hidden_act: String,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f64,
}

impl BertConfig {
    /// Dimensions of one attention head.
    ///
    /// # Errors
    /// The activation is not the exact GELU; the heads do not share the dimensions equally; there is no segment.
    pub fn head_size(&self) -> Result<usize> {
        let BertConfig { hidden_size: hidden, num_attention_heads: heads, hidden_act: activation, .. } = self;
        ensure!(activation == "gelu", "expected `hidden_act` gelu, found {activation:?}");
        ensure!(
            *heads > 0 && hidden.is_multiple_of(*heads),
            "expected {hidden} dimensions in equal heads, found {heads}"
        );
        ensure!(self.type_vocab_size > 0, "expected `type_vocab_size` of at least 1, found 0");
        Ok(hidden / heads)
    }
}

#[cfg(test)]
pub(super) fn small() -> BertConfig {
    BertConfig {
        vocab_size: 50,
        hidden_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 5,
        intermediate_size: 72,
        hidden_act: "gelu".into(),
        max_position_embeddings: 12,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
    }
}
