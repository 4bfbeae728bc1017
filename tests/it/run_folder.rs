//! A run is what its folder says: the folder alone is enough to resume it, and nothing else is trained under its name.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use lamas::random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::server::{Reply, Server, refusal, streamed};

/// Drawn plans in small batches, saved after each batch.
const SETTINGS: &str = "[training]\nbatch = 4\nsave_every = 1\nepochs = 3\n[training.survey]\noperators = 0\n";
/// A run of two controllers on a benchmark that is not the built-in one.
const TRAIN: [&str; 8] = ["train", "--config", "settings.toml", "--seed", "3", "--seeds", "2", "--no-evaluation"];

pub fn tiny() -> String {
    format!("{}/tests/benchmarks/tiny", env!("CARGO_MANIFEST_DIR"))
}

/// Runs `lamas` in a folder, as for a user who has set nothing and keeps everything there.
pub fn lamas(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
    command.args(arguments).current_dir(folder).env("LAMAS_DEVICE", "cpu").env("LAMAS_CACHE", folder.join("cache"));
    command.env("XDG_STATE_HOME", folder.join("state")).env_remove("LAMAS_API_KEY").env_remove("OPENAI_API_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, and everything that was written.
pub fn ended(child: Child) -> Result<(Option<i32>, String)> {
    let output = child.wait_with_output()?;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(!text.contains("panicked"), "{text}");
    Ok((output.status.code(), text))
}

#[track_caller]
pub fn check(code: i32, mut command: Command, expected: &[&str]) -> Result<String> {
    let (found, text) = ended(command.spawn()?)?;
    assert_eq!(found, Some(code), "{command:?}: {text}");
    for part in expected {
        assert!(text.contains(part), "{command:?}: expected `{part}` in: {text}");
    }
    Ok(text)
}

/// A folder with the settings.
fn place() -> Result<tempfile::TempDir> {
    let place = tempfile::tempdir()?;
    fs::write(place.path().join("settings.toml"), SETTINGS)?;
    Ok(place)
}

fn train(out: &str, folder: &Path) -> Command {
    lamas(&[&TRAIN[..], &["--benchmark", &tiny(), "--out", out]].concat(), folder)
}

/// Kills the process once the contents of `file` have changed `changes` times; false if it ended before.
fn kill_after(mut child: Child, file: &Path, changes: u32) -> Result<bool> {
    let (mut last, mut seen) = (fs::read(file).ok(), 0);
    while child.try_wait()?.is_none() {
        let now = fs::read(file).ok();
        if now.is_some() && now != last {
            (last, seen) = (now, seen + 1);
        }
        if seen >= changes {
            child.kill()?;
            child.wait()?;
            return Ok(true);
        }
        std::thread::yield_now();
    }
    let (_, text) = ended(child)?;
    ensure!(seen > 0, "{text}");
    Ok(false)
}

#[test]
fn a_run_that_is_killed_anywhere_is_gone_on_with_by_its_folder_alone() -> Result<()> {
    let place = place()?;
    let here = place.path();
    check(0, train("whole", here), &[])?;
    let settings = here.join("cut/settings.json");
    assert!(kill_after(train("cut", here).spawn()?, &settings, 1)?);
    let said = fs::read(&settings)?;
    let resume = || lamas(&["train", "--resume", "cut"], here);
    let mut kills = 1;
    for (seed, changes) in [(3, 1), (3, 2), (3, 4), (3, 3), (4, 1), (4, 4)] {
        let state = here.join(format!("cut/seed-{seed}/state.safetensors"));
        kills += u32::from(kill_after(resume().spawn()?, &state, changes)?);
    }
    assert!(kills >= 6, "{kills}");
    check(0, resume(), &[])?;
    for file in ["checkpoint.safetensors", "metrics.jsonl"] {
        for seed in [3, 4] {
            let [whole, cut] = ["whole", "cut"].map(|run| fs::read(here.join(format!("{run}/seed-{seed}/{file}"))));
            assert!(whole? == cut?, "{file} of seed {seed}");
        }
    }
    assert_eq!(fs::read(&settings)?, said);
    assert!(!here.join("cut/seed-0").exists());
    assert!(!here.join("cut/report.html").exists(), "`--no-evaluation` belongs to the run");
    Ok(())
}

#[test]
fn what_contradicts_a_run_is_named_before_anything_is_written() -> Result<()> {
    let place = place()?;
    let here = place.path();
    let settings = here.join("cut/settings.json");
    assert!(kill_after(train("cut", here).spawn()?, &settings, 1)?);
    let said = fs::read(&settings)?;
    let files = || -> Result<Vec<_>> {
        let mut names: Vec<_> =
            fs::read_dir(here.join("cut"))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let before = files()?;
    fs::write(here.join("other.toml"), "[training]\nlearning_rate = 0.5\n")?;
    for (flags, expected) in [
        (&["--seed", "5"][..], "`seed` is 3 there, 5 here"),
        (&["--seeds", "3"], "`seeds` is 2 there, 3 here"),
        (&["--benchmark", "gsm8k"], "`benchmark` is `"),
        (&["--preset", "paper"], "`preset` is `adaptive` there, `paper` here"),
        (&["--epochs", "9"], "`training.epochs` is 3 there, 9 here"),
        (&["--model-name", "m", "--price", "0"], "`endpoint.model` is none there, `m` here"),
        (&["--endpoint", "http://127.0.0.1:9", "--model-name", "m"], "`endpoint.url` is none there"),
        (&["--encoder", "minilm"], "`encoder` is `static` there, `minilm` here"),
        (&["--schedule", "sequential"], "`training.execution.schedule` is `dataflow` there"),
        (&["--latency-weights", "0.001..0.01"], "`controller.latency_weights` is none there"),
        (&["--config", "other.toml"], "`training.learning_rate` is "),
        (&["--model", "missing"], "`model` is none there, `missing` here"),
    ] {
        let command = lamas(&[&["train", "--resume", "cut"], flags].concat(), here);
        check(1, command, &[expected, "hint: `lamas train --resume cut` needs no other flag"])?;
        assert_eq!((fs::read(&settings)?, files()?), (said.clone(), before.clone()), "{flags:?}");
    }
    // Repeating the same settings is not a contradiction, nor are settings of the process alone.
    let benchmark = tiny();
    let again = [&TRAIN[..], &["--benchmark", &benchmark, "--resume", "cut", "--cache-mode", "off"]].concat();
    check(0, lamas(&again, here), &[])?;
    assert_eq!(fs::read(&settings)?, said);
    check(1, lamas(&["train", "--resume", "nowhere"], here), &["expected a run in `nowhere`"])?;
    check(1, train("cut", here), &["already contains a run"])?;
    Ok(())
}

#[test]
fn a_run_of_an_earlier_version_is_gone_on_with() -> Result<()> {
    let place = place()?;
    let here = place.path();
    assert!(kill_after(train("cut", here).spawn()?, &here.join("cut/seed-4/state.safetensors"), 2)?);
    let settings = here.join("cut/settings.json");
    let mut said: serde_json::Value = serde_json::from_slice(&fs::read(&settings)?)?;
    said.as_object_mut().context("an object")?.remove("run").context("how it was started")?;
    fs::write(&settings, said.to_string())?;
    check(
        0,
        lamas(&["train", "--resume", "cut", "--no-evaluation"], here),
        &["seed 3: already trained", "trained seed 4"],
    )?;
    assert!(!here.join("cut/seed-0").exists());
    Ok(())
}

/// Interrupts the process once the server was asked.
async fn interrupted(server: &Server, mut command: Command) -> Result<(Option<i32>, String)> {
    let before = server.seen().len();
    let mut child = command.spawn()?;
    while server.seen().len() == before && child.try_wait()?.is_none() {
        tokio::task::yield_now().await;
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    tokio::task::spawn_blocking(|| ended(child)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_gives_130_however_the_endpoint_keeps_it_waiting() -> Result<()> {
    type Script = fn() -> Reply;
    let scripts: [(&str, Script); 3] = [
        ("a pause", || refusal(503, "", "overloaded", "later")),
        ("a wait that the server asks for", || {
            refusal(429, "retry-after: 300\r\n", "rate_limit_exceeded", "slow down")
        }),
        ("an answer that does not come", || Reply::Silence),
    ];
    for (what, script) in scripts {
        let place = place()?;
        let server = Server::start(move |_, _| script()).await;
        let endpoint = ["--endpoint", &server.url, "--model-name", "m", "--price", "1"];
        let mut command = train("run", place.path());
        command.args(endpoint);
        let (code, text) = interrupted(&server, command).await?;
        assert_eq!(code, Some(130), "{what}: {text}");
        assert!(text.contains("stopped; `lamas train --resume run` continues from here"), "{what}: {text}");
        assert!(text.contains("endpoint: 0 of "), "what was spent is told: {text}");
        for command in ["compare", "sweep"] {
            let mut stopped = lamas(&[command, "--benchmark", &tiny(), "--out", command], place.path());
            stopped.args(endpoint);
            let (code, text) = interrupted(&server, stopped).await?;
            assert_eq!(code, Some(130), "{command}, {what}: {text}");
            assert!(text.contains(&format!("`lamas {command} --out {command}` continues from here")), "{what}: {text}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_a_cap_gives_3() -> Result<()> {
    let server = Server::start(|_, body| {
        let draw = random::key(&[&body["messages"], &body["seed"]]);
        streamed(if draw.is_multiple_of(3) { "The answer is 42." } else { "The answer is 7." }, 40, 5 + draw % 30)
    })
    .await;
    let endpoint = ["--benchmark", &tiny(), "--endpoint", &server.url, "--model-name", "m", "--price", "1"];
    for (arguments, goes_on) in [
        (&[&TRAIN[..], &["--out", "run"]].concat(), "lamas train --resume run"),
        (&["compare", "--seeds", "1", "--out", "compare"].to_vec(), "lamas compare --out compare"),
        (&["sweep", "--seeds", "1", "--out", "sweep"].to_vec(), "lamas sweep --out sweep"),
    ] {
        // Nothing is recorded yet.
        let place = place()?;
        let command = lamas(&[&arguments[..], &endpoint, &["--max-tokens", "9000"]].concat(), place.path());
        let goes_on = format!("`{goes_on}` continues from here");
        tokio::task::spawn_blocking(move || check(3, command, &["stopped by --max-tokens", &goes_on])).await??;
    }
    Ok(())
}

const KEY: &str = "sk-hunter2-hunter2";

/// A server that answers everything, and a run trained on it, with the flags of its endpoint.
async fn trained(folder: &Path, benchmark: &str) -> Result<Server> {
    let server = Server::start(|_, _| streamed("The answer is 42.", 40, 5)).await;
    let endpoint = ["--endpoint", &server.url, "--model-name", "m", "--price", "1", "--epochs", "1"];
    let flags = [&TRAIN[..], &["--benchmark", benchmark, "--out", "run"], &endpoint].concat();
    keyed(0, &flags, &[], folder, &[]).await?;
    Ok(server)
}

/// Checks `lamas` with a key and further variables.
async fn keyed(
    code: i32,
    arguments: &[&str],
    variables: &[(&str, &str)],
    folder: &Path,
    expected: &[&str],
) -> Result<String> {
    let mut command = lamas(arguments, folder);
    command.env("OPENAI_API_KEY", KEY).envs(variables.iter().copied());
    let expected: Vec<String> = expected.iter().map(|&part| part.to_owned()).collect();
    let checked = move || check(code, command, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(checked).await?
}

const EVALUATE: [&str; 5] = ["evaluate", "run", "--alone", "--cache-mode", "off"];
const ASK: [&str; 6] = ["run", "what is 6 times 7 ?", "--checkpoint", "run", "--cache-mode", "off"];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_used_as_it_was_trained_and_what_is_another_is_said() -> Result<()> {
    let place = place()?;
    let here = place.path();
    fs::create_dir(here.join("bench"))?;
    for entry in fs::read_dir(tiny())? {
        let path = entry?.path();
        fs::copy(&path, here.join("bench").join(path.file_name().context("a name")?))?;
    }
    let server = trained(here, "bench").await?;
    let other = Server::start(|_, _| streamed("The answer is 42.", 40, 5)).await;
    for used in [&EVALUATE[..], &ASK, &["calibrate", "run", "--queries", "2", "--cache-mode", "off"]] {
        let before = server.seen().len();
        let text = keyed(0, used, &[], here, &[]).await?;
        assert!(!text.contains("warning"), "{text}");
        let seen = server.seen();
        assert!(seen.len() > before, "{used:?}: {text}");
        let asked = &seen[seen.len() - 1];
        assert!(asked.head.to_lowercase().contains(&format!("bearer {KEY}")), "{}", asked.head);
        assert_eq!(asked.body["model"], "m");
    }
    let cases: [(&[&str], &str); 3] = [
        (&["--benchmark", &tiny()], "was trained on `bench`, and is used on `"),
        (&["--model-name", "n", "--price", "0"], "was trained with model `m` at `"),
        (&["--endpoint", &other.url], "was trained with model `m` at `"),
    ];
    for (flags, expected) in cases {
        for used in [&EVALUATE[..], &ASK] {
            keyed(0, &[used, flags].concat(), &[], here, &["warning: `run/seed-", expected]).await?;
        }
    }
    assert!(!other.seen().is_empty());
    let catalogue = fs::read_to_string(here.join("bench/catalogue.toml"))?;
    fs::write(here.join("bench/catalogue.toml"), catalogue.replacen("prompt = \"", "prompt = \"Listen. ", 1))?;
    let text = keyed(0, &EVALUATE, &[], here, &["other operators than `", "(prompt); it keeps its own"]).await?;
    assert_eq!(text.matches("warning").count(), 1, "{text}");
    assert!(!server.seen().iter().any(|seen| seen.body.to_string().contains("Listen.")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_somebody_else_gets_no_key_and_starts_no_program() -> Result<()> {
    let place = place()?;
    let here = place.path();
    let server = trained(here, &tiny()).await?;
    let url = format!("{}/v1", server.url);
    let stranger = here.join("stranger").to_string_lossy().into_owned();
    let elsewhere = ("XDG_STATE_HOME", stranger.as_str());
    let refused = ["does not get your key", &format!("hint: if you trust that server, say `--endpoint {url}`")];
    let before = server.seen().len();
    for used in [&EVALUATE[..], &ASK, &["calibrate", "run"], &["train", "--resume", "run"]] {
        keyed(1, used, &[elsewhere], here, &refused).await?;
        keyed(1, used, &[elsewhere, ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")], here, &refused).await?;
    }
    assert_eq!(server.seen().len(), before);
    keyed(0, &[&EVALUATE[..], &["--endpoint", &url]].concat(), &[elsewhere], here, &[]).await?;
    keyed(0, &EVALUATE, &[elsewhere, ("OPENAI_BASE_URL", &server.url)], here, &[]).await?;
    keyed(0, &EVALUATE, &[elsewhere, ("LAMAS_BASE_URL", &server.url)], here, &[]).await?;
    fs::write(here.join("mine.toml"), format!("[endpoint]\nurl = \"{url}\"\n"))?;
    keyed(0, &EVALUATE, &[elsewhere, ("LAMAS_CONFIG", "mine.toml")], here, &[]).await?;
    keyed(0, &EVALUATE, &[elsewhere, ("OPENAI_API_KEY", "")], here, &[]).await?;

    // The registration covers what the run asked for; whoever changes that is a stranger.
    let other = Server::start(|_, _| streamed("The answer is 42.", 40, 5)).await;
    let settings = fs::read_to_string(here.join("run/settings.json"))?;
    fs::write(here.join("run/settings.json"), settings.replace(&server.url, &other.url))?;
    keyed(1, &["train", "--resume", "run"], &[], here, &["does not get your key"]).await?;
    let named = settings.replacen('{', "{ \"python\": \"/there/python\",", 1);
    fs::write(here.join("run/settings.json"), named)?;
    let program = ["names the program `/there/python`", "it is not run; hint: `--python /there/python`"];
    keyed(1, &["train", "--resume", "run", "--endpoint", &url], &[], here, &program).await?;
    assert!(other.seen().is_empty());
    Ok(())
}
