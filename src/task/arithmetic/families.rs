//! Stories of several steps: which clauses make up the stories of each kind.

use super::money::{MONEY, MONEY_FINISHES, WAGES};
use super::people::{COMPARISONS, MAXIMA, RELATIONS};
use super::story::{Clause, Family};
use super::things::{BOXES, CHANGES, FINISHES, FRACTIONS, HAS, LEFTOVERS, PACKS, SCALES};

pub(super) const CHAIN: Family = Family { openings: &[HAS], events: &[CHANGES, SCALES], questions: &[FINISHES] };
pub(super) const GROUPS: Family =
    Family { openings: &[HAS, BOXES], events: &[PACKS, CHANGES, SCALES], questions: &[FINISHES] };
pub(super) const RATE: Family = Family { openings: &[WAGES], events: &[MONEY], questions: &[MONEY_FINISHES] };
pub(super) const FRACTION: Family = Family { openings: &[HAS], events: &[FRACTIONS, CHANGES], questions: &[FINISHES] };
pub(super) const COMPARE: Family = Family { openings: &[HAS], events: &[RELATIONS], questions: &[COMPARISONS] };
pub(super) const REMAINDER: Family = Family { openings: &[HAS, BOXES], events: &[CHANGES], questions: &[LEFTOVERS] };
pub(super) const MAXIMUM: Family = Family { openings: &[HAS, BOXES], events: &[CHANGES], questions: &[MAXIMA] };

const LONG_OPENINGS: &[&[Clause]] = &[HAS, BOXES];
const LONG_EVENTS: &[&[Clause]] = &[CHANGES, SCALES, PACKS, CHANGES, FRACTIONS];
pub(super) const LONG: Family = Family { openings: LONG_OPENINGS, events: LONG_EVENTS, questions: &[FINISHES] };
pub(super) const LONG_REMAINDER: Family =
    Family { openings: LONG_OPENINGS, events: LONG_EVENTS, questions: &[LEFTOVERS] };
pub(super) const LONG_MAXIMUM: Family = Family { openings: LONG_OPENINGS, events: LONG_EVENTS, questions: &[MAXIMA] };
