//! Estimates what an experiment will ask for by doing all of it, with all methods and seeds, on a few questions.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};

use super::tally::{Tally, say};
use crate::cli::interrupt;
use crate::cli::session::Session;
use crate::cli::split::{Split, Splits};
use crate::record::{Key, Record, each_call};

/// The maximum number of probe questions in each split.
const PROBES: usize = 8;

/// Estimates what an experiment will ask for, if that costs anything or if `dry` asks only for the estimate, and prints
/// it. `experiment` does all of it on the questions that it is given, and keeps its controllers in the folder.
///
/// # Errors
/// Those of `experiment`; if more than the estimate was requested, only those that stop or refuse the work.
pub fn of_experiment(
    session: &Session,
    splits: &Splits,
    dry: bool,
    experiment: impl FnOnce(&Splits, &Path) -> Result<()>,
) -> Result<()> {
    let Some(record) = session.solver().record().cloned() else {
        if dry {
            eprintln!("estimate: no model is asked, so nothing is paid");
        }
        return Ok(());
    };
    let is_paid = !session.parts.endpoints.is_empty() && session.solver().is_paid();
    if !dry && !is_paid {
        return Ok(());
    }
    let some = |split: &Split| split.some(PROBES);
    let probes = Splits { train: some(&splits.train), validation: some(&splits.validation), test: some(&splits.test) };
    let bar = session.progress.group("probes", "questions", 0);
    let folder = tempfile::tempdir().context("cannot create a folder for probes")?;
    let outcome = experiment(&probes, folder.path());
    drop(bar);
    match outcome {
        Ok(()) => {}
        Err(error) if dry || interrupt::exit_code(&error).is_some() => return Err(error),
        Err(error) => {
            eprintln!("no estimate, because probes failed: {error:#}");
            return Ok(());
        }
    }
    let pairs = [&splits.train, &splits.validation, &splits.test].into_iter();
    let pairs: Vec<(&Split, &Split)> = pairs.zip([&probes.train, &probes.validation, &probes.test]).collect();
    let (asked, recorded) = asked(&record, pairs.iter().map(|(_, probes)| *probes))?;
    let mut all = Tally::default();
    for ((split, probes), asked) in pairs.iter().zip(asked) {
        all = all + asked * (split.ids.len() as f64 / probes.ids.len().max(1) as f64);
    }
    let to_come = (all + recorded * -1.0).at_least_nothing();
    let count = pairs.iter().map(|(_, probes)| probes.ids.len()).sum();
    say(count, &[("all", all), ("to come", to_come)]);
    if !is_paid {
        eprintln!("  the model runs on this machine: its dollars are nominal; nothing is billed");
    }
    Ok(())
}

/// What a record contains for the questions of each split, and in total. If more samples of a call were taken later, a
/// new line repeats the call with what it held before, so the last line of a call counts.
fn asked<'s>(record: &Record, splits: impl Iterator<Item = &'s Split>) -> Result<(Vec<Tally>, Tally)> {
    let splits: Vec<HashSet<&str>> = splits.map(|split| split.ids.iter().map(String::as_str).collect()).collect();
    let mut lines: BTreeMap<Key, (Option<usize>, Tally)> = BTreeMap::new();
    each_call(record.path(), |_, line| {
        let split = splits.iter().position(|ids| ids.contains(line.problem.as_str()));
        lines.insert(line.key, (split, Tally::from(&line)));
        Ok(())
    })?;
    let mut sums = vec![Tally::default(); splits.len()];
    let mut total = Tally::default();
    for (split, tally) in lines.into_values() {
        total = total + tally;
        if let Some(sum) = split.and_then(|split| sums.get_mut(split)) {
            *sum = *sum + tally;
        }
    }
    Ok((sums, total))
}
