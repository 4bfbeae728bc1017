//! What llama.cpp calls architectures, and what is particular to its files of each.

use anyhow::{Result, bail};

/// One architecture in GGUF files.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// `general.architecture`, which begins the names of the sizes.
    pub name: &'static str,
    /// What transformers calls it.
    pub architecture: &'static str,
    /// What transformers calls it if attention has windows.
    pub windowed: &'static str,
    /// Whether neighbouring dimensions of a head rotate together; in transformers, those half a head apart do.
    pub rotates_neighbours: bool,
    /// Transformers' name of the activation, which these files do not name.
    pub activation: &'static str,
    /// Parts of names of tensors, llama.cpp's and transformers', where they differ from those of other families.
    pub renamed: &'static [(&'static str, &'static str)],
    /// The number of layers of the one size whose scores are divided by the root of the width per head, not of the size
    /// of a head.
    wide_layers: Option<u64>,
}

const LLAMA: Family = Family {
    name: "llama",
    architecture: "LlamaForCausalLM",
    windowed: "LlamaForCausalLM",
    rotates_neighbours: true,
    activation: "silu",
    renamed: &[],
    wide_layers: None,
};
const QWEN2: Family = Family {
    name: "qwen2",
    architecture: "Qwen2ForCausalLM",
    windowed: "Qwen2ForCausalLM",
    rotates_neighbours: false,
    ..LLAMA
};
const QWEN3: Family = Family { name: "qwen3", architecture: "Qwen3ForCausalLM", windowed: "Qwen3ForCausalLM", ..QWEN2 };
const SMOLLM3: Family =
    Family { name: "smollm3", architecture: "SmolLM3ForCausalLM", windowed: "SmolLM3ForCausalLM", ..LLAMA };
const OLMO2: Family = Family {
    name: "olmo2",
    architecture: "Olmo2ForCausalLM",
    windowed: "Olmo3ForCausalLM",
    renamed: SURROUNDED,
    ..QWEN2
};
const GEMMA: Family = Family {
    name: "gemma",
    architecture: "GemmaForCausalLM",
    windowed: "GemmaForCausalLM",
    activation: "gelu_pytorch_tanh",
    ..QWEN2
};
const GEMMA2: Family = Family {
    name: "gemma2",
    architecture: "Gemma2ForCausalLM",
    windowed: "Gemma2ForCausalLM",
    renamed: SURROUNDED,
    wide_layers: Some(46),
    ..GEMMA
};
const GEMMA3: Family = Family {
    name: "gemma3",
    architecture: "Gemma3ForCausalLM",
    windowed: "Gemma3ForCausalLM",
    wide_layers: Some(62),
    ..GEMMA2
};
const PHI3: Family = Family {
    name: "phi3",
    architecture: "Phi3ForCausalLM",
    windowed: "Phi3ForCausalLM",
    renamed: &[("attn_qkv", "self_attn.qkv_proj"), ("ffn_up", "mlp.gate_up_proj")],
    ..QWEN2
};

/// Norms after attention and the feed-forward network.
const SURROUNDED: &[(&str, &str)] = &[
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

const ALL: [Family; 9] = [LLAMA, QWEN2, QWEN3, SMOLLM3, OLMO2, GEMMA, GEMMA2, GEMMA3, PHI3];

impl Family {
    /// The one that a file names.
    ///
    /// # Errors
    /// It is not known.
    pub fn of(name: Option<&str>) -> Result<Self> {
        match ALL.into_iter().find(|family| name == Some(family.name)) {
            Some(family) => Ok(family),
            None => {
                let known = ALL.map(|family| format!("`{}`", family.name)).join(", ");
                bail!("expected one of the architectures {known}, found `{}`", name.unwrap_or("none"))
            }
        }
    }

    /// The number whose root scores are divided by, if it is not the size of a head.
    pub fn query_scalar(&self, layers: u64, hidden: u64, heads: u64) -> Option<u64> {
        self.wide_layers.filter(|wide| *wide == layers).and_then(|_| hidden.checked_div(heads))
    }
}
