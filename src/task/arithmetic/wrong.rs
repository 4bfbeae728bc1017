//! Plausible wrong candidates for a problem, to train the refine mode on: a wrong operation, a misread operand, a digit
//! slip that is carried on, a missing step.

use rand::Rng;

use super::working::Operand::{self, Given, Result};
use super::working::Operation::{Add, CountAbove, CountBelow, Divide, Larger, Multiply, Remainder, Smaller, Subtract};
use super::working::{LARGEST_RESULT, Operation, Working};

const FEWEST: usize = 2;
const MOST: usize = 3;
const ATTEMPTS: usize = 12;

/// Two or three different chains that end in a number other than `answer`.
pub(super) fn wrong_chains(working: &Working, answer: u32, rng: &mut impl Rng) -> Vec<String> {
    let mut chains: Vec<String> = Vec::with_capacity(MOST);
    let mut keep = |(wrong, chain): (u32, String), most| {
        if wrong != answer && wrong <= LARGEST_RESULT && chains.len() < most && !chains.contains(&chain) {
            chains.push(chain);
        }
        chains.len() >= most
    };
    for _ in 0..ATTEMPTS {
        if distort(working, rng).is_some_and(|candidate| keep(candidate, MOST)) {
            break;
        }
    }
    // A slip in the answer alone is certain to be wrong.
    while !keep(slip_at_end(working, rng), FEWEST) {}
    chains
}

/// The answer and the chain of one distorted working; `None` if the distortion does not fit.
fn distort(working: &Working, rng: &mut impl Rng) -> Option<(u32, String)> {
    if working.steps.is_empty() {
        return Some(slip_at_end(working, rng));
    }
    let index = rng.random_range(0..working.steps.len());
    let mut distorted = working.clone();
    let mut slip = None;
    match rng.random_range(0..4) {
        0 => {
            let step = distorted.steps.get_mut(index)?;
            step.operation = mistaken(step.operation);
        }
        1 => {
            let step = distorted.steps.get_mut(index)?;
            let operand = if rng.random_bool(0.5) { &mut step.left } else { &mut step.right };
            let Given(number) = *operand else { return None };
            *operand = Given(misread(number, rng));
        }
        2 => slip = Some((index, misread(*working.results(None)?.get(index)?, rng))),
        _ => skip(&mut distorted, index)?,
    }
    let results = distorted.results(slip).filter(|results| results.iter().all(|result| *result <= LARGEST_RESULT))?;
    Some((distorted.answer(&results), distorted.chain(&results)))
}

/// The right working with a slip in its last number.
fn slip_at_end(working: &Working, rng: &mut impl Rng) -> (u32, String) {
    let Some(mut results) = working.results(None).filter(|results| !results.is_empty()) else {
        let wrong = misread(working.given, rng);
        return (wrong, format!("the answer is {wrong}"));
    };
    if let Some(last) = results.last_mut() {
        *last = misread(*last, rng);
    }
    (working.answer(&results), working.chain(&results))
}

fn mistaken(operation: Operation) -> Operation {
    match operation {
        Add | Divide => Subtract,
        Subtract | Multiply => Add,
        Remainder => Divide,
        Larger => Smaller,
        Smaller => Larger,
        CountAbove => CountBelow,
        CountBelow => CountAbove,
    }
}

/// The number with one digit moved by one or two, or with two neighbouring digits swapped; never the number itself.
fn misread(number: u32, rng: &mut impl Rng) -> u32 {
    if number >= 10 && rng.random_bool(0.2) {
        let swapped = number / 100 * 100 + number % 10 * 10 + number / 10 % 10;
        if swapped != number {
            return swapped;
        }
    }
    let places = number.checked_ilog10().unwrap_or(0);
    let shift = 10u32.pow(rng.random_range(0..=places)) * rng.random_range(1..=2);
    if number >= shift && rng.random_bool(0.5) { number - shift } else { number + shift }
}

/// Leaves one step out. Steps that used its result use its first operand instead.
fn skip(working: &mut Working, index: usize) -> Option<()> {
    if working.steps.len() < 2 {
        return None;
    }
    let removed = working.steps.remove(index);
    for step in working.steps.iter_mut().skip(index) {
        for operand in [&mut step.left, &mut step.right] {
            *operand = match *operand {
                Result(at) if at == index => removed.left,
                Result(at) if at > index => Operand::Result(at - 1),
                kept => kept,
            };
        }
    }
    Some(())
}
