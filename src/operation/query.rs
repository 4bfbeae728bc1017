//! What all operators of a query share.

use super::backing::Backing;
use super::catalogue::Catalogue;
use super::identity::Identity;
use super::task::Task;
use super::traces::QueryTraces;
use crate::plan::{OperatorId, Signature};

/// What all operators of a query share.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// What they work on.
    pub task: Task<'a>,
    pub catalogue: &'a Catalogue,
    /// One for each operator of the catalogue.
    pub identities: &'a [Identity],
    /// Operators that take a different number of samples than the catalogue says.
    pub samples: &'a [(OperatorId, u32)],
    /// One for each operator of the catalogue.
    pub backings: &'a [Backing],
    /// Outputs recorded earlier, which take the place of the model.
    pub recorded: Option<&'a QueryTraces>,
}

impl Query<'_> {
    /// What schedules need to know about each operator.
    pub fn signatures(&self) -> Vec<Signature> {
        let mut signatures = self.catalogue.signatures();
        for (id, samples) in self.samples {
            if let Some(signature) = signatures.get_mut(id.index()) {
                signature.solutions = *samples as usize;
            }
        }
        signatures
    }
}
