//! Wages, other spending and income, and what the money is for.

use super::story::Term::{A, B, Last, Now};
use super::story::{Clause, NONE, clause};
use super::working::Operation::{Add, Divide, Multiply, Subtract};

pub(super) const WAGES: &[Clause] = &[clause(
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

pub(super) const MONEY: &[Clause] = &[
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

pub(super) const MONEY_FINISHES: &[Clause] = &[
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
