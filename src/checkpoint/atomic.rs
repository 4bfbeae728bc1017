//! Atomic writes: a file appears completely or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Result;

use crate::disk::WriteError;

/// Writes `path` through a temporary file in the same folder. A device or a pipe is written directly.
///
/// # Errors
/// Names the file if the folder is missing or not writable, or the disk is full. An earlier file is left as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic_by(path, |file| file.write_all(bytes))
}

/// Like [`write_atomic`], for content too large for memory: `write` receives the file.
///
/// # Errors
/// Those of [`write_atomic`] and of `write`.
pub fn write_atomic_by(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is_special = path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
    let written = if is_special {
        File::create(path).and_then(|file| filled(&file, write))
    } else {
        replace(folder, path, write)
    };
    let action = format!(
        "write `{}`; hint: does the folder exist, is it writable, and is there room on the disk?",
        path.display()
    );
    Ok(written.map_err(WriteError::of(action))?)
}

fn filled(file: &File, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()
}

fn replace(folder: &Path, path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    // Temporary files are private to their owner by default; a result should not be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.prefix(".unfinished-").tempfile_in(folder)?;
    filled(file.as_file(), write)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name survives a power failure only once the folder is synced. Not every file system can do that.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().ok();
    }
    Ok(())
}
