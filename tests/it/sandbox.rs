//! Python in the sandbox: useful programs run; hostile ones do no harm and leave nothing behind.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use lamas::sandbox::{Ended, Limits, OpenError, Options, Run, Sandbox};

use super::hostile::{End, HOARD, HOARDERS, PRELUDE, PROGRAMS};

/// The sandbox of the `lamas` binary; `None`, with a printed line, if there is no Python.
pub async fn open() -> Result<Option<Sandbox>> {
    let options = Options { helper: Some(env!("CARGO_BIN_EXE_lamas").into()), ..Options::default() };
    match Sandbox::open(&options).await {
        Ok(sandbox) => Ok(Some(sandbox)),
        Err(OpenError::NoPython(message)) => {
            println!("skipped: {message}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

async fn run(sandbox: &Sandbox, program: &str, stdin: &str) -> Result<Run> {
    sandbox.run(program, stdin, &Limits::default()).await
}

#[tokio::test]
async fn programs_compute() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let check = async |program: &str, stdin: &str, stdout: &str, ended: Ended| -> Result<()> {
        let run = run(&sandbox, program, stdin).await?;
        assert_eq!((run.stdout.as_str(), run.ended), (stdout, ended), "{program}: {}", run.stderr);
        Ok(())
    };
    let done = Ended::Exited(0);
    check("print(sum(map(int, input().split())))", "1 2 3", "6\n", done).await?;
    check("from __future__ import annotations\nprint(__name__, 'é')", "", "__main__ é\n", done).await?;
    check("open('a', 'w').write('b'); print(open('a').read())", "", "b\n", done).await?;
    check("import tempfile\nwith tempfile.TemporaryFile() as f: print(f.write(b'abc'))", "", "3\n", done).await?;
    let modules = "import asyncio, collections, ctypes, dataclasses, datetime, decimal, fractions, functools, hashlib, \
                   heapq, itertools, json, math, random, re, statistics, string, zoneinfo";
    let folders = "import os, tempfile\nwith tempfile.TemporaryDirectory() as d:\n open(d + '/a', 'w').write('b')\n \
                   os.makedirs(d + '/x/y')\n os.rename(d + '/a', d + '/x/y/a')\n print(os.path.dirname(d) == os.getcwd())\n\
                   print(os.listdir())";
    check(folders, "", "True\n['program.py']\n", done).await?;
    let event_loop = format!("{modules}\nasync def main():\n await asyncio.sleep(0)\n print(1)\nasyncio.run(main())");
    check(&event_loop, "", "1\n", done).await?;
    check("import sys; print('early', flush=True); sys.exit(3)", "", "early\n", Ended::Exited(3)).await?;
    let alarm = "import signal, time\ndef late(*_): print('late')\nsignal.signal(signal.SIGALRM, late)\nsignal.alarm(1)\n\
                 signal.pause()";
    check(alarm, "", "late\n", done).await?;
    check("print([*{'a', 'b', 'c'}])", "", &run(&sandbox, "print([*{'a', 'b', 'c'}])", "").await?.stdout, done).await?;
    let broken = run(&sandbox, "print(1)\nprint(x)", "").await?;
    let fault = broken.fault().unwrap_or_default();
    assert!(fault.contains("line 2") && fault.ends_with("NameError: name 'x' is not defined"), "{fault}");
    Ok(())
}

/// The host on which the hostile programs are let loose.
struct Host {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixDatagram,
    hidden: UnixListener,
}

impl Host {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("secret"), "unharmed")?;
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        let unix = UnixDatagram::bind(folder.path().join("socket"))?;
        let name = format!("lamas-{}", std::process::id());
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        hidden.set_nonblocking(true)?;
        Ok(Host { folder, tcp, udp, unix, hidden })
    }

    fn prepare(&self, program: &str) -> Result<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let home = std::env::var("HOME").unwrap_or("/root".into());
        let program = program
            .replace("HOST_HOME", &home)
            .replace("WORK", env!("CARGO_MANIFEST_DIR"))
            .replace("SECRET", &path("secret"))
            .replace("FOLDER", &self.folder.path().display().to_string())
            .replace("UNIX'", &format!("{}'", path("socket")))
            .replace("ABSTRACT", &format!("lamas-{}", std::process::id()))
            .replace("PARENT", &std::process::id().to_string())
            .replace("TCP", &self.tcp.local_addr()?.port().to_string())
            .replace("UDP", &self.udp.local_addr()?.port().to_string());
        Ok(format!("{PRELUDE}\n{program}"))
    }

    fn is_unharmed(&self) -> Result<bool> {
        use std::os::unix::fs::PermissionsExt;
        let secret = self.folder.path().join("secret");
        let mode = fs::metadata(&secret)?.permissions().mode();
        let quiet = self.tcp.accept().is_err()
            && self.udp.recv(&mut [0; 9]).is_err()
            && self.unix.recv(&mut [0; 9]).is_err()
            && self.hidden.accept().is_err();
        let is_alone = fs::read_dir(self.folder.path())?.count() == 2;
        Ok(fs::read_to_string(&secret)? == "unharmed" && mode & 0o7777 == 0o644 && is_alone && quiet)
    }
}

/// Process id and scratch folder, as printed by the prelude.
fn place(run: &Run) -> Option<(u32, PathBuf)> {
    let mut words = run.stdout.lines().next()?.strip_prefix("place ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.into()))
}

/// Whether the disk was full for a program.
fn is_full(run: &Run) -> bool {
    let is_told = |text: &str| text.contains("No space left on device");
    run.ended == Ended::Disk || is_told(&run.stdout) || is_told(&run.stderr)
}

/// Processes that are in the folder or were started in it.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|place| place.starts_with(folder))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_programs_are_contained() -> Result<()> {
    let Some(sandbox) = open().await? else { return Ok(()) };
    let host = Host::new()?;
    let loose = |&(name, program, end): &(&'static str, &str, End)| {
        let (sandbox, program) = (&sandbox, host.prepare(program));
        async move {
            let seconds = if matches!(end, End::So(Ended::TimedOut) | End::Broken) { 1.5 } else { 10.0 };
            let limits = Limits { seconds, memory: 256 << 20, ..Limits::default() };
            let run = async { sandbox.run(&program?, "given", &limits).await };
            (name, end, run.await)
        }
    };
    // The numbers of system calls belong to one architecture.
    let is_ours = |(_, program, _): &&(&str, &str, End)| cfg!(target_arch = "x86_64") || !program.contains("syscall(");
    let mut runs = stream::iter(PROGRAMS.iter().filter(is_ours).map(loose)).buffered(4);
    let mut faults = Vec::new();
    while let Some((name, end, run)) = runs.next().await {
        let run = run.context(name)?;
        let is_expected = match end {
            End::Refused => run.ended == Ended::Exited(0) && run.stdout.contains("refused"),
            End::So(ended) => run.ended == ended,
            End::Broken => run.ended != Ended::Exited(0),
            End::Full => is_full(&run),
        };
        if !is_expected || run.stdout.contains("ESCAPED") {
            let output: String = run.stdout.chars().take(2000).collect();
            let errors = run.fault().unwrap_or_default();
            faults.push(format!("{name}: expected {end:?}, found {:?}\n{output}\n{errors}", run.ended));
        }
        match place(&run) {
            Some((pid, scratch)) => {
                if Path::new(&format!("/proc/{pid}")).exists() || !processes_in(&scratch).is_empty() {
                    faults.push(format!("{name}: something still runs"));
                }
                if scratch.exists() {
                    faults.push(format!("{name}: {} is left", scratch.display()));
                }
            }
            None => faults.push(format!("{name}: did not start: {}", run.stderr)),
        }
        assert!(host.is_unharmed()?, "{name}");
    }
    assert!(PROGRAMS.len() >= 25);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// If nothing can be mounted, the allowed overshoot is the limit once more.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_bounded_with_a_mount_and_without() -> Result<()> {
    let (Some(sandbox), Some(watched)) = (open().await?, open().await?) else { return Ok(()) };
    if !sandbox.mounts() {
        println!("skipped: no mount namespace here");
    }
    let limits = Limits::default();
    for sandbox in [sandbox, watched.without_mounts()] {
        println!("bounded by {}", if sandbox.mounts() { "a file system of its own" } else { "a watcher" });
        let most = if sandbox.mounts() { limits.disk } else { 2 * limits.disk };
        for (name, program) in HOARDERS {
            let run = sandbox.run(&format!("{HOARD}\n{program}"), "", &limits).await?;
            let kept: u64 = run.stdout.lines().last().unwrap_or("0").parse()?;
            println!("{name}: {kept} bytes, {:?}", run.ended);
            assert!(kept <= most, "{name}: {kept} bytes");
            // Without a mount some of them are refused at once; with one, a mapping of something missing is a crash.
            let is_refused = !sandbox.mounts() && run.stderr.contains("Function not implemented");
            let is_crashed = sandbox.mounts() && run.ended == Ended::Killed(7);
            assert!(is_full(&run) || is_refused || is_crashed, "{name}: {run:?}");
        }
    }
    Ok(())
}

/// A process of `lamas` that grades an endless solution, with scratch folders in `place`.
fn grading(place: &Path) -> Result<std::process::Child> {
    let task = serde_json::json!({
        "task_id": "a", "prompt": "", "entry_point": "f", "test": "def check(f): f()",
        "completion": "def f():\n  while True: pass",
    });
    let file = place.with_extension("jsonl");
    fs::write(&file, task.to_string())?;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lamas"));
    command.args(["grade", "humaneval"]).arg(&file).env("TMPDIR", place);
    Ok(command.stdout(Stdio::null()).spawn()?)
}

#[tokio::test]
async fn a_process_that_is_ended_leaves_nothing_for_long() -> Result<()> {
    use nix::sys::signal::{Signal, kill};
    if open().await?.is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("scratch");
    fs::create_dir(&place)?;
    let is_clean = || Ok::<_, anyhow::Error>(fs::read_dir(&place)?.next().is_none());
    let folders = || -> Vec<PathBuf> {
        let folders = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.filter(|folder| folder.join("work/program.py").exists()).collect()
    };
    for (signal, is_swept) in [(Signal::SIGTERM, true), (Signal::SIGKILL, false), (Signal::SIGHUP, true)] {
        let left = folders();
        let mut process = grading(&place)?;
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        // The two programs of a trial.
        while folders().iter().filter(|folder| !left.contains(folder)).count() < 2 {
            interval.tick().await;
            assert!(process.try_wait()?.is_none());
        }
        kill(nix::unistd::Pid::from_raw(i32::try_from(process.id())?), signal)?;
        let status = process.wait()?;
        assert!(!status.success());
        // The remains of a killed process were swept by the next one, before that was ended in turn.
        assert_eq!(is_clean()?, is_swept, "{signal}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing() -> Result<()> {
    // Without a mount, the files of a program can be seen from outside.
    let Some(sandbox) = open().await?.map(Sandbox::without_mounts) else { return Ok(()) };
    let marker = format!("# dropped by {}", std::process::id());
    let program = format!("{marker}\nopen('started', 'w').close()\nwhile True: pass");
    let is_ours = |folder: &PathBuf| {
        fs::read_to_string(folder.join("program.py")).is_ok_and(|program| program.starts_with(&marker))
            && folder.join("started").exists()
    };
    let scratch =
        || fs::read_dir(std::env::temp_dir()).ok()?.flatten().map(|entry| entry.path().join("work")).find(is_ours);
    let mut interval = tokio::time::interval(Duration::from_millis(10));
    let running = run(&sandbox, &program, "");
    let mut running = Box::pin(running);
    let folder = loop {
        tokio::select! {
            run = &mut running => panic!("{:?}", run?),
            _ = interval.tick() => {}
        }
        if let Some(folder) = scratch() {
            break folder;
        }
    };
    assert_eq!(processes_in(&folder).len(), 1);
    drop(running);
    assert!(processes_in(&folder).is_empty() && folder.parent().is_some_and(|folder| !folder.exists()));
    Ok(())
}

#[tokio::test]
async fn a_helper_that_confines_nothing_is_refused() -> Result<()> {
    if open().await?.is_none() {
        return Ok(());
    }
    let options = Options { helper: Some("/bin/true".into()), ..Options::default() };
    let refused = Sandbox::open(&options).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("expected `/bin/true` to run a program") && refused.contains("--allow-unsandboxed"));
    let allowed = Sandbox::open(&Options { allow_unsandboxed: true, ..options }).await?;
    assert!(!allowed.is_confined());
    assert_eq!(run(&allowed, "print(6)", "").await?.stdout, "6\n");

    let options = Options { python: Some("/no/such/python3".into()), ..Options::default() };
    let missing = Sandbox::open(&options).await;
    assert!(matches!(missing, Err(OpenError::NoPython(ref message)) if message.contains("/no/such/python3")));
    Ok(())
}
