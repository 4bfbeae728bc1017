//! Files beside the repository that tests read if they exist: published data sets, and answers with their verdicts.

use std::path::PathBuf;

/// The folder `name` beside the repository, or in the folder named by `LAMAS_SHARED`. If it is missing, a printed line
/// says so.
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("LAMAS_SHARED").map_or_else(beside, PathBuf::from).join(name);
    if !folder.is_dir() {
        println!("skipped: no `{}`", folder.display());
        return None;
    }
    Some(folder)
}
