//! Reads models, data and catalogues from a folder on disk, or from the same files inside the binary.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;

/// A read-only set of named files.
#[derive(Clone, Debug)]
pub enum Folder {
    Disk(PathBuf),
    /// Files compiled into the binary, by name.
    Embedded {
        name: &'static str,
        files: &'static [(&'static str, &'static [u8])],
    },
}

impl Folder {
    /// Reads a file whole.
    ///
    /// # Errors
    /// Names the missing or unreadable file.
    pub fn read(&self, file: &str) -> Result<Cow<'static, [u8]>> {
        match self {
            Folder::Disk(path) => {
                let path = path.join(file);
                std::fs::read(&path).map(Cow::Owned).with_context(|| format!("cannot read `{}`", path.display()))
            }
            Folder::Embedded { name, files } => files
                .iter()
                .find(|(candidate, _)| *candidate == file)
                .map(|(_, bytes)| Cow::Borrowed(*bytes))
                .with_context(|| format!("no file `{file}` in the built-in folder `{name}`")),
        }
    }

    /// Whether there is such a file.
    pub fn holds(&self, file: &str) -> bool {
        match self {
            Folder::Disk(path) => path.join(file).is_file(),
            Folder::Embedded { files, .. } => files.iter().any(|(candidate, _)| *candidate == file),
        }
    }

    /// Copies a file to `out` without holding it in memory.
    ///
    /// # Errors
    /// Those of [`Folder::read`], and of `out`.
    pub fn copy(&self, file: &str, out: &mut impl Write) -> Result<()> {
        match self {
            Folder::Disk(path) => {
                let path = path.join(file);
                std::fs::File::open(&path)
                    .and_then(|mut file| std::io::copy(&mut file, out))
                    .with_context(|| format!("cannot read `{}`", path.display()))?;
            }
            Folder::Embedded { .. } => out.write_all(&self.read(file)?)?,
        }
        Ok(())
    }

    /// Reads a file of text.
    ///
    /// # Errors
    /// Names the file when it is missing, unreadable or not UTF-8.
    pub fn read_text(&self, file: &str) -> Result<String> {
        String::from_utf8(self.read(file)?.into_owned()).with_context(|| format!("`{self}/{file}` is not UTF-8 text"))
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// Names the file and, where its contents are at fault, the line.
    pub fn read_toml<T: DeserializeOwned>(&self, file: &str) -> Result<T> {
        let text = self.read_text(file)?;
        toml::from_str(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            anyhow!("{self}/{file}:{line}: {}", error.message())
        })
    }
}

/// The line, counted from 1, that holds the byte at `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

impl fmt::Display for Folder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Folder::Disk(path) => write!(out, "{}", path.display()),
            Folder::Embedded { name, .. } => write!(out, "built-in:{name}"),
        }
    }
}
