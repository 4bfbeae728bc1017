//! The asynchronous runtime of this process, waiting for work on it, and calls back into Python.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::fault::raised;

/// How long until Python looks for Ctrl-C again.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// With the process that it belongs to: its threads do not survive a fork.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// The runtime of this process.
pub fn runtime() -> Result<Arc<Runtime>> {
    let own = std::process::id();
    let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, runtime)) = &*held
        && *process == own
    {
        return Ok(runtime.clone());
    }
    let runtime = Arc::new(Runtime::new().context("cannot start the asynchronous runtime")?);
    // Dropping that of another process would wait for threads that do not exist here.
    held.replace((own, runtime.clone())).into_iter().for_each(std::mem::forget);
    Ok(runtime)
}

/// Runs `work` while other threads of Python go on. Ctrl-C stops it.
pub fn wait<T: Send + 'static>(py: Python<'_>, work: impl Future<Output = Result<T>> + Send + 'static) -> PyResult<T> {
    let runtime = runtime().map_err(|error| raised(py, &error))?;
    let mut task = runtime.spawn(work);
    loop {
        let heard = py.detach(|| runtime.block_on(async { tokio::time::timeout(PATIENCE, &mut task).await }));
        match heard {
            Ok(Ok(result)) => return result.map_err(|error| raised(py, &error)),
            Ok(Err(error)) => return Err(raised(py, &anyhow!("internal error: {error}"))),
            Err(_) => {
                if let Err(interrupted) = py.check_signals() {
                    task.abort();
                    return Err(interrupted);
                }
            }
        }
    }
}

/// Takes what is to be called.
type Calls = Sender<Arc<Py<PyAny>>>;

/// What calls back, with its process.
static CALLER: Mutex<Option<(u32, Calls)>> = Mutex::new(None);

/// Calls something without arguments, on a thread of its own: Python may be busy, and the engine does not wait for it.
pub fn call_back(callable: Arc<Py<PyAny>>) {
    let own = std::process::id();
    let mut held = CALLER.lock().unwrap_or_else(PoisonError::into_inner);
    if held.as_ref().is_none_or(|(process, _)| *process != own) {
        let (sender, receiver) = channel::<Arc<Py<PyAny>>>();
        let calls = move || {
            for callable in receiver {
                // It fails where its event loop is closed, and where Python is ending.
                Python::try_attach(|py| _ = callable.call0(py));
            }
        };
        let started = std::thread::Builder::new().name("lamas calls".into()).spawn(calls);
        *held = started.ok().map(|_| (own, sender));
    }
    held.iter().for_each(|(_, sender)| _ = sender.send(callable.clone()));
}
