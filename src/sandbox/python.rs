//! Python programs in a sandbox: each in a process of its own that may compute, and use an own scratch folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::confinement::{CHILD_COMMAND, Confinement, PROGRAM};
use super::interpreter::Interpreter;
use super::process::{self, Ended, Limits, Run};

/// Set in the process that confines itself: a helper that is not `lamas` must not start helpers in its turn.
const INSIDE: &str = "LAMAS_SANDBOX_CHILD";
/// Shown to work before anything else is run.
const TRIAL: (&str, &str) = ("print(int(input()) * 7)", "42");

/// How to open a [`Sandbox`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The interpreter, a path or a name in `PATH`; `python3` if absent.
    pub python: Option<PathBuf>,
    /// The `lamas` executable, which confines itself and then becomes the interpreter; this process's own if absent.
    pub helper: Option<PathBuf>,
    /// Run programs without confinement where this machine has no means of it; otherwise that is an error.
    pub allow_unsandboxed: bool,
}

/// Why there is no sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// What needs Python can be left out.
    #[error("no Python: {0}; hint: install Python 3.8 or newer, or name one with `--python`")]
    NoPython(String),
    #[error(
        "cannot confine programs that a model writes: {0}; hint: Linux 5.13 or newer with Landlock can; \
         `--allow-unsandboxed` runs them with your rights instead"
    )]
    Unconfined(String),
}

/// Runs Python programs, as many at once as there are cores.
///
/// A confined program has no network, reads nothing but the Python installation and the system's libraries, writes
/// nothing but files in its scratch folder, starts no process or thread, signals no other process, sees no variable of
/// the environment, and ends at the latest when its time is up or this process ends.
#[derive(Debug)]
pub struct Sandbox {
    interpreter: Interpreter,
    /// Absent where programs run unconfined.
    helper: Option<PathBuf>,
    permits: Semaphore,
}

impl Sandbox {
    /// Finds Python, and shows with a small program that it runs in confinement.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        if std::env::var_os(INSIDE).is_some() {
            return Err(OpenError::Unconfined(format!("expected the helper to answer `{CHILD_COMMAND}`")));
        }
        let python = options.python.as_deref().unwrap_or(Path::new("python3"));
        let interpreter = Interpreter::find(python).map_err(OpenError::NoPython)?;
        let permits = std::thread::available_parallelism().map_or(1, usize::from);
        let open = |helper| Sandbox { interpreter: interpreter.clone(), helper, permits: Semaphore::new(permits) };
        match Self::confined(options, &open).await {
            Ok(sandbox) => Ok(sandbox),
            Err(_) if options.allow_unsandboxed => Ok(open(None)),
            Err(error) => Err(OpenError::Unconfined(format!("{error:#}"))),
        }
    }

    async fn confined(options: &Options, open: &impl Fn(Option<PathBuf>) -> Self) -> Result<Self> {
        ensure!(cfg!(target_os = "linux"), "expected Linux, found {}", std::env::consts::OS);
        let helper = match &options.helper {
            Some(helper) => helper.clone(),
            None => std::env::current_exe().context("cannot find the path of this executable")?,
        };
        let sandbox = open(Some(helper.clone()));
        let (program, expected) = TRIAL;
        let run = sandbox.run(program, "6", &Limits::default()).await?;
        if run.ended != Ended::Exited(0) || run.stdout.trim() != expected {
            let fault = run.fault().unwrap_or(run.stdout);
            bail!("expected `{}` to run a program, found: {fault}", helper.display());
        }
        Ok(sandbox)
    }

    /// Whether programs are confined; otherwise they have the rights of this process.
    pub fn is_confined(&self) -> bool {
        self.helper.is_some()
    }

    /// Runs a program with `stdin` as its input. What the program does, however wrong, is no error. Dropping the future
    /// ends the program.
    ///
    /// # Errors
    /// The program could not be run: no process or scratch folder can be made, or the helper failed.
    pub async fn run(&self, program: &str, stdin: &str, limits: &Limits) -> Result<Run> {
        let _permit = self.permits.acquire().await.context("the sandbox is closed")?;
        let scratch = tempfile::Builder::new().prefix("lamas-").tempdir().context("cannot make a scratch folder")?;
        std::fs::write(scratch.path().join(PROGRAM), program).context("cannot write to the scratch folder")?;
        // The kernel compares files, not names.
        let folder = scratch.path().canonicalize().context("cannot find the scratch folder")?;
        let confinement = Confinement {
            nonce: nonce(&folder),
            parent: std::process::id(),
            executable: self.interpreter.executable.clone(),
            readable: self.interpreter.readable.clone(),
            scratch: folder.clone(),
            limits: *limits,
        };
        let mut command = match &self.helper {
            Some(helper) => {
                let mut command = Command::new(helper);
                let argument = serde_json::to_string(&confinement).context("expected paths in UTF-8")?;
                command.arg(CHILD_COMMAND).arg(argument).env_clear().env(INSIDE, "1");
                command
            }
            None => Command::from(confinement.command()),
        };
        command.current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        let run = process::run(command, stdin, &folder, limits).await?;
        match run.stderr.split_once(&confinement.nonce) {
            Some((_, error)) => bail!("{}", error.trim()),
            None => Ok(run),
        }
    }
}

/// Marks what the helper says: a text that the program cannot know, because only this process knows the secret.
fn nonce(folder: &Path) -> String {
    let place = OsString::from(folder);
    let secret = std::collections::hash_map::RandomState::new();
    format!("{:016x} ", std::hash::BuildHasher::hash_one(&secret, place))
}
