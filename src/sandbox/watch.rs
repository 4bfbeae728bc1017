//! Watches what a program keeps on disk, if it has no separate file system that limits it.
//!
//! Between two checks a program can write as much as the disk can take; [`Limits::disk`] says how much that is allowed
//! to be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::limits::Limits;
use super::scratch::open_up;

/// The time between two checks.
const PAUSE: Duration = Duration::from_millis(5);
/// The maximum number of a process's mappings that are examined. No useful program has so many, and a hostile one could
/// slow us down.
#[cfg(target_os = "linux")]
const MOST_MAPPINGS: usize = 5000;

/// Returns when the program holds more than allowed in its scratch folder, or in files that are no longer in any
/// folder.
pub(super) async fn outgrown(scratch: PathBuf, process: Option<u32>, limits: Limits) {
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let (here, gone) = mpsc::channel::<()>();
    let watch = move || {
        while gone.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            if is_outgrown(&scratch, process, &limits) {
                return drop(over);
            }
        }
    };
    // Uses its own thread: those of the runtime may be busy for longer than a pause. If it cannot be started, nothing
    // may be written.
    if std::thread::Builder::new().name("watch".to_owned()).spawn(watch).is_ok() {
        let _ = is_over.await;
    }
    drop(here);
}

fn is_outgrown(scratch: &Path, process: Option<u32>, limits: &Limits) -> bool {
    let (mut bytes, mut files) = (0u64, 0usize);
    let mut waiting = vec![scratch.to_owned()];
    while let Some(folder) = waiting.pop() {
        // Whoever created it may have made it unreadable for us.
        let entries = fs::read_dir(&folder).or_else(|_| {
            open_up(&folder);
            fs::read_dir(&folder)
        });
        for entry in entries.into_iter().flatten().flatten() {
            files += 1;
            // The entry may be gone by now.
            if let Ok(metadata) = entry.metadata() {
                bytes += metadata.len();
                if metadata.is_dir() {
                    waiting.push(entry.path());
                }
            }
            if files > limits.files || bytes > limits.disk {
                return true;
            }
        }
    }
    let Some(process) = process else { return false };
    match nameless(scratch, process, limits) {
        Some(sizes) => bytes + sizes.values().sum::<u64>() > limits.disk,
        None => true,
    }
}

/// Sizes, by inode, of the files that no longer have a name but live on in a descriptor or a mapping of the process;
/// `None` if there are more mappings than are examined.
#[cfg(target_os = "linux")]
fn nameless(scratch: &Path, process: u32, limits: &Limits) -> Option<BTreeMap<u64, u64>> {
    use std::io::BufRead;
    use std::os::unix::fs::MetadataExt;

    let place = PathBuf::from(format!("/proc/{process}"));
    let mut sizes = BTreeMap::new();
    for descriptor in fs::read_dir(place.join("fd")).into_iter().flatten().flatten() {
        if let Ok(file) = fs::metadata(descriptor.path())
            && file.is_file()
            && file.nlink() == 0
        {
            sizes.insert(file.ino(), file.len());
        }
    }
    let Ok(maps) = fs::File::open(place.join("maps")) else { return Some(sizes) };
    let scratch = scratch.to_string_lossy();
    for (number, line) in std::io::BufReader::new(maps).split(b'\n').enumerate() {
        if number == MOST_MAPPINGS {
            return None;
        }
        // Addresses, rights, offset, device, inode, name.
        let line = line.unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_ascii_whitespace();
        let (addresses, inode) = (words.next().unwrap_or_default(), words.nth(3).and_then(|inode| inode.parse().ok()));
        if let Some(inode) = inode
            && line.ends_with(" (deleted)")
            && line.contains(&*scratch)
        {
            // If the size may not be queried, the file counts as the largest possible.
            let size =
                || fs::metadata(place.join("map_files").join(addresses)).map_or(limits.file_size, |file| file.len());
            sizes.entry(inode).or_insert_with(size);
        }
    }
    Some(sizes)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path, _: u32, _: &Limits) -> Option<BTreeMap<u64, u64>> {
    Some(BTreeMap::new())
}
