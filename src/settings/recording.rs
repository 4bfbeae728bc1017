//! Where completions are recorded, and the recordings in front of models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Settings;
use super::host::Host;
use crate::model::{LanguageModel, Mode, Replay, Store};

/// The name of the database inside a cache folder.
const DATABASE: &str = "completions.sqlite";

/// A model whose completions are remembered.
pub type Recording = Replay<Arc<dyn LanguageModel>>;

/// The database that `cache` stands for: the file itself, or `completions.sqlite` in the folder. The default is in
/// `cache_folder`, the user's.
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

/// The recordings of a process: one in front of each model, all in one database.
pub(super) struct Recordings<'a> {
    settings: &'a Settings,
    cache_folder: Option<&'a Path>,
    /// Whether nothing is remembered unless the settings say so.
    forgets: bool,
    store: Option<Arc<Store>>,
    /// By model id.
    opened: BTreeMap<String, Arc<Recording>>,
}

impl<'a> Recordings<'a> {
    pub fn new(settings: &'a Settings, host: &'a Host) -> Self {
        let (cache_folder, forgets) = (host.cache_folder.as_deref(), host.forgets);
        Recordings { settings, cache_folder, forgets, store: None, opened: BTreeMap::new() }
    }

    /// Puts the recording that the settings ask for in front of a model.
    ///
    /// By default the built-in model is asked again in every run: it answers faster than a disk records.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub fn before(&mut self, model: Arc<dyn LanguageModel>, is_built_in: bool) -> Result<Arc<Recording>> {
        if let Some(recording) = self.opened.get(model.id()) {
            return Ok(recording.clone());
        }
        let usual = if is_built_in && self.settings.cache.is_none() { Mode::Off } else { Mode::Use };
        let id = model.id().to_owned();
        let recording = match self.settings.cache_mode.unwrap_or(usual) {
            _ if self.forgets && matches!(self.settings.cache_mode, None | Some(Mode::Off)) => {
                Replay::forgetting(model)
            }
            Mode::Off => Replay::new(model),
            mode => Replay::sharing(model, self.store(mode)?, mode),
        };
        let recording = Arc::new(recording);
        self.opened.insert(id, recording.clone());
        Ok(recording)
    }

    /// The recordings in front of all models so far.
    pub fn opened(self) -> Vec<Arc<Recording>> {
        self.opened.into_values().collect()
    }

    fn store(&mut self, mode: Mode) -> Result<Arc<Store>> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let path = database(self.settings.cache.as_deref(), self.cache_folder)?;
        Ok(self.store.insert(Arc::new(Store::open_for(&path, mode)?)).clone())
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
