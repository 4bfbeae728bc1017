//! The choice of encoder, as written in a setting; opens it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use candle_core::Device;

use super::{Encoder, MiniLm, StaticTable, minilm, static_table};
use crate::folder::Folder;

/// An encoder as written in a setting: `static`, `minilm`, `static:FOLDER`, `minilm:FOLDER` or `hub:OWNER/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// The table inside the binary.
    #[default]
    Static,
    /// A table of the same form in a folder.
    StaticFolder(PathBuf),
    /// The transformer from the hub, by owner and name.
    MiniLmHub(String),
    /// The transformer in a folder.
    MiniLmFolder(PathBuf),
}

impl EncoderChoice {
    /// Loads the encoder; the transformer goes to the device.
    ///
    /// # Errors
    /// Names the file that is missing, cut short or of another shape.
    pub fn open(&self, device: &Device) -> Result<Box<dyn Encoder>> {
        Ok(match self {
            EncoderChoice::Static => Box::new(StaticTable::load(&static_table::EMBEDDED)?),
            EncoderChoice::StaticFolder(path) => Box::new(StaticTable::load(&Folder::Disk(path.clone()))?),
            EncoderChoice::MiniLmHub(id) => Box::new(MiniLm::from_hub(id, device)?),
            EncoderChoice::MiniLmFolder(path) => Box::new(MiniLm::load(&Folder::Disk(path.clone()), device)?),
        })
    }
}

impl FromStr for EncoderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "static" => Ok(EncoderChoice::Static),
            None if text == "minilm" => Ok(EncoderChoice::MiniLmHub(minilm::HUB_ID.into())),
            Some(("static", folder)) if !folder.is_empty() => Ok(EncoderChoice::StaticFolder(folder.into())),
            Some(("minilm", folder)) if !folder.is_empty() => Ok(EncoderChoice::MiniLmFolder(folder.into())),
            Some(("hub", id)) if id.split('/').count() == 2 => Ok(EncoderChoice::MiniLmHub(id.into())),
            _ => Err(format!(
                "expected `static`, `minilm`, `static:FOLDER`, `minilm:FOLDER` or `hub:OWNER/NAME`, found `{text}`"
            )),
        }
    }
}

impl fmt::Display for EncoderChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncoderChoice::Static => write!(out, "static"),
            EncoderChoice::StaticFolder(path) => write!(out, "static:{}", path.display()),
            EncoderChoice::MiniLmHub(id) if id == minilm::HUB_ID => write!(out, "minilm"),
            EncoderChoice::MiniLmHub(id) => write!(out, "hub:{id}"),
            EncoderChoice::MiniLmFolder(path) => write!(out, "minilm:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_back_as_written() {
        for text in ["static", "static:models/table", "minilm", "minilm:/models/minilm", "hub:owner/name"] {
            let choice: EncoderChoice = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", "bert", "static:", "minilm:", "hub:name", "hub:a/b/c"] {
            let error = text.parse::<EncoderChoice>().unwrap_err();
            assert!(error.contains(&format!("found `{text}`")), "{error}");
        }
    }
}
