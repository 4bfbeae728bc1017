//! Python programs in a sandbox, each in its own process, which may compute and use its own scratch folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::confinement::{CHILD_COMMAND, Confinement, JOB, PROGRAM, START};
use super::interpreter::Interpreter;
use super::launch::{Found, Launch};
use super::limits::Limits;
use super::process::{self, Ended, Run, Terms};
use super::scratch::{Scratch, sweep};

/// Set in the process that confines itself, so that a helper that is not `lamas` cannot start further helpers.
const INSIDE: &str = "LAMAS_SANDBOX_CHILD";
/// Must work before anything else is run.
const TRIAL: (&str, &str) = ("print(int(input()) * 7)", "42");

/// How to open a [`Sandbox`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The interpreter: a path, or a name in `PATH`; `python3` if absent.
    pub python: Option<PathBuf>,
    /// The `lamas` executable, which confines itself and then becomes the interpreter; if absent, the one given to
    /// [`use_helper`], or else this process's own executable.
    pub helper: Option<PathBuf>,
    /// Run programs without confinement if this machine cannot confine them; otherwise that is an error.
    pub allow_unsandboxed: bool,
}

/// See [`use_helper`].
static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// From now on programs are confined by this executable, unless [`Options`] name another: `lamas`, or one that treats
/// [`CHILD_COMMAND`] like it. A process that is not `lamas` itself needs this. Only the first call counts.
pub fn use_helper(helper: PathBuf) {
    HELPER.get_or_init(|| helper);
}

/// Why there is no sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Whatever needs Python can be left out.
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
/// A confined program has no network access. It reads only the Python installation and the system's libraries, and
/// writes only files in its scratch folder. It starts no process or thread, signals no other process and sees no
/// environment variable. It ends at the latest when its time is up or this process ends.
#[derive(Debug)]
pub struct Sandbox {
    interpreter: Interpreter,
    /// Absent if programs run unconfined.
    helper: Option<PathBuf>,
    /// Whether each scratch folder is a separate file system.
    mounts: bool,
    permits: Semaphore,
}

impl Sandbox {
    /// Finds Python, and tests with a small program that it runs confined.
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
        let open = |helper, mounts| Sandbox {
            interpreter: interpreter.clone(),
            helper,
            mounts,
            permits: Semaphore::new(permits),
        };
        sweep();
        if let Ok(sandbox) = Self::confined(options, |helper| open(helper, true)).await {
            return Ok(sandbox);
        }
        match Self::confined(options, |helper| open(helper, false)).await {
            Ok(sandbox) => Ok(sandbox),
            Err(_) if options.allow_unsandboxed => Ok(open(None, false)),
            Err(error) => Err(OpenError::Unconfined(format!("{error:#}"))),
        }
    }

    async fn confined(options: &Options, open: impl Fn(Option<PathBuf>) -> Self) -> Result<Self> {
        ensure!(cfg!(target_os = "linux"), "expected Linux, found {}", std::env::consts::OS);
        let helper = match options.helper.as_ref().or_else(|| HELPER.get()) {
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

    /// Whether a separate file system limits what a program writes; otherwise this process watches its files.
    pub fn mounts(&self) -> bool {
        self.mounts
    }

    /// Behaves as on a machine where nothing can be mounted.
    pub fn without_mounts(self) -> Self {
        Sandbox { mounts: false, ..self }
    }

    /// Runs a program with `stdin` as its input. What the program does, however wrong, is not an error. Dropping the
    /// future ends the program.
    ///
    /// # Errors
    /// The program could not be run: no process or scratch folder could be created, or the helper failed.
    pub async fn run(&self, program: &str, stdin: &str, limits: &Limits) -> Result<Run> {
        let _permit = self.permits.acquire().await.context("the sandbox is closed")?;
        let place = Place::new(self, Script { program, job: None }, limits)?;
        let terms = place.terms(Some(stdin), Instant::now(), std::future::pending());
        place.outcome(process::run(place.command(Stdio::piped())?, terms).await?)
    }

    /// Runs a user's program like a model-written one, except that it may read its own files and folders.
    ///
    /// # Errors
    /// There is no such program, and those of [`Sandbox::run`].
    pub async fn run_command(&self, launch: Launch<'_>, stdin: &str, limits: &Limits) -> Result<Run> {
        let _permit = self.permits.acquire().await.context("the sandbox is closed")?;
        let found = launch.find(Some(&self.interpreter.executable))?;
        let place = Place::of_command(self, found, limits)?;
        let terms = place.terms(Some(stdin), Instant::now(), std::future::pending());
        place.outcome(process::run(place.command(Stdio::piped())?, terms).await?)
    }

    /// Runs two programs that talk to each other through their standard inputs, the two ends of one stream. The second
    /// is stopped when the first ends. They share nothing else. One clock runs for both; of the other `limits`, each
    /// may use all.
    ///
    /// # Errors
    /// Those of [`Sandbox::run`].
    #[cfg(unix)]
    pub async fn run_pair(&self, first: Script<'_>, second: Script<'_>, limits: &Limits) -> Result<[Run; 2]> {
        // One permit for both: a pair waiting for its second permit could wait for another pair that does the same.
        let _permit = self.permits.acquire().await.context("the sandbox is closed")?;
        let ends = std::os::unix::net::UnixStream::pair().context("cannot make a stream between two programs")?;
        let ends = [ends.0, ends.1].map(|end| Stdio::from(std::os::fd::OwnedFd::from(end)));
        let places = (Place::new(self, first, limits)?, Place::new(self, second, limits)?);
        let [first_end, second_end] = ends;
        let (first_command, second_command) = (places.0.command(first_end)?, places.1.command(second_end)?);
        let started = Instant::now();
        let (over, is_over) = tokio::sync::oneshot::channel::<()>();
        let first = async {
            let terms = places.0.terms(None, started, std::future::pending());
            let run = places.0.outcome(process::run(first_command, terms).await?);
            drop(over);
            run
        };
        let second = async {
            let terms = places.1.terms(None, started, async move { is_over.await.unwrap_or_default() });
            places.1.outcome(process::run(second_command, terms).await?)
        };
        let (first, second) = futures::future::try_join(first, second).await?;
        Ok([first, second])
    }

    /// Stands in for the function of the same name on systems with such streams, which this one lacks.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(unix))]
    pub async fn run_pair(&self, _: Script<'_>, _: Script<'_>, _: &Limits) -> Result<[Run; 2]> {
        bail!("expected Linux or another Unix to run tests of code on, found {}", std::env::consts::OS)
    }
}

/// A program, and what it finds in its scratch folder.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    pub program: &'a str,
    /// The contents of the file `job.json`.
    pub job: Option<&'a str>,
}

/// Where and how a program is to run.
struct Place<'a> {
    helper: Option<&'a Path>,
    scratch: Scratch,
    confinement: Confinement,
}

impl<'a> Place<'a> {
    fn new(sandbox: &'a Sandbox, script: Script<'_>, limits: &Limits) -> Result<Self> {
        let scratch = Scratch::new(&[(PROGRAM, Some(script.program)), (JOB, script.job)])?;
        let arguments = ["-s", "-B", "-c", START].map(str::to_owned).into();
        let executable = sandbox.interpreter.executable.clone();
        let readable = sandbox.interpreter.readable.clone();
        Self::with(sandbox, Found { executable, arguments, readable }, scratch, limits)
    }

    fn of_command(sandbox: &'a Sandbox, mut found: Found, limits: &Limits) -> Result<Self> {
        found.readable.extend(sandbox.interpreter.readable.iter().cloned());
        Self::with(sandbox, found, Scratch::new(&[])?, limits)
    }

    fn with(sandbox: &'a Sandbox, found: Found, scratch: Scratch, limits: &Limits) -> Result<Self> {
        let Found { executable, arguments, readable } = found;
        let confinement = Confinement {
            nonce: nonce(&scratch.work),
            parent: std::process::id(),
            executable,
            arguments,
            readable,
            scratch: scratch.work.clone(),
            mounts: sandbox.mounts,
            limits: *limits,
        };
        Ok(Place { helper: sandbox.helper.as_deref(), scratch, confinement })
    }

    fn command(&self, stdin: Stdio) -> Result<Command> {
        let mut command = match self.helper {
            Some(helper) => {
                let mut command = Command::new(helper);
                let argument = serde_json::to_string(&self.confinement).context("expected paths in UTF-8")?;
                command.arg(CHILD_COMMAND).arg(argument).env_clear().env(INSIDE, "1");
                command
            }
            None => Command::from(self.confinement.command()),
        };
        command.current_dir(&self.confinement.scratch).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        Ok(command)
    }

    fn terms<'b, S>(&'b self, stdin: Option<&'b str>, started: Instant, until: S) -> Terms<'b, S> {
        let Confinement { mounts, limits, .. } = &self.confinement;
        Terms { stdin, scratch: &self.scratch, is_watched: !mounts, limits, started, until }
    }

    /// The run, unless the helper failed.
    fn outcome(&self, run: Run) -> Result<Run> {
        match run.stderr.split_once(&self.confinement.nonce) {
            Some((_, error)) => bail!("{}", error.trim()),
            None => Ok(run),
        }
    }
}

/// Marks the helper's messages with a text that the program cannot know, because only this process knows the secret.
fn nonce(folder: &Path) -> String {
    let place = OsString::from(folder);
    let secret = std::collections::hash_map::RandomState::new();
    format!("{:016x} ", std::hash::BuildHasher::hash_one(&secret, place))
}
