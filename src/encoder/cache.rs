//! Caches the embeddings of a data set on disk, by encoder and texts, so that each is computed once.
//!
//! The cache only saves time: a broken file is replaced, and a folder that cannot be written is ignored.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::{DIMENSION, Embeddings, Encoder};
use crate::checkpoint::write_atomic;

const TENSOR: &str = "embeddings";
const KEY: &str = "key";

/// The cache of this user: `LAMAS_CACHE`, else `lamas` in the user's cache folder; none where there is no home.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LAMAS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("lamas")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache").join("lamas")))
}

/// Embeds the texts as [`Encoder::encode`] does, unless `folder` holds the result already.
///
/// # Errors
/// Only the encoder's own.
pub fn encode_cached(encoder: &dyn Encoder, texts: &[&str], folder: Option<&Path>) -> Result<Embeddings> {
    let Some(folder) = folder else { return encoder.encode(texts) };
    let key = key(encoder.id(), texts);
    let path = folder.join(format!("embeddings-{}.safetensors", key.get(..32).unwrap_or_default()));
    if let Ok(embeddings) = read(&path, &key, texts.len()) {
        return Ok(embeddings);
    }
    let embeddings = encoder.encode(texts)?;
    // What cannot be stored (no room, no right to write) is computed again next time.
    let _ = write(&path, &key, &embeddings);
    Ok(embeddings)
}

/// Hash of the encoder and the texts, in order; lengths keep `["ab", "c"]` apart from `["a", "bc"]`.
fn key(encoder: &str, texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&encoder).chain(texts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    format!("{:x}", hash.finalize())
}

fn read(path: &Path, key: &str, rows: usize) -> Result<Embeddings> {
    let bytes = std::fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let found = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    ensure!(found.is_some_and(|found| found == key), "the file belongs to other texts");
    let file = SafeTensors::deserialize(&bytes)?;
    let tensor = file.tensor(TENSOR)?;
    ensure!(tensor.dtype() == Dtype::F32 && tensor.shape() == [rows, DIMENSION], "the file has another shape");
    let values: Vec<f32> = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    ensure!(values.iter().all(|value| value.is_finite()), "the file holds numbers that are not finite");
    Embeddings::new(values, DIMENSION)
}

fn write(path: &Path, key: &str, embeddings: &Embeddings) -> Result<()> {
    let data: Vec<u8> = embeddings.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = TensorView::new(Dtype::F32, vec![embeddings.len(), embeddings.dimension()], &data)?;
    let metadata = HashMap::from([(KEY.to_owned(), key.to_owned())]);
    let bytes = safetensors::serialize([(TENSOR, tensor)], Some(metadata))?;
    let folder = path.parent().context("the cache file lies in no folder")?;
    std::fs::create_dir_all(folder)?;
    write_atomic(path, &bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Embeds a text as its length and counts how often it is asked.
    struct Lengths {
        id: &'static str,
        calls: AtomicUsize,
    }

    impl Encoder for Lengths {
        fn id(&self) -> &str {
            self.id
        }

        fn encode(&self, texts: &[&str]) -> Result<Embeddings> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let values = texts.iter().flat_map(|text| vec![text.len() as f32; DIMENSION]).collect();
            Embeddings::new(values, DIMENSION)
        }
    }

    fn lengths(id: &'static str) -> Lengths {
        Lengths { id, calls: AtomicUsize::new(0) }
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.into_iter().next().unwrap()
    }

    #[test]
    fn the_second_time_nothing_is_computed() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = lengths("lengths");
        let first = encode_cached(&encoder, &["one", "three"], Some(folder.path())).unwrap();
        assert_eq!(encode_cached(&encoder, &["one", "three"], Some(folder.path())).unwrap(), first);
        assert_eq!(encoder.calls.load(Ordering::Relaxed), 1);
        let other = lengths("other");
        encode_cached(&other, &["one", "three"], Some(folder.path())).unwrap();
        assert_eq!(other.calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = lengths("lengths");
        let expected = encode_cached(&encoder, &["one"], Some(folder.path())).unwrap();
        let path = only_file(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let half = whole.get(..whole.len() / 2).unwrap();
        for broken in [&b""[..], b"not safetensors", half] {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(encode_cached(&encoder, &["one"], Some(folder.path())).unwrap(), expected);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
        assert_eq!(encoder.calls.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn without_a_folder_to_write_texts_are_still_embedded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for folder in [None, Some(file.path().join("cache"))] {
            let encoder = lengths("lengths");
            for calls in 1..3 {
                assert_eq!(
                    encode_cached(&encoder, &["one"], folder.as_deref()).unwrap().row(0).unwrap(),
                    [3.0; DIMENSION]
                );
                assert_eq!(encoder.calls.load(Ordering::Relaxed), calls);
            }
        }
    }

    proptest! {
        #[test]
        fn keys_tell_texts_apart(left: Vec<String>, right: Vec<String>) {
            let [a, b] = [&left, &right].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(key("id", &a) == key("id", &b), left == right);
            prop_assert_ne!(key("id", &a), key("di", &a));
        }
    }
}
