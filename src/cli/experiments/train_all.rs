//! Trains several methods with several seeds in parallel.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use super::variants::Variant;
use crate::cli::controllers::RECORD;
use crate::cli::interrupt::Interrupt;
use crate::cli::job::{Finished, Job, steps};
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::cli::split::Splits;
use crate::cli::train_run::{begin, seeds, unused};
use crate::disk::create_folder;
use crate::settings::{Preset, RunFile, SETTINGS, Settings, Started};

/// The name of the step in which a command trains all its methods.
const TRAINING: &str = "train all methods";

/// The steps of `command`: all trainings, then `measured`, each with its amount of work.
pub fn plan_steps(session: &Session, variants: &[Variant], seeds: u64, measured: &[(&str, usize)]) {
    let size = |split: &str| session.solver().problems(split).map_or(0, |problems| problems.len());
    let (sizes, operators) = ([size("train"), size("validation")], session.names().len());
    let of_one = |variant: &Variant| {
        let all = steps("", &variant.settings.training, sizes, operators);
        all.into_iter().map(|(_, work)| work).sum::<f64>()
    };
    let training = variants.iter().map(of_one).sum::<f64>() * seeds as f64;
    let measured = measured.iter().map(|&(name, work)| (name.to_owned(), work as f64));
    session.progress.plan([(TRAINING.to_owned(), training)].into_iter().chain(measured));
}

/// Where an experiment is kept, and its seeds.
pub struct Experiment {
    pub folder: PathBuf,
    /// Counted up from the seed in the settings.
    pub seeds: Vec<u64>,
    /// The command that continues it.
    pub resume: String,
}

impl Experiment {
    /// Begins an experiment of `lamas command` in the folder `out`, or continues what is in it.
    ///
    /// # Errors
    /// The folder cannot be written, or holds a run of another command.
    pub fn begin(
        session: &mut Session,
        settings: &Settings,
        count: u64,
        out: Option<&Path>,
        command: &str,
    ) -> Result<Self> {
        let folder =
            out.map_or_else(|| unused(&format!("{}-{command}", session.solver().benchmark().name)), Path::to_owned);
        create_folder(&folder)?;
        session.keep_record(&folder.join(RECORD))?;
        let seeds = seeds(settings.seed, count);
        let place = folder.display();
        let resume = format!("lamas {command} --out {place}");
        if folder.join(SETTINGS).exists() {
            let Started { command: found, .. } = RunFile::read(&folder)?.started;
            ensure!(found == command, "expected a run of `lamas {command}` in `{place}`, found one of `lamas {found}`");
        } else {
            let started = Started::new(command, Preset::default(), seeds.clone());
            begin(&folder, &RunFile { started, settings: settings.clone(), gone: Vec::new() })?;
        }
        Ok(Experiment { folder, seeds, resume })
    }
}

/// Trains every method with every seed, as many at once as there are cores. What is finished in `folder` is not trained
/// again. Returns `[methods][seeds]`.
///
/// # Errors
/// Those of [`Job::train`]; the first one in the order of the methods.
pub fn train_all(
    session: &Session,
    variants: &[Variant],
    seeds: &[u64],
    splits: &Splits,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Vec<Vec<Finished>>> {
    let jobs: Vec<(usize, u64)> =
        (0..variants.len()).flat_map(|at| seeds.iter().map(move |&seed| (at, seed))).collect();
    let bar = session.progress.begin(TRAINING, "trainings", jobs.len() as u64);
    let next = AtomicUsize::new(0);
    let finished: Mutex<BTreeMap<(usize, u64), Result<Finished>>> = Mutex::default();
    let work = || {
        while let Some(&(at, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = train_one(session, &variants[at], seed, splits, folder, interrupt);
            let goes_on = outcome.is_ok();
            finished.lock().unwrap_or_else(PoisonError::into_inner).insert((at, seed), outcome);
            bar.inc(1);
            bar.message(format!("{}, seed {seed}", variants[at].name));
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
    drop(bar);
    let outcomes = finished.into_inner().unwrap_or_else(PoisonError::into_inner).into_values();
    let outcomes: Vec<Finished> = outcomes.collect::<Result<_>>()?;
    let mut outcomes = outcomes.into_iter();
    Ok(variants.iter().map(|_| outcomes.by_ref().take(seeds.len()).collect()).collect())
}

fn train_one(
    session: &Session,
    variant: &Variant,
    seed: u64,
    splits: &Splits,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Finished> {
    let folder = variant_folder(folder, &variant.name).join(format!("seed-{seed}"));
    let settings = Settings { seed, ..variant.settings.clone() };
    let execution = settings.execution(session.solver().benchmark());
    let (settings, folder) = (&settings, folder.as_path());
    let (progress, name) = (Progress::hidden(), String::new());
    let job = Job { session, execution, settings, said: settings, seed, folder, episodes: false, progress, name };
    job.train(&splits.train, &splits.validation, true, interrupt)
        .with_context(|| format!("method `{}`, seed {seed}", variant.name))
}

/// Where the controllers of a method are saved.
pub fn variant_folder(folder: &Path, name: &str) -> PathBuf {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    folder.join(name.trim_matches('-'))
}
