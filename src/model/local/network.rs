//! What the scheduler asks of a network, and what it keeps of a sequence.

use std::sync::Arc;

use anyhow::Result;

/// New tokens of one sequence in a forward pass.
pub struct Chunk<'a, C> {
    pub tokens: &'a [u32],
    pub cache: &'a mut C,
}

/// A Llama network on some device.
pub trait Network: Send + 'static {
    type Cache: Cache;

    /// A sequence without tokens.
    fn empty(&self) -> Self::Cache;

    /// Appends each chunk to its sequence and gives the logits after its last token: chunks * vocabulary numbers.
    /// A chunk's logits have the same bits whatever other chunks there are.
    ///
    /// # Errors
    /// The device failed; the sequences are then of no use.
    fn forward(&self, chunks: &mut [Chunk<Self::Cache>]) -> Result<Vec<f32>>;
}

/// One network that several engines use.
impl<N: Network + Sync> Network for Arc<N> {
    type Cache = N::Cache;

    fn empty(&self) -> Self::Cache {
        (**self).empty()
    }

    fn forward(&self, chunks: &mut [Chunk<Self::Cache>]) -> Result<Vec<f32>> {
        (**self).forward(chunks)
    }
}

/// Keys and values of a sequence's tokens.
pub trait Cache: Send + 'static {
    /// A sequence that begins with the first `tokens` of this one, in the same memory.
    fn fork(&mut self, tokens: usize) -> Self;
}
