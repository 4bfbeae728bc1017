//! Questions of at most one step, which a model answers at once: copying, tiny sums and differences, look-up.

use rand::Rng;

use super::story::Family;
use super::story::Term::{A, B};
use super::story::{Clause, NONE, clause};
use super::words::{Cast, fill, pick};
use super::working::Operation::{Add, Multiply, Subtract};
use super::working::{Draft, Operand, Step, Working};

pub(super) const COPY: Family = Family { openings: &[COPIES], events: &[], questions: &[] };
pub(super) const TINY: Family = Family { openings: &[TINY_SUMS, TINY_DIFFERENCES], events: &[], questions: &[] };

const COPIES: &[Clause] = &[
    clause(
        (2, 199),
        NONE,
        &[],
        &[
            "{n} has {a} {t} and goes to the {w} . how many {t} does {n} have ?",
            "{n} takes {a} {t} to the {w} . how many {t} does {n} take ?",
            "at the {w} {n} keeps {a} {t} . how many {t} does {n} keep ?",
            "{n} walks to the {w} with {a} {t} . how many {t} does {n} have ?",
            "{n} looks at {a} {t} at the {w} . how many {t} does {n} see ?",
        ],
        &[
            "{n} goes to the {w} with {a} {t} . how many {t} is that ?",
            "how many {t} does {n} have with {a} {t} at the {w} ?",
        ],
    ),
    clause(
        (2, 199),
        (2, 99),
        &[],
        &[
            "{n} keeps {a} {t} and {q} keeps {b} {u} . how many {t} does {n} keep ?",
            "{n} takes {a} {t} and {b} {u} to the {w} . how many {t} does {n} take ?",
            "{q} likes {b} {u} and {n} likes {a} {t} . how many {t} does {n} like ?",
            "there are {b} {u} and {a} {t} at the {w} . how many {t} does {n} see ?",
        ],
        &[
            "{n} walks to the {w} with {b} {u} and {a} {t} . how many {t} is that ?",
            "{q} has {b} {u} and {n} has {a} {t} . how many of the {t} does {n} have ?",
        ],
    ),
];

const TINY_SUMS: &[Clause] = &[clause(
    (2, 10),
    (1, 9),
    &[(A, Add, B)],
    &[
        "{n} has {a} {t} and finds {b} more . how many {t} does {n} have now ?",
        "{n} has {a} {t} and {q} has {b} . how many {t} do they have together ?",
        "{a} {t} are on the table and {n} puts {b} more there . how many {t} are on the table ?",
        "{n} eats {a} {t} and then {b} more . how many {t} does {n} eat ?",
        "{q} gives {b} {t} to {n} who had {a} . how many {t} does {n} have now ?",
    ],
    &[
        "{n} finds {a} {t} and then finds {b} more . now how many {t} are there ?",
        "{a} {t} and {b} more are on the table . how many {t} is that ?",
    ],
)];

const TINY_DIFFERENCES: &[Clause] = &[clause(
    (3, 19),
    (1, 9),
    &[(A, Subtract, B)],
    &[
        "{n} has {a} {t} and loses {b} . how many {t} does {n} have now ?",
        "{a} {t} are on the table and {n} eats {b} . how many {t} are on the table ?",
        "{n} has {a} {t} and gives {b} to {q} . how many {t} does {n} keep ?",
        "of {a} {t} {n} takes {b} away . how many {t} are there now ?",
    ],
    &[
        "{n} loses {b} of {a} {t} . how many of the {t} does {n} keep ?",
        "{n} had {a} {t} and eats {b} . now how many {t} are there ?",
    ],
)];

/// Who or what has how many of which part.
const PARTS: [(&str, &str, u32); 14] = [
    ("spiders", "legs", 8),
    ("cats", "legs", 4),
    ("dogs", "legs", 4),
    ("birds", "legs", 2),
    ("bees", "legs", 6),
    ("bees", "wings", 4),
    ("birds", "wings", 2),
    ("cars", "wheels", 4),
    ("bikes", "wheels", 2),
    ("hands", "fingers", 5),
    ("weeks", "days", 7),
    ("dimes", "cents", 10),
    ("nickels", "cents", 5),
    ("triangles", "sides", 3),
];

const LOOK_UPS: &[&str] = &[
    "how many {part} do {a} {whole} have ?",
    "{n} thinks of {a} {whole} . how many {part} is that ?",
    "{n} counts {a} {whole} . how many {part} are there ?",
    "how many {part} are in {a} {whole} ?",
    "{n} asks {q} how many {part} {a} {whole} have ?",
];

const HARD_LOOK_UPS: &[&str] =
    &["there are {a} {whole} . {n} counts the {part} . how many is that ?", "{a} {whole} have how many {part} ?"];

/// A question whose second factor is only known from common knowledge.
pub(super) fn look_up(hard: bool, cast: &Cast, rng: &mut impl Rng) -> Draft {
    let (whole, part, each) = pick(&PARTS, rng);
    let count = rng.random_range(2..=9u32);
    let mut question = String::new();
    fill(
        pick(if hard { HARD_LOOK_UPS } else { LOOK_UPS }, rng),
        &mut question,
        |placeholder, text| match placeholder {
            "part" => text.push_str(part),
            "whole" => text.push_str(whole),
            "n" => text.push_str(cast.person(0)),
            "q" => text.push_str(cast.person(1)),
            _ => text.push_str(&count.to_string()),
        },
    );
    let step = Step { left: Operand::Given(count), operation: Multiply, right: Operand::Given(each) };
    Draft::new(question, Working { given: 0, steps: vec![step] })
}
