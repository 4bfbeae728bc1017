//! The sandbox for Python, opened where something needs it.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::config::Settings;
use crate::benchmarks::Benchmark;
use crate::operators::Catalogue;
use crate::sandbox::{OpenError, Options, Sandbox};

impl Settings {
    /// How programs are run.
    pub fn sandbox(&self) -> Options {
        Options { python: self.python.clone(), helper: None, allow_unsandboxed: self.allow_unsandboxed }
    }
}

/// Opens the sandbox if an operator or the grading needs it. Without Python the operators that need it are left out, and
/// a line says so, unless the catalogue must stay as it is.
///
/// # Errors
/// What cannot be left out needs Python, or programs cannot be confined and that was not allowed.
pub fn equip(
    runtime: &Runtime,
    settings: &Settings,
    benchmark: &Benchmark,
    catalogue: Catalogue,
    is_fixed: bool,
) -> Result<(Catalogue, Option<Arc<Sandbox>>)> {
    let needing = catalogue.needs_python().join(", ");
    if needing.is_empty() && !benchmark.needs_python() {
        return Ok((catalogue, None));
    }
    match open(runtime, settings) {
        Ok(sandbox) => Ok((catalogue, Some(Arc::new(sandbox)))),
        Err(error @ OpenError::NoPython(_)) if !is_fixed && !benchmark.needs_python() => {
            eprintln!("operators left out of the catalogue: {needing} ({error})");
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
pub fn open(runtime: &Runtime, settings: &Settings) -> Result<Sandbox, OpenError> {
    let sandbox = runtime.block_on(Sandbox::open(&settings.sandbox()))?;
    if !sandbox.is_confined() {
        eprintln!("warning: programs that the model writes run without a sandbox, with your rights");
    }
    Ok(sandbox)
}
