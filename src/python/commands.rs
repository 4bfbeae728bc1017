//! The command line for Python.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;

use super::fault::raised;
use crate::{cli, sandbox};

/// Runs a command line, whose first word names the program, and returns its exit code.
#[pyfunction]
pub fn run(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| cli::run(words))
}

/// Like `run`, but errors are raised.
#[pyfunction]
pub fn call(py: Python<'_>, words: Vec<OsString>) -> PyResult<()> {
    let called = py.detach(|| cli::call(words));
    // Whoever pressed Ctrl-C is told so by Python.
    py.check_signals()?;
    called.map_err(|error| raised(py, &error))
}

/// Names the executable that confines programs.
#[pyfunction]
pub fn use_helper(path: PathBuf) {
    sandbox::use_helper(path);
}
