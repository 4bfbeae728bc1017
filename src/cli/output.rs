//! Standard output, the format of errors, and exit codes.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use anyhow::Error;
use comfy_table::Table;
use rusqlite::ErrorCode;
use serde::Serialize;

use super::interrupt;
use crate::disk::WriteError;
use crate::execute::ExecuteError;
use crate::hub::HubError;
use crate::model;
use crate::printable::{printable, printable_json};
use crate::report::format::{Format, render};

/// Writes text and a newline to standard output, without anything that a terminal would obey. A reader that has seen
/// enough, as `head` does, is not an error.
///
/// # Errors
/// Standard output cannot be written.
pub fn say(text: impl Display) -> Result<(), WriteError> {
    say_styled(printable(&text.to_string()))
}

/// Like [`say`], for our own text that contains styles.
///
/// # Errors
/// Standard output cannot be written.
pub fn say_styled(text: impl Display) -> Result<(), WriteError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(WriteError::of("write to standard output")),
    }
}

/// The format of tables that the command line asks for.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// The flag of all commands that print tables.
#[derive(Debug, Default, clap::Args)]
pub struct Tables {
    /// Format of tables: text, markdown, latex or csv [default: text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

impl Tables {
    /// Writes tables in this format; `None` means text.
    pub fn of(format: Option<Format>) -> Self {
        Tables { format }
    }

    /// From now on tables are written in this format.
    pub fn apply(&self) {
        FORMAT.get_or_init(|| self.format.unwrap_or_default());
    }
}

/// The current format of tables.
pub fn format() -> Format {
    FORMAT.get().copied().unwrap_or_default()
}

/// A table in the format that the command line asks for.
pub fn rendered(table: &Table) -> String {
    render(table, format())
}

/// Writes a table, which contains styles, and the remarks on it. If the table is meant for a program, the remarks go to
/// standard error.
///
/// # Errors
/// Standard output cannot be written.
pub fn say_table(table: String, said: impl IntoIterator<Item = String>) -> Result<(), WriteError> {
    say_styled(table)?;
    say_beside(said)
}

/// Writes the remarks on a table to the place where [`say_table`] writes them.
///
/// # Errors
/// Standard output cannot be written.
pub fn say_beside(said: impl IntoIterator<Item = String>) -> Result<(), WriteError> {
    said.into_iter().try_for_each(|line| match format() {
        Format::Text => say(line),
        _ => {
            eprintln!("{}", printable(line.trim_start()));
            Ok(())
        }
    })
}

/// Writes JSON and a newline to standard output, without anything that a terminal would obey.
///
/// # Errors
/// Standard output cannot be written.
pub fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(say_styled(printable_json(&serde_json::to_string(value)?))?)
}

/// Like [`say_json`], but on several lines.
///
/// # Errors
/// Standard output cannot be written.
pub fn say_json_lines(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(say_styled(printable_json(&serde_json::to_string_pretty(value)?))?)
}

/// The causes of an error on one line, outermost first. Backtraces that libraries put into their messages are cut off.
/// Terminal commands from files and programs are spelled out.
pub fn message(error: &Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split("\n   0:").next().unwrap_or_default().trim().to_owned();
        // Some libraries repeat their cause in their own message.
        if causes.last().is_none_or(|last| !last.contains(&text)) {
            causes.push(text);
        }
    }
    printable(&causes.join(": ")).into_owned()
}

/// 1 if the input or the settings are wrong; 3 or 130 if work was stopped, see `interrupt::exit_code`; 2 for anything
/// else: a network, an endpoint, a disk, an internal error.
pub fn exit_code(error: &Error) -> u8 {
    let of_fault = || if error.chain().any(is_outside) { 2 } else { 1 };
    interrupt::exit_code(error).unwrap_or_else(of_fault)
}

/// Whether a cause lies outside of what the user supplied.
fn is_outside(cause: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<model::Error>() {
        return error.is_outside();
    }
    if let Some(error) = cause.downcast_ref::<ExecuteError>() {
        return match error {
            ExecuteError::Model { error, .. } => error.is_outside(),
            ExecuteError::Grading { .. } => true,
            ExecuteError::UnknownOperator { .. }
            | ExecuteError::TooManyLayers { .. }
            | ExecuteError::NotRecorded { .. }
            | ExecuteError::NoOutput { .. } => false,
        };
    }
    if let Some(error) = cause.downcast_ref::<HubError>() {
        return !error.is_refusal();
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return !is_of_input(error.kind());
    }
    if let Some(error) = cause.downcast_ref::<rusqlite::Error>() {
        let damaged = [ErrorCode::NotADatabase, ErrorCode::DatabaseCorrupt];
        return error.sqlite_error_code().is_some_and(|code| !damaged.contains(&code));
    }
    cause.is::<WriteError>() || cause.is::<candle_core::Error>() || cause.is::<tokio::task::JoinError>()
}

/// Whether this kind of read error suggests that the user named the wrong file.
fn is_of_input(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::InvalidData
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::interrupt::Stopped;
    use super::*;

    #[test]
    fn an_error_is_one_line_without_repetitions_or_backtraces() {
        let cut =
            Error::msg("shape mismatch\n   0: candle_core::error::Error::bt").context("cannot load `a.safetensors`");
        assert_eq!(message(&cut), "cannot load `a.safetensors`: shape mismatch");
        let repeated = Error::msg("no such file").context("reading failed: no such file");
        assert_eq!(message(&repeated), "reading failed: no such file");
        assert_eq!(message(&Error::msg("found `\u{1b}[2J`")), "found `\\u{1b}[2J`");
    }

    #[test]
    fn exit_codes_say_who_is_at_fault() {
        #[track_caller]
        fn check(error: impl Into<Error>, expected: u8) {
            let error = error.into().context("outermost");
            assert_eq!(exit_code(&error), expected, "{error:#}");
        }
        let model = |error| ExecuteError::Model { operator: "Generate".into(), error };
        check(Error::msg("expected a number, found `x`"), 1);
        check(candle_core::Error::Msg("x".into()), 2);
        check(model::Error::Permanent("401".into()), 1);
        check(model::Error::Capped("--max-cost".into()), 3);
        check(model(model::Error::Capped("--max-tokens".into())), 3);
        check(Stopped::by(Some("--max-cost".into())), 3);
        check(Stopped::by(None), 130);
        check(model::Error::Broken("cannot record".into()), 2);
        check(model(model::Error::Permanent("404".into())), 1);
        check(model(model::Error::Exhausted { message: "503".into(), requests: 8 }), 2);
        check(ExecuteError::Grading { problem: "1".into(), reason: "no process".into() }, 2);
        check(ExecuteError::UnknownOperator { found: 9, last: 6 }, 1);
        for kind in [ErrorKind::NotFound, ErrorKind::InvalidData, ErrorKind::IsADirectory, ErrorKind::NotADirectory] {
            check(io::Error::from(kind), 1);
            check(WriteError::of("write `x`")(kind.into()), 2);
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::StorageFull, ErrorKind::ConnectionRefused] {
            check(io::Error::from(kind), 2);
        }
    }
}
