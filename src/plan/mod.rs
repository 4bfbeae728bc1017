//! Plans: which operators run, layer by layer. Plain data: no input or output, no tensors.

mod billing;
mod critical_path;
mod feasibility;
mod latency;
mod schedule;
mod signature;
mod small;
mod trace;
mod written;

pub use billing::{Billing, Dropped};
pub use critical_path::{Cause, CriticalPath, critical_path};
pub use feasibility::{feasible, is_open};
pub use latency::{Latency, Unit};
pub use schedule::{Dependencies, Prepared, Schedule};
pub use signature::Signature;
pub use small::{Layout, improvers, is_of_use, openers, small_plans};
pub use trace::{Span, Status, Trace, Usage};
pub use written::{Written, shortened};

use serde::{Deserialize, Serialize};

/// Position of an operator in its catalogue, `0..O`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(pub u16);

impl OperatorId {
    /// The operator's row in tensors of shape `[.., O]`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Operators that run in parallel, in the order in which they were chosen, without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layer {
    pub operators: Vec<OperatorId>,
}

/// At most `L` layers, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan {
    pub layers: Vec<Layer>,
}

impl Plan {
    /// A plan from operator positions, layer by layer.
    pub fn from_indices(layers: &[&[u16]]) -> Self {
        let layer = |ids: &&[u16]| Layer { operators: ids.iter().copied().map(OperatorId).collect() };
        Plan { layers: layers.iter().map(layer).collect() }
    }

    /// Every chosen operator with its layer. Spans, log-probabilities and utilities all use this order.
    pub fn choices(&self) -> impl Iterator<Item = (usize, OperatorId)> + '_ {
        self.layers
            .iter()
            .enumerate()
            .flat_map(|(layer, chosen)| chosen.operators.iter().map(move |&operator| (layer, operator)))
    }

    /// Number of chosen operators.
    pub fn len(&self) -> usize {
        self.layers.iter().map(|layer| layer.operators.len()).sum()
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
