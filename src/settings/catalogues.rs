//! Operator catalogues besides those of the benchmarks: files, and those built into the binary.

use std::path::Path;

use anyhow::{Context, Result};

use crate::folder::Folder;
use crate::operation::Catalogue;

/// Names of the built-in catalogues.
pub const CATALOGUES: [&str; 1] = ["two-models"];

const BUILT_IN: Folder = Folder::Embedded {
    name: "data/catalogues",
    files: &[("two-models.toml", include_bytes!("../../data/catalogues/two-models.toml"))],
};

/// The catalogue in a file, or else the built-in one of that name.
///
/// # Errors
/// Those of [`Catalogue::load`], with the existing names.
pub fn catalogue_named(path: &Path) -> Result<Catalogue> {
    let built_in = path.to_str().filter(|name| CATALOGUES.contains(name) && !path.exists());
    if let Some(name) = built_in {
        return Catalogue::load(&BUILT_IN, &format!("{name}.toml"));
    }
    let shown = path.display();
    let file = path.file_name().and_then(|name| name.to_str());
    let file = file.with_context(|| format!("expected the file of a catalogue, found `{shown}`"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let known = || format!("catalogue `{shown}`; built-in ones: {}", CATALOGUES.join(", "));
    let loaded = Catalogue::load(&Folder::Disk(folder.to_owned()), file);
    if path.is_file() { loaded } else { loaded.with_context(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_catalogues_are_sound() -> Result<()> {
        for name in CATALOGUES {
            let catalogue = catalogue_named(Path::new(name))?;
            let models = catalogue.models();
            for operator in catalogue.operators().iter().filter(|operator| operator.prompt.is_some()) {
                assert!(models.contains_key(&operator.model), "{name}: {}", operator.name);
            }
        }
        let unknown = catalogue_named(Path::new("three-models")).map_err(|error| format!("{error:#}"));
        assert!(unknown.is_err_and(|error| error.contains("built-in ones: two-models")));
        Ok(())
    }
}
