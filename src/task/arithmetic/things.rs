//! What happens to the things that someone owns, and what is asked about them.

use super::story::Term::{A, B, Last, Now, Number};
use super::story::{Clause, NONE, clause};
use super::working::Operation::{Add, Divide, Multiply, Remainder, Subtract};

pub(super) const HAS: &[Clause] = &[clause(
    (6, 80),
    NONE,
    &[],
    &["{n} has {a} {t}", "{n} starts with {a} {t}", "there are {a} {t} in a bag of {n}", "at the {w} {n} has {a} {t}"],
    &["in the bag {n} has {a} {t}", "{n} goes to the {w} with {a} {t}"],
)];

pub(super) const BOXES: &[Clause] = &[clause(
    (2, 12),
    (2, 12),
    &[(A, Multiply, B)],
    &[
        "{n} has {a} boxes of {b} {t} each",
        "{n} has {a} bags with {b} {t} in each",
        "there are {a} boxes of {n} with {b} {t} in each",
        "{n} fills {a} boxes with {b} {t} each",
    ],
    &["in each of the {a} boxes {n} has {b} {t}", "{n} starts with {a} bags of {b} {t} each"],
)];

pub(super) const CHANGES: &[Clause] = &[
    clause(
        (3, 60),
        NONE,
        &[(Now, Add, A)],
        &[
            "then {n} finds {a} more",
            "{n} buys {a} more {t}",
            "a friend gives {n} {a} more",
            "later {n} gets {a} {t} as a gift",
            "{n} picks up {a} other {t}",
        ],
        &["as a gift {n} gets {a} more", "later a friend picks up {a} more {t} and gives them to {n}"],
    ),
    clause(
        (3, 60),
        NONE,
        &[(Now, Subtract, A)],
        &[
            "then {n} loses {a}",
            "{n} gives {a} {t} to a friend",
            "{n} sells {a} of them",
            "later {a} of the {t} break",
            "a friend takes {a} of them away",
        ],
        &["a friend gets {a} of them", "{a} of the {t} break and {n} takes them away"],
    ),
];

pub(super) const SCALES: &[Clause] = &[
    clause(
        (2, 4),
        NONE,
        &[(Now, Multiply, A)],
        &[
            "by the next day {n} has {times} as many",
            "after a week there are {times} as many {t}",
            "then {n} comes to have {times} as many",
            "soon the {t} become {times} as many",
        ],
        &["a week later {n} has {times} as many {t}", "the next day there are {times} as many"],
    ),
    clause(
        NONE,
        NONE,
        &[(Now, Divide, Number(2))],
        &[
            "then {n} gives half of them away",
            "{n} sells half of the {t}",
            "half of the {t} get lost",
            "{n} leaves half of them at the {w}",
        ],
        &["a friend takes half of the {t}", "then half of them break"],
    ),
];

pub(super) const PACKS: &[Clause] = &[
    clause(
        (2, 9),
        (2, 9),
        &[(A, Multiply, B), (Now, Add, Last)],
        &[
            "{n} buys {a} packs of {b} {t} each",
            "then {n} opens {a} packs with {b} more in each",
            "a friend brings {a} packs of {b} {t}",
            "later {n} gets {a} bags of {b} {t} each",
        ],
        &["{n} picks up {a} packs with {b} {t} in each", "as a gift {n} gets {a} bags with {b} more in each"],
    ),
    clause(
        (2, 9),
        (2, 9),
        &[(A, Multiply, B), (Now, Subtract, Last)],
        &[
            "{n} sells {a} packs of {b} {t} each",
            "then {n} gives {b} {t} to each of {a} friends",
            "{a} friends take {b} of them each",
            "{n} sends {a} packs with {b} in each to a friend",
        ],
        &["each of {a} friends gets {b} of them", "later {n} sells {a} bags with {b} {t} in each"],
    ),
];

const PERCENT: &[&str] = &[
    "{n} sells {a} percent of the {t}",
    "then {n} gives {a} percent of them away",
    "{a} percent of the {t} break",
    "later {n} loses {a} percent of them",
];
const HARD_PERCENT: &[&str] = &["a friend gets {a} percent of the {t}", "{n} takes {a} percent of them away"];

pub(super) const FRACTIONS: &[Clause] = &[
    clause(
        (3, 5),
        NONE,
        &[(Now, Divide, A), (Now, Subtract, Last)],
        &[
            "{n} gives a {part} of them to a friend",
            "then {n} sells a {part} of the {t}",
            "a {part} of the {t} get lost",
            "{n} leaves a {part} of them at the {w}",
        ],
        &["a friend takes a {part} of the {t}", "later a {part} of them break"],
    ),
    clause((10, 10), NONE, &[(Now, Divide, Number(10)), (Now, Subtract, Last)], PERCENT, HARD_PERCENT),
    clause((20, 20), NONE, &[(Now, Divide, Number(5)), (Now, Subtract, Last)], PERCENT, HARD_PERCENT),
    clause((25, 25), NONE, &[(Now, Divide, Number(4)), (Now, Subtract, Last)], PERCENT, HARD_PERCENT),
    clause((50, 50), NONE, &[(Now, Divide, Number(2)), (Now, Subtract, Last)], PERCENT, HARD_PERCENT),
];

pub(super) const FINISHES: &[Clause] = &[
    clause(
        NONE,
        NONE,
        &[],
        &[
            "how many {t} does {n} have now ?",
            "how many {t} are there in the end ?",
            "how many {t} does {n} have in the end ?",
            "what is the number of {t} now ?",
        ],
        &["in the end how many {t} does {n} have ?", "what number of {t} does {n} have now ?"],
    ),
    clause(
        (20, 199),
        NONE,
        &[(A, Subtract, Now)],
        &[
            "how many more {t} does {n} need to have {a} ?",
            "{n} wants {a} {t} . how many are missing ?",
            "how many {t} are missing to make {a} ?",
            "{n} needs {a} {t} . how many more must {n} get ?",
        ],
        &["to have {a} {t} how many more must {n} get ?", "{n} wants to have {a} . how many more {t} does {n} need ?"],
    ),
    clause(
        (2, 9),
        NONE,
        &[(Now, Divide, A)],
        &[
            "{n} shares them equally among {a} friends . how many {t} does each friend get ?",
            "how many {t} go in each of {a} equal boxes ?",
            "{a} friends share the {t} equally . how many {t} for each ?",
            "{n} makes {a} equal groups . how many {t} are in each group ?",
        ],
        &[
            "how many {t} does each of {a} friends get in equal groups ?",
            "in each of {a} equal groups how many {t} are there ?",
        ],
    ),
    clause(
        (2, 9),
        NONE,
        &[(Now, Multiply, A)],
        &[
            "{n} sells all of them for {a} dollars each . how many dollars does {n} get ?",
            "each one costs {a} dollars . how many dollars are all the {t} worth ?",
            "how many dollars does {n} get for all {t} at {a} dollars each ?",
            "one of the {t} is worth {a} dollars . how many dollars are they worth together ?",
        ],
        &[
            "at {a} dollars each how many dollars are all the {t} worth ?",
            "a friend pays {a} dollars for each one . how many dollars is that for all {t} ?",
        ],
    ),
];

pub(super) const LEFTOVERS: &[Clause] = &[clause(
    (3, 9),
    NONE,
    &[(Now, Remainder, A)],
    &[
        "{n} shares them equally among {a} children . how many {t} are left over ?",
        "{n} packs full trays of {a} . how many {t} are left over ?",
        "how many {t} remain when {a} children share them equally ?",
        "{n} puts them in rows of {a} . how many {t} remain ?",
        "{n} makes teams of {a} {t} . how many do not fit ?",
    ],
    &[
        "{a} children share them equally . how many are left over ?",
        "in full trays of {a} {t} how many are left over ?",
    ],
)];
