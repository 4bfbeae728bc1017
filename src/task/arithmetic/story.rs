//! Stories told from clauses: an opening, events and a question, each with its numbers, its arithmetic and its
//! wordings.

use rand::Rng;

use super::words::{ASIDES, Cast, HARD_ASIDES, fill, pick};
use super::working::{Draft, Operand, Operation, Step, Working};

/// An operand of a clause's arithmetic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term {
    /// The first number of the clause.
    A,
    /// The second number of the clause.
    B,
    /// The current amount of the story.
    Now,
    /// The result of the previous line.
    Last,
    /// The amount that the story began with.
    First,
    /// A number that the words imply, such as the 4 of a quarter.
    Number(u32),
}

/// One sentence of a story: numbers `{a}` and `{b}` drawn from ranges, and what happens to the amount in question.
///
/// Placeholders of the wordings: `{n}` the person it is about, `{q}` the next person (a wording with `{q}` moves the
/// story on to that person), `{f}` the first person, `{t}` the thing, `{u}` another thing, `{w}` a place, `{part}`
/// half, third .., by `{a}`, and `{times}` twice, 3 times .., by `{a}`.
pub(super) struct Clause {
    a: (u32, u32),
    b: (u32, u32),
    lines: &'static [(Term, Operation, Term)],
    wordings: &'static [&'static str],
    /// Wordings of the hard split, used nowhere else.
    hard: &'static [&'static str],
}

/// The range of a number that a clause does not use.
pub(super) const NONE: (u32, u32) = (0, 0);

pub(super) const fn clause(
    a: (u32, u32),
    b: (u32, u32),
    lines: &'static [(Term, Operation, Term)],
    wordings: &'static [&'static str],
    hard: &'static [&'static str],
) -> Clause {
    Clause { a, b, lines, wordings, hard }
}

/// The clauses for stories of one kind. The first event comes from the first table of `events`, so that the story shows
/// its kind; later events come from any table.
pub(super) struct Family {
    pub openings: &'static [&'static [Clause]],
    pub events: &'static [&'static [Clause]],
    /// Empty if the opening already asks.
    pub questions: &'static [&'static [Clause]],
}

const ASIDE: f64 = 0.10;
const PEOPLE: usize = 10;
const DRAWS: usize = 12;

/// A story of exactly `steps` steps whose results all lie within 1..=`limit` (a remainder may be zero).
pub(super) fn tell(family: &Family, steps: usize, limit: u32, hard: bool, cast: &Cast, rng: &mut impl Rng) -> Draft {
    loop {
        let mut story = Story::new(limit, hard, cast);
        if story.compose(family, steps, rng).is_some() {
            return story.finish(rng);
        }
    }
}

struct Story<'a> {
    limit: u32,
    hard: bool,
    cast: &'a Cast,
    /// Index of the current person.
    at: usize,
    first: Operand,
    now: Operand,
    steps: Vec<Step>,
    results: Vec<u32>,
    sentences: Vec<String>,
}

impl<'a> Story<'a> {
    fn new(limit: u32, hard: bool, cast: &'a Cast) -> Self {
        let nothing = Operand::Given(0);
        let (steps, results, sentences) = (Vec::new(), Vec::new(), Vec::new());
        Story { limit, hard, cast, at: 0, first: nothing, now: nothing, steps, results, sentences }
    }

    fn compose(&mut self, family: &Family, steps: usize, rng: &mut impl Rng) -> Option<()> {
        self.say(pick_clause(family.openings, steps, rng)?, rng)?;
        self.first = self.now;
        if family.questions.is_empty() {
            return (self.steps.len() == steps).then_some(());
        }
        let question = pick_clause(family.questions, steps.checked_sub(self.steps.len())?, rng)?;
        let before = steps - question.lines.len();
        let mut tables = family.events.get(..1).unwrap_or_default();
        while self.steps.len() < before {
            let mut said = false;
            for _ in 0..DRAWS {
                let event = pick_clause(tables, before - self.steps.len(), rng)?;
                if self.say(event, rng).is_some() {
                    said = true;
                    break;
                }
            }
            said.then_some(())?;
            tables = family.events;
        }
        self.say(question, rng)?;
        (self.steps.len() == steps).then_some(())
    }

    /// Draws the clause's numbers until every result is allowed, then tells the clause. `None` leaves the story as it
    /// was.
    fn say(&mut self, clause: &Clause, rng: &mut impl Rng) -> Option<()> {
        for _ in 0..DRAWS {
            let (a, b) = (rng.random_range(clause.a.0..=clause.a.1), rng.random_range(clause.b.0..=clause.b.1));
            let kept = self.steps.len();
            if self.reckon(clause, a, b).is_some() {
                if clause.lines.is_empty() {
                    if clause.a != NONE {
                        self.now = Operand::Given(a);
                    }
                } else {
                    self.now = Operand::Result(self.steps.len() - 1);
                }
                self.write(clause, a, b, rng);
                return Some(());
            }
            self.steps.truncate(kept);
            self.results.truncate(kept);
        }
        None
    }

    fn reckon(&mut self, clause: &Clause, a: u32, b: u32) -> Option<()> {
        for &(left, operation, right) in clause.lines {
            let step = Step { left: self.operand(left, a, b), operation, right: self.operand(right, a, b) };
            let (left, right) = (step.left.value(&self.results), step.right.value(&self.results));
            let result = operation.apply(0, left, right)?;
            let least = u32::from(operation != Operation::Remainder);
            let ties = operation == Operation::Larger && left == right;
            if result < least || result > self.limit || ties || !operation.is_exact(left, right) {
                return None;
            }
            self.steps.push(step);
            self.results.push(result);
        }
        Some(())
    }

    fn operand(&self, term: Term, a: u32, b: u32) -> Operand {
        match term {
            Term::A => Operand::Given(a),
            Term::B => Operand::Given(b),
            Term::Now => self.now,
            Term::Last => self.steps.len().checked_sub(1).map_or(self.now, Operand::Result),
            Term::First => self.first,
            Term::Number(number) => Operand::Given(number),
        }
    }

    fn write(&mut self, clause: &Clause, a: u32, b: u32, rng: &mut impl Rng) {
        let wording = pick(if self.hard { clause.hard } else { clause.wordings }, rng);
        let mut sentence = String::new();
        fill(wording, &mut sentence, |placeholder, text| match placeholder {
            "a" => text.push_str(&a.to_string()),
            "b" => text.push_str(&b.to_string()),
            "n" => text.push_str(self.cast.person(self.at)),
            "q" => text.push_str(self.cast.person(self.at + 1)),
            "f" => text.push_str(self.cast.person(0)),
            "t" => text.push_str(self.cast.thing),
            "u" => text.push_str(self.cast.other_thing),
            "w" => text.push_str(self.cast.place),
            "part" => text
                .push_str(["half", "third", "quarter", "fifth"].get((a as usize).wrapping_sub(2)).unwrap_or(&"part")),
            "times" if a == 2 => text.push_str("twice"),
            "times" => text.push_str(&format!("{a} times")),
            _ => {}
        });
        self.at += usize::from(wording.contains("{q}"));
        self.sentences.push(sentence);
    }

    /// The story's text and working. One story in ten gets a sentence that changes nothing.
    fn finish(mut self, rng: &mut impl Rng) -> Draft {
        if rng.random_bool(ASIDE) {
            let last = self.sentences.len().saturating_sub(1);
            self.sentences.insert(last, aside(self.cast, self.hard, rng));
        }
        let given = self.now.value(&self.results);
        Draft::new(self.sentences.join(" . "), Working { given, steps: self.steps })
    }
}

fn aside(cast: &Cast, hard: bool, rng: &mut impl Rng) -> String {
    let number = rng.random_range(2..=60u32);
    let pattern = if hard { pick(&HARD_ASIDES, rng) } else { pick(&ASIDES, rng) };
    let mut sentence = String::new();
    fill(pattern, &mut sentence, |placeholder, text| match placeholder {
        "x" => text.push_str(cast.person(PEOPLE - 1)),
        "u" => text.push_str(cast.other_thing),
        "w" => text.push_str(cast.place),
        _ => text.push_str(&number.to_string()),
    });
    sentence
}

/// A cast large enough for every story.
pub(super) fn draw_cast(rng: &mut impl Rng) -> Cast {
    Cast::draw(PEOPLE, rng)
}

/// A clause of at most `steps` steps; each table is equally likely.
fn pick_clause(tables: &[&'static [Clause]], steps: usize, rng: &mut impl Rng) -> Option<&'static Clause> {
    for _ in 0..DRAWS {
        let clauses = *tables.get(rng.random_range(0..tables.len().max(1)))?;
        let clause = clauses.get(rng.random_range(0..clauses.len().max(1)))?;
        if clause.lines.len() <= steps {
            return Some(clause);
        }
    }
    None
}
