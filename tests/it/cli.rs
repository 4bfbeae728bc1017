//! Bad input on the command line: a clear error, exit code 1, no panic.

use std::fs;
use std::path::Path;

use anyhow::Result;
use assert_cmd::Command;

/// Runs `lamas` and returns its exit code and what it wrote to standard error.
fn run(arguments: &[&str], folder: &Path) -> Result<(Option<i32>, String)> {
    let output = Command::cargo_bin("lamas")?
        .args(arguments)
        .current_dir(folder)
        .env("LAMAS_DEVICE", "cpu")
        // Nothing listens there.
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("HF_HOME", folder)
        .output()?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

/// Runs `lamas`, which names what the user did wrong.
#[track_caller]
fn check(arguments: &[&str], folder: &Path, expected: &[&str]) -> Result<()> {
    check_code(1, arguments, folder, expected)
}

#[track_caller]
fn check_code(code: i32, arguments: &[&str], folder: &Path, expected: &[&str]) -> Result<()> {
    let (found, errors) = run(arguments, folder)?;
    assert_eq!(found, Some(code), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    for part in expected {
        assert!(errors.contains(part), "{arguments:?}: expected `{part}` in: {errors}");
    }
    Ok(())
}

/// A copy of the built-in benchmark.
fn benchmark(folder: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arithmetic");
    fs::create_dir(folder)?;
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

#[test]
fn faults_of_the_user_are_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    check(&["--no-such-flag"], here, &["--no-such-flag"])?;
    check(&["inspect", "missing.safetensors"], here, &["missing.safetensors"])?;
    fs::write(here.join("cut.safetensors"), [8, 0, 0, 0])?;
    check(&["evaluate", "cut.safetensors"], here, &["cut.safetensors"])?;
    fs::write(here.join("settings.toml"), "colour = 3\n")?;
    check(&["baselines", "--config", "settings.toml"], here, &["colour"])?;
    check(&["run", "1 + 1 ?", "--plan", "Nobody"], here, &["Nobody"])?;
    check(&["run", "1 + 1 ?", "--budget", "3 parsecs"], here, &["120tokens", "3 parsecs"])?;
    check(&["run", "1 + 1 ?", "--budget", "2s", "--latency-weight", "0.1"], here, &["--latency-weight"])?;
    check(&["run", "1 + 1 ?", "--latency-weight", "-0.1"], here, &["--latency-weight"])?;
    check(&["run", "1 + 1 ?", "--plan", "Generate", "--budget", "2s"], here, &["--plan"])?;
    check(&["train", "--latency-weights", "0.1..0.01"], here, &["0.1..0.01"])?;
    check(&["run", "1 + 1 ?"], here, &["lamas train"])
}

#[test]
fn a_model_that_is_not_there_is_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let asked = ["run", "1 + 1 ?", "--plan", "Generate"];
    let with = |flags: &[&str], expected: &[&str]| check(&[&asked, flags].concat(), place.path(), expected);
    for name in ["some/model", "some/model/q8.gguf"] {
        let flags = [&asked[..], &["--model", name]].concat();
        check_code(2, &flags, place.path(), &["no folder `some/model` here", "hint: "])?;
    }
    with(&["--model", "missing"], &["missing/config.json"])?;
    with(&["--model", "missing.gguf"], &["cannot read `missing.gguf`"])?;
    with(&["--dtype", "f8"], &["f8"])?;
    with(&["--context", "0"], &["expected a context of 1 to the model's own", "found 0"])?;
    with(&["--template", "thinking"], &["expected NAME=VALUE, found `thinking`"])
}

#[test]
fn broken_benchmarks_name_file_and_line() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    benchmark(&here.join("lines"))?;
    let lines = fs::read_to_string(here.join("lines/test.jsonl"))?;
    let broken: Vec<&str> =
        lines.lines().enumerate().map(|(index, line)| if index == 2 { "{\"id\": 3" } else { line }).collect();
    fs::write(here.join("lines/test.jsonl"), broken.join("\n"))?;
    check(&["baselines", "--benchmark", "lines"], here, &["test.jsonl:3"])?;
    benchmark(&here.join("kinds"))?;
    let catalogue = fs::read_to_string(here.join("kinds/catalogue.toml"))?;
    fs::write(here.join("kinds/catalogue.toml"), catalogue.replacen("kind = \"generate\"", "kind = \"guess\"", 1))?;
    check(&["baselines", "--benchmark", "kinds"], here, &["catalogue.toml", "Generate", "guess"])
}

#[test]
fn an_operator_that_names_a_model_is_not_answered_by_another_one() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    benchmark(&here.join("named"))?;
    let catalogue = fs::read_to_string(here.join("named/catalogue.toml"))?;
    let named = catalogue.replacen("kind = \"generate\"", "kind = \"generate\"\nmodel = \"gpt-4o\"", 1);
    fs::write(here.join("named/catalogue.toml"), named)?;
    let asked = ["run", "1 + 1 ?", "--plan", "Generate", "--benchmark", "named"];
    check(&asked, here, &["operator `Generate`", "`gpt-4o`", "the local model `", "hint: "])
}
