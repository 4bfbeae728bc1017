//! Exit codes: 1 if the input or the settings are wrong, 2 for anything else.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// An endpoint where nobody listens, tried once.
const NOBODY: &str = "[endpoint]\nurl = \"http://127.0.0.1:9\"\nmodel = \"m\"\nprice = 0.0\nattempts = 1\n";

/// Ten generated problems on standard output.
const DATA: [&str; 6] = ["data", "arithmetic", "--split", "test", "--count", "10"];

fn lamas(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
    command.args(arguments).current_dir(folder).env("LAMAS_DEVICE", "cpu").env("LAMAS_CACHE", folder.join("cache"));
    command.env("XDG_STATE_HOME", folder.join("state"));
    command
}

#[track_caller]
fn check(code: i32, mut command: Command, expected: &str) -> Result<()> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {errors}");
    assert!(errors.contains(expected) && !errors.contains("panicked"), "{command:?}: {errors}");
    Ok(())
}

#[test]
fn input_and_settings_at_fault_give_1() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    fs::write(here.join("broken.toml"), "seed = \n")?;
    fs::write(here.join("range.toml"), "[endpoint]\nattempts = 0\n")?;
    fs::write(here.join("binary"), [0xff, 0xfe, 0])?;
    for (arguments, expected) in [
        (&["inspect", "missing.safetensors"][..], "missing.safetensors"),
        (&["inspect", "."], "."),
        (&["grade", "gsm8k", "missing.jsonl"], "missing.jsonl"),
        (&["grade", "gsm8k", "binary"], "binary"),
        (&["grade", "gsm8k", "binary/below"], "binary/below"),
        (&["cache", "list", "--cache", "missing.sqlite"], "missing.sqlite"),
        (&["cache", "list", "--cache", "binary"], "binary"),
        (&["baselines", "--config", "missing.toml"], "missing.toml"),
        (&["baselines", "--config", "broken.toml"], "broken.toml"),
        (&["baselines", "--config", "range.toml"], "attempts"),
        (&["baselines", "--benchmark", "missing"], "missing"),
    ] {
        check(1, lamas(arguments, here), expected)?;
    }
    Ok(())
}

#[test]
fn an_endpoint_out_of_reach_gives_2() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    fs::write(here.join("nobody.toml"), format!("{NOBODY}[training.survey]\noperators = 0\n"))?;
    let asked = ["run", "1 + 1 ?", "--plan", "Generate", "--config", "nobody.toml"];
    check(2, lamas(&asked, here), "hint: is the server there?")?;
    check(2, lamas(&["baselines", "--config", "nobody.toml"], here), "hint: is the server there?")?;
    let train = ["train", "--config", "nobody.toml", "--epochs", "1", "--no-evaluation", "--out", "run"];
    check(2, lamas(&train, here), "hint: resume once the cause is fixed")
}

#[test]
fn what_cannot_be_written_gives_2() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    fs::write(here.join("file"), "")?;
    let asked = ["run", "1 + 1 ?", "--plan", "Generate"];
    check(2, lamas(&["train", "--out", "file/run"], here), "file/run")?;
    for out in ["file/data.jsonl", "missing/data.jsonl"] {
        check(2, lamas(&[&DATA[..], &["--out", out]].concat(), here), out)?;
    }
    check(2, lamas(&[&asked[..], &["--cache", "file/calls"]].concat(), here), "file/calls")?;
    if cfg!(target_os = "linux") {
        check(2, lamas(&["train", "--out", "/proc/run"], here), "/proc/run")?;
    }
    Ok(())
}

#[test]
fn a_full_disk_gives_2_and_a_closed_pipe_0() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let asked = ["run", "1 + 1 ?", "--plan", "Generate"];
    if Path::new("/dev/full").exists() {
        check(2, lamas(&[&DATA[..], &["--out", "/dev/full"]].concat(), here), "/dev/full")?;
        for arguments in [&asked[..], &DATA, &["completions", "bash"]] {
            let mut command = lamas(arguments, here);
            command.stdout(File::options().write(true).open("/dev/full")?).stderr(Stdio::piped());
            let output = command.spawn()?.wait_with_output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
            assert!(errors.contains("cannot write to standard output"), "{arguments:?}: {errors}");
        }
        for (code, arguments) in [(0, &asked[..]), (1, &["inspect", "missing"])] {
            let full = File::options().write(true).open("/dev/full")?;
            let status = lamas(arguments, here).stdout(Stdio::null()).stderr(full).status()?;
            assert_eq!(status.code(), Some(code), "{arguments:?}");
        }
    }
    let mut child = lamas(&asked, here).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take().context("standard output")?);
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
