//! The benchmarks inside the binary: the whole built-in workload, and the published benchmarks without their problems.

use std::path::PathBuf;

use crate::encoder;
use crate::folder::Folder;

/// The files of a folder under `data/`.
macro_rules! embedded {
    ($name:literal: $($file:literal)*) => {
        Folder::Embedded {
            name: concat!("data/", $name),
            files: &[$(($file, include_bytes!(concat!("../../data/", $name, "/", $file)))),*],
        }
    };
}

/// The embedded workload.
pub const ARITHMETIC: Folder = embedded!("arithmetic":
    "benchmark.toml" "catalogue.toml" "train.jsonl" "validation.jsonl" "test.jsonl" "hard.jsonl");

/// Grade-school mathematics, as the paper uses it.
pub const GSM8K: Folder = embedded!("gsm8k":
    "benchmark.toml" "catalogue.toml" "fetch.toml" "train.rows" "validation.rows" "test.rows");

/// Competition mathematics, as the paper uses it: level 5 of four types.
pub const MATH: Folder = embedded!("math": "benchmark.toml" "catalogue.toml" "fetch.toml" "train.rows" "test.rows");

/// Functions to be written from their docstrings, as the paper uses them.
pub const HUMANEVAL: Folder =
    embedded!("humaneval": "benchmark.toml" "catalogue.toml" "fetch.toml" "train.rows" "test.rows");

/// The built-in price list, `prices.toml`.
pub const PRICES: Folder =
    Folder::Embedded { name: "data", files: &[("prices.toml", include_bytes!("../../data/prices.toml"))] };

/// The names of the benchmarks inside the binary.
pub const BUILT_IN: [&str; 4] = ["arithmetic", "gsm8k", "humaneval", "math"];

/// The published benchmark with that name.
pub fn built_in(name: &str) -> Option<Folder> {
    match name {
        "gsm8k" => Some(GSM8K),
        "math" => Some(MATH),
        "humaneval" => Some(HUMANEVAL),
        _ => None,
    }
}

/// Where the problems of a published benchmark are kept for this user.
pub fn data_folder(name: &str) -> Option<PathBuf> {
    encoder::cache_folder().map(|folder| folder.join("data").join(name))
}
