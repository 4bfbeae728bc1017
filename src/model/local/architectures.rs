//! What the name of an architecture says about a network that no number of its configuration does.

use anyhow::{Result, bail};

use super::config::{Norms, QueryKeyNorm};

/// One architecture.
#[derive(Clone, Copy, Debug)]
pub struct Architecture {
    /// As transformers calls it.
    pub name: &'static str,
    pub norms: Norms,
    pub norm_offset: f32,
    pub query_key_norm: QueryKeyNorm,
    pub biases: Biases,
    pub fused: bool,
    /// Embeddings are multiplied by the root of their width.
    pub scales_embedding: bool,
    /// Whether the output layer is the embedding table, if the configuration does not say.
    pub tied: bool,
    pub windows: Windows,
    /// One layer in so many has no rotation, if the configuration does not say which.
    pub still_layers: Option<usize>,
    /// The base of rotations, if the configuration does not say.
    pub theta: f32,
    /// The same for layers with a window, if theirs differ; they are not stretched.
    pub window_theta: Option<f32>,
    /// Caps of scores and of logits, if the configuration does not say.
    pub caps: (Option<f32>, Option<f32>),
}

/// Which matrices of attention have biases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Biases {
    None,
    /// All four, if the configuration says so.
    Asked,
    /// Those of queries, keys and values.
    Inputs,
}

/// Which layers see a window only, if the configuration has a size for it but no list of layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Windows {
    None,
    /// All; a list of layers means nothing.
    All,
    /// All but one in so many.
    AllBut(usize),
    /// From a certain layer on, where windows are switched on.
    Late,
    /// Those without rotation, where windows are switched on.
    Still,
}

const LLAMA: Architecture = Architecture {
    name: "LlamaForCausalLM",
    norms: Norms {
        before_attention: Some("input_layernorm"),
        after_attention: None,
        before_feed_forward: Some("post_attention_layernorm"),
        after_feed_forward: None,
    },
    norm_offset: 0.0,
    query_key_norm: QueryKeyNorm::None,
    biases: Biases::Asked,
    fused: false,
    scales_embedding: false,
    tied: false,
    windows: Windows::None,
    still_layers: None,
    theta: 10_000.0,
    window_theta: None,
    caps: (None, None),
};

const QWEN2: Architecture =
    Architecture { name: "Qwen2ForCausalLM", biases: Biases::Inputs, windows: Windows::Late, ..LLAMA };
const QWEN3: Architecture =
    Architecture { name: "Qwen3ForCausalLM", query_key_norm: QueryKeyNorm::Head, windows: Windows::Late, ..LLAMA };
const MISTRAL: Architecture =
    Architecture { name: "MistralForCausalLM", biases: Biases::None, windows: Windows::All, ..LLAMA };
const SMOLLM3: Architecture = Architecture {
    name: "SmolLM3ForCausalLM",
    tied: true,
    windows: Windows::Still,
    still_layers: Some(4),
    theta: 2_000_000.0,
    ..LLAMA
};
const OLMO2: Architecture = Architecture {
    name: "Olmo2ForCausalLM",
    norms: Norms {
        before_attention: None,
        after_attention: Some("post_attention_layernorm"),
        before_feed_forward: None,
        after_feed_forward: Some("post_feedforward_layernorm"),
    },
    query_key_norm: QueryKeyNorm::Row,
    ..LLAMA
};
const OLMO3: Architecture = Architecture {
    name: "Olmo3ForCausalLM",
    windows: Windows::AllBut(4),
    theta: 500_000.0,
    window_theta: Some(500_000.0),
    ..OLMO2
};
const GEMMA: Architecture =
    Architecture { name: "GemmaForCausalLM", norm_offset: 1.0, scales_embedding: true, tied: true, ..LLAMA };
const GEMMA2: Architecture = Architecture {
    name: "Gemma2ForCausalLM",
    norms: Norms {
        before_attention: Some("input_layernorm"),
        after_attention: Some("post_attention_layernorm"),
        before_feed_forward: Some("pre_feedforward_layernorm"),
        after_feed_forward: Some("post_feedforward_layernorm"),
    },
    windows: Windows::AllBut(2),
    caps: (Some(50.0), Some(30.0)),
    ..GEMMA
};
const GEMMA3: Architecture = Architecture {
    name: "Gemma3ForCausalLM",
    query_key_norm: QueryKeyNorm::Head,
    windows: Windows::AllBut(6),
    theta: 1_000_000.0,
    window_theta: Some(10_000.0),
    caps: (None, None),
    ..GEMMA2
};
const PHI3: Architecture =
    Architecture { name: "Phi3ForCausalLM", biases: Biases::None, fused: true, windows: Windows::All, ..LLAMA };

const ALL: [Architecture; 11] = [LLAMA, MISTRAL, QWEN2, QWEN3, SMOLLM3, OLMO2, OLMO3, GEMMA, GEMMA2, GEMMA3, PHI3];

impl Architecture {
    /// The one that a `config.json` names in its `architectures`.
    ///
    /// # Errors
    /// It names none, several, or one that is not known.
    pub fn of(config: &serde_json::Value) -> Result<Self> {
        let names = config.get("architectures").and_then(|list| list.as_array()).map_or(&[][..], Vec::as_slice);
        let known = || ALL.map(|architecture| format!("`{}`", architecture.name)).join(", ");
        let found = match names {
            [name] => name.as_str().unwrap_or_default(),
            [] => bail!("expected one of the architectures {}, found none", known()),
            several => bail!("expected one architecture, found {}", several.len()),
        };
        let architecture = ALL.into_iter().find(|architecture| architecture.name == found);
        match architecture {
            Some(architecture) => Ok(architecture),
            None => bail!("expected one of the architectures {}, found `{found}`", known()),
        }
    }
}
