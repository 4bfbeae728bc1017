//! A user's program: its file, and what it may read.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Maximum length of a script's first line that names its interpreter.
const LONGEST_LINE: u64 = 256;

/// A program with its arguments, as a catalogue names it.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    pub words: &'a [String],
    /// The folder that relative paths start from; `None` if there is none.
    pub folder: Option<&'a Path>,
    /// Folders that it may read, besides files of its own folder that its arguments name.
    pub read: &'a [PathBuf],
}

/// The same, with its files found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub executable: PathBuf,
    pub arguments: Vec<String>,
    pub readable: Vec<PathBuf>,
}

impl Launch<'_> {
    /// Finds the program and the files that its arguments name. `python3` means `python`.
    ///
    /// # Errors
    /// There is no such program, or no such folder to read.
    pub(super) fn find(&self, python: Option<&Path>) -> Result<Found> {
        let (first, rest) = self.words.split_first().context("expected a program, found an empty command")?;
        let mut readable = Vec::new();
        for folder in self.read {
            let path = self.absolute(folder);
            let found = path
                .canonicalize()
                .with_context(|| format!("expected a file or folder to read, found no `{}`", path.display()))?;
            readable.push(found);
        }
        let mut arguments: Vec<String> = Vec::new();
        for argument in rest {
            arguments.push(self.argument(argument, &mut readable)?);
        }
        let program = self.program(first, python)?;
        let Some(interpreter) = interpreter_of(&program) else {
            return Ok(Found { executable: program, arguments, readable });
        };
        let (interpreter, options) = interpreter.split_first().context("expected an interpreter, found none")?;
        let own = program.to_str().context("expected a path in UTF-8")?.to_owned();
        readable.push(program);
        let executable = self.program(interpreter, python)?;
        Ok(Found { executable, arguments: options.iter().cloned().chain([own]).chain(arguments).collect(), readable })
    }

    /// Checks in advance that everything needed to run it exists. `python3` means `python`.
    ///
    /// # Errors
    /// There is no such program, or no such folder to read.
    pub fn check(&self, python: Option<&Path>) -> Result<()> {
        self.find(python).map(drop)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.folder.map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    /// Makes an argument that names something in the folder an absolute path; if it is a file there, it may be read.
    fn argument(&self, argument: &str, readable: &mut Vec<PathBuf>) -> Result<String> {
        let found = self.folder.filter(|_| !argument.is_empty()).map(|folder| folder.join(argument));
        let Some(path) = found.and_then(|path| path.canonicalize().ok()) else { return Ok(argument.to_owned()) };
        let folder = self.folder.and_then(|folder| folder.canonicalize().ok());
        if path.is_file() && folder.is_some_and(|folder| path.starts_with(folder)) {
            readable.push(path.clone());
        }
        path.into_os_string().into_string().map_err(|_| anyhow::anyhow!("expected a path in UTF-8, found `{argument}`"))
    }

    fn program(&self, name: &str, python: Option<&Path>) -> Result<PathBuf> {
        if let Some(python) = python.filter(|_| matches!(name, "python" | "python3")) {
            return Ok(python.to_owned());
        }
        let path = self.absolute(Path::new(name));
        if path.is_file() {
            return path.canonicalize().with_context(|| format!("cannot find `{}`", path.display()));
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut named = std::env::split_paths(&folders).map(|folder| folder.join(name)).filter(|_| !name.contains('/'));
        match named.find(|path| path.is_file()) {
            Some(path) => path.canonicalize().with_context(|| format!("cannot find `{}`", path.display())),
            None => bail!("expected a program, found no `{name}` in `{}` or in PATH", self.shown()),
        }
    }

    fn shown(&self) -> String {
        self.folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string())
    }
}

/// The program that the first line of a script names, perhaps with an option.
fn interpreter_of(program: &Path) -> Option<Vec<String>> {
    let mut line = Vec::new();
    std::fs::File::open(program).ok()?.take(LONGEST_LINE).read_to_end(&mut line).ok()?;
    let line = line.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words: Vec<String> = std::str::from_utf8(line).ok()?.split_whitespace().map(str::to_owned).collect();
    // `env` would look the program up, and so do we.
    if words.first().is_some_and(|first| first.ends_with("/env")) && words.len() > 1 {
        words.remove(0);
    }
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_of_the_folder_are_found_and_read() -> Result<()> {
        let place = tempfile::tempdir()?;
        let [folder, other] = ["own", "other"].map(|name| place.path().join(name));
        fs::create_dir_all(folder.join("texts"))?;
        fs::create_dir(&other)?;
        fs::write(folder.join("search.py"), "#!/usr/bin/env python3 -B\nprint()\n")?;
        fs::write(other.join("secret"), "!")?;
        let folder = folder.canonicalize()?;
        let find = |words: &[&str], read: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let read: Vec<PathBuf> = read.iter().map(PathBuf::from).collect();
            Launch { words: &words, folder: Some(&folder), read: &read }.find(Some(Path::new("/bin/python")))
        };
        let own = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let python = PathBuf::from("/bin/python");
        let found = find(&["python3", "search.py", "texts", "-n", "3"], &["texts"])?;
        assert_eq!(found.executable, python);
        assert_eq!(found.arguments, [own("search.py"), own("texts"), "-n".to_owned(), "3".to_owned()]);
        assert_eq!(found.readable, [folder.join("texts"), folder.join("search.py")]);
        let found = find(&["./search.py", "x"], &[])?;
        assert_eq!(found.executable, python);
        assert_eq!(found.arguments, ["-B".to_owned(), own("search.py"), "x".to_owned()]);
        assert_eq!(found.readable, [folder.join("search.py")]);
        // A file elsewhere is not readable just because an argument names it.
        assert_eq!(find(&["python3", "../other/secret"], &[])?.readable, Vec::<PathBuf>::new());
        assert!(find(&["python3"], &["nowhere"]).is_err_and(|error| format!("{error:#}").contains("nowhere")));
        assert!(find(&["no-such-program"], &[]).is_err_and(|error| format!("{error:#}").contains("`no-such-program`")));
        assert!(find(&[], &[]).is_err());
        Ok(())
    }
}
