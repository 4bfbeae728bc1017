//! The writer thread: it commits everything that is waiting in one transaction, and tells each caller when its record
//! is safe.

use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::super::{Completion, Error};
use super::record::{Address, Record};
use super::rows::{find, insert};

/// The maximum number of records committed together.
const BATCH: usize = 512;

/// A record on its way to the disk.
struct Entry {
    address: Address,
    record: Record,
    /// Whether it replaces an earlier record; otherwise the earlier one is kept.
    replaces: bool,
    reply: oneshot::Sender<Result<Completion, Error>>,
}

/// Writes records through its own connection. Dropping it commits what is still waiting.
pub(super) struct Writer {
    entries: Option<mpsc::Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; `explain` turns what the database reports into an error for people.
    pub fn start(
        connection: Connection,
        explain: impl Fn(rusqlite::Error) -> anyhow::Error + Send + 'static,
    ) -> Result<Self> {
        let (entries, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("lamas-store".into())
            .spawn(move || run(connection, &waiting, explain))
            .context("cannot start the thread that records completions")?;
        Ok(Writer { entries: Some(entries), thread: Some(thread) })
    }

    /// Commits a record and returns the completion that the database holds from now on. The record is committed even if
    /// the caller no longer waits.
    pub async fn write(&self, address: Address, record: Record, replaces: bool) -> Result<Completion, Error> {
        let gone = || Error::Broken("the thread that records completions has ended".into());
        let (reply, committed) = oneshot::channel();
        let entries = self.entries.as_ref().ok_or_else(gone)?;
        entries.send(Entry { address, record, replaces, reply }).map_err(|_| gone())?;
        committed.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.entries.take();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already told its callers.
            let _ = thread.join();
        }
    }
}

fn run(
    mut connection: Connection,
    entries: &mpsc::Receiver<Entry>,
    explain: impl Fn(rusqlite::Error) -> anyhow::Error,
) {
    while let Ok(first) = entries.recv() {
        let batch: Vec<Entry> = std::iter::once(first).chain(entries.try_iter().take(BATCH - 1)).collect();
        let outcome = commit(&mut connection, &batch)
            .map_err(|error| Error::Broken(format!("cannot record a completion: {}", explain(error))));
        match outcome {
            Ok(standing) => batch.into_iter().zip(standing).for_each(|(entry, completion)| {
                // A caller who no longer waits finds it in the database.
                let _ = entry.reply.send(Ok(completion));
            }),
            Err(error) => batch.into_iter().for_each(|entry| {
                let _ = entry.reply.send(Err(error.clone()));
            }),
        }
    }
}

/// Writes the batch in one transaction. Returns what is stored at each address afterwards.
fn commit(connection: &mut Connection, batch: &[Entry]) -> rusqlite::Result<Vec<Completion>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut standing = Vec::with_capacity(batch.len());
    for Entry { address, record, replaces, .. } in batch {
        let is_new = insert(&transaction, address, record, *replaces)?;
        // Another process was faster, so everyone continues with its completion.
        let earlier = if is_new { None } else { find(&transaction, address)? };
        standing.push(earlier.unwrap_or_else(|| record.completion.clone()));
    }
    transaction.commit()?;
    Ok(standing)
}
