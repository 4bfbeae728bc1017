//! Random streams keyed by what they are for, so that no result depends on the order of concurrent work.

use std::fmt::Display;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A 64-bit key of the parts, equal on every machine and in every version of the standard library.
pub fn key(parts: &[&dyn Display]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.to_string());
        hash.update([0]);
    }
    let digest = hash.finalize();
    u64::from_le_bytes(std::array::from_fn(|byte| digest[byte]))
}

/// The random stream of `seed` for the purpose named by the parts, such as (pass, problem id, sample).
pub fn stream(seed: u64, parts: &[&dyn Display]) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed ^ key(parts))
}
