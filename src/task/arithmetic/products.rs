//! Products: large ones that only a program gets right, and small ones in the same words.

use rand::Rng;

use super::story::Term::{A, B};
use super::story::{Clause, Family, clause};
use super::words::{Cast, fill, pick};
use super::working::Operand::{Given, Result};
use super::working::Operation::{Add, Multiply};
use super::working::{Draft, LARGEST_RESULT, Step, Working};

/// Products of small numbers, which a model answers at once, in the same words as large ones.
pub(super) const SMALL_PRODUCT: Family = Family { openings: &[SMALL_PRODUCTS], events: &[], questions: &[] };

const SMALL_PRODUCTS: &[Clause] =
    &[clause((2, 9), (2, 9), &[(A, Multiply, B)], PRODUCT_WORDINGS, HARD_PRODUCT_WORDINGS)];

/// The words of a product, large or small; only the numbers show which.
const PRODUCT_WORDINGS: &[&str] = &[
    "a hall has {a} rows of {b} seats . how many seats are in the hall ?",
    "each of {b} trucks carries {a} crates . how many crates do the trucks carry ?",
    "a factory makes {a} {t} each day . how many {t} does the factory make in {b} days ?",
    "one ticket costs {a} cents . how many cents do {b} tickets cost ?",
    "a machine prints {a} pages each hour . how many pages does it print in {b} hours ?",
];

const HARD_PRODUCT_WORDINGS: &[&str] = &[
    "the hall has {b} rows . each of the rows has {a} seats . how many seats is that ?",
    "in one day a factory makes {a} crates . how many crates is that in {b} days ?",
];

/// A product of a three-digit number and a number of one or two digits, worked in partial products, with its program.
pub(super) fn product(hard: bool, cast: &Cast, rng: &mut impl Rng) -> Draft {
    let (large, small) = loop {
        let large = rng.random_range(101..=899u32);
        let small = if rng.random_bool(0.25) { rng.random_range(3..=9u32) } else { rng.random_range(12..=59) };
        if large * small <= LARGEST_RESULT && large % 10 != 0 && small % 10 != 0 {
            break (large, small);
        }
    };
    let wordings = if hard { HARD_PRODUCT_WORDINGS } else { PRODUCT_WORDINGS };
    let mut question = String::new();
    fill(pick(wordings, rng), &mut question, |placeholder, text| match placeholder {
        "a" => text.push_str(&large.to_string()),
        "b" => text.push_str(&small.to_string()),
        _ => text.push_str(cast.thing),
    });
    let parts = if small < 10 {
        [(large / 100 * 100, small), (large % 100, small)]
    } else {
        [(large, small / 10 * 10), (large, small % 10)]
    };
    let mut steps: Vec<Step> =
        parts.map(|(left, right)| Step { left: Given(left), operation: Multiply, right: Given(right) }).into();
    steps.push(Step { left: Result(0), operation: Add, right: Result(1) });
    let program = format!("a = {large} * {small} ; return a");
    Draft { question, working: Working { given: 0, steps }, program: Some(program) }
}
