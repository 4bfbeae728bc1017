//! Ctrl-C: the first one stops the work at the next safe point, the second one ends the process at once. A command that
//! was stopped, by this or by a cap, leaves a run that can be resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Error;
use tokio::sync::watch;

use super::session::{Session, books};
use crate::execute::ExecuteError;
use crate::model;

/// Exit codes of work that was stopped and can be resumed.
const INTERRUPTED: u8 = 130;
const CAPPED: u8 = 3;
/// How long to wait for answers of an endpoint that are in progress.
const GRACE: Duration = Duration::from_millis(500);

/// What continues the work of a command that has no folder of its own.
pub const SAME: &str = "the same command";

/// Whether Ctrl-C was pressed. This concerns the whole process, and an error deep inside does not carry it.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// Tells a command about Ctrl-C.
pub struct Interrupt {
    /// True from the first Ctrl-C on.
    pub stop: Arc<AtomicBool>,
    /// True once nothing is waited for any longer.
    over: watch::Receiver<bool>,
    /// Whether the process ends at the first Ctrl-C, because there is nothing left to save.
    is_saved: Arc<AtomicBool>,
}

/// Listens for Ctrl-C on the runtime of the session. After the first one, nothing waits any longer for an endpoint that
/// is down or busy, and soon nothing waits for any endpoint. Its answers are recorded, and a run can be resumed from
/// its last save. Where the process ends at once, it says that `command` continues.
pub fn listen(session: &Session, command: &str) -> Interrupt {
    let endpoints = session.parts.endpoints.clone();
    // An earlier command of this process may have been stopped.
    PRESSED.store(false, Ordering::Relaxed);
    let (sender, over) = watch::channel(false);
    let interrupt = Interrupt { stop: Arc::default(), over, is_saved: Arc::default() };
    let (stop, is_saved) = (interrupt.stop.clone(), interrupt.is_saved.clone());
    let parting = format!("stopped; {command} continues from here");
    session.runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            PRESSED.store(true, Ordering::Relaxed);
            if stop.swap(true, Ordering::Relaxed) || is_saved.load(Ordering::Relaxed) {
                books(&endpoints).iter().for_each(|line| eprintln!("{line}"));
                eprintln!("{parting}");
                std::process::exit(INTERRUPTED.into());
            }
            eprintln!("\nstopping at the next safe point; press Ctrl-C again to stop at once");
            if !endpoints.is_empty() {
                endpoints.stop_waiting("Ctrl-C");
                let sender = sender.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(GRACE).await;
                    sender.send_replace(true);
                });
            }
        }
    });
    interrupt
}

impl Interrupt {
    /// Completes once nothing is waited for any longer.
    pub async fn over(&self) {
        if self.over.clone().wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// From now on the first Ctrl-C ends the process; everything that took long is saved.
    pub fn end_at_once(&self) {
        self.is_saved.store(true, Ordering::Relaxed);
    }
}

/// Work stopped before its end without a fault.
#[derive(Debug, thiserror::Error)]
#[error("stopped{}{goes_on}", .cap.as_ref().map_or(String::new(), |cap| format!(" by {cap}")))]
pub struct Stopped {
    /// The cap that was reached; `None` if Ctrl-C was pressed.
    cap: Option<String>,
    goes_on: String,
}

impl Stopped {
    /// Stopped by a cap, unless Ctrl-C was pressed, which ends calls in the same way.
    pub fn by(cap: Option<String>) -> Self {
        Stopped { cap: cap.filter(|_| !PRESSED.load(Ordering::Relaxed)), goes_on: String::new() }
    }

    /// The error; if it is such a stop, or a cap that a call met, it says how to continue.
    pub fn hinted(error: Error, command: &str) -> Error {
        let goes_on = || format!("; `{command}` continues from here");
        if let Some(Stopped { cap, .. }) = error.downcast_ref::<Stopped>() {
            return Error::new(Stopped { cap: cap.clone(), goes_on: goes_on() });
        }
        match cap(&error) {
            Some(cap) => Error::new(Stopped { goes_on: goes_on(), ..Stopped::by(Some(cap)) }),
            None => error,
        }
    }

    fn exit_code(&self) -> u8 {
        if self.cap.is_some() { CAPPED } else { INTERRUPTED }
    }
}

/// The exit code of an error that stopped work; `None` if something is wrong.
pub fn exit_code(error: &Error) -> Option<u8> {
    let stopped = error.chain().find_map(|cause| Some(cause.downcast_ref::<Stopped>()?.exit_code()));
    stopped.or_else(|| cap(error).map(|cap| Stopped::by(Some(cap)).exit_code()))
}

/// The cap that a call met.
fn cap(error: &Error) -> Option<String> {
    error.chain().find_map(|cause| match cause.downcast_ref::<model::Error>() {
        Some(model::Error::Capped(cap)) => Some(cap.clone()),
        _ => cause.downcast_ref::<ExecuteError>()?.cap().map(str::to_owned),
    })
}
