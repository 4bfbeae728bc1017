//! `lamas train`, the main job: trains a controller for each seed, evaluates them beside the baselines, reports.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use serde::Serialize;

use super::calibrate;
use super::config::Common;
use super::controllers::RUNS;
use super::data_set::{DataSet, Memory};
use super::interrupt;
use super::methods::{Chosen, Split};
use super::progress::bar;
use super::results::{About, Results, provenance, revision};
use super::session::Session;
use crate::agent::Trained;
use crate::checkpoint::{Provenance, write_atomic};
use crate::controller::{Controller, LatencyWeights, Policy};
use crate::disk::create_folder;
use crate::execute::ExecutionConfig;
use crate::report::jsonl::Appender;
use crate::report::{Curve, Line, Panel};
use crate::settings::{Preset, Settings};
use crate::training::{self, EpochMetrics, Event, Setup, TrainingConfig, Tried};

/// The settings of a run, which `--resume` reads again.
const SETTINGS: &str = "settings.json";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// lamas (ours), paper (LAMaS as published) or maas
    #[arg(long, value_enum, default_value_t)]
    preset: Preset,
    /// Controllers to train, with seeds counted up from --seed
    #[arg(long, value_name = "K", default_value_t = 1)]
    seeds: u64,
    /// Folder of the run; default: a new one under `runs`
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the interrupted run in this folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Passes over the training problems
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Serve every latency weight of a range, as LOW..HIGH in score per token; `--latency-weight` then chooses one
    #[arg(long, value_name = "LOW..HIGH")]
    latency_weights: Option<LatencyWeights>,
    /// Train only: no evaluation, no report
    #[arg(long)]
    no_evaluation: bool,
    /// Also write every training episode as a JSON line
    #[arg(long)]
    episodes: bool,
    /// JSON instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<()> {
    let mut settings = args.common.resolve(args.preset)?;
    if let Some(epochs) = args.epochs {
        settings.training.epochs = epochs;
    }
    settings.controller.latency_weights = args.latency_weights.or(settings.controller.latency_weights);
    let session = Session::open(&settings)?;
    let benchmark = session.solver().benchmark().name.clone();
    let folder = match (&args.resume, &args.out) {
        (Some(folder), _) => {
            ensure!(folder.join(SETTINGS).is_file(), "expected a run in `{}`, found none", folder.display());
            folder.clone()
        }
        (None, Some(folder)) => folder.clone(),
        (None, None) => unused(&format!("{benchmark}-{}", args.preset.name())),
    };
    create_folder(&folder)?;
    ensure!(
        args.resume.is_some() || !folder.join(SETTINGS).exists(),
        "`{0}` already holds a run; hint: `--resume {0}` goes on with it, `--out` names another folder",
        folder.display()
    );
    let config = serde_json::to_value(&settings)?;
    write_atomic(&folder.join(SETTINGS), serde_json::to_string_pretty(&config)?.as_bytes())?;

    let train = Split::open(&session, "train")?;
    let validation = Split::open(&session, "validation")?;
    let stop = {
        let _runtime = session.runtime.enter();
        interrupt::listen(session.parts.endpoint.clone())
    };
    let seeds: Vec<u64> = (settings.seed..settings.seed + args.seeds.max(1)).collect();
    let mut trained = Vec::with_capacity(seeds.len());
    let mut histories = Vec::with_capacity(seeds.len());
    for &seed in &seeds {
        let folder = folder.join(format!("seed-{seed}"));
        let job = Job {
            session: &session,
            execution: session.execution,
            settings: &settings,
            seed,
            folder: &folder,
            episodes: args.episodes,
            memory: None,
            bar: bar(format!("train, seed {seed}"), 0),
        };
        let outcome = job.train(&train, &validation, args.resume.is_some(), &stop)?;
        if !outcome.finished {
            let why = outcome.capped.map_or(String::new(), |why| format!(" by {why}"));
            let folder = folder.parent().unwrap_or(&folder).display();
            eprintln!("stopped{why}; `lamas train --resume {folder}` goes on from here");
            return Ok(());
        }
        histories.push(outcome.history);
        trained.push(outcome.trained);
    }
    if args.no_evaluation {
        return Ok(());
    }
    let test = Split::open(&session, "test")?;
    calibrate::after_training(&session, &trained, &train, &folder)?;
    let chosen = Chosen::likeliest("trained controller", &test, &trained);
    let results = Results::measure(&session, &test, &chosen, true, args.json)?;
    let about = About {
        title: format!("{} controller on {benchmark}", args.preset.name()),
        provenance: provenance(seeds, &session.parts.device),
        panels: panels(&histories),
        config,
    };
    results.write(&session, &test, about, &folder)
}

/// The training of one seed.
pub(super) struct Job<'a> {
    pub session: &'a Session,
    /// How plans are run.
    pub execution: ExecutionConfig,
    pub settings: &'a Settings,
    pub seed: u64,
    pub folder: &'a Path,
    /// Whether to write every training episode.
    pub episodes: bool,
    /// What trainings on the same splits have in common.
    pub memory: Option<&'a Memory>,
    pub bar: ProgressBar,
}

pub(super) struct Outcome {
    pub trained: Trained,
    pub history: Vec<EpochMetrics>,
    pub finished: bool,
    pub capped: Option<String>,
}

impl Job<'_> {
    pub fn train(&self, train: &Split, validation: &Split, resume: bool, stop: &Arc<AtomicBool>) -> Result<Outcome> {
        let Job { session, execution, settings, seed, folder, .. } = *self;
        create_folder(folder)?;
        let operators = session.operators()?.to_tensor(&session.parts.device)?;
        let controller =
            Controller::new(settings.controller.clone(), session.kinds(), &operators, seed, &session.parts.device)?;
        let (solver, unit) = (session.solver(), settings.training.objective.unit);
        let data_set = |split| DataSet::new(solver, execution, unit, split, self.memory);
        let [train, validation] = [train, validation].map(data_set);
        let provenance = Provenance {
            encoder: session.parts.encoder.id().to_owned(),
            catalogue: session.solver().catalogue().text().to_owned(),
            configuration: serde_json::to_value(settings)?,
            seed,
            revision: revision(),
        };
        let setup = Setup {
            controller,
            config: TrainingConfig { execution, ..settings.training.clone() },
            train: train.problems(),
            validation: validation.problems(),
            provenance,
            folder: Some(folder),
            resume,
            cancelled: stop,
        };
        let mut log = self.episodes.then(|| Appender::open(&folder.join("episodes.jsonl"))).transpose()?;
        let mut watcher = Watcher::new(self.bar.clone(), &settings.training, train.ids.len());
        let mut failure = None;
        let mut notify = |event: Event<'_>| {
            let kept = log.as_mut().map_or(Ok(()), |log| keep(log, &event));
            failure = failure.take().or(kept.err());
            watcher.see(&event);
        };
        let outcome = session.runtime.block_on(training::train(setup, &mut notify));
        watcher.finish();
        let outcome = outcome?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let trained = match &outcome.checkpoint {
            Some(checkpoint) => {
                let controller = Controller::from_checkpoint(checkpoint, session.kinds(), &session.parts.device)?;
                Trained::new(&controller, checkpoint)?
            }
            None => {
                let policy = Policy::uniform(settings.controller.clone(), session.kinds());
                Trained { policy, halting: None, seed }
            }
        };
        let training::Trained { history, finished, capped, .. } = outcome;
        Ok(Outcome { trained, history, finished, capped })
    }
}

/// Appends the training episodes of a batch.
fn keep(log: &mut Appender, event: &Event<'_>) -> Result<()> {
    #[derive(Serialize)]
    struct Record<'a> {
        epoch: u32,
        batch: usize,
        #[serde(flatten)]
        tried: &'a Tried,
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
}

impl Watcher {
    fn new(bar: ProgressBar, config: &training::TrainingConfig, problems: usize) -> Self {
        let batches = problems.div_ceil(config.batch.max(1)) as u64;
        Watcher { bar, batches: batches * u64::from(config.epochs), epochs: config.epochs, last: String::new() }
    }

    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Surveyed { runs, of } => self.count(*runs, *of, "survey"),
            Event::Followed { runs, of } => self.count(*runs, *of, "halting head"),
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

/// `runs/NAME`, or `runs/NAME-2`, ... where that exists.
pub(super) fn unused(name: &str) -> PathBuf {
    let first = Path::new(RUNS).join(name);
    let numbered = |number: u32| Path::new(RUNS).join(format!("{name}-{number}"));
    std::iter::once(first)
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| Path::new(RUNS).join(name))
}
