//! The native part of the Python package `lamas`: a thin layer over [`crate::agent`] and the commands.
//!
//! What has structure crosses as JSON; the classes that people use are in Python, beside the stubs of this module.

mod agent;
mod answering;
mod commands;
mod fault;
mod grading;
mod runtime;
mod session;
mod wish;

use pyo3::prelude::*;

/// As in the command: glibc gives large blocks back to the kernel at each free, which makes training twice as slow.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<agent::Agent>()?;
    module.add_class::<answering::Answering>()?;
    module.add_class::<session::Session>()?;
    module.add_function(wrap_pyfunction!(commands::run, module)?)?;
    module.add_function(wrap_pyfunction!(commands::call, module)?)?;
    module.add_function(wrap_pyfunction!(commands::use_helper, module)?)?;
    module.add_function(wrap_pyfunction!(grading::grade, module)?)?;
    module.add_function(wrap_pyfunction!(grading::grade_code, module)?)?;
    Ok(())
}
