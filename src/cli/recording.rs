//! Where completions are recorded, and how many a command found there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::config::Settings;
use crate::encoder;
use crate::llm::{Completion, Error, LanguageModel, Meter, Mode, Replay, Request};

/// The database inside a cache folder.
const DATABASE: &str = "completions.sqlite";

/// The database that `--cache` means: the file itself, or [`DATABASE`] in the folder; by default in the user's cache
/// folder.
///
/// # Errors
/// The user has no cache folder.
pub fn database(cache: Option<&Path>) -> Result<PathBuf> {
    let Some(path) = cache else {
        let folder = encoder::cache_folder().context("expected a cache folder, found no home; hint: set `--cache`")?;
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
pub fn record(settings: &Settings, model: Arc<dyn LanguageModel>) -> Result<Arc<dyn LanguageModel>> {
    let is_built_in = settings.model.is_none() && !settings.endpoint.is_used();
    let usual = if is_built_in && settings.cache.is_none() { Mode::Off } else { Mode::Use };
    Ok(match settings.cache_mode.unwrap_or(usual) {
        Mode::Off => Arc::new(Replay::new(model)),
        mode => Arc::new(Counted(Replay::open(model, &database(settings.cache.as_deref())?, mode)?)),
    })
}

/// Says at its end what was found in the store.
struct Counted(Replay<Arc<dyn LanguageModel>>);

#[async_trait]
impl LanguageModel for Counted {
    async fn complete_metered(&self, request: &Request, meter: &Meter) -> Result<Completion, Error> {
        self.0.complete_metered(request, meter).await
    }

    fn has_virtual_time(&self) -> bool {
        self.0.has_virtual_time()
    }

    fn id(&self) -> &str {
        self.0.id()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(store) = self.0.store() {
            let (hits, misses) = (self.0.hits(), self.0.misses());
            eprintln!("model calls: {hits} answered from `{}`, {misses} not", store.path().display());
        }
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
        let check = |cache: &str, expected: &str| -> Result<()> {
            assert_eq!(database(Some(&here(cache)))?, here(expected));
            Ok(())
        };
        check("new", "new/completions.sqlite")?;
        check("new.sqlite", "new.sqlite")?;
        check("calls", "calls")?;
        check("calls.db", "calls.db/completions.sqlite")
    }
}
