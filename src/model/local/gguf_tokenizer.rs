//! The tokenizer that a GGUF file describes.

use anyhow::{Result, anyhow, bail};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::Tokenizer;

use super::gguf::whole;
use super::gguf_sentencepiece;

/// Of tokens that belong to the text although no merge makes them, such as `<think>`.
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

/// That of Qwen and Llama 3.
fn byte_level(content: &Content) -> Result<Tokenizer> {
    let mut content = Content {
        magic: content.magic,
        metadata: content.metadata.clone(),
        tensor_infos: Default::default(),
        tensor_data_offset: content.tensor_data_offset,
    };
    let pre = content.metadata.get("tokenizer.ggml.pre").and_then(|value| value.to_string().ok());
    let family = match pre.map(String::as_str) {
        Some("qwen2" | "deepseek-r1-qwen") => "qwen2",
        Some("llama-bpe" | "llama3" | "llama-v3") => "llama3",
        found => bail!("expected words split as `qwen2` or `llama-bpe` does, found `{}`", found.unwrap_or("none")),
    };
    if family == "llama3" {
        // llama.cpp takes both for granted.
        for name in ["tokenizer.ggml.add_bos_token", "tokenizer.ggml.ignore_merges"] {
            content.metadata.entry(name.into()).or_insert(Value::Bool(true));
        }
    }
    content.metadata.insert("tokenizer.ggml.pre".into(), Value::String(family.into()));
    let tokenizer = Tokenizer::from_gguf(&content).map_err(|error| anyhow!("{error}"))?;
    let types = content.metadata.get("tokenizer.ggml.token_type").and_then(|value| value.to_vec().ok());
    let is_text = |kind: &Value| whole(kind) == Some(USER_DEFINED);
    match types.filter(|types| types.iter().any(is_text)) {
        None => Ok(tokenizer),
        Some(types) => with_text(&tokenizer, |id| types.get(id as usize).is_some_and(is_text)),
    }
}

/// The same tokenizer, which keeps the added tokens that are text when it decodes.
fn with_text(tokenizer: &Tokenizer, is_text: impl Fn(u64) -> bool) -> Result<Tokenizer> {
    let mut value = serde_json::to_value(tokenizer)?;
    for token in value.get_mut("added_tokens").and_then(|tokens| tokens.as_array_mut()).into_iter().flatten() {
        if token.get("id").and_then(|id| id.as_u64()).is_some_and(&is_text) {
            token["special"] = false.into();
        }
    }
    Tokenizer::from_bytes(serde_json::to_vec(&value)?).map_err(|error| anyhow!("{error}"))
}
