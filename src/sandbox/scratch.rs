//! Scratch folders: each is created for one program and removed after it, also on SIGTERM. Those of a killed process
//! are removed by the next one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::group;

/// The prefix of the names of scratch folders.
const PREFIX: &str = "lamas-scratch-";
/// Locked by the process that owns the folder.
const LOCK: &str = "lock";
/// The lock's name until it is locked.
const UNLOCKED: &str = "unlocked";
/// The part that the program sees.
const WORK: &str = "work";
/// The prefix of what else a folder holds while it is being removed.
const MOVED: &str = "moved-";
/// A folder without a lock is still being created, unless it is older than this.
const MAKING: Duration = Duration::from_secs(3600);

/// The scratch folders of this process, with the leaders of the process groups that run in them.
static LIVE: Mutex<BTreeMap<PathBuf, Option<u32>>> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, BTreeMap<PathBuf, Option<u32>>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that exists as long as this value.
pub(super) struct Scratch {
    folder: PathBuf,
    /// Where the program works, as the kernel names it.
    pub work: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Creates a folder with these files; some may be absent.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new(files: &[(&str, Option<&str>)]) -> Result<Self> {
        let folder = {
            // Not while SIGTERM removes them.
            let mut live = live();
            let made = tempfile::Builder::new().prefix(PREFIX).tempdir().context("cannot make a scratch folder")?;
            let folder = made.path().canonicalize().context("cannot find the scratch folder")?;
            live.insert(folder.clone(), None);
            let _ = made.keep();
            folder
        };
        let filled = Self::fill(&folder, files).context("cannot write to the scratch folder");
        let work = folder.join(WORK);
        match filled {
            Ok(lock) => Ok(Scratch { folder, work, _lock: lock }),
            Err(error) => {
                discard(&folder);
                Err(error)
            }
        }
    }

    fn fill(folder: &Path, files: &[(&str, Option<&str>)]) -> io::Result<File> {
        // Nobody may find it before it is locked. On systems without locks, nobody can mistake it for an abandoned one
        // either.
        let unlocked = folder.join(UNLOCKED);
        let lock = File::create(&unlocked)?;
        let _ = lock.lock();
        fs::rename(unlocked, folder.join(LOCK))?;
        fs::create_dir(folder.join(WORK))?;
        for (name, text) in files {
            if let Some(text) = text {
                fs::write(folder.join(WORK).join(name), text)?;
            }
        }
        Ok(lock)
    }

    /// Remembers which process runs in the folder.
    pub fn is_used_by(&self, leader: Option<u32>) {
        live().insert(self.folder.clone(), leader);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        discard(&self.folder);
    }
}

fn discard(folder: &Path) {
    remove(folder);
    live().remove(folder);
}

/// Removes a folder and everything in it, as far as possible.
///
/// Folders may be nested more deeply than a path or a stack allows, so each is moved to the top before it is emptied.
fn remove(root: &Path) {
    let mut waiting = vec![root.to_owned()];
    let mut moved = 0u64;
    while let Some(folder) = waiting.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        for entry in entries {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_file(&path);
                continue;
            }
            open_up(&path);
            // An earlier attempt to remove it may not have finished.
            let mut places = (moved..).map(|number| (number, root.join(format!("{MOVED}{number}"))));
            if let Some((number, place)) = places.find(|(_, place)| !place.exists())
                && fs::rename(&path, &place).is_ok()
            {
                moved = number + 1;
                waiting.push(place);
            }
        }
        if folder != root {
            let _ = fs::remove_dir(&folder);
        }
    }
    let _ = fs::remove_dir(root);
}

/// Lets this process read and write a folder, whatever permissions its creator set.
pub(super) fn open_up(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    #[cfg(not(unix))]
    let _ = folder;
}

/// Removes the scratch folders of processes that ended without doing so.
pub(super) fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && is_ours(&metadata) && is_left(&entry.path(), &metadata) {
            remove(&entry.path());
        }
    }
}

#[cfg(unix)]
fn is_ours(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == nix::unistd::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

/// Whether it is a scratch folder that belongs to no process any more.
fn is_left(folder: &Path, metadata: &fs::Metadata) -> bool {
    let is_known = |name: &str| [LOCK, UNLOCKED, WORK].contains(&name) || name.starts_with(MOVED);
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    if !entries.all(|entry| entry.file_name().to_str().is_some_and(is_known)) {
        return false;
    }
    let age = || metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound && age().is_some_and(|age| age > MAKING),
    }
}

/// From now on, SIGTERM and SIGHUP first end this process's programs and remove their scratch folders, then end the
/// process itself.
///
/// # Errors
/// Signals cannot be listened for.
#[cfg(unix)]
pub fn end_cleanly() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    static ONCE: AtomicBool = AtomicBool::new(false);
    if ONCE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut hang_up) = {
        let _guard = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let wait = move || {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hang_up.recv() => SignalKind::hangup(),
            }
        });
        // Never unlocked, so no other folder is created.
        let folders = live();
        for (folder, leader) in folders.iter() {
            group::kill(*leader);
            group::wait(*leader);
            remove(folder);
        }
        std::process::exit(128 + signal.as_raw_value())
    };
    // Uses its own thread, because the others may be deep in a computation.
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

/// Does nothing if there are no such signals.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn end_cleanly() -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_closed_folders_are_removed() -> Result<()> {
        let root = tempfile::tempdir()?;
        let top = root.path().join("top");
        fs::create_dir(&top)?;
        // Each is created inside the previous one by moving that one, so no path is long.
        for number in 0..3000 {
            let outer = root.path().join("outer");
            fs::create_dir(&outer)?;
            fs::write(outer.join("file"), "x")?;
            fs::rename(&top, outer.join(format!("a-long-name-{number}")))?;
            fs::rename(outer, &top)?;
        }
        #[cfg(unix)]
        fs::set_permissions(&top, std::os::unix::fs::PermissionsExt::from_mode(0o000))?;
        remove(root.path());
        assert!(!root.path().exists());
        Ok(())
    }

    #[test]
    fn folders_of_the_dead_are_left_and_of_the_living_are_not() -> Result<()> {
        let scratch = Scratch::new(&[("a", Some("b")), ("c", None)])?;
        let is_left = |folder: &Path| Ok::<_, io::Error>(super::is_left(folder, &folder.metadata()?));
        assert_eq!(
            (fs::read_to_string(scratch.work.join("a"))?.as_str(), scratch.work.join("c").exists()),
            ("b", false)
        );
        assert!(!is_left(&scratch.folder)?);
        let folder = scratch.folder.clone();
        drop(scratch);
        assert!(!folder.exists());
        let dead = tempfile::tempdir()?;
        // It has no lock yet.
        assert!(!is_left(dead.path())?);
        fs::write(dead.path().join(LOCK), "")?;
        assert!(is_left(dead.path())?);
        // Somebody has put something into it.
        fs::write(dead.path().join("notes"), "")?;
        assert!(!is_left(dead.path())?);
        Ok(())
    }
}
