//! One child process: it gets its input, is watched, has its output read up to a limit, and is killed with its whole
//! group.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::{try_join, try_join3};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::group::{kill, wait};
use super::limits::Limits;
use super::scratch::Scratch;
use super::watch::outgrown;

/// How long to wait for the last output of a stopped program.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// Maximum length of the end of an error text that is shown to a model.
const LONGEST_FAULT: usize = 2000;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It exited with this code.
    Exited(i32),
    /// It reached the limit of wall-clock or CPU time.
    TimedOut,
    /// It asked for more memory than allowed.
    Memory,
    /// It wrote more output than allowed.
    Output,
    /// It wrote more files, or larger ones, than allowed. A separate file system refuses them instead.
    Disk,
    /// This signal killed it: it crashed, or killed itself.
    Killed(i32),
    /// It was no longer needed.
    Stopped,
}

/// The result of running a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub ended: Ended,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Run {
    /// What to tell the author of a program that failed; `None` if it exited with code 0 or was stopped.
    pub fn fault(&self) -> Option<String> {
        Some(match self.ended {
            Ended::Exited(0) | Ended::Stopped => return None,
            Ended::Exited(_) if !self.stderr.trim().is_empty() => tail(self.stderr.trim(), LONGEST_FAULT).to_owned(),
            Ended::Exited(code) => format!("the program exited with code {code}"),
            Ended::TimedOut => format!("the program did not end within {:.1} seconds", self.seconds),
            Ended::Memory => "the program ran out of memory".to_owned(),
            Ended::Output => "the program wrote too much output".to_owned(),
            Ended::Disk => "the program wrote too many or too large files".to_owned(),
            Ended::Killed(signal) => format!("the program was ended by signal {signal}"),
        })
    }
}

/// How long a program runs, and with what input.
pub(super) struct Terms<'a, S> {
    /// Its standard input; absent if the command sets one.
    pub stdin: Option<&'a str>,
    pub scratch: &'a Scratch,
    /// Whether only this process limits what it writes.
    pub is_watched: bool,
    pub limits: &'a Limits,
    /// When its wall-clock time began.
    pub started: Instant,
    /// The program is ended when this completes.
    pub until: S,
}

/// Starts `command` in its own process group and lets it run until it ends or reaches a limit. What it wrote before it
/// was stopped counts.
///
/// Afterwards, and when the future is dropped, no process of the group is left.
///
/// # Errors
/// The process cannot be started or waited for.
pub(super) async fn run(mut command: Command, terms: Terms<'_, impl Future<Output = ()>>) -> Result<Run> {
    let Terms { stdin, scratch, is_watched, limits, started, until } = terms;
    let mut group = Group::new(command.spawn().context("cannot start a process")?);
    let leader = group.child.id();
    scratch.is_used_by(leader);
    // This also drops our copy of the child's end of the stream, which otherwise would never close.
    drop(command);
    let child = &mut group.child;
    let input = child.stdin.take();
    let (Some(mut output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
        anyhow::bail!("expected pipes to the process, found none");
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exchange = async {
        let reading = (fill(&mut output, &mut stdout, limits.output), fill(&mut errors, &mut stderr, limits.output));
        match try_join3(feed(input, stdin.unwrap_or_default()), reading.0, reading.1).await {
            Ok(_) => Ok(Err(child.wait().await?)),
            Err(ended) => Ok::<_, io::Error>(Ok(ended)),
        }
    };
    let deadline = started + Duration::from_secs_f64(limits.seconds);
    let mut ended = tokio::select! {
        result = exchange => result.context("cannot wait for a process")?,
        () = outgrown(scratch.work.clone(), leader, *limits), if is_watched => Ok(Ended::Disk),
        () = tokio::time::sleep_until(deadline.into()) => Ok(Ended::TimedOut),
        () = until => Ok(Ended::Stopped),
    };
    let seconds = started.elapsed().as_secs_f64();
    group.kill();
    scratch.is_used_by(None);
    group.child.wait().await.context("cannot wait for a process")?;
    if ended == Ok(Ended::Stopped) {
        let rest = async {
            let rest = (fill(&mut output, &mut stdout, limits.output), fill(&mut errors, &mut stderr, limits.output));
            try_join(rest.0, rest.1).await
        };
        // Without confinement another process may hold the pipes open.
        if let Ok(Err(limit)) = tokio::time::timeout(LAST_WORDS, rest).await {
            ended = Ok(limit);
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(stdout), text(stderr));
    let ended = ended.unwrap_or_else(|status| classify(status, &stderr));
    Ok(Run { stdout, stderr, ended, seconds })
}

/// A child and all processes of its group.
struct Group {
    child: Child,
    /// Present until they are killed.
    leader: Option<u32>,
}

impl Group {
    fn new(child: Child) -> Self {
        Group { leader: child.id(), child }
    }

    /// Kills all of them. It is no error if some have already ended.
    fn kill(&mut self) {
        kill(self.leader.take());
        let _ = self.child.start_kill();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // The scratch folder is removed next, and a process still running could put a file into it.
        wait(self.child.id());
    }
}

/// Writes all of `text`. A program need not read its input.
async fn feed(input: Option<impl AsyncWrite + Unpin>, text: &str) -> Result<(), Ended> {
    if let Some(mut input) = input {
        let _ = input.write_all(text.as_bytes()).await;
    }
    Ok(())
}

/// Reads to the end, or until there are more than `limit` bytes in total.
async fn fill(source: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>, limit: usize) -> Result<(), Ended> {
    let mut bounded = source.take((limit + 1).saturating_sub(bytes.len()) as u64);
    // A broken pipe ends the output.
    let _ = bounded.read_to_end(bytes).await;
    if bytes.len() > limit {
        bytes.truncate(limit);
        return Err(Ended::Output);
    }
    Ok(())
}

fn classify(status: ExitStatus, stderr: &str) -> Ended {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let is_cpu_limit = signal == nix::sys::signal::Signal::SIGXCPU as i32;
        return if is_cpu_limit { Ended::TimedOut } else { Ended::Killed(signal) };
    }
    let is_memory = !status.success() && stderr.lines().last().is_some_and(|line| line.starts_with("MemoryError"));
    if is_memory { Ended::Memory } else { Ended::Exited(status.code().unwrap_or(-1)) }
}

/// The end of `text`: at most `longest` bytes, in whole characters.
fn tail(text: &str, longest: usize) -> &str {
    let start = text.len().saturating_sub(longest);
    let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ended: Ended, stderr: &str, fault: Option<&str>) {
        let run = Run { stdout: String::new(), stderr: stderr.to_owned(), ended, seconds: 3.0 };
        assert_eq!(run.fault().as_deref(), fault);
    }

    #[test]
    fn faults_are_worded_for_the_author() {
        check(Ended::Exited(0), "a warning", None);
        check(Ended::Exited(1), "NameError: name 'x' is not defined\n", Some("NameError: name 'x' is not defined"));
        check(Ended::Exited(3), " ", Some("the program exited with code 3"));
        check(Ended::TimedOut, "", Some("the program did not end within 3.0 seconds"));
        check(Ended::Killed(11), "", Some("the program was ended by signal 11"));
        check(Ended::Exited(1), &format!("é{}", "x".repeat(LONGEST_FAULT - 1)), Some(&"x".repeat(LONGEST_FAULT - 1)));
    }
}
