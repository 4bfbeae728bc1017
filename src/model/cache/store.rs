//! Completions on disk: one SQLite database, which many tasks and several processes can use at once.
//!
//! The write-ahead log is fully synchronised: once a caller is told that something is recorded, it survives a killed
//! process and a power failure. Everything that can be derived (counts, tokens, names) is derived from the records when
//! needed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use backon::{BlockingRetryable, ConstantBuilder};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, params};
use serde::Serialize;

use super::super::{Completion, Error};
use super::mode::Mode;
use super::record::{Address, Record, address, now};
use super::rows::{find, insert, record};
use super::writer::Writer;
use crate::disk::create_folder;
use crate::plan::Usage;

/// `lama` in ASCII: tells our databases from those of other programs.
const APPLICATION: i32 = 0x6c61_6d61;
const VERSION: i32 = 1;
const TABLE: &str = "CREATE TABLE completions (
    address BLOB NOT NULL PRIMARY KEY,
    model TEXT NOT NULL,
    recorded INTEGER NOT NULL,
    request TEXT NOT NULL,
    completion TEXT NOT NULL
) STRICT";
/// The name by which a completion is priced: the request's, or else the back end's.
const NAME: &str = "coalesce(nullif(json_extract(request, '$.model'), ''), model)";
/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database of completions.
pub struct Store {
    path: PathBuf,
    /// For everything except the records of a run, which the writer commits in batches.
    connection: Mutex<Connection>,
    writer: Writer,
}

/// What a store holds of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holding {
    /// The name by which its completions are priced.
    pub model: String,
    /// The model or the endpoint that answered.
    pub back_end: String,
    pub completions: u64,
    #[serde(flatten)]
    pub usage: Usage,
    /// Dates of the first and the last record, UTC.
    pub first: String,
    pub last: String,
}

impl Store {
    /// Opens the database at `path`. Creates it, and its folder, if it does not exist.
    ///
    /// # Errors
    /// Names a file that cannot be opened or written, is damaged or holds something else.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        Self::connect(path)
    }

    /// Opens the database for use in this mode: for replaying only, it must exist.
    ///
    /// # Errors
    /// Those of [`Store::open`] and, for [`Mode::Replay`], [`Store::open_existing`].
    pub fn open_for(path: &Path, mode: Mode) -> Result<Self> {
        if mode == Mode::Replay { Self::open_existing(path) } else { Self::open(path) }
    }

    /// Opens a database that must exist.
    ///
    /// # Errors
    /// Those of [`Store::open`], and that it does not exist.
    pub fn open_existing(path: &Path) -> Result<Self> {
        ensure!(path.is_file(), "expected recorded completions in `{}`, found no such file", path.display());
        Self::connect(path)
    }

    fn connect(path: &Path) -> Result<Self> {
        let [front, back] = [(); 2].map(|()| {
            // Two processes that create the database at the same time block each other for a moment.
            let is_busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            let patience = ConstantBuilder::new().with_delay(Duration::from_millis(20)).with_max_times(500);
            let connection = (|| connection(path)).retry(patience).when(is_busy).call();
            connection.map_err(|error| explain(error, path))
        });
        let (front, back) = (front?, back?);
        check(&front, path)?;
        let place = path.to_owned();
        let writer = Writer::start(back, move |error| explain(error, &place))?;
        Ok(Store { path: path.to_owned(), connection: Mutex::new(front), writer })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The completion recorded at an address. Takes microseconds, so tasks may call it.
    pub(super) fn read(&self, address: &Address) -> Result<Option<Completion>> {
        find(&self.connection(), address).map_err(|error| explain(error, &self.path))
    }

    /// Commits a record; see [`Writer::write`].
    pub(super) async fn write(&self, address: Address, record: Record, replaces: bool) -> Result<Completion, Error> {
        self.writer.write(address, record, replaces).await
    }

    /// What is recorded, for each model.
    ///
    /// # Errors
    /// Names a damaged database.
    pub fn holdings(&self) -> Result<Vec<Holding>> {
        let holding = |row: &Row<'_>| {
            let count = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Holding {
                model: row.get(0)?,
                back_end: row.get(1)?,
                completions: count(2)?,
                first: row.get(3)?,
                last: row.get(4)?,
                usage: Usage {
                    prompt_tokens: count(5)?,
                    completion_tokens: count(6)?,
                    cached_tokens: count(7)?,
                    estimated_tokens: count(8)?,
                },
            })
        };
        let tokens = ["prompt", "completion", "cached", "estimated"]
            .map(|kind| format!("sum(coalesce(json_extract(completion, '$.usage.{kind}_tokens'), 0))"))
            .join(", ");
        let sql = format!(
            "SELECT {NAME} AS name, model, count(*), date(min(recorded), 'unixepoch'), date(max(recorded), 'unixepoch'),
             {tokens} FROM completions GROUP BY name, model ORDER BY name, model"
        );
        let connection = self.connection();
        let query = || -> rusqlite::Result<Vec<_>> { connection.prepare(&sql)?.query_map([], holding)?.collect() };
        query().map_err(|error| explain(error, &self.path))
    }

    /// Passes every record to `take`, in the order of recording. If `model` is given, only records of that name or back
    /// end are passed.
    ///
    /// # Errors
    /// Names a damaged database; those of `take`.
    pub fn each(&self, model: Option<&str>, mut take: impl FnMut(Record) -> Result<()>) -> Result<u64> {
        let sql = format!(
            "SELECT model, recorded, request, completion FROM completions
             WHERE ?1 IS NULL OR {NAME} = ?1 OR model = ?1 ORDER BY rowid"
        );
        let connection = self.connection();
        let mut count = 0;
        let damaged = |error, count| explain(error, &self.path).context(format!("stopped after {count} records"));
        let mut select = connection.prepare(&sql).map_err(|error| damaged(error, count))?;
        let mut rows = select.query([model]).map_err(|error| damaged(error, count))?;
        while let Some(row) = rows.next().map_err(|error| damaged(error, count))? {
            take(record(row).map_err(|error| damaged(error, count))?)?;
            count += 1;
        }
        Ok(count)
    }

    /// Imports all `records`, or none if there is an error. Existing records stay as they are. Returns how many were
    /// new.
    ///
    /// # Errors
    /// Those of the records; the database cannot be written.
    pub fn import(&self, records: impl IntoIterator<Item = Result<Record>>) -> Result<u64> {
        let mut connection = self.connection();
        let mut new = 0;
        let failed = |error| explain(error, &self.path);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        for record in records {
            let record = record?;
            let address = address(&record.model, &record.request)?;
            new += u64::from(insert(&transaction, &address, &record, false).map_err(failed)?);
        }
        transaction.commit().map_err(failed)?;
        Ok(new)
    }

    /// Deletes the records of `model` (a name or a back end) that are older than `age`; `None` means every model.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn prune(&self, model: Option<&str>, age: Duration) -> Result<u64> {
        let last = now().saturating_sub_unsigned(age.as_secs());
        let sql = format!("DELETE FROM completions WHERE recorded <= ?2 AND (?1 IS NULL OR {NAME} = ?1 OR model = ?1)");
        let connection = self.connection();
        let pruned = connection.execute(&sql, params![model, last]).map_err(|error| explain(error, &self.path))?;
        // Returns the space to the disk. If another process is using the database, the space stays in the file and is
        // reused.
        let _ = connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
        Ok(pruned as u64)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let is_empty = |connection: &Connection| -> rusqlite::Result<bool> {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(tables == 0 && number(connection, "application_id")? == 0)
    };
    if is_empty(&connection)? {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_empty(&transaction)? {
            transaction.execute_batch(TABLE)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        transaction.commit()?;
    }
    Ok(connection)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Checks that the database is ours and has this version.
fn check(connection: &Connection, path: &Path) -> Result<()> {
    let read = |pragma| number(connection, pragma).map_err(|error| explain(error, path));
    ensure!(
        read("application_id")? == APPLICATION,
        "expected recorded completions in `{}`, found the database of another program",
        path.display()
    );
    let version = read("user_version")?;
    ensure!(
        version == VERSION,
        "`{}`: expected version {VERSION} of the recording, found {version}; hint: export it with the program that \
         wrote it, and import it here",
        path.display()
    );
    Ok(())
}

/// What the database reports, and what to do about it.
fn explain(error: rusqlite::Error, path: &Path) -> anyhow::Error {
    let path = path.display();
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            let message = format!("expected recorded completions in `{path}`, found another kind of file ({error})");
            return anyhow::Error::new(error).context(message);
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the database is damaged: move it away, or save what `lamas cache export` can still read"
        }
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            "is there room on the disk? What was recorded before is safe"
        }
        Some(ErrorCode::DatabaseBusy) => "another process has held the database for too long",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "are the file and its folder readable and writable?"
        }
        _ if matches!(error, rusqlite::Error::FromSqlConversionFailure(..)) => {
            "the record is damaged: `lamas cache prune` removes records"
        }
        _ => {
            let message = format!("database `{path}`: {error}");
            return anyhow::Error::new(error).context(message);
        }
    };
    let message = format!("database `{path}`: {error}; hint: {hint}");
    anyhow::Error::new(error).context(message)
}
