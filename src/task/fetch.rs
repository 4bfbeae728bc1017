//! Downloads the problems of published benchmarks from the Hugging Face hub: the only part of this layer that uses a
//! network.
//!
//! A benchmark's `fetch.toml` says which published files become which files of problems.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::built_in::built_in;
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;
use crate::folder::Folder;
use crate::hub::HubError;

/// The contents of `fetch.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    /// Name of the data set on the hub.
    repository: String,
    /// The fields of a line.
    fields: Vec<String>,
    file: Vec<Part>,
}

/// One file of problems.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    /// Published files, concatenated in this order.
    from: Vec<String>,
}

/// Writes the problems of the benchmark `name` into `folder`. If `whole`, it also writes the rest of the benchmark, so
/// that the folder can be changed and named with `--benchmark`. Returns the files written.
///
/// # Errors
/// An unknown name; a hub that cannot be reached or has other files, with a hint how to put the files there by hand; a
/// folder that cannot be written.
pub fn fetch(name: &str, folder: &Path, whole: bool) -> Result<Vec<PathBuf>> {
    let Some(benchmark) = built_in(name) else {
        bail!("expected a published benchmark (gsm8k, math, humaneval), found `{name}`");
    };
    let published: Published = benchmark.read_toml("fetch.toml")?;
    let api = ApiBuilder::from_env().with_progress(false).build().context("cannot set up the download")?;
    let repository = api.dataset(published.repository.clone());
    let mut written = Vec::new();
    for part in &published.file {
        let lines = part.download(&repository).with_context(|| by_hand(&published, part, folder))?;
        written.push(write(folder, &part.name, &lines)?);
    }
    if whole && let Folder::Embedded { files, .. } = benchmark {
        for (file, bytes) in files {
            written.push(write(folder, file, bytes)?);
        }
    }
    Ok(written)
}

fn by_hand(Published { repository, fields, .. }: &Published, part: &Part, folder: &Path) -> String {
    format!(
        "cannot fetch `{}` from the data set `{repository}` of the hub; hint: HF_ENDPOINT names a mirror; without a network write \
         `{}` by hand, one JSON object a line with the fields {}, the rows of {} in this order",
        part.name,
        folder.join(&part.name).display(),
        fields.join(", "),
        part.from.join(", "),
    )
}

fn write(folder: &Path, file: &str, bytes: &[u8]) -> Result<PathBuf> {
    create_folder(folder)?;
    let path = folder.join(file);
    write_atomic(&path, bytes)?;
    Ok(path)
}

impl Part {
    fn download(&self, repository: &ApiRepo) -> Result<Vec<u8>> {
        let mut lines = Vec::new();
        for file in &self.from {
            let path = repository.get(file).map_err(HubError::from).with_context(|| format!("`{file}`"))?;
            lines.append(&mut json_lines(&path).with_context(|| format!("cannot read `{}`", path.display()))?);
        }
        Ok(lines)
    }
}

/// The rows of a Parquet file as JSON lines; columns that are not text are left out.
fn json_lines(path: &Path) -> Result<Vec<u8>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path)?)?;
    let mut lines = Vec::new();
    for row in reader.get_row_iter(None)? {
        let row = row?;
        let text = |(name, field): (&String, &Field)| match field {
            Field::Str(text) => Some((name.clone(), Value::String(text.clone()))),
            _ => None,
        };
        let object: Map<String, Value> = row.get_column_iter().filter_map(text).collect();
        serde_json::to_writer(&mut lines, &object)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    #[test]
    fn published_rows_become_json_lines() -> Result<()> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("x.parquet");
        let schema =
            "message rows { required binary question (UTF8); required binary answer (UTF8); required int64 n; }";
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = std::fs::File::create(&path)?;
        let mut writer = SerializedFileWriter::new(file, Arc::new(parse_message_type(schema)?), Arc::new(properties))?;
        let mut rows = writer.next_row_group()?;
        let mut text = |texts: [&str; 2]| -> Result<()> {
            let mut column = rows.next_column()?.context("a column")?;
            column.typed::<ByteArrayType>().write_batch(&texts.map(ByteArray::from), None, None)?;
            Ok(column.close()?)
        };
        text(["1 + 1\n?", "é"])?;
        text(["2", "#### 3"])?;
        let mut column = rows.next_column()?.context("a column")?;
        column.typed::<Int64Type>().write_batch(&[1, 2], None, None)?;
        column.close()?;
        rows.close()?;
        writer.close()?;
        let lines = String::from_utf8(json_lines(&path)?)?;
        let expected = "{\"answer\":\"2\",\"question\":\"1 + 1\\n?\"}\n{\"answer\":\"#### 3\",\"question\":\"é\"}\n";
        assert_eq!(lines, expected);
        Ok(())
    }

    #[test]
    fn every_published_benchmark_says_where_it_comes_from() -> Result<()> {
        for name in ["gsm8k", "math", "humaneval"] {
            let published: Published = built_in(name).context("built in")?.read_toml("fetch.toml")?;
            assert!(!published.file.is_empty() && published.file.iter().all(|part| !part.from.is_empty()), "{name}");
        }
        Ok(())
    }
}
