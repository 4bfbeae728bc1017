//! A program that the user trusts: it runs with the user's own rights.

use std::process::Stdio;
use std::time::Instant;

use anyhow::Result;
use tokio::process::Command;

use super::launch::Launch;
use super::limits::Limits;
use super::process::{Run, Terms, run};
use super::scratch::Scratch;

/// Runs a program with `stdin` as its input, in the folder that its relative paths start from. Only its time and its
/// output are limited. Dropping the future ends it and everything it started.
///
/// # Errors
/// There is no such program, or it cannot be started. What the program does is not an error.
pub async fn run_trusted(launch: Launch<'_>, stdin: &str, limits: &Limits) -> Result<Run> {
    let found = launch.find(None)?;
    let scratch = Scratch::new(&[])?;
    let mut command = Command::new(&found.executable);
    command.args(&found.arguments).current_dir(launch.folder.unwrap_or(&scratch.work));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let (started, until) = (Instant::now(), std::future::pending());
    run(command, Terms { stdin: Some(stdin), scratch: &scratch, is_watched: false, limits, started, until }).await
}
