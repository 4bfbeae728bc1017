//! The words used in stories.

use rand::Rng;
use rand::seq::IndexedRandom;

pub(super) const NAMES: [&str; 24] = [
    "sam", "anna", "ben", "lucy", "omar", "mia", "leo", "nina", "tom", "sara", "jack", "emma", "noah", "ella", "alex",
    "zoe", "ivan", "rosa", "paul", "kate", "hugo", "lena", "adam", "maya",
];

/// Things that people count, always in the plural (every number in a story is two or more).
pub(super) const THINGS: [&str; 30] = [
    "apples", "pears", "oranges", "plums", "lemons", "nuts", "cookies", "cakes", "muffins", "candies", "books", "pens",
    "pencils", "cards", "coins", "stamps", "marbles", "beads", "shells", "stones", "buttons", "balloons", "toys",
    "kites", "blocks", "stickers", "flowers", "roses", "hats", "cups",
];

pub(super) const PLACES: [&str; 8] = ["park", "school", "market", "beach", "lake", "farm", "garden", "library"];

/// Sentences that change nothing.
pub(super) const ASIDES: [&str; 6] = [
    "{x} has {c} {u} at home",
    "there are {c} birds at the {w}",
    "{x} is {c} years old",
    "the {w} is {c} miles away",
    "{x} likes {u} very much",
    "it is a sunny day at the {w}",
];

/// The same for the hard split.
pub(super) const HARD_ASIDES: [&str; 3] =
    ["at the {w} there are {c} birds", "{c} {u} are at home", "{x} likes the {w} and the birds"];

const INVENTED_NAME: f64 = 0.04;

/// One of `items`. These are tables of this module's siblings and never empty.
pub(super) fn pick<T: Copy>(items: &[T], rng: &mut impl Rng) -> T {
    *items.choose(rng).expect("the tables of the grammar are not empty")
}

/// A known name, or sometimes an invented one, spelled from single letters.
pub(super) fn name(rng: &mut impl Rng) -> String {
    if !rng.random_bool(INVENTED_NAME) {
        return pick(&NAMES, rng).to_string();
    }
    let pattern: [&[u8]; 5] = [b"bdfghklmnprstvw", b"aeiou", b"bdfgklmnprstvz", b"aeiou", b"kvxz"];
    pattern.iter().map(|letters| char::from(pick(letters, rng))).collect()
}

/// The people and things of a story. Names differ from each other, and so do things.
pub(super) struct Cast {
    pub people: Vec<String>,
    pub thing: &'static str,
    pub other_thing: &'static str,
    pub place: &'static str,
}

impl Cast {
    pub fn draw(people: usize, rng: &mut impl Rng) -> Cast {
        let mut names: Vec<String> = Vec::with_capacity(people);
        while names.len() < people {
            let name = name(rng);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let thing = pick(&THINGS, rng);
        let other_thing = loop {
            let other = pick(&THINGS, rng);
            if other != thing {
                break other;
            }
        };
        Cast { people: names, thing, other_thing, place: pick(&PLACES, rng) }
    }

    pub fn person(&self, index: usize) -> &str {
        self.people.get(index).map_or("", String::as_str)
    }
}

/// Replaces each `{x}` in `pattern` by what `value` gives for the letter between the braces.
pub(super) fn fill(pattern: &str, text: &mut String, value: impl Fn(&str, &mut String)) {
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((placeholder, tail)) = after.split_once('}') else { break };
        value(placeholder, text);
        rest = tail;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_placeholder() {
        let mut text = String::new();
        fill("{n} has {a} {t} .", &mut text, |placeholder, text| text.push_str(&placeholder.to_uppercase()));
        assert_eq!(text, "N has A T .");
    }

    #[test]
    fn a_cast_has_different_names_and_things() {
        let mut rng = crate::random::stream(1, &[&"cast"]);
        for _ in 0..200 {
            let cast = Cast::draw(6, &mut rng);
            let mut people = cast.people.clone();
            people.sort();
            people.dedup();
            assert_eq!(people.len(), 6);
            assert_ne!(cast.thing, cast.other_thing);
        }
    }
}
