//! What schedules must know of an operator.

use super::Kind;

/// What an operator reads and what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    pub kind: Kind,
    /// Whether it reads the solutions of earlier layers, or else the question alone.
    pub reads_solutions: bool,
    /// Whether it asks a model. An ensemble that does not is a plain vote.
    pub asks_model: bool,
    /// Whether what it reads determines what it leaves.
    pub is_deterministic: bool,
    /// Most solutions that it adds.
    pub solutions: usize,
}

impl Signature {
    /// That of an operator of this kind that takes one sample and has nothing unusual in its prompt.
    pub fn of(kind: Kind) -> Self {
        Signature {
            kind,
            // A stop reads nothing, but it comes after what it ends.
            reads_solutions: !kind.generates(),
            asks_model: !matches!(kind, Kind::Ensemble | Kind::Stop),
            is_deterministic: matches!(kind, Kind::Ensemble | Kind::Stop),
            solutions: usize::from(!matches!(kind, Kind::Ensemble | Kind::Stop)),
        }
    }
}
