//! Encoders against recorded embeddings, and against folders that are cut short.
//!
//! `LAMAS_MINILM` names a folder with all-MiniLM-L6-v2. Without it, the tests of the transformer say that they are
//! skipped.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use lamas::encoder::{DIMENSION, Embeddings, Encoder, EncoderChoice, MiniLm, StaticTable, encode_cached, static_table};
use lamas::folder::Folder;
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    texts: Vec<String>,
}

/// The recorded texts and their embeddings from sentence-transformers.
fn recorded() -> (Vec<String>, Vec<Vec<f32>>) {
    let folder = std::env::var_os("LAMAS_PARITY_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity"), PathBuf::from);
    let texts = std::fs::read_to_string(folder.join("encoder.json")).expect("the recorded texts");
    let recorded: Recorded = serde_json::from_str(&texts).expect("recorded texts");
    let tensors = candle_core::safetensors::load(folder.join("encoder.safetensors"), &Device::Cpu).expect("tensors");
    let rows = tensors.into_values().next().expect("one tensor").to_dtype(DType::F32).expect("numbers");
    (recorded.texts, rows.to_vec2().expect("rows"))
}

fn minilm_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("LAMAS_MINILM").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: set LAMAS_MINILM to a folder with all-MiniLM-L6-v2 to test the transformer");
    }
    folder
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

fn encode(encoder: &dyn Encoder, texts: &[String]) -> Embeddings {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    encoder.encode(&texts).expect("embeddings")
}

fn message(error: Option<anyhow::Error>) -> String {
    format!("{:#}", error.expect("an error"))
}

#[test]
fn minilm_agrees_with_sentence_transformers() {
    let Some(folder) = minilm_folder() else { return };
    let encoder = MiniLm::load(&Folder::Disk(folder), &Device::Cpu).expect("the weights");
    let (texts, expected) = recorded();
    let rows = encode(&encoder, &texts);
    assert_eq!(rows.len(), expected.len());
    for ((text, row), expected) in texts.iter().zip(rows.rows()).zip(&expected) {
        let cosine = cosine(row, expected);
        assert!(cosine > 0.9999, "cosine {cosine} for {text:?}");
    }
}

#[test]
fn minilm_alone_equals_minilm_in_a_batch() {
    let Some(folder) = minilm_folder() else { return };
    let encoder = EncoderChoice::MiniLmFolder(folder).open(&Device::Cpu).expect("the weights");
    let (texts, _) = recorded();
    let batch = encode(&*encoder, &texts);
    for (text, row) in texts.iter().zip(batch.rows()) {
        let alone = encode(&*encoder, std::slice::from_ref(text));
        assert!(cosine(alone.values(), row) > 0.99999, "{text:?}");
    }
    assert!(encoder.encode(&[]).expect("no rows").is_empty());
}

#[test]
fn minilm_with_cut_weights_names_the_file() {
    let Some(source) = minilm_folder() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "sentence_bert_config.json", "tokenizer.json", "model.safetensors"] {
        let error = message(MiniLm::load(&Folder::Disk(folder.path().into()), &Device::Cpu).err());
        assert!(error.contains(&folder.path().join(file).display().to_string()), "{error}");
        let bytes = std::fs::read(source.join(file)).expect("the file");
        let half = if file == "model.safetensors" { bytes.len() / 2 } else { bytes.len() };
        std::fs::write(folder.path().join(file), &bytes[..half]).expect("room");
    }
    let error = message(MiniLm::load(&Folder::Disk(folder.path().into()), &Device::Cpu).err());
    assert!(error.contains("model.safetensors") && error.contains("hint:"), "{error}");
}

#[test]
fn a_hub_out_of_reach_is_an_error_with_a_way_out() {
    let cache = tempfile::tempdir().expect("a folder");
    let run = assert_cmd::Command::cargo_bin("lamas")
        .expect("the binary")
        // Nobody listens on the port of the discard protocol.
        .envs([("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HOME", &cache.path().display().to_string())])
        .args(["run", "--device", "cpu", "--encoder", "hub:owner/name", "--plan", "Generate", "how many are left ?"])
        .assert()
        .code(2);
    let error = String::from_utf8_lossy(&run.get_output().stderr);
    assert!(error.contains("cannot fetch `config.json` of `owner/name`") && error.contains("hint:"), "{error}");
}

/// The built-in table as files, with one of them changed.
fn table_with(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> (tempfile::TempDir, Folder) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "tokenizer.json", "embeddings.safetensors"] {
        let bytes = static_table::EMBEDDED.read(name).expect("a built-in file").into_owned();
        let bytes = if name == file { change(bytes) } else { bytes };
        std::fs::write(folder.path().join(name), bytes).expect("room");
    }
    let disk = Folder::Disk(folder.path().into());
    (folder, disk)
}

#[test]
fn a_broken_table_names_the_file() {
    for file in ["config.json", "tokenizer.json", "embeddings.safetensors"] {
        let (_keep, folder) = table_with(file, |bytes| bytes[..bytes.len() / 2].to_vec());
        let error = message(StaticTable::load(&folder).err());
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn a_table_in_a_folder_is_the_built_in_one() {
    let (_keep, folder) = table_with("", |bytes| bytes);
    let Folder::Disk(path) = folder else { unreachable!("a folder on disk") };
    let (texts, _) = recorded();
    let [built_in, loaded] = [EncoderChoice::Static, EncoderChoice::StaticFolder(path)]
        .map(|choice| choice.open(&Device::Cpu).expect("the table"));
    assert_eq!(built_in.id(), loaded.id());
    assert_eq!(encode(&*built_in, &texts), encode(&*loaded, &texts));
}

#[test]
fn the_table_stays_near_minilm_on_recorded_texts() {
    let (texts, expected) = recorded();
    let encoder = StaticTable::load(&static_table::EMBEDDED).expect("the built-in table");
    let rows = encode(&encoder, &texts);
    // Three ordinary questions and one programming task.
    for index in [2, 3, 4, 8] {
        let cosine = cosine(rows.row(index).expect("a row"), &expected[index]);
        assert!(cosine > 0.6, "cosine {cosine} for {:?}", texts[index]);
    }
}

#[test]
fn cached_embeddings_equal_fresh_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let encoder = StaticTable::load(&static_table::EMBEDDED).expect("the built-in table");
    let (texts, _) = recorded();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let fresh = encoder.encode(&texts).expect("embeddings");
    for _ in 0..2 {
        assert_eq!(encode_cached(&encoder, &texts, Some(folder.path())).expect("embeddings"), fresh);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the cache").count(), 1);
    assert_eq!(fresh.dimension(), DIMENSION);
}
