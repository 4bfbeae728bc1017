//! Checkpoints of the Hugging Face hub, kept in its cache on disk (`HF_HOME`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use hf_hub::Cache;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};

use super::safetensors::{INDEX, WHOLE, shards};
use crate::folder::Folder;
use crate::hub::HubError;

const CONFIG: &str = "config.json";
/// The files besides the weights, as far as a repository has them.
const DESCRIPTION: [&str; 5] =
    [CONFIG, "generation_config.json", "chat_template.jinja", "tokenizer.json", "tokenizer_config.json"];
/// Without these nothing in the cache counts as a whole checkpoint.
const NEEDED: [&str; 3] = [CONFIG, "tokenizer.json", "tokenizer_config.json"];

/// `OWNER/NAME`, or `OWNER/NAME/FILE.gguf` for one file.
#[derive(Clone, Debug, PartialEq)]
pub struct HubId {
    repository: String,
    file: Option<String>,
}

impl HubId {
    /// Reads an id; None for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_part = |part: &&str| {
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(is_letter)
        };
        if !parts.iter().all(is_part) {
            return None;
        }
        match parts.as_slice() {
            [owner, name] => Some(HubId { repository: format!("{owner}/{name}"), file: None }),
            [owner, name, file] if file.ends_with(".gguf") => {
                Some(HubId { repository: format!("{owner}/{name}"), file: Some((*file).to_owned()) })
            }
            _ => None,
        }
    }

    /// Finds the files in the hub's cache, or else fetches what is missing; `shows_progress` draws bars on a terminal.
    ///
    /// # Errors
    /// The hub cannot be reached, does not give the files, or has none that can be read; the message says what to do.
    pub fn fetch(&self, shows_progress: bool) -> Result<Folder> {
        match self.cached(&Cache::from_env()) {
            Some(folder) => Ok(folder),
            None => {
                let api = ApiBuilder::from_env().with_progress(shows_progress);
                let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
                self.download(if token.is_some() { api.with_token(token) } else { api })
            }
        }
    }

    /// The checkpoint in a cache, if it is whole.
    fn cached(&self, cache: &Cache) -> Option<Folder> {
        let repository = cache.model(self.repository.clone());
        if let Some(file) = &self.file {
            return repository.get(file).map(Folder::Disk);
        }
        let has = |file: &str| repository.get(file).is_some();
        let has_shards = || {
            let index = std::fs::read_to_string(repository.get(INDEX)?).ok()?;
            Some(shards(&index).ok()?.iter().all(|shard| has(shard)))
        };
        let is_whole = NEEDED.iter().all(|file| has(file)) && (has(WHOLE) || has_shards() == Some(true));
        is_whole.then(|| repository.get(CONFIG)?.parent().map(|folder| Folder::Disk(folder.to_owned()))).flatten()
    }

    fn download(&self, api: ApiBuilder) -> Result<Folder> {
        let HubId { repository: id, file } = self;
        let repository = api.build().context("cannot set up the download")?.model(id.clone());
        let fetched = match file {
            Some(file) => get(&repository, file).map(Folder::Disk),
            None => download_all(&repository),
        };
        fetched.with_context(|| {
            format!(
                "no folder `{id}` here, and the model cannot be fetched from the hub; hint: is the name right, is there a \
                 network? A gated model needs its licence accepted, and your token in `HF_TOKEN`. Without a network copy \
                 its files into a folder, and name that with `--model`"
            )
        })
    }
}

fn get(repository: &ApiRepo, file: &str) -> Result<PathBuf> {
    Ok(repository.get(file).map_err(HubError::from)?)
}

/// Weights last, so that a cache with weights holds all that describes them.
fn download_all(repository: &ApiRepo) -> Result<Folder> {
    let files: BTreeSet<String> =
        repository.info().map_err(HubError::from)?.siblings.into_iter().map(|file| file.rfilename).collect();
    let weights: BTreeSet<String> = match (files.contains(WHOLE), files.contains(INDEX)) {
        (true, _) => [WHOLE.to_owned()].into(),
        (false, true) => shards(&std::fs::read_to_string(get(repository, INDEX)?)?)?,
        (false, false) => {
            let quantised: Vec<_> = files.iter().filter(|file| file.ends_with(".gguf")).map(String::as_str).collect();
            match quantised.as_slice() {
                [] => bail!("expected `{WHOLE}` or `{INDEX}`, found neither"),
                names => bail!("expected one of its files as `OWNER/NAME/FILE`: {}", names.join(", ")),
            }
        }
    };
    for file in DESCRIPTION.iter().filter(|file| files.contains(**file)) {
        get(repository, file)?;
    }
    for file in &weights {
        get(repository, file)?;
    }
    let config = get(repository, CONFIG)?;
    config.parent().map(|folder| Folder::Disk(folder.to_owned())).context("the files lie in no folder")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let check = |text: &str, expected: Option<(&str, Option<&str>)>| {
            let found = HubId::parse(text);
            let found = found.as_ref().map(|id| (id.repository.as_str(), id.file.as_deref()));
            assert_eq!(found, expected, "{text}");
        };
        check("Qwen/Qwen3-0.6B", Some(("Qwen/Qwen3-0.6B", None)));
        check(
            "Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf",
            Some(("Qwen/Qwen3-0.6B-GGUF", Some("Qwen3-0.6B-Q8_0.gguf"))),
        );
        for path in ["models", "./models", "../x", "/models/x", "a/b/c", "a/", "a b/c", ""] {
            check(path, None);
        }
    }

    /// A cache as the hub's own clients lay it out.
    fn cache(files: &[(&str, &str)]) -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("models--some--model");
        let snapshot = repository.join("snapshots/3f2a");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(repository.join("refs")).unwrap();
        std::fs::write(repository.join("refs/main"), "3f2a").unwrap();
        files.iter().for_each(|(file, text)| std::fs::write(snapshot.join(file), text).unwrap());
        let cache = Cache::new(folder.path().to_owned());
        (folder, cache)
    }

    #[test]
    fn a_whole_checkpoint_in_the_cache_needs_no_network() {
        let described = NEEDED.map(|file| (file, "{}"));
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let check = |more: &[(&str, &str)], id: &str, expected: Option<&str>| {
            let (folder, cache) = cache(&[&described, more].concat());
            let found = HubId::parse(id).unwrap().cached(&cache).map(|folder| folder.to_string());
            let snapshot = folder.path().join("models--some--model/snapshots/3f2a");
            let expected = expected.map(|file| snapshot.join(file).display().to_string());
            assert_eq!(found, expected.map(|path| path.trim_end_matches('/').to_owned()), "{id}");
        };
        check(&[], "some/model", None);
        check(&[(WHOLE, "")], "some/model", Some(""));
        check(&[(WHOLE, "")], "some/other", None);
        check(&[(INDEX, index), ("1.safetensors", "")], "some/model", None);
        check(&[(INDEX, index), ("1.safetensors", ""), ("2.safetensors", "")], "some/model", Some(""));
        check(&[("q8.gguf", "")], "some/model/q8.gguf", Some("q8.gguf"));
        check(&[], "some/model/q8.gguf", None);
    }

    /// Serves the files of `some/model` as the hub does, until the test ends.
    fn serve(files: &'static [(&'static str, &'static str)]) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                let path = head[0].split(' ').nth(1).unwrap();
                let names: Vec<_> = files.iter().map(|(name, _)| json!({"rfilename": name})).collect();
                let listing = json!({"siblings": names, "sha": "3f2a"}).to_string();
                let file = path.strip_prefix("/some/model/resolve/main/");
                let body = match file.and_then(|file| files.iter().find(|(name, _)| *name == file)) {
                    Some((_, text)) => (*text).to_owned(),
                    None if path == "/api/models/some/model/revision/main" => listing,
                    None => String::new(),
                };
                let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nx-repo-commit: 3f2a\r\netag: \"{}\"\r\ncontent-range: bytes 0-0/{}\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    file.unwrap_or("listing"),
                    body.len(),
                    body.len()
                );
            }
        });
        url
    }

    #[test]
    fn fetches_what_the_model_needs_and_no_more() {
        let check = |files: &'static [(&'static str, &'static str)], id: &str, expected: Result<&[&str], &str>| {
            let folder = tempfile::tempdir().unwrap();
            let cache = Cache::new(folder.path().to_owned());
            let api = ApiBuilder::from_cache(cache.clone()).with_progress(false).with_endpoint(serve(files));
            let id = HubId::parse(id).unwrap();
            match (id.download(api), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(id.cached(&cache).map(|folder| folder.to_string()), Some(found.to_string()));
                    let snapshot = folder.path().join("models--some--model/snapshots/3f2a");
                    let names = std::fs::read_dir(snapshot).unwrap();
                    let names: BTreeSet<_> =
                        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                    assert_eq!(names, expected.iter().map(|name| (*name).to_owned()).collect());
                }
                (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
                (found, expected) => panic!("expected {expected:?}, found {found:?}"),
            }
        };
        const INDEX_TEXT: &str = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let sharded = &[
            ("README.md", "x"),
            ("config.json", "{}"),
            ("tokenizer.json", "{}"),
            ("tokenizer_config.json", "{}"),
            ("pytorch_model.bin", "x"),
            (INDEX, INDEX_TEXT),
            ("1.safetensors", "one"),
            ("2.safetensors", "two"),
        ];
        let all = ["config.json", "tokenizer.json", "tokenizer_config.json", INDEX, "1.safetensors", "2.safetensors"];
        check(sharded, "some/model", Ok(&all));
        check(&[("q4.gguf", "four"), ("q8.gguf", "eight")], "some/model/q8.gguf", Ok(&["q8.gguf"]));
        check(&[("q4.gguf", "four"), ("q8.gguf", "eight")], "some/model", Err("`OWNER/NAME/FILE`: q4.gguf, q8.gguf"));
        check(&[("config.json", "{}")], "some/model", Err("found neither"));
        check(&[("config.json", "{}")], "some/model/q8.gguf", Err("404"));
    }

    #[test]
    fn without_a_network_it_says_what_to_do() {
        for id in ["some/model", "some/model/q8.gguf"] {
            let (_folder, cache) = cache(&[]);
            // Nothing listens there.
            let api = ApiBuilder::from_cache(cache).with_progress(false).with_endpoint("http://127.0.0.1:9".into());
            let error = format!("{:#}", HubId::parse(id).unwrap().download(api).err().unwrap());
            assert!(error.contains("no folder `some/model` here") && error.contains("hint: "), "{error}");
        }
    }
}
