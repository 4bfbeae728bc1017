//! Which operators can act at a point of a plan.

use super::{Layer, Signature};

/// For each operator of the catalogue, whether it may be drawn for the layer after `layers`; a plan has at most `most` layers.
///
/// A layer's operators act on what earlier layers left. So the first layer can only have operators that need no solution, and a
/// plan cannot stop before there is a solution. If there is none before the last layer, that layer must answer.
pub fn feasible(signatures: &[Signature], layers: &[Layer], most: usize) -> Vec<bool> {
    let is_last = layers.len() + 1 >= most;
    let may_act: fn(&Signature) -> bool = match is_open(signatures, layers) {
        true => |_| true,
        false if is_last => Signature::opens,
        false => |signature| !signature.needs_solution,
    };
    signatures.iter().map(may_act).collect()
}

/// Whether these layers may have left a solution.
pub fn is_open(signatures: &[Signature], layers: &[Layer]) -> bool {
    layers.iter().flat_map(|layer| &layer.operators).any(|id| signatures[id.index()].opens())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::OperatorId;

    #[test]
    fn nothing_acts_on_an_empty_board() {
        let prepares = Signature { informs: true, uses_tool: true, ..Signature::IDLE };
        let all =
            [Signature::ANSWERS, Signature::VOTES, Signature::COMPUTES, Signature::IMPROVES, Signature::ENDS, prepares];
        let after = |id: u16| feasible(&all, &[Layer { operators: vec![OperatorId(id)] }], 3);
        let without_solution = [true, false, true, false, false, true];
        assert_eq!(feasible(&all, &[], 2), without_solution);
        assert_eq!(feasible(&all, &[], 1), [true, false, true, false, false, false], "somebody must answer");
        assert_eq!(after(0), [true; 6]);
        assert_eq!(after(5), without_solution, "context is no solution");
    }
}
