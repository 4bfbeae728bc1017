//! Trains several methods with several seeds side by side.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use super::data_set::Memory;
use super::interrupt;
use super::methods::Split;
use super::progress::bar;
use super::session::Session;
use super::train::{Job, Outcome, unused};
use super::variants::Variant;
use crate::disk::create_folder;
use crate::settings::Settings;

/// What all trainings came to.
pub struct AllTrained {
    pub folder: PathBuf,
    pub seeds: Vec<u64>,
    pub train: Split,
    /// `[methods][seeds]`
    pub outcomes: Vec<Vec<Outcome>>,
}

/// Trains every method with `count` seeds from `first` on, as many at once as there are cores; none when interrupted. What an
/// earlier call of `command` finished in the folder `out` is not trained again.
pub fn train_all(
    session: &Session,
    variants: &[Variant],
    (first, count): (u64, u64),
    out: Option<&Path>,
    command: &str,
) -> Result<Option<AllTrained>> {
    let folder =
        out.map_or_else(|| unused(&format!("{}-{command}", session.solver().benchmark().name)), Path::to_owned);
    create_folder(&folder)?;
    let seeds: Vec<u64> = (first..first + count.max(1)).collect();
    let (train, validation) = (Split::open(session, "train")?, Split::open(session, "validation")?);
    let stop = {
        let _runtime = session.runtime.enter();
        interrupt::listen(session.parts.endpoint.clone())
    };
    let jobs: Vec<(usize, u64)> =
        (0..variants.len()).flat_map(|at| seeds.iter().map(move |&seed| (at, seed))).collect();
    let bar = bar("train all methods", jobs.len() as u64);
    let (next, memory) = (AtomicUsize::new(0), Memory::default());
    let finished: Mutex<BTreeMap<(usize, u64), Result<Outcome>>> = Mutex::default();
    let work = || {
        while let Some(&(at, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = train_one(session, &variants[at], seed, [&train, &validation], &folder, &memory, &stop);
            let goes_on = outcome.as_ref().is_ok_and(|outcome| outcome.finished);
            finished.lock().unwrap_or_else(PoisonError::into_inner).insert((at, seed), outcome);
            bar.inc(1);
            bar.set_message(format!("{}, seed {seed}", variants[at].name));
            if !goes_on {
                next.store(jobs.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let outcomes: Vec<Outcome> =
        finished.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect::<Result<_>>()?;
    if outcomes.len() < jobs.len() || outcomes.iter().any(|outcome| !outcome.finished) {
        eprintln!("stopped; `lamas {command} --out {}` goes on from here", folder.display());
        return Ok(None);
    }
    let mut outcomes = outcomes.into_iter();
    let outcomes = variants.iter().map(|_| outcomes.by_ref().take(seeds.len()).collect()).collect();
    Ok(Some(AllTrained { folder, seeds, train, outcomes }))
}

fn train_one(
    session: &Session,
    variant: &Variant,
    seed: u64,
    [train, validation]: [&Split; 2],
    folder: &Path,
    memory: &Memory,
    stop: &Arc<AtomicBool>,
) -> Result<Outcome> {
    let folder = variant_folder(folder, &variant.name).join(format!("seed-{seed}"));
    let settings = Settings { seed, ..variant.settings.clone() };
    let execution = settings.execution(session.solver().benchmark());
    let (settings, folder) = (&settings, folder.as_path());
    // Drawn plans are seldom met again.
    let memory = (settings.training.survey.operators > 0).then_some(memory);
    let job = Job { session, execution, settings, seed, folder, episodes: false, memory, bar: ProgressBar::hidden() };
    job.train(train, validation, true, stop).with_context(|| format!("method `{}`, seed {seed}", variant.name))
}

/// Where the controllers of a method are written.
pub fn variant_folder(folder: &Path, name: &str) -> PathBuf {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    folder.join(name.trim_matches('-'))
}
