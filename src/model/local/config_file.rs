//! `config.json`, as transformers 4 and 5 write it, becomes the description of a network.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::architectures::{Architecture, Biases, Windows};
use super::config::{Activation, Config, Layer, Scores};
use super::rotation::{Rotation, Settings};

#[derive(Deserialize)]
struct File {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    hidden_act: Option<String>,
    /// Gemma's name for `hidden_act`, and the one that counts.
    hidden_activation: Option<String>,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    query_pre_attn_scalar: Option<f64>,
    sliding_window: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
    /// 1 for a layer with rotation, 0 for one without.
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
    #[serde(default)]
    eos_token_id: Ends,
    rope_theta: Option<f32>,
    /// Gemma 3's base for layers with a window.
    rope_local_base_freq: Option<f32>,
    partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<f32>,
    /// Where transformers 4 says how positions are stretched.
    rope_scaling: Option<Settings>,
    /// Where transformers 5 says the same, and `rope_theta` too.
    rope_parameters: Option<Settings>,
}

/// `eos_token_id` of `config.json` and of `generation_config.json`.
#[derive(Default, Deserialize)]
#[serde(untagged)]
pub enum Ends {
    #[default]
    None,
    One(u32),
    Several(Vec<u32>),
}

impl Ends {
    /// The tokens as a list.
    pub fn into_tokens(self) -> Vec<u32> {
        match self {
            Ends::None => Vec::new(),
            Ends::One(end) => vec![end],
            Ends::Several(ends) => ends,
        }
    }
}

/// Switches that change a network in ways that are not built.
const REFUSED: [(&str, &str); 2] = [
    ("mlp_bias", "feed-forward layers without biases"),
    ("use_bidirectional_attention", "attention to earlier tokens"),
];

/// Reads and checks the text of a `config.json`.
///
/// # Errors
/// It is not JSON, names another architecture, asks for something that is not built, or holds sizes that do not fit
/// together.
pub fn parse(text: &str) -> Result<Config> {
    read(serde_json::from_str(text).context("not valid JSON")?)
}

/// As [`parse`], from the value of a `config.json`.
///
/// # Errors
/// Those of [`parse`].
pub fn read(value: Value) -> Result<Config> {
    // The architecture comes first: a file of another one lacks fields, and naming those would mislead.
    let architecture = Architecture::of(&value)?;
    if let Some(quantized) = value.get("quantization_config").filter(|value| !value.is_null()) {
        let method = quantized.get("quant_method").and_then(Value::as_str).unwrap_or("unknown");
        bail!("expected weights as floats, found `quantization_config` of the kind `{method}`; hint: take a GGUF file");
    }
    for (name, expected) in REFUSED {
        ensure!(value.get(name) != Some(&Value::Bool(true)), "expected {expected}, found `{name}`");
    }
    let cap = |name: &str, default: Option<f32>| match value.get(name) {
        None => Ok(default),
        Some(Value::Null) => Ok(None),
        Some(cap) => {
            let cap = cap.as_f64().filter(|cap| *cap > 0.0).map(|cap| cap as f32);
            cap.with_context(|| format!("expected `{name}` above 0")).map(Some)
        }
    };
    let score_cap = cap("attn_logit_softcapping", architecture.caps.0)?;
    let logit_cap = cap("final_logit_softcapping", architecture.caps.1)?;
    let file: File = serde_json::from_value(value)?;
    let (heads, key_value_heads, head) = file.heads()?;
    let scale = match file.query_pre_attn_scalar {
        None => 1.0 / (head as f32).sqrt(),
        Some(scalar) => (1.0 / scalar.sqrt()) as f32,
    };
    ensure!(scale > 0.0 && scale.is_finite(), "expected `query_pre_attn_scalar` above 0");
    let rotations = file.rotations(&architecture, head)?;
    Ok(Config {
        hidden: file.hidden_size,
        feed_forward: file.intermediate_size,
        layers: file.layers(&architecture, rotations.len() - 1)?,
        heads,
        key_value_heads,
        head,
        vocabulary: file.vocab_size,
        context: file.max_position_embeddings,
        epsilon: file.rms_norm_eps,
        tied: file.tie_word_embeddings.unwrap_or(architecture.tied),
        input_bias: match architecture.biases {
            Biases::None => false,
            Biases::Asked => file.attention_bias,
            Biases::Inputs => true,
        },
        output_bias: architecture.biases == Biases::Asked && file.attention_bias,
        norms: architecture.norms,
        norm_offset: architecture.norm_offset,
        query_key_norm: architecture.query_key_norm,
        fused: architecture.fused,
        embedding_scale: if architecture.scales_embedding { (file.hidden_size as f32).sqrt() } else { 1.0 },
        activation: file.activation()?,
        scores: Scores { scale, cap: score_cap },
        logit_cap,
        rotations,
        ends: file.eos_token_id.into_tokens(),
    })
}

impl File {
    /// Heads of queries, heads of keys, and their size.
    fn heads(&self) -> Result<(usize, usize, usize)> {
        for (name, size) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            ensure!((1..=1 << 24).contains(&size), "expected `{name}` in 1..={}, found {size}", 1 << 24);
        }
        let (heads, keys) = (self.num_attention_heads, self.num_key_value_heads.unwrap_or(self.num_attention_heads));
        ensure!(
            keys > 0 && heads.is_multiple_of(keys),
            "expected `num_key_value_heads` to divide the {heads} attention heads, found {keys}"
        );
        let head = match self.head_dim {
            Some(head) => head,
            None if self.hidden_size.is_multiple_of(heads) => self.hidden_size / heads,
            None => bail!("expected `hidden_size` to be a multiple of {heads} heads, found {}", self.hidden_size),
        };
        ensure!(
            (2..=1 << 12).contains(&head) && head.is_multiple_of(2),
            "expected an even size of a head, found {head}"
        );
        ensure!(
            self.rms_norm_eps >= 0.0 && self.rms_norm_eps.is_finite(),
            "expected `rms_norm_eps` of 0 or more, found {}",
            self.rms_norm_eps
        );
        Ok((heads, keys, head))
    }

    fn activation(&self) -> Result<Activation> {
        match self.hidden_activation.as_deref().or(self.hidden_act.as_deref()) {
            None | Some("silu" | "swish") => Ok(Activation::Silu),
            Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Activation::TanhGelu),
            Some(found) => bail!("expected `hidden_act` to be `silu` or `gelu_pytorch_tanh`, found `{found}`"),
        }
    }

    /// The rotation of layers that attend to everything, and the one of layers with a window where that is another.
    fn rotations(&self, architecture: &Architecture, head: usize) -> Result<Vec<Rotation>> {
        let own = self.rope_parameters.clone().or(self.rope_scaling.clone()).unwrap_or_default();
        let mut full = own.full_attention.as_deref().unwrap_or(&own).clone();
        full.rope_theta = self.rope_theta.or(full.rope_theta);
        full.partial_rotary_factor = full.partial_rotary_factor.or(self.partial_rotary_factor);
        full.original_max_position_embeddings =
            self.original_max_position_embeddings.or(full.original_max_position_embeddings);
        let context = self.max_position_embeddings;
        let mut rotations = vec![Rotation::new(&full, architecture.theta, head, context)?];
        if let Some(theta) = architecture.window_theta {
            let mut window = own.sliding_attention.as_deref().cloned().unwrap_or_default();
            window.rope_theta = self.rope_local_base_freq.or(window.rope_theta);
            rotations.push(Rotation::new(&window, theta, head, context)?);
        }
        Ok(rotations)
    }

    /// The layers, where those with a window have the rotation of this index.
    fn layers(&self, architecture: &Architecture, window_rotation: usize) -> Result<Vec<Layer>> {
        let count = self.num_hidden_layers;
        let one_in = |interval: usize, layer: usize| interval > 0 && (layer + 1).is_multiple_of(interval);
        let is_still = |layer: usize| match (architecture.still_layers, &self.no_rope_layers) {
            (None, _) => false,
            (_, Some(list)) => list.get(layer) == Some(&0),
            (Some(interval), None) => one_in(self.no_rope_layer_interval.unwrap_or(interval), layer),
        };
        if let (Some(_), Some(list)) = (architecture.still_layers, &self.no_rope_layers) {
            ensure!(list.len() >= count, "expected {count} layers in `no_rope_layers`, found {}", list.len());
        }
        let size = self.sliding_window.filter(|size| *size > 0);
        let is_on = match architecture.windows {
            Windows::None => false,
            Windows::All | Windows::AllBut(_) => size.is_some(),
            Windows::Late | Windows::Still => size.is_some() && self.use_sliding_window,
        };
        let listed = self.layer_types.as_ref().filter(|_| is_on && architecture.windows != Windows::All);
        let has_window = |layer: usize| -> Result<bool> {
            if let Some(list) = listed {
                return match list.get(layer).map(String::as_str) {
                    Some("sliding_attention") => Ok(true),
                    Some("full_attention") => Ok(false),
                    Some(found) => {
                        bail!("expected `full_attention` or `sliding_attention` in `layer_types`, found `{found}`")
                    }
                    None => bail!("expected {count} layers in `layer_types`, found {}", list.len()),
                };
            }
            Ok(is_on
                && match architecture.windows {
                    Windows::None => false,
                    Windows::All => true,
                    Windows::AllBut(interval) => !one_in(self.sliding_window_pattern.unwrap_or(interval), layer),
                    Windows::Late => layer >= self.max_window_layers.unwrap_or(count),
                    Windows::Still => is_still(layer),
                })
        };
        let layer = |layer: usize| {
            let has_window = has_window(layer)?;
            let rotation = if has_window { window_rotation } else { 0 };
            let rotation = (!is_still(layer)).then_some(rotation);
            Ok(Layer { window: size.filter(|_| has_window), rotation })
        };
        (0..count).map(layer).collect()
    }
}

#[cfg(test)]
mod tests;
