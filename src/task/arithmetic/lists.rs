//! Lists of numbers: their sum, which only a program gets right, their largest or smallest, and how many lie above or
//! below a bound.

use rand::Rng;

use super::words::{Cast, fill, pick};
use super::working::Operand::{Given, Result};
use super::working::Operation::{Add, CountAbove, CountBelow, Larger, Smaller};
use super::working::{Draft, Operation, Step, Working};

/// Questions about a list of numbers, worked from left to right.
#[derive(Clone, Copy)]
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
pub(super) fn list(forms: &'static [List], count: usize, hard: bool, cast: &Cast, rng: &mut impl Rng) -> Draft {
    let form = pick(forms, rng);
    let (low, high) = form.values;
    let mut numbers: Vec<u32> = Vec::with_capacity(count + 1);
    while numbers.len() <= count {
        // The bound is drawn first, from the middle of the range, so that some numbers lie on each side.
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
        CountAbove | CountBelow => each(&numbers, form.operation, bound),
        operation => running(&numbers, operation),
    };
    let mut draft = Draft::new(question, Working { given: 0, steps });
    if form.operation == Add {
        draft.program = Some(format!("a = {} ; return a", join(&numbers, " + ")));
    }
    draft
}

fn each(numbers: &[u32], operation: Operation, bound: u32) -> Vec<Step> {
    numbers.iter().map(|&number| Step { left: Given(number), operation, right: Given(bound) }).collect()
}

fn running(numbers: &[u32], operation: Operation) -> Vec<Step> {
    let Some((&first, rest)) = numbers.split_first() else { return Vec::new() };
    let lefts = std::iter::once(Given(first)).chain((0..).map(Result));
    lefts.zip(rest).map(|(left, &number)| Step { left, operation, right: Given(number) }).collect()
}

fn join(numbers: &[u32], separator: &str) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(separator)
}

/// `214 , 375 and 408`.
fn enumerate(numbers: &[u32]) -> String {
    match numbers.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", join(rest, " , ")),
        _ => join(numbers, " , "),
    }
}
