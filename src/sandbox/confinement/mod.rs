//! How a helper process confines itself before it becomes the interpreter of a model-written program.
//!
//! The helper is `lamas sandbox-child`. It restricts itself and then replaces itself with Python. This needs no unsafe code, unlike
//! a restriction between fork and exec.

mod enter;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod syscalls;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// The hidden command that confines its process; its argument is a [`Confinement`] in JSON.
pub const CHILD_COMMAND: &str = "sandbox-child";
/// The name of the program in its scratch folder.
pub(super) const PROGRAM: &str = "program.py";
/// The name of the other file that it may get.
pub(super) const JOB: &str = "job.json";

/// Closes file descriptors that this process may have inherited without knowing, then runs the program as the main
/// module.
pub(super) const START: &str = "import os; os.closerange(3, 1 << 16); del os; \
                     exec(compile(open('program.py', encoding='utf-8').read(), 'program.py', 'exec'))";

/// All that a confined process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// Precedes every message of the helper, to tell it from the program's.
    pub(super) nonce: String,
    /// The process that started the helper; the program ends with it.
    pub(super) parent: u32,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    /// What the interpreter reads of its installation, or a user's program of its files.
    pub(super) readable: Vec<PathBuf>,
    /// The only writable folder.
    pub(super) scratch: PathBuf,
    /// Whether that folder becomes a separate file system, of the limits' size.
    pub(super) mounts: bool,
    pub(super) limits: Limits,
}

impl Confinement {
    /// Reads the argument of [`CHILD_COMMAND`].
    ///
    /// # Errors
    /// It was not written by this version of `lamas`.
    pub fn parse(argument: &str) -> Result<Self> {
        Ok(serde_json::from_str(argument)?)
    }

    /// Python with the program, or a user's program, in an environment that contains nothing of the user's. The hash
    /// seed is fixed, so that the same program behaves the same again.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args(&self.arguments)
            .env_clear()
            .env("HOME", &self.scratch)
            .env("TMPDIR", &self.scratch)
            .env("LANG", "C.UTF-8")
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONSAFEPATH", "1")
            .env("PYTHONUTF8", "1")
            // There are no threads.
            .env("OMP_NUM_THREADS", "1")
            .env("OPENBLAS_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1");
        command
    }
}
