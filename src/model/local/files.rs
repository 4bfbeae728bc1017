//! The parts of a checkpoint, wherever they are: a folder as transformers writes it, or a GGUF file.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{DType, Device};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::chat::{Chat, Variables};
use super::config::Config;
use super::config_file::{self, Ends};
use super::gguf::Gguf;
use super::gguf_tokenizer;
use super::safetensors::{self, Safetensors};
use super::weights::{Weight, Weights};
use crate::folder::Folder;

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";

/// An opened checkpoint.
pub enum Files {
    Folder(Folder),
    Gguf(Box<Gguf>),
}

/// The fields of `generation_config.json` that matter here.
#[derive(Deserialize)]
struct Generation {
    #[serde(default)]
    eos_token_id: Ends,
}

impl Files {
    /// Opens a folder with `config.json`, or a GGUF file: the one that `folder` names, or the only one in it.
    ///
    /// # Errors
    /// There are several GGUF files, or the one cannot be used.
    pub fn open(folder: &Folder) -> Result<Self> {
        Ok(match gguf(folder)? {
            Some(path) => Files::Gguf(Box::new(Gguf::open(&path)?)),
            None => Files::Folder(folder.clone()),
        })
    }

    /// Sizes of the network, and the tokens that end a completion.
    ///
    /// # Errors
    /// They are missing or do not fit together.
    pub fn config(&self) -> Result<Config> {
        let folder = match self {
            Files::Gguf(gguf) => return gguf.config(),
            Files::Folder(folder) => folder,
        };
        let text = folder.read_text(CONFIG)?;
        let mut config = config_file::parse(&text).with_context(|| format!("`{folder}/{CONFIG}`"))?;
        if folder.holds(GENERATION) {
            let text = folder.read_text(GENERATION)?;
            let generation: Generation =
                serde_json::from_str(&text).with_context(|| format!("`{folder}/{GENERATION}`"))?;
            config.ends.extend(generation.eos_token_id.into_tokens());
        }
        Ok(config)
    }

    /// The tokenizer of a model with a vocabulary of this size.
    ///
    /// # Errors
    /// It is missing, cannot be read, or has tokens that the model does not know.
    pub fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer> {
        let (place, mut tokenizer) = match self {
            Files::Folder(folder) => (format!("{folder}/{TOKENIZER}"), read_tokenizer(folder)?),
            Files::Gguf(gguf) => (gguf.path().display().to_string(), of_gguf(gguf)?),
        };
        // Prompts are read whole, or refused.
        tokenizer.with_truncation(None).map_err(|error| anyhow!("{error}"))?.with_padding(None);
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        ensure!(
            (largest as usize) < vocabulary,
            "`{place}`: expected tokens below the model's vocabulary of {vocabulary}, found {largest}"
        );
        Ok(tokenizer)
    }

    /// The chat template; None for a model that reads plain text.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn chat(&self, variables: &Variables) -> Result<Option<Chat>> {
        match self {
            Files::Folder(folder) => Chat::load(folder, variables),
            Files::Gguf(gguf) => {
                let Some(text) = gguf.text("tokenizer.chat_template") else { return Ok(None) };
                let [bos, eos] = ["bos", "eos"].map(|name| gguf.special(name).unwrap_or_default().to_owned());
                let chat = Chat::new(text.to_owned(), bos, eos, variables);
                chat.with_context(|| format!("`{}`", gguf.path().display())).map(Some)
            }
        }
    }

    /// The weights, on `device` as `dtype`.
    ///
    /// # Errors
    /// Those of [`Weights::load`], and a file that is missing or cut.
    pub fn weights<M: Weight>(&self, config: &Config, device: &Device, dtype: DType) -> Result<Weights<M>> {
        match self {
            Files::Gguf(gguf) => {
                Weights::load(&**gguf, config, device, dtype).with_context(|| format!("`{}`", gguf.path().display()))
            }
            Files::Folder(folder) => {
                let tensors = Safetensors::open(folder)?;
                let place = safetensors::files(folder)?.swap_remove(0);
                Weights::load(&tensors, config, device, dtype).with_context(|| format!("`{folder}/{place}`"))
            }
        }
    }

    /// The checkpoint's own name and what its files hold; `more` is what else its answers depend on.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn identify(&self, more: &[String]) -> Result<String> {
        let mut hash = Sha256::new();
        let place = match self {
            Files::Folder(folder) => {
                let generation = folder.holds(GENERATION).then(|| GENERATION.to_owned());
                let files = [CONFIG, TOKENIZER].map(String::from).into_iter().chain(safetensors::files(folder)?);
                for file in files.chain(generation) {
                    folder.copy(&file, &mut hash)?;
                }
                folder.to_string()
            }
            Files::Gguf(gguf) => {
                hash.update(gguf.bytes());
                gguf.path().display().to_string()
            }
        };
        more.iter().for_each(|more| hash.update(more));
        let digest: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{}@{digest}", name(&place)))
    }
}

/// The GGUF file that stands for a folder.
fn gguf(folder: &Folder) -> Result<Option<PathBuf>> {
    let Folder::Disk(path) = folder else { return Ok(None) };
    let is_gguf = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "gguf");
    if path.is_file() || is_gguf(path) && !path.is_dir() {
        return Ok(Some(path.clone()));
    }
    if folder.holds(CONFIG) {
        return Ok(None);
    }
    // A folder that cannot be listed is reported when its files are read.
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(is_gguf).collect();
    found.sort();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        several => {
            let names: Vec<_> = several.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            bail!("`{folder}`: expected one GGUF file, found {}; hint: name the one", names.join(", "))
        }
    }
}

/// If the file's own tokenizer is of a kind that cannot be read, the `tokenizer.json` next to it is used.
fn of_gguf(gguf: &Gguf) -> Result<Tokenizer> {
    let folder = Folder::Disk(gguf.path().parent().map(PathBuf::from).unwrap_or_default());
    match gguf_tokenizer::tokenizer(gguf.content()) {
        Ok(tokenizer) => Ok(tokenizer),
        Err(_) if folder.holds(TOKENIZER) => read_tokenizer(&folder),
        Err(error) => Err(error).with_context(|| {
            format!(
                "cannot use the tokenizer in `{}`; hint: put the model's `{TOKENIZER}` into the same folder",
                gguf.path().display()
            )
        }),
    }
}

fn read_tokenizer(folder: &Folder) -> Result<Tokenizer> {
    Tokenizer::from_bytes(folder.read(TOKENIZER)?)
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("`{folder}/{TOKENIZER}` is not a tokenizer"))
}

/// `OWNER/NAME` in the hub's cache, elsewhere the last part of the path.
fn name(place: &str) -> String {
    let parts: Vec<&str> = place.split(['/', '\\', ':']).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [.., repository, "snapshots", _] if repository.starts_with("models--") => {
            repository.trim_start_matches("models--").replacen("--", "/", 1)
        }
        [.., last] => last.trim_end_matches(".gguf").to_owned(),
        [] => "local".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_folder_or_the_hub() {
        let check = |place: &str, expected: &str| assert_eq!(name(place), expected, "{place}");
        check("built-in:models/arithmetic-llama", "arithmetic-llama");
        check("/data/models/tiny/", "tiny");
        check("C:\\models\\tiny-q8_0.gguf", "tiny-q8_0");
        check("/home/me/.cache/huggingface/hub/models--Qwen--Qwen3-0.6B/snapshots/3f2a", "Qwen/Qwen3-0.6B");
        check("/", "local");
    }
}
