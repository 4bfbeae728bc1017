//! The file of a record: lines are appended, found through an index in memory, and read in place.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use backon::{BlockingRetryable, ConstantBuilder};
use serde::Serialize;

use super::key::{Key, Reference};
use super::line::{Graded, Line};
use super::recent::Recent;
use super::scan::{Found, Glance, scan};
use crate::disk::{WriteError, create_folder};

/// Bytes of lines that are kept in memory.
const ROOM: usize = 64 << 20;

/// A record that one process at a time reads and extends.
pub struct Record {
    path: PathBuf,
    inner: Mutex<Inner>,
    /// Calls in progress.
    claims: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
    remark: Option<String>,
    /// Whether calls are made even if the record holds them.
    is_only_written: bool,
    found: AtomicU64,
    added: AtomicU64,
}

struct Inner {
    file: File,
    /// Bytes of complete lines.
    length: u64,
    index: HashMap<Key, Place>,
    scores: HashMap<Key, f64>,
    recent: Recent,
}

/// The position of a line.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
    solutions: u32,
}

impl Record {
    /// Opens the record in a file, or creates one. If an interrupted process left the last line unfinished, it is cut
    /// off, and [`Record::remark`] says so.
    ///
    /// # Errors
    /// Names a file that cannot be written or that another process is writing, or a line that does not belong in a
    /// record.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_folder(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(WriteError::of(format!("open `{}` for writing", path.display())))?;
        // A process that was killed may leave a child behind that holds its files a moment longer.
        let patience = ConstantBuilder::new().with_delay(Duration::from_millis(20)).with_max_times(50);
        let is_held = |error: &TryLockError| matches!(error, TryLockError::WouldBlock);
        if let Err(TryLockError::WouldBlock) = (|| file.try_lock()).retry(patience).when(is_held).call() {
            bail!(
                "`{}` is being written by another process; hint: let each write its own file, and join them with \
                 `lamas record merge`",
                path.display()
            );
        }
        let (mut index, mut scores) = (HashMap::new(), HashMap::new());
        let (mut length, mut remark) = (0, None);
        scan(&mut file, |Found { number, offset, bytes, is_torn }| {
            let place = || format!("`{}` line {number}", path.display());
            if is_torn {
                remark = Some(format!("{} was left unfinished, and is dropped", place()));
                return Ok(());
            }
            length = offset + bytes.len() as u64 + 1;
            let taken =
                Glance::of(bytes).and_then(|glance| take_in(&mut index, &mut scores, glance, offset, bytes.len()));
            taken.map_err(|error| {
                anyhow!("{}: {error:#}; hint: `lamas record merge` writes a file without such lines", place())
            })
        })?;
        if remark.is_some() {
            file.set_len(length).map_err(WriteError::of(format!("shorten `{}`", path.display())))?;
        }
        length = file.seek(SeekFrom::End(0))?;
        let inner = Inner { file, length, index, scores, recent: Recent::new(ROOM) };
        let (path, inner, claims) = (path.to_owned(), Mutex::new(inner), Mutex::default());
        Ok(Record {
            path,
            inner,
            claims,
            remark,
            is_only_written: false,
            found: AtomicU64::new(0),
            added: AtomicU64::new(0),
        })
    }

    /// The same record, but no call is taken from it: everything is asked again, and added unless it is there already.
    pub fn only_written(self) -> Self {
        Record { is_only_written: true, ..self }
    }

    /// See [`Record::only_written`].
    pub fn is_only_written(&self) -> bool {
        self.is_only_written
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was found damaged and was repaired.
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// Number of calls in the record.
    pub fn calls(&self) -> usize {
        self.lock().index.len()
    }

    /// Number of calls found since the record was opened.
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// Number of calls added since the record was opened.
    pub fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// The line of a call; `None` if no line has that many solutions.
    ///
    /// # Errors
    /// The file cannot be read, or has changed.
    pub fn find(&self, key: Key, solutions: usize) -> Result<Option<Arc<Line>>> {
        let mut inner = self.lock();
        let Some(&place) = inner.index.get(&key) else { return Ok(None) };
        if (place.solutions as usize) < solutions {
            return Ok(None);
        }
        if let Some(line) = inner.recent.get(key) {
            return Ok(Some(line));
        }
        let line = inner.read(place).with_context(|| {
            format!("record `{}`: the line at byte {} is not the one that was there", self.path.display(), place.offset)
        })?;
        let line = Arc::new(line);
        inner.recent.insert(line.clone());
        Ok(Some(line))
    }

    /// Counts a call that was found and used.
    pub fn count_found(&self) {
        self.found.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nobody else is making this call. A caller who then finds it need not make it.
    pub async fn claim(&self, key: Key) -> Claim<'_> {
        // Created before waiting, so that a caller who is dropped while waiting leaves nothing behind.
        let mut claim = Claim { record: self, key, held: None };
        let turn = self.claims().entry(key).or_default().clone();
        claim.held = Some(turn.lock_owned().await);
        claim
    }

    /// Adds a call.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, line: Line) -> Result<()> {
        let mut inner = self.lock();
        if self.is_only_written && inner.index.contains_key(&line.key) {
            return Ok(());
        }
        let (offset, length) = self.write(&mut inner, &line)?;
        inner.index.insert(line.key, Place { offset, length, solutions: line.solutions.len() as u32 });
        for given in &line.solutions {
            if let (Some(reference), Some(answer), Some(score)) = (line.reference, &given.answer, given.score) {
                inner.scores.insert(Reference::score_of(reference, answer), score);
            }
        }
        inner.recent.insert(Arc::new(line));
        self.added.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The score of an answer, if a line gives it.
    pub fn score(&self, reference: Reference, answer: &str) -> Option<f64> {
        self.lock().scores.get(&Reference::score_of(reference.0, answer)).copied()
    }

    /// Adds the score of an answer.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_score(&self, graded: &Graded) -> Result<()> {
        let mut inner = self.lock();
        self.write(&mut inner, graded)?;
        inner.scores.insert(Reference::score_of(graded.reference, &graded.answer), graded.score);
        Ok(())
    }

    /// Appends a line, completely or not at all. Returns its position and length.
    fn write(&self, inner: &mut Inner, line: &impl Serialize) -> Result<(u64, u32)> {
        let mut bytes = serde_json::to_vec(line)?;
        let length = u32::try_from(bytes.len()).context("a line of a record is too long")?;
        bytes.push(b'\n');
        let offset = inner.length;
        if let Err(error) = inner.file.write_all(&bytes) {
            // A partly written line is cut off now; if that fails, the next opening does it.
            let _ = inner.file.set_len(offset);
            return Err(WriteError::of(format!("append to `{}`", self.path.display()))(error).into());
        }
        inner.length += bytes.len() as u64;
        Ok((offset, length))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<()>>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Otherwise the lock would end only with the last copy of the file, and a process that is just being started
        // may hold one.
        let _ = self.file.unlock();
    }
}

impl Inner {
    fn read(&mut self, Place { offset, length, .. }: Place) -> Result<Line> {
        let mut bytes = vec![0; length as usize];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut bytes)?;
        let line: Line = serde_json::from_slice(&bytes)?;
        line.check()?;
        Ok(line)
    }
}

fn take_in(
    index: &mut HashMap<Key, Place>,
    scores: &mut HashMap<Key, f64>,
    glance: Glance,
    offset: u64,
    length: usize,
) -> Result<()> {
    let Glance { key, reference, solutions, answer, score } = glance;
    if let Some(key) = key {
        let length = u32::try_from(length).context("the line is too long")?;
        let place = Place { offset, length, solutions: solutions.len() as u32 };
        let standing = index.entry(key).or_insert(place);
        // Of equal calls, the one with the most solutions counts; if they have equally many, the first.
        if standing.solutions < place.solutions {
            *standing = place;
        }
    }
    let Some(reference) = reference else { return Ok(()) };
    let graded = solutions.into_iter().map(|seen| (seen.answer, seen.score)).chain([(answer, score)]);
    for (answer, score) in graded {
        if let (Some(answer), Some(score)) = (answer, score) {
            scores.entry(Reference::score_of(reference, &answer)).or_insert(score);
        }
    }
    Ok(())
}

/// The right to make a call. Dropping it ends the right.
pub struct Claim<'a> {
    record: &'a Record,
    key: Key,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.held.take();
        let mut claims = self.record.claims();
        // Only the table holds it, so nobody is waiting.
        if claims.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            claims.remove(&self.key);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
