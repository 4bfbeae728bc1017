//! Trains one controller into a folder and shows the progress.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::interrupt::{Interrupt, Stopped};
use super::progress::{Bar, Progress};
use super::provenance::revision;
use super::selection;
use super::session::Session;
use super::split::{Rollouts, Split};
use crate::agent::Trained;
use crate::checkpoint::Provenance;
use crate::controller::{Controller, Policy};
use crate::disk::create_folder;
use crate::execute::ExecutionConfig;
use crate::learn::{self, EpochMetrics, Event, Setup, TrainingConfig};
use crate::report::jsonl::Appender;
use crate::report::named;
use crate::report::transcript::LETTERS;
use crate::settings::Settings;
use crate::strategy::Strategies;

/// The training of one seed.
pub(super) struct Job<'a> {
    pub session: &'a Session,
    /// How plans are run.
    pub execution: ExecutionConfig,
    pub settings: &'a Settings,
    /// The settings that the checkpoint stores for the run, whoever continues it.
    pub said: &'a Settings,
    pub seed: u64,
    pub folder: &'a Path,
    /// Whether to write every training episode.
    pub episodes: bool,
    pub progress: Progress,
    /// Its name in messages; a job without a name prints none.
    pub name: String,
}

pub(super) struct Finished {
    pub trained: Trained,
    pub history: Vec<EpochMetrics>,
}

impl Job<'_> {
    /// Trains the controller to the end.
    ///
    /// # Errors
    /// Those of [`learn::train`], and [`Stopped`] if it is interrupted or reaches a cap.
    pub fn train(&self, train: &Split, validation: &Split, resume: bool, interrupt: &Interrupt) -> Result<Finished> {
        let Job { session, execution, settings, seed, folder, .. } = *self;
        create_folder(folder)?;
        let operators = session.operators()?.to_tensor(&session.parts.device)?;
        let controller = Controller::new(
            settings.controller.clone(),
            session.signatures(),
            &operators,
            seed,
            &session.parts.device,
        )?;
        let (solver, unit) = (session.solver(), settings.training.objective.unit);
        let letters = if self.episodes { LETTERS } else { 0 };
        let rollouts = [train, validation].map(|split| Rollouts::new(solver, execution, unit, split, letters));
        let provenance = Provenance {
            encoder: session.parts.encoder.id().to_owned(),
            catalogue: session.solver().catalogue().text().to_owned(),
            configuration: serde_json::to_value(self.said)?,
            seed,
            revision: revision(),
        };
        let setup = Setup {
            controller,
            config: TrainingConfig { execution, ..settings.training.clone() },
            train: train.with(&rollouts[0]),
            validation: validation.with(&rollouts[1]),
            provenance,
            folder: Some(folder),
            resume,
            cancelled: &interrupt.stop,
        };
        let mut log = self.episodes.then(|| Appender::open(&folder.join("episodes.jsonl"))).transpose()?;
        let mut watcher = Watcher::new(self, train.ids.len());
        let mut failure = None;
        let names = session.names();
        let mut notify = |event: Event<'_>| {
            let kept = log.as_mut().map_or(Ok(()), |log| keep(log, &event, &names));
            failure = failure.take().or(kept.err());
            watcher.see(&event);
        };
        let outcome = session.runtime.block_on(async {
            tokio::select! {
                biased;
                outcome = learn::train(setup, &mut notify) => outcome,
                // As if the process ended here: the run resumes from its last save.
                () = interrupt.over() => Err(Stopped::by(None).into()),
            }
        });
        let (said, outcome) = (watcher.finish(), outcome?);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !outcome.finished {
            return Err(Stopped::by(outcome.capped).into());
        }
        said.iter().for_each(|line| eprintln!("{line}"));
        let trained = match &outcome.checkpoint {
            Some(checkpoint) => {
                let controller = Controller::from_checkpoint(checkpoint, session.signatures(), &session.parts.device)?;
                Trained::new(&controller, checkpoint)?
            }
            None => {
                let policy = Policy::uniform(settings.controller.clone(), session.signatures());
                Trained { policy, halting: None, strategies: Strategies::default(), seed }
            }
        };
        Ok(Finished { trained, history: outcome.history })
    }
}

/// Appends the training episodes of a batch.
fn keep(log: &mut Appender, event: &Event<'_>, names: &[String]) -> Result<()> {
    #[derive(Serialize)]
    struct Record {
        epoch: u32,
        batch: usize,
        #[serde(flatten)]
        tried: Value,
    }
    if let Event::Batch { epoch, batch, episodes, .. } = *event {
        for tried in episodes {
            log.append(&Record { epoch, batch, tried: named::named(tried, names)? })?;
        }
    }
    Ok(())
}

/// Shows training as steps of the command.
struct Watcher<'a> {
    progress: &'a Progress,
    /// The current step, with its kind.
    step: Option<(&'static str, Bar)>,
    name: &'a str,
    /// Batches of drawn plans.
    batches: u64,
    epochs: u32,
    last: String,
    names: Vec<String>,
    /// What the run answers with, and why.
    selected: String,
}

/// The steps of the training called `name`, each with its amount of work: the number of plans that are run.
pub(super) fn steps(name: &str, config: &TrainingConfig, problems: [usize; 2], operators: usize) -> Vec<(String, f64)> {
    let [train, validation] = problems.map(|count| count as f64);
    let (survey, head) = (&config.survey, config.execution.halting);
    let is_surveyed = survey.operators > 0 && survey.plans > 0 && survey.passes > 0;
    let works = [
        (SURVEY, is_surveyed, 0.7 * train * operators as f64),
        (DRAWN, config.epochs > 0, (train + validation) * f64::from(config.epochs)),
        (CANDIDATES, is_surveyed && config.fallback, 0.25 * (train + validation) * operators as f64),
        (HALTING, head, 4.0 * train),
    ];
    let asked = works.into_iter().filter(|(_, is_asked, _)| *is_asked);
    asked.map(|(what, _, work)| (step_name(name, what), work)).collect()
}

const SURVEY: &str = "survey";
const DRAWN: &str = "drawn plans";
const CANDIDATES: &str = "candidates";
const HALTING: &str = "halting head";

fn step_name(name: &str, what: &str) -> String {
    if name.is_empty() { what.to_owned() } else { format!("{what}, {name}") }
}

impl<'a> Watcher<'a> {
    fn new(job: &'a Job<'_>, problems: usize) -> Self {
        let config = &job.settings.training;
        let batches = problems.div_ceil(config.batch.max(1)) as u64;
        Watcher {
            progress: &job.progress,
            step: None,
            name: &job.name,
            batches: batches * u64::from(config.epochs),
            epochs: config.epochs,
            last: String::new(),
            names: job.session.names(),
            selected: String::new(),
        }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Surveyed { runs, of } => self.count(*runs, *of, SURVEY),
            Event::Compared { runs, of } => self.count(*runs, *of, CANDIDATES),
            Event::Followed { runs, of } => self.count(*runs, *of, HALTING),
            Event::Selected { selection } => self.selected = selection::lines(selection, &self.names),
            Event::Resumed { epoch, batch } => {
                eprintln!("resumed after {epoch} passes and {batch} batches");
            }
            Event::Batch { epoch, batch, batches, pass, .. } => {
                let done = u64::from(*epoch) * *batches as u64 + *batch as u64 + 1;
                self.count(done as usize, self.batches as usize, DRAWN);
                let (score, path, epochs) = (pass.score, pass.critical_path, self.epochs);
                self.message(format!("pass {}/{epochs}, score {score:.3}, path {path:.1}", epoch + 1));
            }
            Event::Epoch { metrics, .. } => {
                let validation = &metrics.validation;
                self.last = format!(
                    "validation score {:.3}, path {:.1}, utility {:.3}",
                    validation.score, validation.critical_path, validation.utility
                );
                self.message(format!("pass {}: {}", metrics.pass, self.last));
            }
        }
    }

    fn message(&self, text: String) {
        if let Some((_, bar)) = &self.step {
            bar.message(text);
        }
    }

    fn count(&mut self, runs: usize, of: usize, what: &'static str) {
        if self.step.as_ref().is_none_or(|(step, _)| *step != what) {
            // Ends the previous step before the next begins.
            self.step = None;
            let unit = if what == DRAWN { "batches" } else { "plans" };
            self.step = Some((what, self.progress.begin(&step_name(self.name, what), unit, of as u64)));
        }
        if let Some((_, bar)) = &self.step {
            bar.set(runs as u64, of as u64);
        }
    }

    /// Ends the current step. Returns what to say about a training that is complete.
    fn finish(mut self) -> Vec<String> {
        self.step = None;
        if self.name.is_empty() {
            return Vec::new();
        }
        let trained = match self.last.as_str() {
            "" => format!("{}: already trained", self.name),
            last => format!("trained {}: {last}", self.name),
        };
        [trained, self.selected].into_iter().filter(|line| !line.is_empty()).collect()
    }
}
