//! A network as data: its sizes, where its norms stand, what each layer attends to, and how positions turn its heads.

use anyhow::Result;

use super::rotation::Rotation;

/// The description of a network.
#[derive(Clone, Debug)]
pub struct Config {
    pub hidden: usize,
    /// Width of the feed-forward layers.
    pub feed_forward: usize,
    pub layers: Vec<Layer>,
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
    pub norms: Norms,
    /// Added to the weights of all norms as they are read.
    pub norm_offset: f32,
    pub query_key_norm: QueryKeyNorm,
    /// Queries, keys and values are one matrix in the file; the gate and what it opens are another.
    pub fused: bool,
    /// What embeddings are multiplied by.
    pub embedding_scale: f32,
    pub activation: Activation,
    pub scores: Scores,
    /// Logits are squeezed into plus and minus this number.
    pub logit_cap: Option<f32>,
    /// Those that layers choose from.
    pub rotations: Vec<Rotation>,
    /// Tokens that end a completion.
    pub ends: Vec<u32>,
}

/// What tells layers apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Attention sees this many tokens, the newest included; None for all.
    pub window: Option<usize>,
    /// An index of `Config::rotations`; None if positions do not matter.
    pub rotation: Option<usize>,
}

/// Transformers' names of the norms of a layer, for each place where one may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norms {
    pub before_attention: Option<&'static str>,
    /// On the output of attention, before it is added.
    pub after_attention: Option<&'static str>,
    pub before_feed_forward: Option<&'static str>,
    /// On the output of the feed-forward network, before it is added.
    pub after_feed_forward: Option<&'static str>,
}

/// What is normalised of queries and keys, before their rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueryKeyNorm {
    None,
    /// Each head by itself, with the same weights.
    Head,
    /// All heads of a token together.
    Row,
}

/// What opens the gate of the feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Silu,
    /// GELU by way of tanh.
    TanhGelu,
}

/// What is done to the products of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    pub scale: f32,
    /// They are squeezed into plus and minus this number.
    pub cap: Option<f32>,
}

impl Config {
    /// Bytes of the keys and values of one token, with numbers of this many bytes.
    pub fn bytes_per_token(&self, number: usize) -> usize {
        2 * self.layers.len() * self.key_value_heads * self.head * number
    }

    /// The most tokens that the network reads as it was first trained to.
    pub fn short_context(&self) -> usize {
        self.rotations.iter().filter_map(Rotation::short_context).fold(self.context, usize::min)
    }

    /// Slows the rotation of each pair of dimensions by its own factor, in layers without a rotation of their own.
    ///
    /// # Errors
    /// There is not exactly one positive factor for each pair.
    pub fn slow_down(&mut self, factors: &[f32]) -> Result<()> {
        self.rotations.first_mut().map_or(Ok(()), |rotation| rotation.slow_down(factors))
    }

    /// Turns heads as the network does where texts have up to this many tokens.
    pub fn allow(&mut self, context: usize) {
        self.rotations.iter_mut().for_each(|rotation| rotation.allow(context));
    }
}
