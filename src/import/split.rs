//! Splits problems into train, validation and test.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::join::{Asked, Joined, Said};
use super::options::Shares;
use super::source::listed;
use crate::random::key;

/// The splits of a benchmark folder that training needs.
pub(super) const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// Gives every problem a split: the one in the input, or one determined by the seed and the question, so that equal
/// questions stay together. Problems that lack an output of some operator are no test problems.
///
/// # Errors
/// There are too few problems, or splits are unknown or given for some problems only.
pub(super) fn assign(joined: &mut Joined, seed: u64, shares: Shares) -> Result<()> {
    let Joined { operators, problems, notes } = joined;
    let without = problems.iter().filter(|problem| problem.split.is_none()).count();
    let is_complete = |problem: &Asked| problem.is_complete(operators.len());
    let (complete, others): (Vec<usize>, Vec<usize>) =
        (0..problems.len()).partition(|&place| is_complete(&problems[place]));
    ensure!(
        complete.len() >= SPLITS.len(),
        "expected at least {} problems with outputs of every operator, one for each split, found {}",
        SPLITS.len(),
        complete.len()
    );
    let names = SPLITS.map(str::to_owned);
    if without == problems.len() {
        share_out(problems, complete, &names, &shares.0, seed);
        share_out(problems, others, &names[..2], &shares.0[..2], seed);
        return Ok(());
    }
    let missing = problems.iter().filter(|problem| problem.split.is_none());
    let missing: Vec<String> = missing.map(|problem| format!("{}: problem `{}`", problem.place, problem.id)).collect();
    if !missing.is_empty() {
        bail!("expected a split of every problem, or of none, found none of {}:{}", missing.len(), listed(&missing));
    }
    let mut unknown = BTreeMap::new();
    for problem in problems.iter_mut() {
        let Some(split) = &mut problem.split else { continue };
        match usual(&split.text) {
            Some(known) => split.text = known.to_owned(),
            None => drop(unknown.entry(split.text.clone()).or_insert(format!("{}: `{}`", split.place, split.text))),
        }
    }
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_values().collect();
        bail!("expected the splits train, validation and test, found others:{}", listed(&unknown));
    }
    let of = |problems: &[Asked], name: &str| -> Vec<usize> {
        let is_in = |problem: &Asked| problem.split.as_ref().is_some_and(|split| split.text == name);
        (0..problems.len()).filter(|place| is_in(&problems[*place])).collect()
    };
    if of(problems, "validation").is_empty() {
        let train = of(problems, "train");
        let [for_train, for_validation, _] = shares.0;
        ensure!(train.len() >= 2, "expected at least 2 problems in the split `train`, found {}", train.len());
        share_out(problems, train, &names[..2], &[for_train, for_validation], seed);
        let taken = of(problems, "validation").len();
        notes.push(format!("the input has no validation split: {taken} problems of `train` are used for it"));
    }
    for name in SPLITS {
        let of_split = of(problems, name);
        ensure!(
            of_split.iter().any(|&place| name != "test" || is_complete(&problems[place])),
            "expected problems in the split `{name}`, found none{}",
            if name == "test" { " with outputs of every operator" } else { "" }
        );
    }
    Ok(())
}

/// The name of a split in this program.
fn usual(name: &str) -> Option<&'static str> {
    match name.trim().to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" | "dev" => Some("validation"),
        "test" | "testing" | "eval" | "evaluation" => Some("test"),
        _ => None,
    }
}

/// Divides the problems at these positions, in an order determined by the seed; each split gets at least one.
fn share_out(problems: &mut [Asked], places: Vec<usize>, names: &[String], shares: &[u32], seed: u64) {
    let question = |place: usize| problems[place].question.as_ref().map_or("", |question| question.text.as_str());
    let mut order: Vec<(u64, usize)> =
        places.into_iter().map(|place| (key(&[&seed, &question(place)]), place)).collect();
    order.sort_unstable();
    let total: u64 = shares.iter().map(|share| u64::from(*share)).sum();
    let (mut from, mut passed) = (0, 0);
    for (number, (name, share)) in names.iter().zip(shares).enumerate() {
        passed += u64::from(*share);
        let left = (names.len() - 1 - number).min(order.len());
        let to = (order.len() as u64 * passed / total.max(1)) as usize;
        let to = to.max(from + 1).min(order.len() - left).max(from);
        for (_, place) in &order[from..to] {
            let place_of = problems[*place].place.clone();
            problems[*place].split = Some(Said { text: name.clone(), place: place_of });
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Problems with these splits; `-` for none.
    fn problems(splits: &[&str]) -> Joined {
        let said = |text: String| Some(Said { text, place: "t.csv:2".into() });
        let problem = |(number, split): (usize, &&str)| Asked {
            id: number.to_string(),
            question: said(format!("question {number}")),
            split: said((*split).to_owned()).filter(|_| *split != "-"),
            ..Asked::default()
        };
        Joined { problems: splits.iter().enumerate().map(problem).collect(), ..Joined::default() }
    }

    /// Expects this many problems in each split, or an error.
    #[track_caller]
    fn check(splits: &[&str], expected: Result<[usize; 3], &str>) {
        let mut joined = problems(splits);
        let found = assign(&mut joined, 1, Shares::default()).map(|()| {
            let of = |problem: &Asked| problem.split.as_ref().map(|split| split.text.clone());
            let splits: Vec<Option<String>> = joined.problems.iter().map(of).collect();
            SPLITS.map(|name| splits.iter().flatten().filter(|split| *split == name).count())
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{splits:?}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{splits:?}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn problems_are_shared_out() {
        check(&["-"; 39], Ok([24, 3, 12]));
        check(&["-"; 3], Ok([1, 1, 1]));
        check(&["-"; 2], Err("expected at least 3 problems"));
        check(&["train", "dev", "Test", "test"], Ok([1, 1, 2]));
        check(&["train", "train", "train", "test"], Ok([2, 1, 1]));
        check(&["train", "validation", "-"], Err("found none of 1:\n  "));
        check(&["train", "dev", "hard"], Err("found others:\n  t.csv:2: `hard`"));
        check(&["train", "train", "dev"], Err("expected problems in the split `test`"));
    }

    #[test]
    fn the_seed_decides_and_the_order_does_not() {
        let split = |seed: u64, is_reversed: bool| {
            let mut joined = problems(&["-"; 39]);
            if is_reversed {
                joined.problems.reverse();
            }
            assign(&mut joined, seed, Shares::default()).expect("splits");
            let of = |problem: Asked| (problem.id, problem.split.map(|split| split.text));
            joined.problems.into_iter().map(of).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(split(1, false), split(1, true));
        assert_ne!(split(1, false), split(2, false));
    }
}
