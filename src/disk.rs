//! Creates folders and files. If that fails, the user's input is not to blame.

use std::fs::File;
use std::io;
use std::path::Path;

/// A folder, a file or a stream that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct WriteError {
    action: String,
    source: io::Error,
}

impl WriteError {
    /// What `action`, such as "write `x`", failed with.
    pub fn of(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| WriteError { action: action.into(), source }
    }
}

/// Creates a folder, and those above it, where they are missing.
///
/// # Errors
/// Names the folder.
pub fn create_folder(path: &Path) -> Result<(), WriteError> {
    std::fs::create_dir_all(path).map_err(WriteError::of(format!("create `{}`", path.display())))
}

/// Creates a file, or empties it.
///
/// # Errors
/// Names the file.
pub fn create_file(path: &Path) -> Result<File, WriteError> {
    File::create(path).map_err(WriteError::of(format!("create `{}`", path.display())))
}
