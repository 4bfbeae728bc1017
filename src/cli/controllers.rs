//! Trained controllers: found, and made ready to act.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::session::Session;
use crate::checkpoint::Checkpoint;
use crate::controller::{Controller, Policy};

/// Where runs are written unless told otherwise.
pub const RUNS: &str = "runs";
/// The best checkpoint of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// A controller that acts.
pub struct Trained {
    pub policy: Policy,
    pub seed: u64,
}

/// Makes a checkpoint act in a session that was opened for it.
///
/// # Errors
/// The checkpoint was trained on another encoder, or is of another shape.
pub fn restore(session: &Session, checkpoint: &Checkpoint, origin: &Path) -> Result<Trained> {
    let (expected, found) = (&checkpoint.provenance.encoder, session.encoder.id());
    ensure!(
        expected == found,
        "`{}` was trained on encoder `{expected}`, found `{found}`; hint: set `--encoder`",
        origin.display()
    );
    let controller = Controller::from_checkpoint(checkpoint, session.kinds(), &session.device)
        .with_context(|| format!("cannot use `{}`", origin.display()))?;
    Ok(Trained { policy: Policy::new(&controller)?, seed: checkpoint.provenance.seed })
}

/// The checkpoint written last under [`RUNS`].
///
/// # Errors
/// There is none.
pub fn newest() -> Result<(Checkpoint, PathBuf)> {
    let path = checkpoints(Path::new(RUNS))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .with_context(|| {
            format!("expected a trained controller under `{RUNS}`, found none; hint: run `lamas train`, or name one")
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
