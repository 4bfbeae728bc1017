//! Ctrl-C: the first stops the work at the next safe point, the second ends the process at once. A command that was stopped, by
//! this or by a cap, leaves a run that can be resumed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Error;
use tokio::sync::watch;

use super::session::books;
use crate::execute::ExecuteError;
use crate::model;
use crate::settings::Endpoints;

/// Exit codes of work that was stopped and can be gone on with.
const INTERRUPTED: u8 = 130;
const CAPPED: u8 = 3;
/// How long answers of an endpoint that are under way are waited for.
const GRACE: Duration = Duration::from_millis(500);

/// Whether Ctrl-C was pressed: a fact of the process, which an error deep inside does not carry.
static PRESSED: AtomicBool = AtomicBool::new(false);

/// What is heard of Ctrl-C.
pub struct Interrupt {
    /// True from the first one on.
    pub stop: Arc<AtomicBool>,
    /// True once nothing is waited for any longer.
    over: watch::Receiver<bool>,
    /// What to say before the process ends at the first one: there is nothing to be saved.
    parting: Arc<Mutex<Option<String>>>,
}

/// Listens for Ctrl-C on the current tokio runtime. From the first one on nobody waits any longer for an endpoint that is
/// down or busy, and soon for none at all: its answers are recorded, and a run goes on from where it was saved.
pub fn listen(endpoints: Endpoints) -> Interrupt {
    let (sender, over) = watch::channel(false);
    let interrupt = Interrupt { stop: Arc::default(), over, parting: Arc::default() };
    let (stop, parting) = (interrupt.stop.clone(), interrupt.parting.clone());
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            PRESSED.store(true, Ordering::Relaxed);
            let parting = parting.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if stop.swap(true, Ordering::Relaxed) || parting.is_some() {
                books(&endpoints).iter().for_each(|line| eprintln!("{line}"));
                parting.iter().for_each(|parting| eprintln!("{parting}"));
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
    /// Until nothing is waited for any longer.
    pub async fn over(&self) {
        if self.over.clone().wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// From now on the first Ctrl-C ends the process: all that took long is saved.
    pub fn part_at_once(&self, parting: String) {
        *self.parting.lock().unwrap_or_else(PoisonError::into_inner) = Some(parting);
    }
}

/// Work that stopped before its end, with nothing at fault.
#[derive(Debug, thiserror::Error)]
#[error("stopped{}{goes_on}", .cap.as_ref().map_or(String::new(), |cap| format!(" by {cap}")))]
pub struct Stopped {
    /// The cap that was met; none where Ctrl-C was pressed.
    cap: Option<String>,
    goes_on: String,
}

impl Stopped {
    /// By a cap, unless Ctrl-C was pressed, which ends calls in the same way.
    pub fn by(cap: Option<String>) -> Self {
        Stopped { cap: cap.filter(|_| !PRESSED.load(Ordering::Relaxed)), goes_on: String::new() }
    }

    /// The error, which says how to go on if it is such a stop.
    pub fn hinted(error: Error, command: &str) -> Error {
        match error.downcast_ref::<Stopped>() {
            Some(Stopped { cap, .. }) => {
                Error::new(Stopped { cap: cap.clone(), goes_on: format!("; `{command}` continues from here") })
            }
            None => error,
        }
    }

    fn exit_code(&self) -> u8 {
        if self.cap.is_some() { CAPPED } else { INTERRUPTED }
    }
}

/// The exit code of an error by which work was stopped; none where something is at fault.
pub fn exit_code(error: &Error) -> Option<u8> {
    error.chain().find_map(|cause| {
        if let Some(stopped) = cause.downcast_ref::<Stopped>() {
            return Some(stopped.exit_code());
        }
        let is_capped = matches!(cause.downcast_ref(), Some(model::Error::Capped(_)))
            || cause.downcast_ref::<ExecuteError>().is_some_and(|error| error.cap().is_some());
        is_capped.then(|| Stopped::by(Some(String::new())).exit_code())
    })
}
