//! The tokenizer that a GGUF file describes.

use anyhow::{Result, anyhow, bail};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::Tokenizer;

use super::gguf_sentencepiece;
use super::gguf_value::whole;
use super::gguf_words::Words;

/// The type of tokens that are no text.
const CONTROL: u64 = 3;
/// The type of tokens that belong to the text although no merge makes them, such as `<think>`.
const USER_DEFINED: u64 = 4;

/// Tokens that end a turn, in whatever file they are: many files name only one end, and not the one of their template.
const ENDS: [&str; 15] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
];

/// The tokens that end a completion: those that the file says, and those known by their text.
pub fn ends(content: &Content) -> Vec<u64> {
    let value = |name: &str| content.metadata.get(&format!("tokenizer.ggml.{name}"));
    let list = |name: &str| value(name).and_then(|value| value.to_vec().ok()).map_or(&[][..], Vec::as_slice);
    let told = ["eos_token_id", "eot_token_id", "eom_token_id"].into_iter().filter_map(|name| whole(value(name)?));
    let is_end = |(token, kind): (&Value, &Value)| {
        matches!(whole(kind), Some(CONTROL | USER_DEFINED))
            && token.to_string().is_ok_and(|text| ENDS.contains(&text.as_str()))
    };
    let tokens = list("tokens").iter().zip(list("token_type"));
    let known = tokens.zip(0..).filter(|(token, _)| is_end(*token)).map(|(_, id)| id);
    let mut ends: Vec<u64> = told.chain(known).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// `LAMAS_VOCABULARIES` names the folder `models` of llama.cpp's source: the vocabularies of real models, without
    /// weights, with texts and what transformers makes of them.
    #[test]
    fn real_vocabularies_give_the_tokens_of_transformers() {
        let Some(folder) = std::env::var_os("LAMAS_VOCABULARIES") else {
            println!("skipped: set LAMAS_VOCABULARIES to the folder `models` of llama.cpp to test real tokenizers");
            return;
        };
        let (mut checked, mut faults) = (Vec::new(), Vec::new());
        for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            let beside = |ending: &str| std::fs::read_to_string(format!("{}.{ending}", path.display()));
            let (Ok(texts), Ok(tokens)) = (beside("inp"), beside("out")) else { continue };
            let content = Content::read(&mut File::open(&path).expect("a file")).expect("a GGUF file");
            let tokenizer = match tokenizer(&content) {
                Ok(tokenizer) => tokenizer,
                Err(error) => {
                    println!("{}: {error:#}", path.display());
                    continue;
                }
            };
            for (text, expected) in texts.split("\n__ggml_vocab_test__\n").zip(tokens.lines()) {
                let found = tokenizer.encode_fast(text, false).expect("tokens");
                let found: Vec<String> = found.get_ids().iter().map(u32::to_string).collect();
                if found != expected.split_whitespace().collect::<Vec<_>>() {
                    faults.push(format!("{}: {text:?}: {found:?}, expected {expected}", path.display()));
                }
            }
            checked.push(path);
        }
        assert!(faults.is_empty() && checked.len() > 9, "{checked:?}\n{}", faults.join("\n"));
    }
}
