//! Rules for the source tree that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

const LONGEST: usize = 399;
const PRINTING: [&str; 5] = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
const NETWORK: [&str; 6] = ["reqwest", "ureq", "hyper", "std::net", "tokio::net", "TcpStream"];
const PROCESSES: [&str; 3] = ["process::Command", "tokio::process", "rhai::"];
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "#[ignore"];

struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The top-level module that a file of `src` belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Lines of code with their numbers, without comments and without the unit tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.take_while(|(_, line)| *line != "#[cfg(test)]").filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Where code outside the unit tests uses one of the words, as `path:line: word`.
    fn uses(&self, words: &[&str]) -> Vec<String> {
        let found = |line: &str| words.iter().copied().find(|word| holds_word(line, word));
        let place = |(number, line)| found(line).map(|word| format!("{}:{number}: {word}", self.path));
        self.code().filter_map(place).collect()
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable folder");
            waiting.extend(entries.map(|entry| entry.expect("a readable entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(source(root, &path));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no source files in `{folder}`");
    found
}

fn source(root: &Path, path: &PathBuf) -> Source {
    let relative = path.strip_prefix(root).expect("a path inside the repository");
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Source { path: parts.join("/"), text: fs::read_to_string(path).expect("readable source") }
}

/// Whether `word` occurs other than as the end of a longer name: `print!` is not in `eprint!`.
fn holds_word(line: &str, word: &str) -> bool {
    let is_part = |before: Option<char>| before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    line.match_indices(word).any(|(at, _)| !is_part(line[..at].chars().next_back()))
}

#[test]
fn files_are_short_finished_and_say_what_they_are() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        let Source { path, text } = &source;
        let lines = text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{path} has {lines} lines, more than {LONGEST}"));
        }
        if !text.starts_with("//! ") {
            faults.push(format!("{path} does not begin with a `//!` line"));
        }
        let unfinished = |line: &&str| UNFINISHED.iter().any(|mark| line.trim_start().starts_with(mark));
        faults.extend(text.lines().filter(unfinished).map(|line| format!("{path}: `{}`", line.trim())));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn each_power_belongs_to_one_layer() {
    let check = |words: &[&str], owners: &[&str]| {
        let is_owner = |source: &Source| owners.iter().any(|owner| [source.module(), &source.path].contains(owner));
        let others = sources("src").into_iter().filter(|source| !is_owner(source));
        let faults: Vec<String> = others.flat_map(|source| source.uses(words)).collect();
        assert!(faults.is_empty(), "only {owners:?} may: {faults:#?}");
    };
    check(&PRINTING, &["cli", "main"]);
    check(&NETWORK, &["model", "serve"]);
    check(&["hf_hub"], &["model", "encoder", "hub", "src/task/fetch.rs"]);
    check(&PROCESSES, &["sandbox"]);
}
