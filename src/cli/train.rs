//! `lamas train`, the main job: trains a controller for each seed, evaluates them beside the baselines, reports.

use std::path::Path;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;

use super::calibrate;
use super::interrupt::{self, Interrupt, Stopped};
use super::methods::Chosen;
use super::progress::bar;
use super::results::{About, Results, provenance, revision};
use super::selection;
use super::session::Session;
use super::split::{Rollouts, Split};
use super::train_run::{Args, Run};
use crate::agent::Trained;
use crate::checkpoint::Provenance;
use crate::controller::{Controller, Policy};
use crate::disk::create_folder;
use crate::execute::ExecutionConfig;
use crate::learn::{self, EpochMetrics, Event, Setup, TrainingConfig, TrainingEpisode};
use crate::report::jsonl::Appender;
use crate::report::{Curve, Line, Panel};
use crate::settings::{RunFile, Settings};
use crate::strategy::Strategies;

/// The record of a run, in its folder.
pub(super) const RECORD: &str = "record.jsonl";

pub fn run(args: Args) -> Result<()> {
    let run = Run::of(&args)?;
    let Run { folder, file: RunFile { started, settings: said, .. }, settings, resumes } = &run;
    let mut session = Session::open(settings)?;
    run.begin()?;
    session.keep_record(&folder.join(RECORD))?;
    let interrupt = {
        let _runtime = session.runtime.enter();
        interrupt::listen(session.parts.endpoints.clone())
    };
    let train = Split::open(&session, "train")?;
    let validation = Split::open(&session, "validation")?;
    let mut trained = Vec::with_capacity(started.seeds.len());
    let mut histories = Vec::with_capacity(started.seeds.len());
    for &seed in &started.seeds {
        let folder = folder.join(format!("seed-{seed}"));
        let job = Job {
            session: &session,
            execution: session.execution,
            settings,
            said,
            seed,
            folder: &folder,
            episodes: started.episodes,
            bar: bar(format!("train, seed {seed}"), 0),
        };
        let outcome = job.train(&train, &validation, *resumes, &interrupt);
        let outcome = outcome.map_err(|error| Stopped::hinted(error, &run.resume()))?;
        histories.push(outcome.history);
        trained.push(outcome.trained);
    }
    if !started.evaluates {
        return Ok(());
    }
    interrupt.part_at_once(format!("stopped; `{}` goes on from here", run.resume()));
    let test = Split::open(&session, "test")?;
    calibrate::after_training(&session, &trained, &train, folder)?;
    let chosen = Chosen::likeliest("trained controller", &test, &trained);
    let results = Results::measure(&session, &test, &chosen, &trained, true, args.json)?;
    let about = About {
        title: format!("{} controller on {}", started.preset.name(), session.solver().benchmark().name),
        provenance: provenance(started.seeds.clone(), &session.parts.device),
        panels: panels(&histories),
        config: serde_json::to_value(said)?,
    };
    results.write(&session, &test, about, folder)
}

/// The training of one seed.
pub(super) struct Job<'a> {
    pub session: &'a Session,
    /// How plans are run.
    pub execution: ExecutionConfig,
    pub settings: &'a Settings,
    /// What the checkpoint says of the run, whoever goes on with it.
    pub said: &'a Settings,
    pub seed: u64,
    pub folder: &'a Path,
    /// Whether to write every training episode.
    pub episodes: bool,
    pub bar: ProgressBar,
}

pub(super) struct Finished {
    pub trained: Trained,
    pub history: Vec<EpochMetrics>,
}

impl Job<'_> {
    /// Trains the controller to its end.
    ///
    /// # Errors
    /// Those of [`learn::train`], and [`Stopped`] where it is interrupted or meets a cap.
    pub fn train(&self, train: &Split, validation: &Split, resume: bool, interrupt: &Interrupt) -> Result<Finished> {
        let Job { session, execution, settings, seed, folder, .. } = *self;
        create_folder(folder)?;
        let operators = session.operators()?.to_tensor(&session.parts.device)?;
        let controller =
            Controller::new(settings.controller.clone(), session.kinds(), &operators, seed, &session.parts.device)?;
        let (solver, unit) = (session.solver(), settings.training.objective.unit);
        let rollouts = [train, validation].map(|split| Rollouts::new(solver, execution, unit, split));
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
        let mut watcher = Watcher::new(self.bar.clone(), &settings.training, train.ids.len(), session.names());
        let mut failure = None;
        let mut notify = |event: Event<'_>| {
            let kept = log.as_mut().map_or(Ok(()), |log| keep(log, &event));
            failure = failure.take().or(kept.err());
            watcher.see(&event);
        };
        let outcome = session.runtime.block_on(async {
            tokio::select! {
                biased;
                outcome = learn::train(setup, &mut notify) => outcome,
                // As where the process ends: the run goes on from what it last saved.
                () = interrupt.over() => Err(Stopped::by(None).into()),
            }
        });
        watcher.finish();
        let outcome = outcome?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !outcome.finished {
            return Err(Stopped::by(outcome.capped).into());
        }
        let trained = match &outcome.checkpoint {
            Some(checkpoint) => {
                let controller = Controller::from_checkpoint(checkpoint, session.kinds(), &session.parts.device)?;
                Trained::new(&controller, checkpoint)?
            }
            None => {
                let policy = Policy::uniform(settings.controller.clone(), session.kinds());
                Trained { policy, halting: None, strategies: Strategies::default(), seed }
            }
        };
        Ok(Finished { trained, history: outcome.history })
    }
}

/// Appends the training episodes of a batch.
fn keep(log: &mut Appender, event: &Event<'_>) -> Result<()> {
    #[derive(Serialize)]
    struct Record<'a> {
        epoch: u32,
        batch: usize,
        #[serde(flatten)]
        tried: &'a TrainingEpisode,
    }
    if let Event::Batch { epoch, batch, episodes, .. } = *event {
        for tried in episodes {
            log.append(&Record { epoch, batch, tried })?;
        }
    }
    Ok(())
}

/// Shows training on a progress bar.
struct Watcher {
    bar: ProgressBar,
    /// Of drawn plans.
    batches: u64,
    epochs: u32,
    last: String,
    names: Vec<String>,
    /// What the run answers by, and why.
    selected: String,
}

impl Watcher {
    fn new(bar: ProgressBar, config: &learn::TrainingConfig, problems: usize, names: Vec<String>) -> Self {
        let batches = problems.div_ceil(config.batch.max(1)) as u64;
        let batches = batches * u64::from(config.epochs);
        Watcher { bar, batches, epochs: config.epochs, last: String::new(), names, selected: String::new() }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Surveyed { runs, of } => self.count(*runs, *of, "survey"),
            Event::Compared { runs, of } => self.count(*runs, *of, "simpler candidates"),
            Event::Followed { runs, of } => self.count(*runs, *of, "halting head"),
            Event::Selected { selection } => self.selected = selection::lines(selection, &self.names),
            Event::Resumed { epoch, batch } => {
                eprintln!("resumed after {epoch} passes and {batch} batches");
            }
            Event::Batch { epoch, batch, batches, pass, .. } => {
                self.bar.set_length(self.batches);
                self.bar.set_position(u64::from(*epoch) * *batches as u64 + *batch as u64 + 1);
                let Self { epochs, last, .. } = self;
                let (score, path) = (pass.score, pass.critical_path);
                self.bar.set_message(format!("pass {}/{epochs} score {score:.3} path {path:.1}{last}", epoch + 1));
            }
            Event::Epoch { metrics, .. } => {
                let validation = &metrics.validation;
                self.last = format!(
                    " | validation score {:.3} path {:.1} utility {:.3}",
                    validation.score, validation.critical_path, validation.utility
                );
                self.bar.set_message(format!("after pass {}{}", metrics.pass, self.last));
            }
        }
    }

    fn count(&self, runs: usize, of: usize, what: &'static str) {
        self.bar.set_length(of as u64);
        self.bar.set_position(runs as u64);
        self.bar.set_message(what);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
        if !self.bar.prefix().is_empty() {
            eprintln!("{}{}", self.bar.prefix(), self.last);
            if !self.selected.is_empty() {
                eprintln!("{}", self.selected);
            }
        }
    }
}

/// Learning curves of all seeds.
pub(super) fn panels(histories: &[Vec<EpochMetrics>]) -> Vec<Panel> {
    let curve = |history: &[EpochMetrics], value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        Curve(history.iter().filter_map(|metrics| Some((f64::from(metrics.pass), value(metrics)?))).collect())
    };
    let line = |name: &str, value: &dyn Fn(&EpochMetrics) -> Option<f64>| Line {
        name: name.into(),
        seeds: histories.iter().map(|history| curve(history, value)).collect(),
    };
    let both = |title: &str, train: fn(&EpochMetrics) -> f64, validation: fn(&EpochMetrics) -> f64| Panel {
        title: title.into(),
        axis: "pass".into(),
        lines: vec![
            line("training (drawn)", &|metrics| (metrics.train.episodes > 0).then(|| train(metrics))),
            line("validation (likeliest)", &|metrics| Some(validation(metrics))),
        ],
    };
    vec![
        both("score", |m| m.train.score, |m| m.validation.score),
        both("utility", |m| m.train.utility, |m| m.validation.utility),
        both("critical path", |m| m.train.critical_path, |m| m.validation.critical_path),
        both("cost per query, dollars", |m| m.train.cost, |m| m.validation.cost),
        Panel {
            title: "entropy, nats per layer".into(),
            axis: "pass".into(),
            lines: vec![line("entropy", &|m| Some(m.entropy))],
        },
    ]
}
