//! The command line on two models, each on its own server: shared by the tests with several models.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use assert_cmd::Command;

use crate::server::{Server, streamed};

pub const SMALL_KEY: &str = "sk-small-hunter2";
pub const LARGE_KEY: &str = "sk-large-hunter2";

pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub errors: String,
}

/// A small model that is wrong and a large one that is right, each on its own server, and a folder for what is written.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub small: Server,
    pub large: Server,
}

impl Place {
    pub async fn new() -> Result<Self> {
        let small = Server::start(|_, _| streamed("The answer is 7.", 40, 5)).await;
        let large = Server::start(|_, _| streamed("6 * 7 = 42. The answer is 42.", 40, 9)).await;
        Ok(Place { folder: tempfile::tempdir()?, small, large })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Tables of the two models.
    pub fn models(&self) -> String {
        format!(
            "[[model]]\nname = \"small\"\nendpoint = \"{}\"\nkey_env = \"SMALL_KEY\"\nmodel = \"s-1\"\n\
             prices = {{ prompt = 1, completion = 2 }}\n\
             [[model]]\nname = \"large\"\nendpoint = \"{}\"\nkey_env = \"LARGE_KEY\"\nmodel = \"l-1\"\n\
             prices = {{ prompt = 10, completion = 20 }}\n",
            self.small.url, self.large.url
        )
    }

    /// The tiny benchmark with a catalogue of these tables.
    pub fn benchmark(&self, catalogue: &str) -> Result<()> {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny");
        fs::create_dir_all(self.path("b"))?;
        for entry in fs::read_dir(&tiny)? {
            let entry = entry?;
            fs::copy(entry.path(), self.path("b").join(entry.file_name()))?;
        }
        Ok(fs::write(self.path("b/catalogue.toml"), catalogue)?)
    }

    /// Runs `lamas` with both keys.
    pub async fn lamas(&self, arguments: &[&str]) -> Result<Output> {
        self.lamas_with(arguments, &[("SMALL_KEY", SMALL_KEY), ("LARGE_KEY", LARGE_KEY)]).await
    }

    pub async fn lamas_with(&self, arguments: &[&str], keys: &[(&str, &str)]) -> Result<Output> {
        let mut command = Command::cargo_bin("lamas")?;
        command.args(arguments).current_dir(self.folder.path()).envs(keys.iter().copied());
        command.env("LAMAS_DEVICE", "cpu").env("LAMAS_BENCHMARK", self.path("b")).env("LAMAS_CACHE_MODE", "off");
        for variable in ["OPENAI_API_KEY", "LAMAS_API_KEY", "OPENAI_BASE_URL"] {
            command.env_remove(variable);
        }
        if !keys.iter().any(|(name, _)| *name == "XDG_STATE_HOME") {
            command.env("XDG_STATE_HOME", self.path("state"));
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let [out, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        for secret in [SMALL_KEY, LARGE_KEY, "panicked"] {
            assert!(!out.contains(secret) && !errors.contains(secret), "{out}{errors}");
        }
        Ok(Output { code: output.status.code(), out, errors })
    }
}

/// An operator that answers by itself.
pub fn generator(name: &str, more: &str) -> String {
    format!(
        "[[operator]]\nname = \"{name}\"\nkind = \"generate\"\ndescription = \"{name} answers.\"\nmax_tokens = 50\n\
         prompt = \"{{{{ question }}}} {name}\"\n{more}\n"
    )
}

/// An operator for each model, and a vote.
pub fn two() -> String {
    let vote = "[[operator]]\nname = \"Vote\"\nkind = \"ensemble\"\ndescription = \"Takes the answer of most.\"\n";
    [generator("Small", "model = \"small\""), generator("Large", "model = \"large\""), vote.to_owned()].concat()
}
