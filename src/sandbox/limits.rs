//! The limits of a program.

use serde::{Deserialize, Serialize};

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock seconds. The kernel also ends the program once it has used that many seconds of CPU time.
    pub seconds: f64,
    /// Bytes of address space.
    pub memory: u64,
    /// Bytes of a single file.
    pub file_size: u64,
    /// Total bytes of the scratch folder. This is exact if the folder is a separate file system. Elsewhere the files
    /// are measured every few milliseconds, and a program may have written twice as much before it is ended.
    pub disk: u64,
    /// Number of files in the scratch folder.
    pub files: usize,
    /// Bytes of standard output, and the same number of standard error.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { seconds: 10.0, memory: 1 << 30, file_size: 8 << 20, disk: 32 << 20, files: 100, output: 64 << 10 }
    }
}
