//! The tokenizer that a GGUF file describes.

use anyhow::{Result, anyhow, bail};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::Tokenizer;

use super::gguf::whole;
use super::gguf_sentencepiece;
use super::gguf_words::Words;

/// The type of tokens that belong to the text although no merge makes them, such as `<think>`.
const USER_DEFINED: u64 = 4;

/// Builds the tokenizer.
///
/// # Errors
/// The file has none, or one of a kind that only a `tokenizer.json` describes.
pub fn tokenizer(content: &Content) -> Result<Tokenizer> {
    let text = |name: &str| content.metadata.get(name).and_then(|value| value.to_string().ok()).map(String::as_str);
    match text("tokenizer.ggml.model") {
        Some("gpt2") => byte_level(content),
        Some("llama") => gguf_sentencepiece::tokenizer(content),
        found => bail!("expected a tokenizer of the kind `gpt2` or `llama`, found `{}`", found.unwrap_or("none")),
    }
}

/// A tokenizer that merges bytes, like GPT-2's.
fn byte_level(content: &Content) -> Result<Tokenizer> {
    let mut content = Content {
        magic: content.magic,
        metadata: content.metadata.clone(),
        tensor_infos: Default::default(),
        tensor_data_offset: content.tensor_data_offset,
    };
    let name = content.metadata.get("tokenizer.ggml.pre").and_then(|value| value.to_string().ok().cloned());
    let words = Words::of(name.as_deref())?;
    for (name, value) in [("add_bos_token", words.has_start), ("ignore_merges", words.takes_whole_words)] {
        content.metadata.entry(format!("tokenizer.ggml.{name}")).or_insert(Value::Bool(value));
    }
    // Vocabulary, merges and added tokens are candle's; the words are ours.
    let base = if words.composes { "qwen2" } else { "llama3" };
    content.metadata.insert("tokenizer.ggml.pre".into(), Value::String(base.into()));
    let mut tokenizer = Tokenizer::from_gguf(&content).map_err(|error| anyhow!("{error}"))?;
    tokenizer.with_pre_tokenizer(Some(words.splitting()?));
    let types = content.metadata.get("tokenizer.ggml.token_type").and_then(|value| value.to_vec().ok());
    let is_text = |kind: &Value| whole(kind) == Some(USER_DEFINED);
    match types.filter(|types| types.iter().any(is_text)) {
        None => Ok(tokenizer),
        Some(types) => with_text(&tokenizer, |id| types.get(id as usize).is_some_and(is_text)),
    }
}

/// The same tokenizer, but decoding keeps the added tokens that are text.
fn with_text(tokenizer: &Tokenizer, is_text: impl Fn(u64) -> bool) -> Result<Tokenizer> {
    let mut value = serde_json::to_value(tokenizer)?;
    for token in value.get_mut("added_tokens").and_then(|tokens| tokens.as_array_mut()).into_iter().flatten() {
        if token.get("id").and_then(|id| id.as_u64()).is_some_and(&is_text) {
            token["special"] = false.into();
        }
    }
    Tokenizer::from_bytes(serde_json::to_vec(&value)?).map_err(|error| anyhow!("{error}"))
}
