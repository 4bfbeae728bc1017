//! Limits the work of one comparison.

use std::cell::Cell;

use super::exact::Value;

/// Work left for one comparison, counted in operations on machine words, so that no comparison takes long.
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(Cell::new(1_000_000))
    }

    /// `None` once the budget is spent.
    pub(super) fn spend(&self, cost: u64) -> Option<()> {
        self.0.set(self.0.get().checked_sub(cost.max(1))?);
        Some(())
    }

    pub(super) fn multiply(&self, left: &Value, right: &Value) -> Option<Value> {
        self.spend(left.size() * right.size())?;
        left.times(right)
    }

    pub(super) fn add(&self, left: &Value, right: &Value) -> Option<Value> {
        self.spend(left.size() * right.size())?;
        left.plus(right)
    }

    pub(super) fn invert(&self, value: &Value) -> Option<Value> {
        self.spend(8 * value.size())?;
        value.inverse()
    }
}
