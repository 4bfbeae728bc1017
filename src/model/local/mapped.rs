//! A file that stays on disk: its bytes come into memory as they are read, and leave it when memory is short.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use memmap2::Mmap;

/// The bytes of a file as they were when it was opened, as long as nobody changes it.
pub struct Mapped {
    map: Mmap,
    file: File,
    path: PathBuf,
    modified: Option<SystemTime>,
}

impl Mapped {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let modified = file.metadata()?.modified().ok();
            // SAFETY: nothing here writes to the file. Another program may: `check` finds out before each use.
            let map = unsafe { Mmap::map(&file)? };
            std::io::Result::Ok(Mapped { map, file, path: path.to_owned(), modified })
        };
        open().with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// Makes sure that the file is as it was when it was opened. It still is if another file took its name.
    ///
    /// # Errors
    /// It has another length, or was written to.
    pub fn check(&self) -> Result<()> {
        let found = self.file.metadata().with_context(|| format!("cannot read `{}`", self.path.display()))?;
        let same = found.len() == self.map.len() as u64 && found.modified().ok() == self.modified;
        let path = self.path.display();
        ensure!(same, "expected `{path}` as it was when it was opened, found it changed; hint: start again");
        Ok(())
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, b"some bytes").unwrap();
        let mapped = Mapped::open(&path).unwrap();
        assert_eq!(mapped.as_ref(), b"some bytes");
        mapped.check().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, b"other bytes").unwrap();
        File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
        let error = mapped.check().unwrap_err().to_string();
        assert!(error.contains("model.gguf` as it was when it was opened, found it changed"), "{error}");
        let mapped = Mapped::open(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        mapped.check().unwrap();
    }
}
