//! Records as rows of the table: writes, finds and reads them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use super::super::Completion;
use super::record::{Address, Record};

/// Returns whether the record was written. It is not written if there is an earlier one that it does not replace.
pub(super) fn insert(
    connection: &Connection,
    address: &Address,
    record: &Record,
    replaces: bool,
) -> rusqlite::Result<bool> {
    const INSERT: &str = "INTO completions (address, model, recorded, request, completion) VALUES (?1, ?2, ?3, ?4, ?5)";
    let conflict = if replaces { "REPLACE" } else { "IGNORE" };
    let mut insert = connection.prepare_cached(&format!("INSERT OR {conflict} {INSERT}"))?;
    let Record { model, request, completion, recorded } = record;
    Ok(insert.execute(params![address, model, recorded, json(request)?, json(completion)?])? > 0)
}

/// The completion stored at an address.
pub(super) fn find(connection: &Connection, address: &Address) -> rusqlite::Result<Option<Completion>> {
    let mut select = connection.prepare_cached("SELECT completion FROM completions WHERE address = ?1")?;
    select.query_row([address], |row| parsed(row, 0)).optional()
}

/// A row of `model, recorded, request, completion`.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { model: row.get(0)?, recorded: row.get(1)?, request: parsed(row, 2)?, completion: parsed(row, 3)? })
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
