//! Plans: which operators run, layer by layer. Plain data: no input or output, no tensors.

mod critical_path;
mod feasibility;
mod latency;
mod schedule;
mod signature;
mod small;
mod trace;

pub use critical_path::{Cause, CriticalPath, critical_path};
pub use feasibility::feasible;
pub use latency::{Latency, Unit};
pub use schedule::{Dependencies, Prepared, Schedule};
pub use signature::Signature;
pub use small::{Layout, generators, improvers, small_plans};
pub use trace::{Span, Status, Trace, Usage};

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

/// What an operator does to the solutions found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Answers the query by itself, once or several times in parallel; adds that many solutions.
    Generate,
    /// Replaces all solutions by the most consistent one.
    Ensemble,
    /// Writes a program and runs it; adds one solution.
    Program,
    /// Tests the current solution and repairs it while the tests fail; adds one solution.
    Test,
    /// Improves the current solution; adds one solution.
    Refine,
    /// Ends the plan after its layer.
    Stop,
}

impl Kind {
    /// Whether the operator has nothing to act on before some solution exists.
    pub fn needs_solution(self) -> bool {
        matches!(self, Kind::Ensemble | Kind::Test | Kind::Refine)
    }

    /// Whether the operator puts a solution on an empty board.
    pub fn generates(self) -> bool {
        matches!(self, Kind::Generate | Kind::Program)
    }
}

/// Operators that run side by side, in the order in which they were chosen; none twice.
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

    /// Every chosen operator with its layer, in the one order that spans, log-probabilities and utilities share.
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
