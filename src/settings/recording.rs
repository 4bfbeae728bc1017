//! Where completions are recorded, and the recording in front of a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Settings;
use crate::llm::{LanguageModel, Mode, Replay};

/// The database inside a cache folder.
const DATABASE: &str = "completions.sqlite";

/// A model whose completions are remembered.
pub type Recording = Replay<Arc<dyn LanguageModel>>;

/// The database that `cache` means: the file itself, or `completions.sqlite` in the folder; by default in `cache_folder`, the
/// user's.
///
/// # Errors
/// Neither is given.
pub fn database(cache: Option<&Path>, cache_folder: Option<&Path>) -> Result<PathBuf> {
    let Some(path) = cache else {
        let folder = cache_folder.context("expected a cache folder, found no home; hint: set `--cache`")?;
        return Ok(folder.join(DATABASE));
    };
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_file = path.is_file() || matches!(ending, Some("sqlite" | "sqlite3" | "db")) && !path.is_dir();
    Ok(if is_file { path.to_owned() } else { path.join(DATABASE) })
}

/// Puts the recording that the settings ask for in front of a model.
///
/// Unless told otherwise, the built-in model is asked again in every run: it answers faster than a disk takes note.
///
/// # Errors
/// The database cannot be opened.
pub(super) fn record(
    settings: &Settings,
    cache_folder: Option<&Path>,
    model: Arc<dyn LanguageModel>,
) -> Result<Recording> {
    let is_built_in = settings.model.is_none() && !settings.endpoint.is_used();
    let usual = if is_built_in && settings.cache.is_none() { Mode::Off } else { Mode::Use };
    match settings.cache_mode.unwrap_or(usual) {
        Mode::Off => Ok(Replay::new(model)),
        mode => Replay::open(model, &database(settings.cache.as_deref(), cache_folder)?, mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_a_folder_or_a_file() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let here = |name: &str| folder.path().join(name);
        std::fs::write(here("calls"), "")?;
        std::fs::create_dir(here("calls.db"))?;
        let check = |cache: Option<&str>, expected: &str| -> Result<()> {
            assert_eq!(database(cache.map(here).as_deref(), Some(&here("user")))?, here(expected));
            Ok(())
        };
        check(Some("new"), "new/completions.sqlite")?;
        check(Some("new.sqlite"), "new.sqlite")?;
        check(Some("calls"), "calls")?;
        check(Some("calls.db"), "calls.db/completions.sqlite")?;
        check(None, "user/completions.sqlite")?;
        let nowhere = database(None, None).map_err(|error| error.to_string());
        assert!(nowhere.is_err_and(|error| error.contains("hint: set `--cache`")));
        Ok(())
    }
}
