//! The tokenizer of Llama 2 and its kin in a GGUF file: SentencePiece's pairs, each with a score, as a `tokenizer.json`
//! spells them.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;
use tokenizers::Tokenizer;

use super::gguf_value::whole;

/// `tokenizer.ggml.token_type`
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// Special tokens of Phi-3 that keep the spaces after them; the others swallow them, which no file says.
const KEEPS_SPACES: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// Builds the tokenizer.
///
/// # Errors
/// Tokens, scores or types are missing, or do not fit each other.
pub fn tokenizer(content: &Content) -> Result<Tokenizer> {
    let value = |name: &str| content.metadata.get(&format!("tokenizer.ggml.{name}"));
    let list = |name: &str| -> Result<&Vec<Value>> {
        let list = value(name).and_then(|value| value.to_vec().ok());
        list.with_context(|| format!("expected a list `tokenizer.ggml.{name}`, found none"))
    };
    let tokens: Vec<&str> =
        list("tokens")?.iter().map(|token| Ok(token.to_string()?.as_str())).collect::<candle_core::Result<_>>()?;
    let scores: Vec<f32> = list("scores")?.iter().map(Value::to_f32).collect::<candle_core::Result<_>>()?;
    let types: Vec<u64> = list("token_type")?.iter().map(|kind| whole(kind).unwrap_or(1)).collect();
    ensure!(
        tokens.len() == scores.len() && tokens.len() == types.len(),
        "expected a score and a type for each of {} tokens, found {} and {}",
        tokens.len(),
        scores.len(),
        types.len()
    );
    let vocabulary: HashMap<&str, usize> = tokens.iter().copied().zip(0..).collect();
    let of_kind = |kind| types.iter().zip(&tokens).zip(0..).filter(move |((other, _), _)| **other == kind);
    let model = content.metadata.get("general.name").and_then(|name| name.to_string().ok());
    let swallows_spaces =
        model.is_some_and(|name| ["phi-3", "phi3"].iter().any(|part| name.to_lowercase().contains(part)));
    let added: Vec<_> = [(UNKNOWN, true), (CONTROL, true), (USER_DEFINED, false)]
        .into_iter()
        .flat_map(|(kind, is_special)| of_kind(kind).map(move |((_, token), id)| (id, token, is_special)))
        .map(|(id, token, is_special): (usize, _, _)| {
            let swallows = swallows_spaces && !KEEPS_SPACES.contains(token);
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": swallows,
                "normalized": false, "special": is_special})
        })
        .collect();
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    // Gemma's texts do not begin with a space of their own.
    let normalizers = match value("add_space_prefix").and_then(|value| value.to_bool().ok()).unwrap_or(true) {
        true => {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            vec![json!({"type": "Prepend", "prepend": "▁"}), space]
        }
        false => vec![space],
    };
    let adds_bos = value("add_bos_token").and_then(|value| value.to_bool().ok()).unwrap_or(true);
    let bos = value("bos_token_id").and_then(whole).filter(|_| adds_bos);
    let bos = bos.and_then(|id| Some((id, *tokens.get(id as usize)?)));
    let begins = bos.map(|(id, text)| {
        json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": text, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}}})
    });
    let description = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null, "post_processor": begins,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {"type": "BPE", "dropout": null, "unk_token": of_kind(UNKNOWN).next().map(|((_, token), _)| token),
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true,
            "ignore_merges": false, "vocab": vocabulary, "merges": merges(&tokens, &scores, &vocabulary)},
    });
    Tokenizer::from_bytes(serde_json::to_vec(&description)?).map_err(|error| anyhow!("{error}"))
}

/// All pairs of tokens that make a token, those with the highest score first.
fn merges<'a>(tokens: &[&'a str], scores: &[f32], vocabulary: &HashMap<&str, usize>) -> Vec<(&'a str, &'a str)> {
    let mut merges = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        let halves = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let places = halves.filter_map(|(a, b)| Some(((*vocabulary.get(a)?, *vocabulary.get(b)?), (a, b))));
        let mut pairs: Vec<_> = places.collect();
        pairs.sort();
        merges.extend(pairs.into_iter().map(|(_, pair)| (*score, pair)));
    }
    merges.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    merges.into_iter().map(|(_, pair)| pair).collect()
}
