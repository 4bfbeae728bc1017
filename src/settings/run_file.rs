//! The file that a run writes into its folder first: how it was started, and its settings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Preset, Settings, modernise};
use crate::checkpoint::write_atomic;

/// The file of a run folder that says what the run is.
pub const SETTINGS: &str = "settings.json";
/// Where the file holds what is no setting.
const RUN: &str = "run";

/// How a run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// `train`, `compare` or `sweep`.
    pub command: String,
    /// Tells the run from all others, wherever its folder goes; empty for runs of earlier versions.
    pub id: String,
    pub preset: Preset,
    /// Of the controllers.
    pub seeds: Vec<u64>,
    /// Whether the controllers are evaluated once they are trained.
    pub evaluates: bool,
    /// Whether every training episode is written.
    pub episodes: bool,
}

impl Started {
    /// A run that starts now.
    pub fn new(command: &str, preset: Preset, seeds: Vec<u64>) -> Self {
        let id = format!("{:032x}", rand::random::<u128>());
        Started { command: command.to_owned(), id, preset, seeds, evaluates: true, episodes: false }
    }
}

/// The file of a run folder.
#[derive(Clone, Debug)]
pub struct RunFile {
    pub started: Started,
    pub settings: Settings,
    /// A line on each setting of an earlier version that has no effect any more.
    pub gone: Vec<String>,
}

impl RunFile {
    /// Reads `NAME=PATH`, or a path; what exists is a path.
    pub fn named(text: &str) -> (Option<String>, PathBuf) {
        match text.split_once('=') {
            Some((name, path)) if !Path::new(text).exists() => (Some(name.to_owned()), PathBuf::from(path)),
            _ => (None, PathBuf::from(text)),
        }
    }

    /// What a run is called where nobody says otherwise: the name of its folder, or else of that of the checkpoint.
    pub fn name_of(origin: &Path) -> String {
        let folder = RunFile::folder_of(origin).or_else(|| origin.parent().map(Path::to_owned)).unwrap_or_default();
        let folder = folder.canonicalize().unwrap_or(folder);
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("run");
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect()
    }

    /// Reads the file of a run folder. A run of an earlier version, which did not say how it was started, has the seeds
    /// whose folders are there.
    ///
    /// # Errors
    /// There is no run in the folder, or the file is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(SETTINGS);
        ensure!(path.is_file(), "expected a run in `{}`, found none", folder.display());
        let read = || -> Result<Self> {
            let mut value: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
            let started = value.as_object_mut().context("expected an object, found something else")?.remove(RUN);
            let gone = modernise(&mut value);
            let settings: Settings = serde_json::from_value(value)?;
            let started = match started {
                Some(started) => serde_json::from_value(started).with_context(|| format!("`{RUN}`"))?,
                None => {
                    Started { id: String::new(), ..Started::new("train", Preset::default(), seeds(folder, &settings)) }
                }
            };
            ensure!(!started.seeds.is_empty(), "`{RUN}.seeds`: expected at least one seed, found none");
            Ok(RunFile { started, settings, gone })
        };
        read().with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut value = serde_json::to_value(&self.settings)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert(RUN.into(), serde_json::to_value(&self.started)?);
        }
        write_atomic(&folder.join(SETTINGS), serde_json::to_string_pretty(&value)?.as_bytes())
    }

    /// The folder of the run that a file or a folder belongs to, as far as it says so.
    pub fn folder_of(path: &Path) -> Option<PathBuf> {
        // run / method / seed / checkpoint
        path.ancestors().take(4).find(|folder| folder.join(SETTINGS).is_file()).map(Path::to_owned)
    }
}

/// The seeds whose folders are there, and that of the settings.
fn seeds(folder: &Path, settings: &Settings) -> Vec<u64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let seed = |name: &str| name.strip_prefix("seed-")?.parse().ok();
    let found = entries.filter_map(|entry| seed(entry.file_name().to_str()?));
    found.chain([settings.seed]).collect::<BTreeSet<u64>>().into_iter().collect()
}

/// Settings that say where and how fast a run is computed, or what may be spent: another process may have its own.
const FREE: [&str; 5] = ["device", "python", "allow_unsandboxed", "training.concurrency", "endpoint"];
/// What is free of a model's definition: what its server bears.
const LIMITS: [&str; 9] = [
    "stream",
    "in_flight",
    "requests_per_minute",
    "tokens_per_minute",
    "attempts",
    "backoff_seconds",
    "connect_seconds",
    "stall_seconds",
    "total_seconds",
];
/// What remains of [`FREE`]: where answers come from, and what they cost.
const BOUND: [&str; 3] = ["endpoint.url", "endpoint.model", "endpoint.price"];
/// Settings that are paths: another spelling of one is no other setting.
const PATHS: [&str; 5] = ["benchmark", "catalogue", "model", "prices", "traces"];

/// What of `asked` contradicts the settings that a run was started with, one text for each setting.
///
/// # Errors
/// The settings cannot be told as JSON.
pub fn contradictions(run: &Settings, asked: &Settings) -> Result<Vec<String>> {
    let mut found = Vec::new();
    compare("", Some(&serde_json::to_value(run)?), Some(&serde_json::to_value(asked)?), &mut found);
    Ok(found)
}

fn compare(path: &str, run: Option<&Value>, asked: Option<&Value>, found: &mut Vec<String>) {
    if run == asked {
        return;
    }
    let fields = [run, asked].map(|value| value.and_then(Value::as_object));
    if fields.iter().any(Option::is_some) && [run, asked].iter().flatten().all(|value| value.is_object()) {
        let names: BTreeSet<&String> = fields.iter().flatten().flat_map(|fields| fields.keys()).collect();
        for name in names {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let [run, asked] = fields.map(|fields| fields.and_then(|fields| fields.get(name)));
            compare(&below, run, asked, found);
        }
        return;
    }
    let is_limit = path.strip_prefix("models.").and_then(|model| model.rsplit_once('.'));
    let is_limit = is_limit.is_some_and(|(_, field)| LIMITS.contains(&field));
    let is_free = is_limit || FREE.iter().any(|free| path == *free || path.starts_with(&format!("{free}.")));
    let is_same_path = || PATHS.contains(&path) && canonical(run).is_some_and(|run| Some(run) == canonical(asked));
    if is_free && !BOUND.contains(&path) || is_same_path() {
        return;
    }
    let shown = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => value.to_string(),
    };
    found.push(format!("`{path}` is {} there, {} here", shown(run), shown(asked)));
}

fn canonical(value: Option<&Value>) -> Option<PathBuf> {
    Path::new(value?.as_str()?).canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_reads_back() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let settings = Settings { seed: 7, ..Preset::Paper.settings() };
        let started = Started { evaluates: false, ..Started::new("train", Preset::Paper, vec![7, 8]) };
        RunFile { started: started.clone(), settings: settings.clone(), gone: Vec::new() }.write(folder.path())?;
        let read = RunFile::read(folder.path())?;
        assert_eq!((read.started, read.settings.seed), (started, 7));
        assert!(contradictions(&settings, &read.settings)?.is_empty());
        let inside = folder.path().join("method/seed-7/checkpoint.safetensors");
        assert_eq!(RunFile::folder_of(&inside).as_deref(), Some(folder.path()));
        Ok(())
    }

    #[test]
    fn a_run_of_an_earlier_version_has_the_seeds_whose_folders_are_there() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let settings = Settings { seed: 4, ..Preset::Adaptive.settings() };
        std::fs::write(folder.path().join(SETTINGS), serde_json::to_string(&settings)?)?;
        for (made, expected) in [(None, &[4][..]), (Some("seed-5"), &[4, 5]), (Some("seed-x"), &[4, 5])] {
            made.map(|name| std::fs::create_dir(folder.path().join(name))).transpose()?;
            assert_eq!(RunFile::read(folder.path())?.started.seeds, expected);
        }
        std::fs::write(folder.path().join(SETTINGS), "{\"seed\": ")?;
        let damaged = format!("{:#}", RunFile::read(folder.path()).err().context("a damaged file")?);
        assert!(damaged.contains(SETTINGS), "{damaged}");
        Ok(())
    }

    #[test]
    fn contradictions_name_the_setting_and_both_values() -> Result<()> {
        let check = |change: fn(&mut Settings), expected: &[&str]| -> Result<()> {
            let run = Preset::Adaptive.settings();
            let mut asked = run.clone();
            change(&mut asked);
            assert_eq!(contradictions(&run, &asked)?, expected);
            Ok(())
        };
        check(|_| (), &[])?;
        check(|asked| asked.seed = 5, &["`seed` is 0 there, 5 here"])?;
        check(|asked| asked.benchmark = Some("gsm8k".into()), &["`benchmark` is none there, `gsm8k` here"])?;
        check(|asked| asked.training.epochs += 1, &["`training.epochs` is 0 there, 1 here"])?;
        check(|asked| asked.endpoint.model = Some("m".into()), &["`endpoint.model` is none there, `m` here"])?;
        check(
            |asked| {
                (asked.device, asked.training.concurrency) = ("cpu".into(), 3);
                (asked.endpoint.max_cost, asked.endpoint.attempts) = (Some(1.0), 2);
            },
            &[],
        )
    }
}
