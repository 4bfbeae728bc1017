//! People who own more or less than others.

use super::story::Term::{A, First, Now, Number};
use super::story::{Clause, NONE, clause};
use super::working::Operation::{Add, Divide, Larger, Multiply, Subtract};

pub(super) const RELATIONS: &[Clause] = &[
    clause(
        (2, 40),
        NONE,
        &[(Now, Add, A)],
        &["{q} has {a} more than {n}", "{q} has {a} more {t} than {n} has", "than {n} {q} has {a} more"],
        &["{q} owns {a} more {t} than {n} owns", "{n} owns {a} less than {q} owns"],
    ),
    clause(
        (2, 40),
        NONE,
        &[(Now, Subtract, A)],
        &["{q} has {a} less than {n}", "{q} has {a} {t} less than {n} has", "than {n} {q} has {a} less"],
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

pub(super) const COMPARISONS: &[Clause] = &[
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

pub(super) const MAXIMA: &[Clause] = &[clause(
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
