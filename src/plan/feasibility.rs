//! Which operators can act at a point of a plan.

use super::{Kind, Layer};

/// For each operator of the catalogue, whether it may be drawn for the layer that follows `layers`.
///
/// A layer's operators act on what earlier layers left, so the first layer may hold only operators that need no
/// solution, and stopping before any solution exists is not possible.
pub fn feasible(kinds: &[Kind], layers: &[Layer]) -> Vec<bool> {
    let solved = layers.iter().flat_map(|layer| &layer.operators).any(|id| kinds[id.index()].generates());
    kinds.iter().map(|kind| solved || kind.generates()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::OperatorId;

    #[test]
    fn nothing_acts_on_an_empty_board() {
        let kinds = [Kind::Generate, Kind::Ensemble, Kind::Program, Kind::Refine, Kind::Stop];
        assert_eq!(feasible(&kinds, &[]), [true, false, true, false, false]);
        let first = Layer { operators: vec![OperatorId(0)] };
        assert_eq!(feasible(&kinds, &[first]), [true; 5]);
    }
}
