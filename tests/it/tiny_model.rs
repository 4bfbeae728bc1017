//! A Llama, Qwen2 or Qwen3 checkpoint with random weights, as transformers would write it.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use serde_json::json;

#[derive(Clone)]
pub struct TinyModel {
    /// `Llama`, `Qwen2` or `Qwen3`.
    pub family: &'static str,
    pub hidden: usize,
    pub feed_forward: usize,
    pub layers: usize,
    pub heads: usize,
    pub key_value_heads: usize,
    /// Dimensions of a head, if not `hidden / heads`.
    pub head: Option<usize>,
    pub attention_bias: bool,
    pub vocabulary: usize,
    pub context: usize,
    pub tied: bool,
    /// Whether token 1, `</s>`, ends a completion.
    pub ends: bool,
    pub dtype: DType,
}

impl Default for TinyModel {
    fn default() -> Self {
        TinyModel {
            family: "Llama",
            hidden: 32,
            feed_forward: 48,
            layers: 2,
            heads: 4,
            key_value_heads: 2,
            head: None,
            attention_bias: false,
            vocabulary: 60,
            context: 96,
            tied: false,
            ends: false,
            dtype: DType::F32,
        }
    }
}

impl TinyModel {
    /// Writes the three files. Words are `w3`, `w4` and so on, up to the vocabulary.
    pub fn write(&self, folder: &Path) {
        let config = serde_json::to_vec_pretty(&self.config()).expect("JSON");
        std::fs::write(folder.join("config.json"), config).expect("a writable folder");
        let tokenizer = serde_json::to_vec(&self.tokenizer()).expect("JSON");
        std::fs::write(folder.join("tokenizer.json"), tokenizer).expect("a writable folder");
        candle_core::safetensors::save(&self.tensors(), folder.join("model.safetensors")).expect("a writable folder");
    }

    pub fn config(&self) -> serde_json::Value {
        let mut config = json!({
            "architectures": [format!("{}ForCausalLM", self.family)], "model_type": self.family.to_lowercase(),
            "hidden_act": "silu",
            "hidden_size": self.hidden, "intermediate_size": self.feed_forward, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.key_value_heads,
            "vocab_size": self.vocabulary, "max_position_embeddings": self.context, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": self.tied, "bos_token_id": 0,
            "eos_token_id": self.ends.then_some(1),
        });
        if self.family == "Qwen3" || self.head.is_some() {
            config["head_dim"] = json!(self.head_size());
        }
        if self.family != "Qwen2" {
            config["attention_bias"] = json!(self.attention_bias);
        }
        if self.family != "Llama" {
            config["sliding_window"] = json!(self.context);
            config["max_window_layers"] = json!(self.layers);
            config["use_sliding_window"] = json!(false);
        }
        config
    }

    pub fn head_size(&self) -> usize {
        self.head.unwrap_or(self.hidden / self.heads)
    }

    fn tokenizer(&self) -> serde_json::Value {
        let specials = ["<s>", "</s>", "<unk>"];
        let words = (specials.len()..self.vocabulary).map(|id| format!("w{id}"));
        let vocabulary: serde_json::Map<_, _> =
            specials.map(String::from).into_iter().chain(words).zip(0..).map(|(word, id)| (word, json!(id))).collect();
        let added = specials.iter().zip(0..).map(|(content, id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        });
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
            "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        })
    }

    /// Values of a size that keeps activations near 1 and the choice of words open.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let mut tensors = HashMap::new();
        let mut add = |name: String, shape: &[usize], low: f32, high: f32| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(low..high)).collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).and_then(|tensor| tensor.to_dtype(self.dtype));
            let name = if name.ends_with(".bias") { name } else { format!("{name}.weight") };
            tensors.insert(name, tensor.expect("a tensor"));
        };
        let (hidden, wide, head) = (self.hidden, self.feed_forward, self.head_size());
        let (queries, keys) = (self.heads * head, self.key_value_heads * head);
        add("model.embed_tokens".into(), &[self.vocabulary, hidden], -0.3, 0.3);
        add("model.norm".into(), &[hidden], 0.5, 1.5);
        if !self.tied {
            add("lm_head".into(), &[self.vocabulary, hidden], -0.3, 0.3);
        }
        for layer in 0..self.layers {
            let mut add_matrix = |name: &str, outputs: usize, inputs: usize| {
                let bound = 1.7 / (inputs as f32).sqrt();
                add(format!("model.layers.{layer}.{name}"), &[outputs, inputs], -bound, bound);
            };
            add_matrix("self_attn.q_proj", queries, hidden);
            add_matrix("self_attn.k_proj", keys, hidden);
            add_matrix("self_attn.v_proj", keys, hidden);
            add_matrix("self_attn.o_proj", hidden, queries);
            add_matrix("mlp.gate_proj", wide, hidden);
            add_matrix("mlp.up_proj", wide, hidden);
            add_matrix("mlp.down_proj", hidden, wide);
            add(format!("model.layers.{layer}.input_layernorm"), &[hidden], 0.5, 1.5);
            add(format!("model.layers.{layer}.post_attention_layernorm"), &[hidden], 0.5, 1.5);
            let mut add_vector = |name: &str, size: usize, low: f32, high: f32| {
                add(format!("model.layers.{layer}.self_attn.{name}"), &[size], low, high);
            };
            if self.attention_bias || self.family == "Qwen2" {
                add_vector("q_proj.bias", queries, -0.5, 0.5);
                add_vector("k_proj.bias", keys, -0.5, 0.5);
                add_vector("v_proj.bias", keys, -0.5, 0.5);
            }
            if self.attention_bias && self.family != "Qwen2" {
                add_vector("o_proj.bias", hidden, -0.5, 0.5);
            }
            if self.family == "Qwen3" {
                add_vector("q_norm", head, 0.5, 1.5);
                add_vector("k_norm", head, 0.5, 1.5);
            }
        }
        tensors
    }
}
