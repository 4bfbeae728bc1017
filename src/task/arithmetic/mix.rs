//! The mix of kinds: one table says how often each kind occurs and how long its questions are.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::families::{CHAIN, COMPARE, FRACTION, GROUPS, LONG, LONG_MAXIMUM, LONG_REMAINDER, MAXIMUM, RATE, REMAINDER};
use super::lists::{COUNTS, EXTREMES, List, SUMS, list};
use super::products::{SMALL_PRODUCT, product};
use super::short::{COPY, TINY, look_up};
use super::story::{Family, draw_cast, tell};
use super::working::Draft;

/// One kind of question.
pub(super) struct Kind {
    pub name: &'static str,
    /// Share of the questions, in thousandths.
    pub share: u32,
    /// Minimum and maximum number of steps.
    steps: (usize, usize),
    form: Form,
}

/// How the questions of a kind are made.
enum Form {
    /// Told from a family of clauses; no result exceeds the limit.
    Story(&'static Family, u32),
    LookUp,
    Product,
    /// One step from each number of a list to the next.
    Running(&'static [List]),
    /// One step for each number of a list.
    Tally(&'static [List]),
}

/// Each operator has a niche that can be seen from the question: short questions for the direct answer, large numbers
/// for the program, kinds that no program can express for the chain, and long questions, where a chain sometimes errs,
/// for the vote.
pub(super) const MIX: &[Kind] = &[
    kind("copy", 100, (0, 0), Form::Story(&COPY, 199)),
    kind("look-up", 100, (1, 1), Form::LookUp),
    kind("tiny", 120, (1, 1), Form::Story(&TINY, 19)),
    kind("small-product", 40, (1, 1), Form::Story(&SMALL_PRODUCT, 81)),
    kind("large-product", 130, (3, 3), Form::Product),
    kind("large-sum", 120, (3, 5), Form::Running(SUMS)),
    kind("count", 50, (4, 6), Form::Tally(COUNTS)),
    kind("extreme", 40, (2, 4), Form::Running(EXTREMES)),
    kind("remainder", 30, (1, 2), Form::Story(&REMAINDER, 60)),
    kind("maximum", 20, (1, 2), Form::Story(&MAXIMUM, 99)),
    kind("chain", 25, (2, 4), Form::Story(&CHAIN, 149)),
    kind("groups", 25, (2, 4), Form::Story(&GROUPS, 149)),
    kind("rate", 25, (2, 4), Form::Story(&RATE, 149)),
    kind("fraction", 20, (2, 4), Form::Story(&FRACTION, 149)),
    kind("compare", 20, (2, 4), Form::Story(&COMPARE, 149)),
    kind("long", 55, (5, 6), Form::Story(&LONG, 199)),
    kind("long-remainder", 40, (5, 6), Form::Story(&LONG_REMAINDER, 199)),
    kind("long-maximum", 40, (5, 6), Form::Story(&LONG_MAXIMUM, 199)),
];

const fn kind(name: &'static str, share: u32, steps: (usize, usize), form: Form) -> Kind {
    Kind { name, share, steps, form }
}

impl Kind {
    /// Draws a kind according to the shares.
    pub fn draw(rng: &mut impl Rng) -> &'static Kind {
        MIX.choose_weighted(rng, |kind| kind.share).expect("the mix has kinds with shares above zero")
    }

    /// A question of this kind. A hard one has different wordings and, if it takes several steps, one or two more.
    pub fn draft(&self, hard: bool, rng: &mut impl Rng) -> Draft {
        let (fewest, most) = self.steps;
        let extra = if hard && most > 1 { rng.random_range(1..=2) } else { 0 };
        let steps = rng.random_range(fewest..=most) + extra;
        let cast = draw_cast(rng);
        match &self.form {
            Form::Story(family, limit) => tell(family, steps, *limit, hard, &cast, rng),
            Form::LookUp => look_up(hard, &cast, rng),
            Form::Product => product(hard, &cast, rng),
            Form::Running(forms) => list(forms, steps + 1, hard, &cast, rng),
            Form::Tally(forms) => list(forms, steps, hard, &cast, rng),
        }
    }
}
