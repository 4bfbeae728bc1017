//! Estimates what a training run will ask for by doing all of it on a few questions. The run need not repeat these
//! calls.
//!
//! The number of plans for the halting head and the calibration is known; each plan is assumed to take what the plans
//! of the probes took.

use std::collections::{BTreeMap, HashSet};
use std::ops::Add;

use anyhow::{Context, Result};

use super::tally::{Tally, mean, more, say};
use crate::cli::calibrate;
use crate::cli::interrupt::Interrupt;
use crate::cli::job::Job;
use crate::cli::methods::{self, Chosen};
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::cli::split::Split;
use crate::cli::train_run::Run;
use crate::evaluate::{Evaluation, statistics};
use crate::objective::Objective;
use crate::random::Purpose;
use crate::record::{Key, Record, each_call};
use crate::settings::{RunFile, Settings};

/// The maximum number of probe questions in each split.
const PROBES: usize = 24;
/// At most one question in this many is probed; one in half as many if this is only an estimate.
const ONE_IN: usize = 8;
/// Fewer probes say too little about the other questions.
const FEWEST: usize = 4;

/// Estimates what the run will ask for, if that costs anything or if `dry` asks only for the estimate, and prints it.
/// Returns dollars.
///
/// # Errors
/// Those of training on a few questions; if more than the estimate was requested, only those that stop or refuse the
/// work.
pub fn before(
    session: &Session,
    run: &Run,
    dry: bool,
    [train, validation]: [&Split; 2],
    interrupt: &Interrupt,
) -> Result<Option<f64>> {
    let Some(record) = session.solver().record().cloned() else {
        if dry {
            eprintln!("estimate: no model is asked, so nothing is paid");
        }
        return Ok(None);
    };
    let is_paid = !session.parts.endpoints.is_empty() && session.solver().is_paid();
    if !dry && !is_paid {
        return Ok(None);
    }
    let Run { file: RunFile { started, settings: said, .. }, settings, .. } = run;
    let test = started.evaluates.then(|| Split::open(session, "test")).transpose()?;
    let probed = |split: &Split| {
        let total = split.problems.len();
        if dry { (2 * total / ONE_IN).clamp(FEWEST, PROBES).min(total) } else { (total / ONE_IN).min(PROBES) }
    };
    if !dry && probed(train) < FEWEST {
        return Ok(None);
    }
    let [some_train, some_validation] = [train, validation].map(|split| split.some(probed(split).max(1)));
    let some_test = test.as_ref().map(|test| test.some(probed(test).max(1)));
    let bar = session.progress.group("probes", "questions", 0);
    let folder = tempfile::tempdir().context("cannot create a folder for probes")?;
    let progress = Progress::hidden();
    let seed = started.seeds.first().copied().unwrap_or_default();
    let execution = session.execution;
    let job = Job {
        session,
        execution,
        settings,
        said,
        seed,
        folder: folder.path(),
        episodes: false,
        progress,
        name: String::new(),
    };
    let trained = job.train(&some_train, &some_validation, false, interrupt);
    let trained = match trained {
        Ok(outcome) => vec![outcome.trained],
        Err(error) if dry || crate::cli::interrupt::exit_code(&error).is_some() => return Err(error),
        Err(error) => {
            eprintln!("no estimate, because probes failed: {error:#}");
            return Ok(None);
        }
    };
    let (mut own, mut random) = (Vec::new(), Vec::new());
    let some = some_test.as_ref().unwrap_or(&some_validation);
    let chosen = Chosen::likeliest("trained controller", some, &trained);
    methods::measure_trained(session, execution, some, &chosen, &mut own)?;
    if some_test.is_some() {
        methods::measure_baselines(session, some, &[seed], &mut random)?;
    }
    if some_test.is_some() || execution.halting {
        methods::measure_candidates(session, some, &trained, &mut own)?;
    }
    drop(bar);
    let Asked { learned, is_halting, evaluated, recorded } =
        Asked::of(&record, [&some_train, &some_validation], some_test.as_ref())?;
    let (questions, probes) =
        (train.ids.len() + validation.ids.len(), some_train.ids.len() + some_validation.ids.len());
    let survey = learned * (questions as f64 / probes as f64) * repeats(settings, started.seeds.len());
    let is_followed = is_halting && leads(&own, &session.objective);
    let operators = session.solver().identities();
    let own = mean(own.iter().flatten(), operators);
    let random = mean(random.last().into_iter().flatten(), operators);
    let seeds = started.seeds.len() as f64;
    let head = own * (settings.training.halting.draws as f64 * train.ids.len() as f64 * seeds);
    let training = if is_followed { survey + head } else { survey };
    let mut rest = Tally::default();
    if let Some(test) = &test {
        let calibrated = calibrate::QUERIES.min(train.ids.len()) as f64;
        let by = test.ids.len() as f64 / some.ids.len().max(1) as f64 * seeds;
        rest = (own + random) * (0.5 * calibrated) + evaluated * by;
    }
    let all = training + rest;
    let to_come = (all + recorded * -1.0).at_least_nothing();
    say(
        probes + some_test.as_ref().map_or(0, |some| some.ids.len()),
        &[("training", training), ("evaluation", rest), ("all", all), ("to come", to_come)],
    );
    if !is_paid {
        eprintln!("  the model runs on this machine: its dollars are nominal; nothing is billed");
    }
    if execution.halting && !is_followed && head.dollars > 0.0 {
        eprintln!("{}, if the controller is chosen to answer", more("a halting head would add", &head));
    }
    let dollars = to_come.dollars;
    if let Some(cap) = settings.endpoint.max_cost.filter(|&cap| cap < dollars) {
        eprintln!(
            "--max-cost {cap} is lower: it will stop the run early, and `{}` will continue from there",
            run.resume()
        );
    }
    Ok(Some(settings.endpoint.max_cost.map_or(dollars, |cap| cap.min(dollars))))
}

/// How often training repeats its calls: all seeds share the calls of the survey, but draw their own plans.
fn repeats(settings: &Settings, seeds: usize) -> f64 {
    if settings.training.epochs > 0 { seeds as f64 } else { 1.0 }
}

/// Whether the controller beats the best operator on the probes by more than noise. A run then answers with the
/// controller and fits a halting head to it.
fn leads(methods: &[Vec<Evaluation>], objective: &Objective) -> bool {
    let utilities = |name: &str| -> Option<Vec<f64>> {
        let passes = methods.iter().find(|passes| passes.iter().any(|pass| pass.name == name))?;
        let episodes = passes.iter().flat_map(|pass| &pass.episodes);
        Some(episodes.map(|episode| objective.measure(episode).utility).collect())
    };
    let Some((ours, theirs)) = utilities("controller").zip(utilities("best operator")) else { return true };
    let gains: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
    let noise = statistics::standard_deviation(&gains).unwrap_or_default() / (gains.len().max(1) as f64).sqrt();
    statistics::mean(&gains) > noise
}

/// What a record contains for the probes, and in total.
struct Asked {
    /// To learn from the probes, without what a halting head took.
    learned: Tally,
    /// Whether a halting head was fitted to the probes.
    is_halting: bool,
    /// To evaluate on the probes.
    evaluated: Tally,
    /// For all questions and all purposes.
    recorded: Tally,
}

impl Asked {
    fn of(record: &Record, learned: [&Split; 2], evaluated: Option<&Split>) -> Result<Self> {
        let ids = |split: &Split| split.problems.iter().map(|problem| problem.id.clone()).collect::<Vec<_>>();
        let learned: HashSet<String> = learned.into_iter().flat_map(ids).collect();
        let evaluated: HashSet<String> = evaluated.into_iter().flat_map(ids).collect();
        let [halting, calibration] = [Purpose::Halting, Purpose::Calibration].map(|purpose| {
            let draw = purpose.draw(0).to_string();
            draw.trim_end_matches([' ', '0']).to_owned()
        });
        // If more samples of a call were taken later, a new line repeats the call with what it held before.
        let mut lines: BTreeMap<Key, (Tally, bool, bool)> = BTreeMap::new();
        let mut is_halting = false;
        each_call(record.path(), |_, line| {
            let is_learned = learned.contains(&line.problem);
            let is_head = line.draw.starts_with(&halting);
            is_halting |= is_learned && is_head;
            let is_learned = is_learned && !is_head && !line.draw.starts_with(&calibration);
            lines.insert(line.key, (Tally::from(&line), is_learned, evaluated.contains(&line.problem)));
            Ok(())
        })?;
        let sum = |wanted: fn(&(Tally, bool, bool)) -> bool| {
            lines.values().filter(|line| wanted(line)).map(|line| line.0).fold(Tally::default(), Add::add)
        };
        Ok(Asked { learned: sum(|line| line.1), is_halting, evaluated: sum(|line| line.2), recorded: sum(|_| true) })
    }
}
