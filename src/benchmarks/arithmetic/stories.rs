//! Stories of several steps: the clauses and the families made of them.

use super::story::Term::{A, B, First, Last, Now, Number};
use super::story::{Clause, Family, NONE, clause};
use super::working::Operation::{Add, Divide, Larger, Multiply, Remainder, Subtract};

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

const HAS: &[Clause] = &[clause(
    (6, 80),
    NONE,
    &[],
    &["{n} has {a} {t}", "{n} starts with {a} {t}", "there are {a} {t} in a bag of {n}", "at the {w} {n} has {a} {t}"],
    &["in the bag {n} has {a} {t}", "{n} goes to the {w} with {a} {t}"],
)];

const BOXES: &[Clause] = &[clause(
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

const CHANGES: &[Clause] = &[
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

const SCALES: &[Clause] = &[
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

const PACKS: &[Clause] = &[
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

const FRACTIONS: &[Clause] = &[
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

const FINISHES: &[Clause] = &[
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

const WAGES: &[Clause] = &[clause(
    (2, 12),
    (2, 10),
    &[(A, Multiply, B)],
    &[
        "{n} earns {a} dollars an hour and works {b} hours",
        "a job pays {a} dollars an hour and {n} works for {b} hours",
        "{n} works {b} hours at {a} dollars an hour",
        "for {b} hours {n} works and earns {a} dollars each hour",
    ],
    &[
        "each hour of a job pays {a} dollars and {n} works {b} of them",
        "{n} works at a job for {b} hours and earns {a} dollars an hour",
    ],
)];

const MONEY: &[Clause] = &[
    clause(
        (2, 60),
        NONE,
        &[(Now, Subtract, A)],
        &[
            "{n} spends {a} dollars on {t}",
            "then {n} pays {a} dollars for lunch",
            "{n} gives {a} dollars to a friend",
            "a bus ticket costs {n} {a} dollars",
        ],
        &["for lunch {n} spends {a} dollars", "{n} pays {a} dollars for the bus"],
    ),
    clause(
        (2, 60),
        NONE,
        &[(Now, Add, A)],
        &[
            "then {n} gets {a} dollars from a friend",
            "{n} saved {a} dollars before",
            "{n} gets {a} dollars more as a gift",
            "later {n} sells {t} for {a} dollars",
        ],
        &["a friend pays {n} {a} dollars more", "as a gift {n} gets {a} more dollars"],
    ),
    clause(
        (2, 12),
        (2, 9),
        &[(A, Multiply, B), (Now, Add, Last)],
        &[
            "then {n} works {b} more hours at {a} dollars an hour",
            "another job pays {a} dollars an hour for {b} hours",
            "on the next day {n} earns {a} dollars an hour for {b} hours",
            "for {b} more hours {n} gets {a} dollars each",
        ],
        &[
            "the next day a job pays {a} dollars an hour and {n} works {b} hours",
            "later {n} works for {a} dollars an hour and for {b} hours",
        ],
    ),
    clause(
        (2, 12),
        (2, 9),
        &[(A, Multiply, B), (Now, Subtract, Last)],
        &[
            "{n} buys {b} {t} for {a} dollars each",
            "then {n} pays {a} dollars each for {b} tickets",
            "{b} {t} at {a} dollars each are what {n} buys",
            "{n} spends {a} dollars on each of {b} days",
        ],
        &["at {a} dollars each {n} buys {b} {t}", "for each of {b} friends {n} spends {a} dollars"],
    ),
];

const MONEY_FINISHES: &[Clause] = &[
    clause(
        NONE,
        NONE,
        &[],
        &[
            "how many dollars does {n} have in the end ?",
            "how much money does {n} have now ?",
            "how many dollars are there now ?",
            "what is the money of {n} in the end ?",
        ],
        &["in the end how much money does {n} have ?", "now how many dollars does {n} have ?"],
    ),
    clause(
        (2, 9),
        NONE,
        &[(Now, Divide, A)],
        &[
            "how many {t} can {n} buy for {a} dollars each ?",
            "one of the {t} costs {a} dollars . how many can {n} buy with the money ?",
            "how many {t} at {a} dollars each does the money pay for ?",
            "{n} shares the money with friends so that each of {a} gets the same . how many dollars is that ?",
        ],
        &[
            "at {a} dollars each how many {t} can {n} buy ?",
            "{n} buys {t} for all the money at {a} dollars each . how many {t} is that ?",
        ],
    ),
    clause(
        (20, 199),
        NONE,
        &[(A, Subtract, Now)],
        &[
            "a bike costs {a} dollars . how many dollars are missing ?",
            "how many more dollars does {n} need for a bike of {a} dollars ?",
            "{n} wants to save {a} dollars . how much more money does {n} need ?",
            "{n} needs {a} dollars . how many more dollars must {n} earn ?",
        ],
        &[
            "for a bike {n} needs {a} dollars . how much more money is that ?",
            "to have {a} dollars how many more must {n} earn ?",
        ],
    ),
];

const RELATIONS: &[Clause] = &[
    clause(
        (2, 40),
        NONE,
        &[(Now, Add, A)],
        &[
            "{q} has {a} more than {n}",
            "{q} has {a} more {t} than {n} has",
            "than {n} {q} has {a} more",
            "{n} has {a} less than {q}",
            "{n} has {a} {t} less than {q} has",
        ],
        &["{q} owns {a} more {t} than {n} owns", "{n} owns {a} less than {q} owns"],
    ),
    clause(
        (2, 40),
        NONE,
        &[(Now, Subtract, A)],
        &[
            "{q} has {a} less than {n}",
            "{q} has {a} {t} less than {n} has",
            "than {n} {q} has {a} less",
            "{n} has {a} more than {q}",
        ],
        &["{q} owns {a} {t} less than {n} owns", "{n} owns {a} {t} more than {q} owns"],
    ),
    clause(
        (2, 4),
        NONE,
        &[(Now, Multiply, A)],
        &[
            "{q} has {times} as many as {n}",
            "{q} has {times} as many {t} as {n} has",
            "{q} owns {times} the number of {n}",
            "{times} as many as {n} has is what {q} has",
        ],
        &["{q} owns {times} as many {t} as {n} owns", "{times} the number of {n} is what {q} owns"],
    ),
    clause(
        NONE,
        NONE,
        &[(Now, Divide, Number(2))],
        &[
            "{q} has half as many as {n}",
            "{q} has half as many {t} as {n} has",
            "{q} owns half the number of {n}",
            "half as many as {n} has is what {q} has",
        ],
        &["{q} owns half as many {t} as {n} owns", "half the number of {n} is what {q} owns"],
    ),
];

const COMPARISONS: &[Clause] = &[
    clause(
        NONE,
        NONE,
        &[],
        &[
            "how many {t} does {n} have ?",
            "how many {t} are those of {n} ?",
            "what is the number of {t} that {n} has ?",
            "how many {t} does {n} own ?",
        ],
        &["what number of {t} does {n} own ?", "{n} has how many {t} ?"],
    ),
    clause(
        NONE,
        NONE,
        &[(First, Add, Now)],
        &[
            "how many {t} do {f} and {n} have together ?",
            "what do {f} and {n} have together ?",
            "together {f} and {n} have how many {t} ?",
            "how many {t} do {f} and {n} own in all ?",
        ],
        &["in all what number of {t} do {f} and {n} own ?", "what is the number of {t} of {f} and {n} together ?"],
    ),
];

const LEFTOVERS: &[Clause] = &[clause(
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

const MAXIMA: &[Clause] = &[clause(
    (6, 120),
    NONE,
    &[(Now, Larger, A)],
    &[
        "{q} has {a} {t} . how many {t} does the richer child have ?",
        "{q} owns {a} . how many has whoever has more ?",
        "whoever has more wins and {q} has {a} . how many {t} has the winner ?",
        "{q} comes with {a} {t} . how many are in the bigger pile ?",
    ],
    &[
        "{q} has {a} {t} and whoever has more wins . how many does the winner have ?",
        "{q} owns {a} {t} and the richer child wins . how many has that child ?",
    ],
)];
