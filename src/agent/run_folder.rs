//! The files of a run folder: a checkpoint for each seed, and the latency model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::checkpoint::Checkpoint;
use crate::evaluate::latency::{LATENCY_FILE, LatencyModel};
use crate::operation::Catalogue;

/// The best checkpoint of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// The path of the latency model of a run folder or a checkpoint.
pub fn latency_path(origin: &Path) -> PathBuf {
    if origin.is_dir() { origin.join(LATENCY_FILE) } else { origin.with_file_name(LATENCY_FILE) }
}

/// The latency model of a checkpoint, beside it or in the folder of its run, if there is one.
///
/// # Errors
/// The file cannot be read, or belongs to another catalogue.
pub fn latency_model(catalogue: &Catalogue, origin: &Path) -> Result<Option<LatencyModel>> {
    let beside = latency_path(origin);
    let above = beside.parent().and_then(Path::parent).map(|folder| folder.join(LATENCY_FILE));
    let Some(path) = std::iter::once(beside).chain(above).find(|path| path.is_file()) else { return Ok(None) };
    let read = || -> Result<LatencyModel> {
        let model: LatencyModel = serde_json::from_slice(&std::fs::read(&path)?)?;
        let expected: Vec<&str> = catalogue.operators().iter().map(|operator| operator.name.as_str()).collect();
        let found = model.operators.iter().map(|operator| operator.name.as_str());
        ensure!(found.eq(expected.iter().copied()), "expected the operators {}, found others", expected.join(", "));
        Ok(model)
    };
    read().map(Some).with_context(|| {
        format!("cannot use the latency model `{}`; hint: `lamas calibrate` writes a new one", path.display())
    })
}

/// The newest checkpoint under a folder.
///
/// # Errors
/// There is none.
pub fn newest(folder: &Path) -> Result<(Checkpoint, PathBuf)> {
    let path = checkpoints(folder)
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .with_context(|| {
            let folder = folder.display();
            format!("expected a trained controller under `{folder}`, found none; hint: run `lamas train`, or name one")
        })?;
    Ok((Checkpoint::load(&path)?, path))
}

/// The checkpoints of a run folder (one for each seed), or of all runs below a folder, in order of their paths.
pub fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let checkpoint = folder.join(CHECKPOINT);
        if checkpoint.is_file() {
            found.push(checkpoint);
        }
        // runs / run / seed
        if depth < 2 {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            folders.extend(entries.filter(|path| path.is_dir()).map(|path| (path, depth + 1)));
        }
    }
    found.sort();
    found
}
