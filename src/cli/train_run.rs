//! The run that `lamas train` works on: a new one, or a resumed one, whose folder defines it.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::config::Common;
use super::controllers::RUNS;
use super::of_run::host_of;
use super::output::Tables;
use super::session::host;
use crate::controller::LatencyWeights;
use crate::disk::create_folder;
use crate::evaluate::latency::Budget;
use crate::learn::Target;
use crate::plan::Unit;
use crate::settings::{Preset, RunFile, SETTINGS, Settings, Started, admit, contradictions, record};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lamas train\n  lamas train --benchmark gsm8k --model-name gpt-4.1-nano --dry-run\n  \
                        lamas train --benchmark gsm8k --model-name gpt-4.1-nano --max-cost 5 --out runs/nano\n  \
                        lamas train --resume runs/nano\n  \
                        lamas train --benchmark mine --traces mine/traces.jsonl --second-costs .01 --dollar-costs 20"
)]
pub struct Args {
    /// Method: adaptive (our own), paper (LAMaS as published) or maas [default: adaptive]
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Number of controllers to train, with seeds counted up from --seed [default: 1]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Run folder; default: a new one under `runs`
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Continue the interrupted run in this folder, with its own settings
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Passes over the training problems
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Serve every latency weight in a range, in score per token; `--latency-weight` then picks one
    #[arg(long, value_name = "LOW..HIGH")]
    latency_weights: Option<LatencyWeights>,
    /// Best score within this mean latency, such as 2s or 120tokens; replaces the latency weight
    #[arg(long, value_name = "BUDGET", conflicts_with_all = ["latency_weights", "target_p95", "target_cost", "target_score"])]
    target_latency: Option<Budget>,
    /// Best score with 19 queries in 20 within this latency, such as 2s or 120tokens; replaces the latency weight
    #[arg(long, value_name = "BUDGET", conflicts_with_all = ["latency_weights", "target_cost", "target_score"])]
    target_p95: Option<Budget>,
    /// Best score within this mean cost for each query; replaces the cost weight
    #[arg(long, value_name = "DOLLARS", conflicts_with_all = ["latency_weights", "target_score"])]
    target_cost: Option<f64>,
    /// Fastest and cheapest plans with at least this mean score
    #[arg(long, value_name = "SCORE", conflicts_with = "latency_weights")]
    target_score: Option<f64>,
    /// Estimate calls, tokens and dollars from a few questions, then stop
    #[arg(long)]
    pub dry_run: bool,
    /// Only train, without evaluation and report
    #[arg(long)]
    no_evaluation: bool,
    /// Also write every training episode as a JSON line
    #[arg(long)]
    episodes: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pub tables: Tables,
}

/// A run before anything of it is written.
pub struct Run {
    pub folder: PathBuf,
    /// What the folder says, or is going to say.
    pub file: RunFile,
    /// The same with what this process may set anew, such as its device and its caps.
    pub settings: Settings,
    /// Whether it is gone on with.
    pub resumes: bool,
}

impl Run {
    /// The run that the flags mean.
    ///
    /// # Errors
    /// Names the setting at fault, what of the flags contradicts the run that is to be gone on with, or the folder that holds
    /// a run already.
    pub fn of(args: &Args) -> Result<Self> {
        match &args.resume {
            Some(folder) => Self::resumed(args, folder),
            None => Self::new(args),
        }
    }

    fn new(args: &Args) -> Result<Self> {
        let preset = args.preset.unwrap_or_default();
        let settings = with_flags(args, args.common.resolve(preset)?)?;
        let folder = match &args.out {
            Some(folder) => folder.clone(),
            None => unused(&format!("{}-{}", settings.benchmark()?.name, preset.name())),
        };
        ensure!(
            !folder.join(SETTINGS).exists(),
            "`{0}` already contains a run; hint: `--resume {0}` continues it, `--out` names another folder",
            folder.display()
        );
        let seeds = seeds(settings.seed, args.seeds.unwrap_or(1));
        let started =
            Started { evaluates: !args.no_evaluation, episodes: args.episodes, ..Started::new("train", preset, seeds) };
        let file = RunFile { started, settings: settings.clone(), gone: Vec::new() };
        Ok(Run { folder, file, settings, resumes: false })
    }

    fn resumed(args: &Args, folder: &Path) -> Result<Self> {
        let mut file = RunFile::read(folder)?;
        let RunFile { started, settings: run, gone } = &file;
        gone.iter().for_each(|gone| eprintln!("{gone}"));
        let place = folder.display();
        ensure!(
            started.command == "train",
            "expected a run of `lamas train` in `{place}`, found one of `lamas {0}`; hint: `lamas {0} --out {place}` \
             continues it",
            started.command
        );
        let settings = with_flags(args, args.common.resolve_over(run)?)?;
        let mut differ = contradictions(run, &settings)?;
        let seeds = started.seeds.len() as u64;
        if let Some(asked) = args.seeds.filter(|&asked| asked.max(1) != seeds) {
            differ.push(format!("`seeds` is {seeds} there, {asked} here"));
        }
        if let Some(asked) = args.preset.filter(|&asked| asked != started.preset) {
            differ.push(format!("`preset` is `{}` there, `{}` here", started.preset.name(), asked.name()));
        }
        ensure!(
            differ.is_empty(),
            "the run in `{place}` was started with other settings: {}; hint: `lamas train --resume {place}` needs no other \
             flag, `--out` names the folder of a new run",
            differ.join(", ")
        );
        let catalogue = settings.catalogue(&settings.benchmark()?)?;
        let settings = admit(settings, &catalogue, folder, &host_of(&args.common.own()?, &args.common))?;
        file.started.evaluates &= !args.no_evaluation;
        file.started.episodes |= args.episodes;
        Ok(Run { folder: folder.to_owned(), file, settings, resumes: true })
    }

    /// Writes what the run is into its folder, which is made, unless it says so already.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(&self) -> Result<()> {
        create_folder(&self.folder)?;
        if !self.resumes { begin(&self.folder, &self.file) } else { Ok(()) }
    }

    /// Removes the folder of a new run that failed before anything was answered, so that the same command can be repeated.
    pub fn clear(&self) {
        if !self.resumes && is_untouched(&self.folder) {
            // Nobody misses what could not be taken away.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// How the run is gone on with once it has stopped.
    pub fn resume(&self) -> String {
        format!("lamas train --resume {}", self.folder.display())
    }
}

/// Writes what a run is into its folder, and takes note that it was made here.
///
/// # Errors
/// The folder cannot be written.
pub fn begin(folder: &Path, file: &RunFile) -> Result<()> {
    file.write(folder)?;
    if let Err(error) = record(&file.started, &file.settings, &host()) {
        eprintln!("warning: cannot record that the run was made here, so it will count as somebody else's: {error:#}");
    }
    Ok(())
}

/// The settings under the flags of training alone.
fn with_flags(args: &Args, mut settings: Settings) -> Result<Settings> {
    settings.training.epochs = args.epochs.unwrap_or(settings.training.epochs);
    settings.controller.latency_weights = args.latency_weights.or(settings.controller.latency_weights);
    let latency = args.target_latency.map(|budget| Target::Latency(budget.amount()));
    let p95 = args.target_p95.map(|budget| Target::LatencyP95(budget.amount()));
    let (cost, score) = (args.target_cost.map(Target::Cost), args.target_score.map(Target::Score));
    settings.training.target = latency.or(p95).or(cost).or(score).or(settings.training.target);
    let (flag, budget) = match args.target_p95 {
        Some(budget) => ("--target-p95", Some(budget)),
        None => ("--target-latency", args.target_latency),
    };
    let unit = match (budget, settings.training.objective.unit) {
        (Some(Budget::Seconds(_)), Unit::Tokens) => "tokens",
        (Some(Budget::Tokens(_)), Unit::Seconds) => "seconds",
        _ => return Ok(settings),
    };
    bail!(
        "{flag}: expected {unit}, the unit of the objective, found {}; hint: set `objective.unit` in \
         the settings, or --second-costs for seconds",
        budget.map(|budget| budget.to_string()).unwrap_or_default()
    )
}

/// `count` seeds from `first` on, at least one.
pub fn seeds(first: u64, count: u64) -> Vec<u64> {
    (first..=u64::MAX).take(usize::try_from(count.max(1)).unwrap_or(usize::MAX)).collect()
}

/// Whether a run folder contains only its settings, because no call was answered.
fn is_untouched(folder: &Path) -> bool {
    let is_blank = |entry: io::Result<DirEntry>| {
        let Ok((entry, metadata)) = entry.and_then(|entry| entry.metadata().map(|metadata| (entry, metadata))) else {
            return false;
        };
        let is_empty = match metadata.is_dir() {
            true => fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_none()),
            false => metadata.len() == 0,
        };
        is_empty || entry.file_name() == SETTINGS
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(is_blank))
}

/// `runs/NAME`, or `runs/NAME-2`, ... where that exists.
pub fn unused(name: &str) -> PathBuf {
    let first = Path::new(RUNS).join(name);
    let numbered = |number: u32| Path::new(RUNS).join(format!("{name}-{number}"));
    std::iter::once(first)
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| Path::new(RUNS).join(name))
}
