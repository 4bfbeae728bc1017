//! JSON lines: one record per line. The newline marks a record as complete.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::write_atomic;
use crate::disk::WriteError;

/// Reads all records of a file; blank lines are skipped.
///
/// # Errors
/// Names the file, and the line that is not a valid record.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    lines(path)?.collect()
}

/// Reads the records of a file one by one, like [`read`].
///
/// # Errors
/// The file cannot be opened. Each record can have an error of its own.
pub fn lines<T: DeserializeOwned>(path: &Path) -> Result<impl Iterator<Item = Result<T>>> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let record = move |(index, line): (usize, std::io::Result<String>)| {
        let place = || format!("`{}` line {}", path.display(), index + 1);
        match line.with_context(|| format!("cannot read {}", place())) {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(
                serde_json::from_str(&line).with_context(|| format!("{} is not the record expected there", place())),
            ),
            Err(error) => Some(Err(error)),
        }
    };
    Ok(BufReader::new(file).lines().enumerate().filter_map(record))
}

/// Replaces the file's content by these records. Readers see either the old file or the new one, complete.
///
/// # Errors
/// Names the file if its folder cannot be written or the disk is full; the old content is kept.
pub fn write<T: Serialize>(path: &Path, records: &[T]) -> Result<()> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).with_context(|| format!("cannot write `{}`", path.display()))?;
        lines.push(b'\n');
    }
    write_atomic(path, &lines)
}

/// A file that grows by one record at a time. Appended records survive the end of the process.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    /// Opens or creates the file. If an interrupted process left the last line unfinished, it is cut off.
    ///
    /// # Errors
    /// Names the file if it cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let attempt = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            let finished = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
            if finished < content.len() {
                file.set_len(finished as u64)?;
            }
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = attempt().map_err(WriteError::of(format!("open `{}` for writing", path.display())))?;
        Ok(Appender { file, path: path.to_path_buf() })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// Names the file if the disk is full.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let written = self.file.write_all(&line);
        Ok(written.map_err(WriteError::of(format!("append to `{}`", self.path.display())))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_unfinished_lines_are_cut() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("records.jsonl");
        write(&path, &[1.5, 0.1 + 0.2])?;
        Appender::open(&path)?.append(&7)?;
        assert_eq!(read::<f64>(&path)?, [1.5, 0.1 + 0.2, 7.0]);
        std::fs::write(&path, "1\n\n2\n3.")?;
        Appender::open(&path)?.append(&4)?;
        assert_eq!(read::<f64>(&path)?, [1.0, 2.0, 4.0]);
        Ok(())
    }

    #[test]
    fn broken_lines_and_folders_are_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("records.jsonl");
        std::fs::write(&path, "1\n{\n")?;
        let message = read::<f64>(&path).map_err(|error| format!("{error:#}")).unwrap_err();
        assert!(message.contains("records.jsonl` line 2 is not the record"), "{message}");
        let nowhere = folder.path().join("absent").join("records.jsonl");
        let message = write(&nowhere, &[1]).map_err(|error| format!("{error:#}")).unwrap_err();
        assert!(message.contains("cannot write") && message.contains("absent"), "{message}");
        assert!(Appender::open(&nowhere).is_err() && read::<f64>(&nowhere).is_err());
        Ok(())
    }
}
