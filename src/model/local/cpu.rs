//! The network on the CPU: rows of all sequences go through the matrices together, attention is row by row.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::config::Config;
use super::linear::{Linear, vector};
use super::mapped::Mapped;
use super::network::{Cache, Chunk, Network};
use super::weights::{self, Stored, Weights};
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
    attention_norm: Vec<f32>,
    /// Queries, keys and values, one below the other.
    attention_input: Linear,
    /// Of each head of queries and of keys.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    attention_output: Linear,
    feed_forward_norm: Vec<f32>,
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
        let head_norms = layer.head_norms.as_ref();
        Ok(Layer {
            attention_norm: vector(&layer.attention_norm)?,
            attention_input: Linear::affine(vec![layer.query, layer.key, layer.value], config.hidden)?,
            head_norms: head_norms.map(|(query, key)| anyhow::Ok((vector(query)?, vector(key)?))).transpose()?,
            attention_output: Linear::affine(vec![layer.attention_output], config.heads * config.head)?,
            feed_forward_norm: vector(&layer.feed_forward_norm)?,
            gate_and_up: Linear::stack(vec![layer.gate, layer.up], config.hidden),
            down: Linear::stack(vec![layer.down], config.feed_forward),
        })
    }
}

fn heads(config: &Config) -> Heads {
    Heads { queries: config.heads, keys: config.key_value_heads, size: config.head }
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
        let mut rotations = Vec::new();
        for (chunk, Chunk { tokens, cache }) in chunks.iter().enumerate() {
            let before = cache.tokens();
            for (offset, token) in tokens.iter().enumerate() {
                let embedding = self.embedding.row(*token as usize, config.hidden);
                x.extend_from_slice(
                    &embedding
                        .with_context(|| format!("expected tokens below {}, found {token}", config.vocabulary))?,
                );
                rows.push((chunk, before + offset + 1));
                rotations.push(config.rotation(before + offset));
            }
        }
        let positions = rows.iter().map(|(_, seen)| seen).sum();

        for (index, layer) in self.layers.iter().enumerate() {
            let normal = kernels::rms_norm(&x, &layer.attention_norm, config.epsilon);
            let mut projected = layer.attention_input.multiply(&normal);
            for ((row, rotation), (chunk, _)) in projected.chunks_exact_mut(width).zip(&rotations).zip(&rows) {
                if let Some((query, key)) = &layer.head_norms {
                    kernels::rms_norm_in_place(&mut row[..queries], query, config.epsilon);
                    kernels::rms_norm_in_place(&mut row[queries..queries + keys], key, config.epsilon);
                }
                kernels::rotate(&mut row[..queries + keys], rotation);
                let (new_keys, new_values) = row[queries..].split_at(keys);
                chunks[*chunk].cache.own.layers[index].push(new_keys, new_values, config.head);
            }
            let attended = kernels::attend(heads, &projected, width, positions, |row| {
                let (chunk, seen) = rows[row];
                chunks[chunk].cache.runs(index, seen)
            });
            kernels::add(&mut x, &layer.attention_output.multiply(&attended));
            let normal = kernels::rms_norm(&x, &layer.feed_forward_norm, config.epsilon);
            let wide = kernels::swiglu(&layer.gate_and_up.multiply(&normal), config.feed_forward);
            kernels::add(&mut x, &layer.down.multiply(&wide));
        }

        let mut last = Vec::with_capacity(chunks.len() * config.hidden);
        let mut end = 0;
        for Chunk { tokens, cache } in chunks {
            cache.own.tokens += tokens.len();
            end += tokens.len() * config.hidden;
            last.extend_from_slice(&x[end - config.hidden..end]);
        }
        Ok(self.output.multiply(&kernels::rms_norm(&last, &self.norm, config.epsilon)))
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
        Segment { layers: vec![KeysAndValues::new(heads(config)); config.layers], tokens: 0 }
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

    /// What a row after `seen` tokens attends to, itself included.
    fn runs(&self, layer: usize, seen: usize) -> Vec<Run<'_>> {
        let mut left = seen;
        let mut runs = Vec::with_capacity(self.shared.len() + 1);
        for (segment, tokens) in
            self.shared.iter().map(|(segment, tokens)| (&**segment, *tokens)).chain([(&self.own, left)])
        {
            let positions = tokens.min(left);
            if positions > 0 {
                runs.push(segment.layers[layer].run(positions));
                left -= positions;
            }
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
