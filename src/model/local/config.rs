//! `config.json` of a Llama, Qwen2 or Qwen3 checkpoint, as transformers writes it.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// What tells the three families apart: one network with or without biases and head norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Llama,
    /// Biases on queries, keys and values, which no configuration mentions.
    Qwen2,
    /// Each head of queries and keys is normalised before its rotation.
    Qwen3,
}

const FAMILIES: [(&str, Family); 3] =
    [("LlamaForCausalLM", Family::Llama), ("Qwen2ForCausalLM", Family::Qwen2), ("Qwen3ForCausalLM", Family::Qwen3)];

/// Sizes of a network.
#[derive(Clone, Debug)]
pub struct Config {
    pub hidden: usize,
    /// Width of the feed-forward layers.
    pub feed_forward: usize,
    pub layers: usize,
    pub heads: usize,
    /// Grouped-query attention: `heads / key_value_heads` query heads share one.
    pub key_value_heads: usize,
    /// Dimensions of one head.
    pub head: usize,
    pub vocabulary: usize,
    /// Tokens of prompt and completion together.
    pub context: usize,
    pub epsilon: f32,
    /// The output layer is the embedding table.
    pub tied: bool,
    /// Queries, keys and values have biases.
    pub input_bias: bool,
    /// The output of attention has a bias.
    pub output_bias: bool,
    /// Each head of queries and keys is normalised before its rotation.
    pub head_norm: bool,
    /// Tokens that end a completion.
    pub ends: Vec<u32>,
    /// Rotations per position, in radians, of the `head / 2` pairs of dimensions.
    frequencies: Vec<f32>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    architectures: Vec<String>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    #[serde(default)]
    eos_token_id: Ends,
    rope_theta: Option<f32>,
    /// Where transformers 4 says how positions are stretched.
    rope_scaling: Option<Rope>,
    /// Where transformers 5 says the same, and `rope_theta` too.
    rope_parameters: Option<Rope>,
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

#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
}

fn silu() -> String {
    "silu".into()
}

impl Config {
    /// Reads and checks the text of a `config.json`.
    ///
    /// # Errors
    /// It is not JSON, names another architecture, or holds sizes that do not fit together.
    pub fn parse(text: &str) -> Result<Self> {
        Config::from_value(serde_json::from_str(text).context("not valid JSON")?)
    }

    /// As [`Config::parse`], from the value of a `config.json`.
    ///
    /// # Errors
    /// Those of [`Config::parse`].
    pub fn from_value(value: serde_json::Value) -> Result<Self> {
        // The architecture comes first: a file of another one lacks fields, and naming those would mislead.
        let found = value.get("architectures").and_then(|list| list.get(0)).and_then(|name| name.as_str());
        let known = FAMILIES.map(|(name, _)| format!("`{name}`")).join(", ");
        let Some(found) = found else { bail!("expected one of the architectures {known}, found none") };
        let Some((_, family)) = FAMILIES.into_iter().find(|(name, _)| *name == found) else {
            bail!("expected architecture {known}, found `{found}`")
        };
        let file: File = serde_json::from_value(value)?;
        ensure!(file.architectures.len() == 1, "expected one architecture, found {}", file.architectures.len());
        for (name, size) in [
            ("hidden_size", file.hidden_size),
            ("intermediate_size", file.intermediate_size),
            ("num_hidden_layers", file.num_hidden_layers),
            ("num_attention_heads", file.num_attention_heads),
            ("vocab_size", file.vocab_size),
            ("max_position_embeddings", file.max_position_embeddings),
        ] {
            ensure!((1..=1 << 24).contains(&size), "expected `{name}` in 1..={}, found {size}", 1 << 24);
        }
        let (heads, key_value_heads) =
            (file.num_attention_heads, file.num_key_value_heads.unwrap_or(file.num_attention_heads));
        ensure!(
            key_value_heads > 0 && heads.is_multiple_of(key_value_heads),
            "expected `num_key_value_heads` to divide the {heads} attention heads, found {key_value_heads}"
        );
        let head = match file.head_dim {
            Some(head) => head,
            None if file.hidden_size.is_multiple_of(heads) => file.hidden_size / heads,
            None => bail!("expected `hidden_size` to be a multiple of {heads} heads, found {}", file.hidden_size),
        };
        ensure!(
            (2..=1 << 12).contains(&head) && head.is_multiple_of(2),
            "expected an even size of a head, found {head}"
        );
        ensure!(file.hidden_act == "silu", "expected `hidden_act` to be `silu`, found `{}`", file.hidden_act);
        ensure!(!file.mlp_bias, "expected feed-forward layers without biases, found `mlp_bias`");
        ensure!(!file.use_sliding_window, "expected attention to all tokens, found `use_sliding_window`");
        ensure!(
            file.rms_norm_eps >= 0.0 && file.rms_norm_eps.is_finite(),
            "expected `rms_norm_eps` of 0 or more, found {}",
            file.rms_norm_eps
        );
        Ok(Config {
            hidden: file.hidden_size,
            feed_forward: file.intermediate_size,
            layers: file.num_hidden_layers,
            heads,
            key_value_heads,
            head,
            vocabulary: file.vocab_size,
            context: file.max_position_embeddings,
            epsilon: file.rms_norm_eps,
            tied: file.tie_word_embeddings,
            input_bias: file.attention_bias || family == Family::Qwen2,
            output_bias: file.attention_bias && family != Family::Qwen2,
            head_norm: family == Family::Qwen3,
            frequencies: frequencies(&file, head)?,
            ends: file.eos_token_id.into_tokens(),
        })
    }

    /// Slows the rotation of each pair of dimensions by its own factor: how a GGUF file stretches positions.
    ///
    /// # Errors
    /// There are not exactly `head / 2` positive factors.
    pub fn slow_down(&mut self, factors: &[f32]) -> Result<()> {
        let pairs = self.frequencies.len();
        ensure!(factors.len() == pairs, "expected {pairs} factors of rotations, found {}", factors.len());
        for (frequency, factor) in self.frequencies.iter_mut().zip(factors) {
            ensure!(*factor > 0.0, "expected positive factors of rotations, found {factor}");
            *frequency /= factor;
        }
        Ok(())
    }

    /// Bytes of the keys and values of one token, with numbers of this many bytes.
    pub fn bytes_per_token(&self, number: usize) -> usize {
        2 * self.layers * self.key_value_heads * self.head * number
    }

    /// Cosine and sine of the rotation of each pair of dimensions at a position: two times `head / 2` values.
    pub fn rotation(&self, position: usize) -> (Vec<f32>, Vec<f32>) {
        // The angle is rounded to f32 as in transformers; f64 then makes its cosine the same on every machine.
        self.frequencies.iter().map(|frequency| f64::from(position as f32 * frequency)).fold(
            (Vec::with_capacity(self.head / 2), Vec::with_capacity(self.head / 2)),
            |(mut cosines, mut sines), angle| {
                cosines.push(angle.cos() as f32);
                sines.push(angle.sin() as f32);
                (cosines, sines)
            },
        )
    }
}

/// `theta^(-2 i / head)`, with the slow rotations stretched if the file says so.
fn frequencies(file: &File, head: usize) -> Result<Vec<f32>> {
    let rope = file.rope_parameters.as_ref().or(file.rope_scaling.as_ref());
    let theta = file.rope_theta.or(rope.and_then(|rope| rope.rope_theta)).unwrap_or(10_000.0);
    ensure!(theta > 0.0 && theta.is_finite(), "expected a positive `rope_theta`, found {theta}");
    let plain = (0..head).step_by(2).map(|dimension| theta.powf(-(dimension as f32) / head as f32));
    let Some(rope) = rope else { return Ok(plain.collect()) };
    match rope.rope_type.as_deref().unwrap_or("default") {
        "default" => Ok(plain.collect()),
        "linear" => {
            let factor = rope.factor.filter(|factor| *factor > 0.0).context("expected a positive `factor`")?;
            Ok(plain.map(|frequency| frequency / factor).collect())
        }
        "llama3" => {
            let (Some(factor), Some(low), Some(high), Some(original)) =
                (rope.factor, rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position_embeddings)
            else {
                bail!("expected `factor`, `low_freq_factor`, `high_freq_factor` and `original_max_position_embeddings`")
            };
            let stretch = |frequency: f32| {
                let turns = original * frequency / std::f32::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / factor)
            };
            ensure!(
                factor > 0.0 && high > low,
                "expected a positive `factor` and `low_freq_factor` < `high_freq_factor`"
            );
            Ok(plain.map(stretch).collect())
        }
        other => bail!("expected rope type `default`, `linear` or `llama3`, found `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "eos_token_id": [1, 2]}"#;

    #[test]
    fn reads_what_transformers_writes() {
        let config = Config::parse(SOUND).unwrap();
        assert_eq!((config.head, config.key_value_heads, config.tied, config.ends), (4, 2, false, vec![1, 2]));
        assert_eq!(config.frequencies, [1.0, 0.01]);
        let switches = |text: &str| {
            let Config { input_bias, output_bias, head_norm, .. } = Config::parse(text).unwrap();
            (input_bias, output_bias, head_norm)
        };
        let biased = SOUND.replace("1e-5", "1e-5, \"attention_bias\": true");
        assert_eq!(switches(SOUND), (false, false, false));
        assert_eq!(switches(&biased), (true, true, false));
        assert_eq!(switches(&SOUND.replace("Llama", "Qwen2")), (true, false, false));
        assert_eq!(switches(&SOUND.replace("Llama", "Qwen3")), (false, false, true));
        let scaled =
            SOUND.replace("\"eos_token_id\"", "\"rope_parameters\": {\"rope_theta\": 100.0}, \"eos_token_id\"");
        assert_eq!(Config::parse(&scaled).unwrap().frequencies, [1.0, 0.1]);
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |from: &str, to: &str, expected: &str| {
            let error = Config::parse(&SOUND.replace(from, to)).expect_err(to).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("LlamaFor", "MistralFor", "`Qwen3ForCausalLM`, found `MistralForCausalLM`");
        check("[\"LlamaForCausalLM\"]", "[]", "found none");
        check("\"hidden_size\": 16,", "", "missing field `hidden_size`");
        check("\"hidden_size\": 16", "\"hidden_size\": 18", "multiple of 4 heads, found 18");
        check("heads\": 2", "heads\": 3", "divide the 4 attention heads, found 3");
        check("\"vocab_size\": 20", "\"vocab_size\": 0", "`vocab_size`");
        check("1e-5", "1e-5, \"hidden_act\": \"gelu\"", "found `gelu`");
        check("1e-5", "1e-5, \"mlp_bias\": true", "found `mlp_bias`");
        check("1e-5", "1e-5, \"use_sliding_window\": true", "found `use_sliding_window`");
        check("1e-5", "1e-5, \"rope_scaling\": {\"rope_type\": \"yarn\"}", "found `yarn`");
        check("}", "", "not valid JSON");
    }
}
