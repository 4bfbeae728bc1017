//! The sandbox for Python, opened where something needs it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::runtime::Runtime;

use super::config::Settings;
use crate::benchmarks::{Benchmark, Finish};
use crate::operators::Catalogue;
use crate::sandbox::{OpenError, Options, Sandbox, end_cleanly};

/// Flags of all commands that may run Python.
#[derive(Clone, Debug, Default, Serialize, clap::Args)]
pub struct Flags {
    /// Python 3 for programs that the model writes and for tests of code; default: `python3`
    #[arg(long, value_name = "PATH", env = "LAMAS_PYTHON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// Run programs that the model writes with your own rights where this machine has no sandbox
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_unsandboxed: bool,
}

/// Opens the sandbox if an operator or the grading needs it. Without Python the operators that need it are left out, and
/// with them a finish by one of them, and a line says so, unless the catalogue must stay as it is.
///
/// # Errors
/// What cannot be left out needs Python, or programs cannot be confined and that was not allowed.
pub fn equip(
    runtime: &Runtime,
    settings: &Settings,
    benchmark: &mut Benchmark,
    catalogue: Catalogue,
    is_fixed: bool,
) -> Result<(Catalogue, Option<Arc<Sandbox>>)> {
    // Recorded operators run nothing, and their answers may have been graded.
    let is_recorded = settings.traces.is_some();
    let needing = if is_recorded { String::new() } else { catalogue.needs_python().join(", ") };
    if needing.is_empty() && !benchmark.needs_python() {
        return Ok((catalogue, None));
    }
    let Settings { python, allow_unsandboxed, .. } = settings;
    match open(runtime, &Flags { python: python.clone(), allow_unsandboxed: *allow_unsandboxed }) {
        Ok(sandbox) => Ok((catalogue, Some(Arc::new(sandbox)))),
        Err(OpenError::NoPython(_)) if is_recorded => Ok((catalogue, None)),
        Err(error @ OpenError::NoPython(_)) if !is_fixed && !benchmark.needs_python() => {
            eprintln!("operators left out of the catalogue: {needing} ({error})");
            let stays = |finish: &Finish| !catalogue.needs_python().contains(&finish.operator.as_str());
            benchmark.finish = benchmark.finish.take().filter(stays);
            let origin = format!("{}/{} without Python", benchmark.folder(), benchmark.catalogue);
            Ok((catalogue.without_python(&origin)?, None))
        }
        Err(error) if benchmark.needs_python() => {
            Err(error).with_context(|| format!("benchmark `{}` is graded by running Python", benchmark.name))
        }
        Err(error) => Err(error).with_context(|| format!("operators {needing} run Python")),
    }
}

/// Opens the sandbox; a line says so where it confines nothing.
///
/// # Errors
/// See [`OpenError`].
pub fn open(runtime: &Runtime, flags: &Flags) -> Result<Sandbox, OpenError> {
    let Flags { python, allow_unsandboxed } = flags.clone();
    if let Err(error) = end_cleanly() {
        eprintln!("warning: SIGTERM would leave scratch folders behind: {error:#}");
    }
    let sandbox = runtime.block_on(Sandbox::open(&Options { python, helper: None, allow_unsandboxed }))?;
    if !sandbox.is_confined() {
        eprintln!("warning: programs that the model writes run without a sandbox, with your rights");
    }
    Ok(sandbox)
}
