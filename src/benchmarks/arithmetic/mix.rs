//! The mix of kinds, in the one table that says how often each occurs and how long it is.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::large::{COUNTS, EXTREMES, List, SUMS, list, product, sum_program};
use super::short::{CONTROL, COPY, TINY, look_up};
use super::stories::{CHAIN, COMPARE, FRACTION, GROUPS, LONG, LONG_MAXIMUM, LONG_REMAINDER, MAXIMUM, RATE, REMAINDER};
use super::story::{Family, draw_cast, tell};
use super::working::Working;

/// One kind of question.
pub(super) struct Kind {
    pub name: &'static str,
    /// Share of the questions, in thousandths.
    pub share: u32,
    /// Fewest and most steps (of a list: one less than its length where a total runs along, else its length).
    steps: (usize, usize),
    form: Form,
}

/// How questions of a kind are made.
enum Form {
    /// Told from a family of clauses; no result is above the limit.
    Story(&'static Family, u32),
    LookUp,
    Product,
    /// Sums of large numbers, for which the program is one line.
    Sum(&'static [List]),
    List(&'static [List]),
}

/// A question and its solutions, before it is known whether the split wants it.
pub(super) struct Draft {
    pub question: String,
    pub working: Working,
    pub program: Option<String>,
}

/// Each operator has a niche that the question shows: short questions for the direct answer, large numbers for the
/// program, kinds no program can express for the chain, and long ones, where a chain errs now and then, for the vote.
pub(super) const MIX: &[Kind] = &[
    kind("copy", 110, (0, 0), Form::Story(&COPY, 199)),
    kind("look-up", 110, (1, 1), Form::LookUp),
    kind("tiny", 130, (1, 1), Form::Story(&TINY, 19)),
    kind("small-product", 40, (1, 1), Form::Story(&CONTROL, 81)),
    kind("large-product", 60, (3, 3), Form::Product),
    kind("large-sum", 60, (3, 5), Form::Sum(SUMS)),
    kind("count", 70, (4, 6), Form::List(COUNTS)),
    kind("extreme", 60, (3, 5), Form::List(EXTREMES)),
    kind("remainder", 40, (1, 2), Form::Story(&REMAINDER, 60)),
    kind("maximum", 30, (1, 2), Form::Story(&MAXIMUM, 99)),
    kind("chain", 30, (2, 4), Form::Story(&CHAIN, 149)),
    kind("groups", 30, (2, 4), Form::Story(&GROUPS, 149)),
    kind("rate", 30, (2, 4), Form::Story(&RATE, 149)),
    kind("fraction", 25, (2, 4), Form::Story(&FRACTION, 149)),
    kind("compare", 25, (2, 4), Form::Story(&COMPARE, 149)),
    kind("long", 75, (5, 6), Form::Story(&LONG, 199)),
    kind("long-remainder", 40, (5, 6), Form::Story(&LONG_REMAINDER, 199)),
    kind("long-maximum", 35, (5, 6), Form::Story(&LONG_MAXIMUM, 199)),
];

const fn kind(name: &'static str, share: u32, steps: (usize, usize), form: Form) -> Kind {
    Kind { name, share, steps, form }
}

impl Kind {
    /// A kind drawn by its share.
    pub fn draw(rng: &mut impl Rng) -> &'static Kind {
        MIX.choose_weighted(rng, |kind| kind.share).expect("the mix has kinds with shares above zero")
    }

    /// A question of this kind; a hard one has other wordings and, where it takes several steps, one or two more.
    pub fn draft(&self, hard: bool, rng: &mut impl Rng) -> Draft {
        let (fewest, most) = self.steps;
        let extra = if hard && most > 1 { rng.random_range(1..=2) } else { 0 };
        let steps = rng.random_range(fewest..=most) + extra;
        let cast = draw_cast(rng);
        let (question, working, program) = match &self.form {
            Form::Story(family, limit) => from_steps(tell(family, steps, *limit, hard, &cast, rng)),
            Form::LookUp => from_steps(look_up(hard, &cast, rng)),
            Form::Product => {
                let (question, working, program) = product(hard, &cast, rng);
                (question, working, Some(program))
            }
            Form::Sum(forms) => {
                let (question, working) = list(forms, steps + 1, hard, &cast, rng);
                let program = sum_program(&working);
                (question, working, Some(program))
            }
            Form::List(forms) => from_steps(list(forms, steps, hard, &cast, rng)),
        };
        Draft { question, working, program }
    }
}

fn from_steps((question, working): (String, Working)) -> (String, Working, Option<String>) {
    let program = working.program();
    (question, working, program)
}
