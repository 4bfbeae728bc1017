//! The network on the CPU: rows of all sequences go through the matrices together, attention is row by row.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::config::{Activation, Config, Scores};
use super::linear::{Linear, vector};
use super::mapped::Mapped;
use super::network::{Cache, Chunk, Network};
use super::weights::{self, Norms, Stored, Weights};
use crate::kernels::{self, Heads, KeysAndValues, Run};

pub struct CpuNetwork {
    config: Config,
    embedding: Stored,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Linear,
    source: Option<Arc<Mapped>>,
}

struct Layer {
    norms: Norms<Vec<f32>>,
    /// Queries, keys and values, one below the other.
    attention_input: Linear,
    /// Of queries and of keys.
    query_key_norms: Option<(Vec<f32>, Vec<f32>)>,
    attention_output: Linear,
    gate_and_up: Linear,
    down: Linear,
}

impl CpuNetwork {
    /// Lays the weights out for the CPU; packed ones stay where they are.
    ///
    /// # Errors
    /// They are not in f32 on the CPU.
    pub fn new(weights: Weights<Stored>, config: Config) -> Result<Self> {
        let Weights { embedding, layers, norm, output, source } = weights;
        Ok(CpuNetwork {
            // One by one, so that no layer is in memory twice for long.
            layers: layers.into_iter().map(|layer| Layer::new(layer, &config)).collect::<Result<_>>()?,
            norm: vector(&norm)?,
            output: Linear::stack(vec![output.unwrap_or_else(|| embedding.clone())], config.hidden),
            embedding,
            source,
            config,
        })
    }

    /// Whether a pass over this many rows is long enough for several threads.
    pub fn shares_passes(&self, rows: usize) -> bool {
        kernels::is_worth_sharing(rows * self.config.hidden * 2 * self.config.feed_forward)
    }
}

impl Layer {
    fn new(layer: weights::Layer<Stored>, config: &Config) -> Result<Self> {
        let query_key_norms = layer.query_key_norms.as_ref();
        Ok(Layer {
            norms: layer.norms.map(vector)?,
            attention_input: Linear::affine(vec![layer.query, layer.key, layer.value], config.hidden)?,
            query_key_norms: query_key_norms
                .map(|(query, key)| anyhow::Ok((vector(query)?, vector(key)?)))
                .transpose()?,
            attention_output: Linear::affine(vec![layer.attention_output], config.heads * config.head)?,
            gate_and_up: Linear::stack(vec![layer.gate, layer.up], config.hidden),
            down: Linear::stack(vec![layer.down], config.feed_forward),
        })
    }

    fn feed_forward(&self, x: &[f32], config: &Config) -> Vec<f32> {
        let wide = self.gate_and_up.multiply(x);
        self.down.multiply(&match config.activation {
            Activation::Silu => kernels::swiglu(&wide, config.feed_forward),
            Activation::TanhGelu => kernels::geglu(&wide, config.feed_forward),
        })
    }
}

fn heads(config: &Config) -> Heads {
    let Scores { scale, cap } = config.scores;
    Heads { queries: config.heads, keys: config.key_value_heads, size: config.head, scale, cap }
}

/// The rows, normalised if there is a norm.
fn normalised<'a>(x: &'a [f32], norm: &Option<Vec<f32>>, epsilon: f32) -> Cow<'a, [f32]> {
    norm.as_ref().map_or(Cow::Borrowed(x), |norm| Cow::Owned(kernels::rms_norm(x, norm, epsilon)))
}

/// Adds what a part of a layer gives, normalised if there is a norm.
fn join(x: &mut [f32], mut y: Vec<f32>, norm: &Option<Vec<f32>>, epsilon: f32) {
    if let Some(norm) = norm {
        kernels::rms_norm_in_place(&mut y, norm, epsilon);
    }
    kernels::add(x, &y);
}

impl Network for CpuNetwork {
    type Cache = CpuCache;

    fn empty(&self) -> CpuCache {
        CpuCache { shared: Vec::new(), own: Segment::new(&self.config) }
    }

    fn forward(&self, chunks: &mut [Chunk<CpuCache>]) -> Result<Vec<f32>> {
        if let Some(source) = &self.source {
            source.check()?;
        }
        let config = &self.config;
        let (queries, keys) = (config.heads * config.head, config.key_value_heads * config.head);
        let width = queries + 2 * keys;
        let heads = heads(config);

        let mut x = Vec::new();
        let mut rows = Vec::new();
        let mut turns: Vec<Vec<_>> = Vec::new();
        for (chunk, Chunk { tokens, cache }) in chunks.iter().enumerate() {
            let before = cache.tokens();
            for (offset, token) in tokens.iter().enumerate() {
                let embedding = self.embedding.row(*token as usize, config.hidden);
                x.extend_from_slice(
                    &embedding
                        .with_context(|| format!("expected tokens below {}, found {token}", config.vocabulary))?,
                );
                rows.push((chunk, before + offset + 1));
                turns.push(config.rotations.iter().map(|rotation| rotation.at(before + offset)).collect());
            }
        }
        if config.embedding_scale != 1.0 {
            kernels::scale(&mut x, config.embedding_scale);
        }

        for (index, layer) in self.layers.iter().enumerate() {
            let kinds = config.layers[index];
            let mut projected =
                layer.attention_input.multiply(&normalised(&x, &layer.norms.before_attention, config.epsilon));
            for ((row, turns), (chunk, _)) in projected.chunks_exact_mut(width).zip(&turns).zip(&rows) {
                if let Some((query, key)) = &layer.query_key_norms {
                    kernels::rms_norm_in_place(&mut row[..queries], query, config.epsilon);
                    kernels::rms_norm_in_place(&mut row[queries..queries + keys], key, config.epsilon);
                }
                if let Some(rotation) = kinds.rotation {
                    kernels::rotate(&mut row[..queries + keys], config.head, &turns[rotation]);
                }
                let (new_keys, new_values) = row[queries..].split_at(keys);
                chunks[*chunk].cache.own.layers[index].push(new_keys, new_values, config.head);
            }
            let first = |seen: usize| kinds.window.map_or(0, |window| seen.saturating_sub(window));
            let positions = rows.iter().map(|(_, seen)| seen - first(*seen)).sum();
            let attended = kernels::attend(heads, &projected, width, positions, |row| {
                let (chunk, seen) = rows[row];
                chunks[chunk].cache.runs(index, first(seen)..seen)
            });
            join(&mut x, layer.attention_output.multiply(&attended), &layer.norms.after_attention, config.epsilon);
            let wide = layer.feed_forward(&normalised(&x, &layer.norms.before_feed_forward, config.epsilon), config);
            join(&mut x, wide, &layer.norms.after_feed_forward, config.epsilon);
        }

        let mut last = Vec::with_capacity(chunks.len() * config.hidden);
        let mut end = 0;
        for Chunk { tokens, cache } in chunks {
            cache.own.tokens += tokens.len();
            end += tokens.len() * config.hidden;
            last.extend_from_slice(&x[end - config.hidden..end]);
        }
        let mut logits = self.output.multiply(&kernels::rms_norm(&last, &self.norm, config.epsilon));
        if let Some(cap) = config.logit_cap {
            kernels::soft_cap(&mut logits, cap);
        }
        Ok(logits)
    }
}

/// A chain of segments: those shared with other sequences, each up to some length, then one of its own that grows.
pub struct CpuCache {
    shared: Vec<(Arc<Segment>, usize)>,
    own: Segment,
}

/// Keys and values of consecutive tokens, for each layer.
struct Segment {
    layers: Vec<KeysAndValues>,
    tokens: usize,
}

impl Segment {
    fn new(config: &Config) -> Self {
        Segment { layers: vec![KeysAndValues::new(heads(config)); config.layers.len()], tokens: 0 }
    }

    /// An empty one of the same shape.
    fn emptied(&self) -> Self {
        let layers = self.layers.iter().map(KeysAndValues::emptied).collect();
        Segment { layers, tokens: 0 }
    }
}

impl CpuCache {
    fn tokens(&self) -> usize {
        self.shared.iter().map(|(_, tokens)| tokens).sum::<usize>() + self.own.tokens
    }

    /// The tokens of a sequence at these positions.
    fn runs(&self, layer: usize, seen: Range<usize>) -> Vec<Run<'_>> {
        let mut before = 0;
        let mut runs = Vec::with_capacity(self.shared.len() + 1);
        let shared = self.shared.iter().map(|(segment, tokens)| (&**segment, *tokens));
        for (segment, tokens) in shared.chain([(&self.own, usize::MAX)]) {
            let here = seen.start.saturating_sub(before)..seen.end.saturating_sub(before).min(tokens);
            if here.start < here.end {
                runs.push(segment.layers[layer].run(here));
            }
            before = before.saturating_add(tokens);
        }
        runs
    }
}

impl Cache for CpuCache {
    fn fork(&mut self, tokens: usize) -> Self {
        let empty = self.own.emptied();
        if self.own.tokens > 0 {
            let own = std::mem::replace(&mut self.own, empty.emptied());
            let tokens = own.tokens;
            self.shared.push((Arc::new(own), tokens));
        }
        let mut left = tokens;
        let mut shared = Vec::new();
        for (segment, tokens) in &self.shared {
            let tokens = left.min(*tokens);
            if tokens > 0 {
                shared.push((segment.clone(), tokens));
                left -= tokens;
            }
        }
        CpuCache { shared, own: empty }
    }
}
