//! How many tokens a model's memory holds: their keys and values are what grows with requests.

use anyhow::{Result, ensure};

use super::config::Config;

/// Bytes that the keys and values of all requests and kept prompts together may take, unless one request needs more.
const MOST_BYTES: usize = 4 << 30;
/// Tokens of prompt and completion, unless more are requested.
const USUAL_CONTEXT: usize = 8_192;

/// Tokens that may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of prompt and completion together.
    pub context: usize,
    /// Of all requests that are answered at once.
    pub in_flight: usize,
    /// Of prompts that are kept.
    pub kept: usize,
}

impl Room {
    /// The room of a model whose keys and values are numbers of `number` bytes, with `kept` tokens of prompts. A
    /// requested context is granted, whatever it takes.
    ///
    /// # Errors
    /// The requested context is 0, or longer than the model's own.
    pub fn new(config: &Config, number: usize, kept: usize, context: Option<usize>) -> Result<Self> {
        let longest = config.context;
        let tokens = MOST_BYTES / config.bytes_per_token(number);
        let kept = kept.min(tokens / 4);
        let in_flight = (tokens - kept).max(1);
        let context = match context {
            None => config.short_context().min(USUAL_CONTEXT).min(in_flight),
            Some(context) => {
                ensure!(
                    (1..=longest).contains(&context),
                    "expected a context of 1 to the model's own {longest} tokens, found {context}"
                );
                context
            }
        };
        Ok(Room { context, in_flight: in_flight.max(context), kept })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::config_file;
    use super::*;

    #[test]
    fn memory_bounds_what_is_held() {
        let check =
            |(layers, heads, longest): (usize, usize, usize), context: Option<usize>, expected: Option<Room>| {
                let config = config_file::read(json!({
                    "architectures": ["LlamaForCausalLM"], "hidden_size": heads * 128, "intermediate_size": 64,
                    "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": 20,
                    "max_position_embeddings": longest, "rms_norm_eps": 1e-5,
                }));
                let found = Room::new(&config.expect("a configuration"), 4, 16_384, context);
                assert_eq!(found.ok(), expected, "{layers} layers, {heads} heads, {longest} tokens, {context:?}");
            };
        let room = |context, in_flight, kept| Some(Room { context, in_flight, kept });
        // 2 KiB a token, then 1 MiB.
        let (small, large) = ((2, 1, 2_048), (32, 32, 131_072));
        check(small, None, room(2_048, (1 << 21) - 16_384, 16_384));
        check(small, Some(100), room(100, (1 << 21) - 16_384, 16_384));
        check(small, Some(2_049), None);
        check(small, Some(0), None);
        check(large, None, room(3_072, 3_072, 1_024));
        check(large, Some(131_072), room(131_072, 131_072, 1_024));
        check((2, 1, 131_072), None, room(8_192, (1 << 21) - 16_384, 16_384));
    }
}
