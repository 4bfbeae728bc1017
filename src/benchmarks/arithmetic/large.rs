//! Numbers too large for a chain of thought: products and sums that only a program gets right. And lists: sums of them,
//! the largest or smallest of them, how many of them pass a bound.

use rand::Rng;

use super::short::{HARD_PRODUCT_WORDINGS, PRODUCT_WORDINGS};
use super::words::{Cast, fill, pick};
use super::working::Operand::{Given, Result};
use super::working::Operation::{Add, CountAbove, CountBelow, Larger, Multiply, Smaller};
use super::working::{Operation, Step, Working};

/// No number in any solution is larger.
pub(super) const LARGEST_RESULT: u32 = 9999;

/// A product of a number of three digits and one of one or two, worked in partial products; and its program.
pub(super) fn product(hard: bool, cast: &Cast, rng: &mut impl Rng) -> (String, Working, String) {
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
    (question, Working { given: 0, steps }, format!("a = {large} * {small} ; return a"))
}

/// Questions about a list of numbers, worked from left to right.
pub(super) struct List {
    operation: Operation,
    /// Range of the numbers listed.
    values: (u32, u32),
    /// Placeholders: `{list}`, `{k}` how many, `{a}` the bound, `{n}` a name, `{t}` a thing, `{w}` a place.
    wordings: &'static [&'static str],
    /// Wordings of the hard split, used nowhere else.
    hard: &'static [&'static str],
}

pub(super) const SUMS: &[List] = &[List {
    operation: Add,
    values: (101, 999),
    wordings: &[
        "the books have {list} pages . how many pages are in all {k} books ?",
        "in {k} days a factory makes {list} {t} . how many {t} does it make in all ?",
        "{k} towns have {list} people . how many people live there in all ?",
        "the {k} trucks carry {list} crates . what is the total of all crates ?",
        "{n} adds {list} . what is the total ?",
    ],
    hard: &["what is the total of {list} ?", "how many pages are {list} pages in all ?"],
}];

pub(super) const COUNTS: &[List] = &[
    List {
        operation: CountAbove,
        values: (2, 60),
        wordings: &[
            "the scores are {list} . how many scores are above {a} ?",
            "the bags weigh {list} pounds . how many bags weigh more than {a} pounds ?",
            "how many of the numbers {list} are above {a} ?",
            "players have {list} points . how many players have more than {a} points ?",
        ],
        hard: &[
            "of the scores {list} how many are more than {a} ?",
            "{n} has the numbers {list} . how many are above {a} ?",
        ],
    },
    List {
        operation: CountBelow,
        values: (2, 60),
        wordings: &[
            "the scores are {list} . how many scores are below {a} ?",
            "the bags weigh {list} pounds . how many bags weigh less than {a} pounds ?",
            "how many of the numbers {list} are below {a} ?",
            "players have {list} points . how many players have less than {a} points ?",
        ],
        hard: &[
            "of the scores {list} how many are less than {a} ?",
            "{n} has the numbers {list} . how many are below {a} ?",
        ],
    },
];

pub(super) const EXTREMES: &[List] = &[
    List {
        operation: Larger,
        values: (2, 99),
        wordings: &[
            "the scores are {list} . what is the highest score ?",
            "the bags weigh {list} pounds . how many pounds is the heaviest bag ?",
            "which of the numbers {list} is the largest ?",
            "players have {list} points . how many points does the best player have ?",
        ],
        hard: &["what is the largest of the scores {list} ?", "of the points {list} which is the highest ?"],
    },
    List {
        operation: Smaller,
        values: (2, 99),
        wordings: &[
            "the scores are {list} . what is the lowest score ?",
            "the bags weigh {list} pounds . how many pounds is the lightest bag ?",
            "which of the numbers {list} is the smallest ?",
            "players have {list} points . how many points does the weakest player have ?",
        ],
        hard: &["what is the smallest of the scores {list} ?", "of the points {list} which is the lowest ?"],
    },
];

/// A question about `count` numbers that differ from each other and from the bound.
pub(super) fn list(
    forms: &'static [List],
    count: usize,
    hard: bool,
    cast: &Cast,
    rng: &mut impl Rng,
) -> (String, Working) {
    let form = &forms[rng.random_range(0..forms.len())];
    let (low, high) = form.values;
    let mut numbers: Vec<u32> = Vec::with_capacity(count + 1);
    while numbers.len() <= count {
        // The bound is drawn first and from the middle, so that some numbers lie on each side.
        let margin = if numbers.is_empty() { (high - low) / 4 } else { 0 };
        let number = rng.random_range(low + margin..=high - margin);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let bound = numbers.remove(0);
    let mut question = String::new();
    fill(
        pick(if hard { form.hard } else { form.wordings }, rng),
        &mut question,
        |placeholder, text| match placeholder {
            "list" => text.push_str(&enumerate(&numbers)),
            "a" => text.push_str(&bound.to_string()),
            "k" => text.push_str(&count.to_string()),
            "n" => text.push_str(cast.person(0)),
            "t" => text.push_str(cast.thing),
            _ => text.push_str(cast.place),
        },
    );
    let steps = match form.operation {
        CountAbove | CountBelow => numbers
            .iter()
            .map(|&number| Step { left: Given(number), operation: form.operation, right: Given(bound) })
            .collect(),
        operation => running(&numbers, operation),
    };
    (question, Working { given: 0, steps })
}

/// `a = 214 + 375 + 408 ; return a`, the one-line program of the sum of the numbers that `working` adds.
pub(super) fn sum_program(working: &Working) -> String {
    let given = |operand| if let Given(number) = operand { Some(number.to_string()) } else { None };
    let numbers: Vec<String> =
        working.steps.iter().flat_map(|step| [step.left, step.right]).filter_map(given).collect();
    format!("a = {} ; return a", numbers.join(" + "))
}

fn running(numbers: &[u32], operation: Operation) -> Vec<Step> {
    let rest = numbers.iter().skip(1).enumerate();
    rest.map(|(index, &number)| {
        let left = index.checked_sub(1).map_or(Given(numbers[0]), Result);
        Step { left, operation, right: Given(number) }
    })
    .collect()
}

/// `214 , 375 and 408`.
fn enumerate(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(" , ")),
        _ => words.join(" , "),
    }
}
