//! Estimates what a run will ask for, by doing all of it on a few questions. The run need not repeat these calls.
//!
//! The number of plans for the halting head and the calibration is known; each is assumed to take what the plans of the probes
//! took.

use std::collections::HashMap;
use std::ops::{Add, Mul};

use anyhow::{Context, Result};

use super::calibrate;
use super::interrupt::Interrupt;
use super::job::Job;
use super::methods::{self, Chosen};
use super::progress::Progress;
use super::progress_line::money;
use super::session::Session;
use super::split::Split;
use super::train_run::Run;
use crate::evaluate::{Evaluation, statistics};
use crate::execute::Episode;
use crate::objective::Objective;
use crate::random::Purpose;
use crate::record::{Key, Line, Record, each_call};
use crate::settings::{RunFile, Settings};

/// Questions of each split that are probed, at most.
const PROBES: usize = 24;
/// Of so many questions no more than one is probed; of half as many where nothing else is asked for.
const ONE_IN: usize = 8;
/// Fewer say too little about the others.
const FEWEST: usize = 4;

/// Calls of models, and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    calls: f64,
    prompt_tokens: f64,
    tokens: f64,
    dollars: f64,
}

impl Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            calls: self.calls + other.calls,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            tokens: self.tokens + other.tokens,
            dollars: self.dollars + other.dollars,
        }
    }
}

impl Mul<f64> for Tally {
    type Output = Tally;

    fn mul(self, by: f64) -> Tally {
        Tally {
            calls: self.calls * by,
            prompt_tokens: self.prompt_tokens * by,
            tokens: self.tokens * by,
            dollars: self.dollars * by,
        }
    }
}

impl From<&Line> for Tally {
    fn from(line: &Line) -> Self {
        let asked = || line.calls.iter().filter(|call| !call.tool);
        Tally {
            calls: asked().count() as f64,
            prompt_tokens: asked().map(|call| call.usage.prompt_tokens as f64).sum(),
            tokens: asked().map(|call| call.usage.completion_tokens as f64).sum(),
            dollars: line.cost,
        }
    }
}

impl From<&Episode> for Tally {
    fn from(episode: &Episode) -> Self {
        let usage = episode.trace.usage();
        Tally {
            calls: episode.trace.all().map(|span| f64::from(span.calls)).sum(),
            prompt_tokens: usage.prompt_tokens as f64,
            tokens: usage.completion_tokens as f64,
            dollars: episode.trace.cost(),
        }
    }
}

/// Estimates what the run is going to ask for where that costs anything, or where `dry` asks for nothing else, and says it.
/// Returns dollars.
///
/// # Errors
/// Those of training on a few questions; where more than the estimate is asked for, only that it was stopped or refused.
pub fn before(
    session: &Session,
    run: &Run,
    dry: bool,
    [train, validation]: [&Split; 2],
    interrupt: &Interrupt,
) -> Result<Option<f64>> {
    let Some(record) = session.solver().record().cloned() else {
        if dry {
            eprintln!("estimate: no model is asked, and nothing is paid");
        }
        return Ok(None);
    };
    let is_paid = !session.parts.endpoints.is_empty() && session.solver().is_paid();
    if !dry && (run.resumes || !is_paid) {
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
    let mut seen = Seen::new(&record)?;
    let trained = job.train(&some_train, &some_validation, false, interrupt);
    let trained = match trained {
        Ok(outcome) => vec![outcome.trained],
        Err(error) if dry || super::interrupt::exit_code(&error).is_some() => return Err(error),
        Err(error) => {
            eprintln!("no estimate, because probes failed: {error:#}");
            return Ok(None);
        }
    };
    let learned = seen.further(&record)?;
    let questions = (train.ids.len() + validation.ids.len()) as f64;
    let probes = (some_train.ids.len() + some_validation.ids.len()) as f64;
    let survey = learned * (questions / probes) * repeats(settings, started.seeds.len());
    let (mut own, mut random) = (Vec::new(), Vec::new());
    let some = some_test.as_ref().unwrap_or(&some_validation);
    let chosen = Chosen::likeliest("trained controller", some, &trained);
    methods::measure_trained(session, execution, some, &chosen, &mut own)?;
    if some_test.is_some() {
        methods::measure_baselines(session, some, &[seed], &mut random)?;
        methods::measure_candidates(session, some, &trained, &mut own)?;
    }
    let is_followed = execution.halting && (seen.is_halting || leads(&own, &session.objective));
    let (own, random) = (mean(own.iter().flatten()), mean(random.last().into_iter().flatten()));
    let seeds = started.seeds.len() as f64;
    let followed = if is_followed { settings.training.halting.draws as f64 * train.ids.len() as f64 } else { 0.0 };
    let training = survey + own * followed * seeds;
    let mut rest = Tally::default();
    if let Some(test) = &test {
        let calibrated = calibrate::QUERIES.min(train.ids.len()) as f64;
        let by = test.ids.len() as f64 / some.ids.len().max(1) as f64 * seeds;
        rest = (own + random) * (0.5 * calibrated) + seen.further(&record)? * by;
    }
    drop(bar);
    let probes = some_train.ids.len() + some_validation.ids.len() + some_test.as_ref().map_or(0, |some| some.ids.len());
    let all = training + rest;
    eprintln!("estimate from all calls for {probes} questions:");
    let lines = [("training", training), ("evaluation", rest), ("all", all)];
    lines.iter().for_each(|(what, tally)| eprintln!("{}", shown(what, tally)));
    if let Some(cap) = settings.endpoint.max_cost.filter(|&cap| cap < all.dollars) {
        eprintln!(
            "--max-cost {cap} is lower: it will stop the run early, and `{}` will continue from there",
            run.resume()
        );
    }
    Ok(Some(settings.endpoint.max_cost.map_or(all.dollars, |cap| cap.min(all.dollars))))
}

/// How often training asks anew: all seeds share the calls of the survey, and draw plans of their own.
fn repeats(settings: &Settings, seeds: usize) -> f64 {
    if settings.training.epochs > 0 { seeds as f64 } else { 1.0 }
}

/// Whether the controller is above the best operator on the probes: a run then answers by it, and fits a halting head to it.
fn leads(methods: &[Vec<Evaluation>], objective: &Objective) -> bool {
    let utility = |name: &str| -> Option<f64> {
        let passes = methods.iter().find(|passes| passes.iter().any(|pass| pass.name == name))?;
        let episodes = passes.iter().flat_map(|pass| &pass.episodes);
        Some(statistics::mean(&episodes.map(|episode| objective.measure(episode).utility).collect::<Vec<_>>()))
    };
    utility("controller").zip(utility("best operator")).is_none_or(|(ours, theirs)| ours > theirs)
}

/// What a query takes on average.
fn mean<'e>(passes: impl Iterator<Item = &'e Evaluation>) -> Tally {
    let episodes: Vec<&Episode> = passes.flat_map(|pass| &pass.episodes).collect();
    let sum = episodes.iter().map(|episode| Tally::from(*episode)).fold(Tally::default(), Add::add);
    sum * (1.0 / episodes.len().max(1) as f64)
}

fn shown(what: &str, tally: &Tally) -> String {
    let Tally { calls, prompt_tokens, tokens, dollars } = *tally;
    format!(
        "  {what:<10} {:>9} calls, {:>8} + {:>8} tokens, {:>8} $",
        round(calls),
        round(prompt_tokens),
        round(tokens),
        money(dollars)
    )
}

/// Three digits, as far as an estimate goes.
fn round(value: f64) -> String {
    match value {
        _ if value >= 9_995_000.0 => format!("{:.1}M", value / 1e6),
        _ if value >= 999_500.0 => format!("{:.2}M", value / 1e6),
        _ if value >= 9_995.0 => format!("{:.0}k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

/// How far a record was read.
struct Seen {
    lines: usize,
    /// Whether a halting head was among what was asked for.
    is_halting: bool,
}

impl Seen {
    fn new(record: &Record) -> Result<Self> {
        let mut seen = Seen { lines: 0, is_halting: false };
        seen.further(record)?;
        Ok(Seen { is_halting: false, ..seen })
    }

    /// What calls came to that were added since, but for those of a halting head.
    fn further(&mut self, record: &Record) -> Result<Tally> {
        let (first, mut last) = (self.lines, self.lines);
        // A call of which more samples were taken later stands on a line anew, with what it held before.
        let mut before: HashMap<Key, Tally> = HashMap::new();
        let (mut sum, mut is_halting) = (Tally::default(), self.is_halting);
        let halting = Purpose::Halting.draw(0).to_string();
        let halting = halting.trim_end_matches([' ', '0']);
        each_call(record.path(), |number, line| {
            let all = Tally::from(&line);
            let held = before.insert(line.key, all).unwrap_or_default();
            last = last.max(number);
            match line.draw.starts_with(halting) {
                _ if number <= first => {}
                true => is_halting = true,
                false => sum = sum + all + held * -1.0,
            }
            Ok(())
        })?;
        (self.lines, self.is_halting) = (last, is_halting);
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let check = |value: f64, expected: &str| assert_eq!(round(value), expected);
        check(0.0, "0");
        check(1234.4, "1234");
        check(12_340.0, "12k");
        check(3_214_000.0, "3.21M");
        check(32_140_000.0, "32.1M");
        let tally = Tally { calls: 14_700.0, prompt_tokens: 3.2e6, tokens: 812_000.0, dollars: 0.4987 };
        let line = shown("all", &(tally * 0.5 + tally * 0.5));
        assert_eq!(line, "  all              15k calls,    3.20M +     812k tokens,     0.50 $");
        assert!(line.len() < 80);
    }
}
