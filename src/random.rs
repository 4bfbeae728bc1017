//! Random streams keyed by their purpose, so that no result depends on the order of concurrent work.

use std::fmt::{self, Display};

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

/// A 128-bit digest of the parts, equal on every machine. It also depends on where one part ends and the next begins.
pub fn digest(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    u128::from_be_bytes(std::array::from_fn(|byte| digest[byte]))
}

/// The random stream of `seed` for the purpose named by the parts, such as (pass, problem id, sample).
pub fn stream(seed: u64, parts: &[&dyn Display]) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed ^ key(parts))
}

/// Identifies one of several independent runs of a query. Runs for different purposes never share random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Draw {
    pub purpose: Purpose,
    pub index: u64,
}

/// The purpose of running a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Learning from it.
    Training,
    /// Fitting the halting head.
    Halting,
    /// Measuring.
    Evaluation,
    /// Fitting the latency model.
    Calibration,
    /// Answering a user.
    #[default]
    Answer,
    /// Answering a client of a server.
    Serve,
}

impl Purpose {
    /// Run number `index` for this purpose.
    pub const fn draw(self, index: u64) -> Draw {
        Draw { purpose: self, index }
    }
}

/// The name that keys random streams and records. It must never change.
impl Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            Purpose::Training => "training",
            Purpose::Halting => "halting",
            Purpose::Evaluation => "evaluation",
            Purpose::Calibration => "calibration",
            Purpose::Answer => "answer",
            Purpose::Serve => "serve",
        };
        write!(f, "{purpose} {}", self.index)
    }
}
