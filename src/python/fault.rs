//! Errors as exceptions.

use anyhow::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::cli::{exit_code, message};

/// The exception for an error; its class says who is at fault, as the exit codes of the command do.
pub fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let class = match exit_code(error) {
        1 => "InputError",
        3 => "CapError",
        130 => return PyKeyboardInterrupt::new_err(message(error)),
        _ => "OutsideError",
    };
    let raised = || -> PyResult<PyErr> {
        let class = py.import("lamas._errors")?.getattr(class)?;
        Ok(PyErr::from_value(class.call1((message(error),))?))
    };
    raised().unwrap_or_else(|error| error)
}
