//! The Python of this machine: its location, and what it must be able to read.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// The oldest version that can run what models write.
const OLDEST: (u32, u32) = (3, 8);

/// Asks the interpreter itself, because `python3` may be a link, a virtual environment or a version manager's script.
const QUESTION: &str = r#"
import json, os, sys, sysconfig
paths = sysconfig.get_paths()
folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
folders += [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.prefix, "pyvenv.cfg")]
print(json.dumps({
    "executable": sys.executable,
    "version": sys.version_info[:2],
    "readable": sorted({folder for folder in folders if folder}),
}))
"#;

/// A Python interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Interpreter {
    pub executable: PathBuf,
    version: (u32, u32),
    /// Its library folders, and the file that marks a virtual environment.
    pub readable: Vec<PathBuf>,
}

impl Interpreter {
    /// Asks `python`, a path or a name to look up in `PATH`, what it is. The error says why it cannot be used.
    pub fn find(python: &Path) -> Result<Self, String> {
        let shown = python.display();
        let asked = Command::new(python).args(["-I", "-c", QUESTION]).stdin(Stdio::null()).output();
        let output = asked.map_err(|error| format!("`{shown}`: {error}"))?;
        let interpreter: Interpreter = serde_json::from_slice(&output.stdout).map_err(|_| {
            let errors = String::from_utf8_lossy(&output.stderr);
            let cause = errors.lines().last().unwrap_or("no answer");
            format!("expected `{shown}` to be a Python interpreter, found: {cause}")
        })?;
        if interpreter.version < OLDEST {
            let ((major, minor), (oldest_major, oldest_minor)) = (interpreter.version, OLDEST);
            return Err(format!("expected Python {oldest_major}.{oldest_minor} or newer, found {major}.{minor}"));
        }
        Ok(interpreter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(python: &str, message: &str) {
        let error = Interpreter::find(Path::new(python)).expect_err("no interpreter");
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn what_is_no_python_is_named() {
        check("/no/such/python3", "`/no/such/python3`: No such file");
        check("true", "expected `true` to be a Python interpreter, found: no answer");
    }
}
