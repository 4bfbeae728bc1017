//! The limits of a program.

use serde::{Deserialize, Serialize};

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock seconds. The kernel ends the program too once it has used as many seconds of CPU time.
    pub seconds: f64,
    /// Bytes of address space.
    pub memory: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes of the scratch folder in all. Exact where the folder is a file system of its own; elsewhere files are
    /// measured every few milliseconds, and a program may have written twice as much before it is ended.
    pub disk: u64,
    /// Files in the scratch folder.
    pub files: usize,
    /// Bytes of standard output, and as many of standard error.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { seconds: 10.0, memory: 1 << 30, file_size: 8 << 20, disk: 32 << 20, files: 100, output: 64 << 10 }
    }
}
