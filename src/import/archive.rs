//! The files inside a zip archive: stored, deflated, or compressed with Zstandard, as in newer logs of Inspect.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ruzstd::decoding::StreamingDecoder;
use zip::{CompressionMethod, ZipArchive};

/// The maximum decompressed size of one file, in bytes.
const LARGEST: u64 = 1 << 30;

/// The texts of the files with wanted names, in the order of the archive.
///
/// # Errors
/// Names the archive and the file in it that cannot be read.
pub(super) fn texts(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| anyhow!("{}: expected a whole `.eval` file (a zip archive), found {error}", path.display()))?;
    let mut texts = Vec::new();
    for index in 0..archive.len() {
        let mut wanted = || -> Result<Option<(String, Vec<u8>)>> {
            let entry = archive.by_index_raw(index)?;
            let (name, method, size) = (entry.name()?.into_owned(), entry.compression(), entry.size());
            drop(entry);
            if !is_wanted(&name) {
                return Ok(None);
            }
            ensure!(size <= LARGEST, "`{name}`: expected at most {LARGEST} bytes, found {size}");
            let mut bytes = Vec::new();
            match method {
                CompressionMethod::Stored | CompressionMethod::Deflated => {
                    archive.by_index(index)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
                }
                method if method == CompressionMethod::ZSTD => {
                    let mut packed = Vec::new();
                    archive.by_index_raw(index)?.read_to_end(&mut packed)?;
                    bytes = unpacked(&packed).with_context(|| format!("`{name}`"))?;
                }
                method => bail!("`{name}`: expected it stored, deflated or by Zstandard, found {method:?}"),
            }
            ensure!(bytes.len() as u64 <= LARGEST, "`{name}`: expected at most {LARGEST} bytes");
            Ok(Some((name, bytes)))
        };
        let found = wanted().with_context(|| {
            format!(
                "{}: expected a sound `.eval` file; hint: `inspect log convert --to json` reads it, or not",
                path.display()
            )
        })?;
        texts.extend(found.map(|(name, bytes)| (name, crate::task::grading::decoded(&bytes))));
    }
    Ok(texts)
}

/// The content of successive Zstandard frames.
fn unpacked(mut packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !packed.is_empty() {
        let frame = StreamingDecoder::new(&mut packed).map_err(|error| anyhow!("no Zstandard: {error}"))?;
        let room = (LARGEST + 1).saturating_sub(bytes.len() as u64);
        frame.take(room).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= LARGEST, "expected at most {LARGEST} bytes");
    }
    Ok(bytes)
}
