//! The asynchronous runtime of this process, and waiting for work on it.

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
