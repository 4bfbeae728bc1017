//! Commands: the worked example, what a hostile command can do, and whose commands run.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kinds::{Output, Place};
use super::sandbox;
use crate::server::{Reply, streamed};

const GENERATE: &str = "[[operator]]\nname = \"Guess\"\nkind = \"generate\"\ndescription = \"Answers.\"\n\
                        prompt = \"{{ question }}\"\nmax_tokens = 9\n";

fn command(name: &str, script: &str, more: &str) -> String {
    format!(
        "[[operator]]\nname = \"{name}\"\nkind = \"command\"\ndescription = \"Runs.\"\ncommand = [\"python3\", \"{script}\"]\n\
         {more}\n"
    )
}

/// Copies the worked example to the benchmark folder of a place.
fn copy_example(to: &Path) -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/examples/retrieval");
    for folder in ["", "texts"] {
        fs::create_dir_all(to.join(folder))?;
        for entry in fs::read_dir(example.join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                fs::copy(&path, to.join(folder).join(path.file_name().context("a file")?))?;
            }
        }
    }
    Ok(())
}

/// Knows what is in the first text that it is given, and nothing else.
fn reader(prompt: &str) -> Reply {
    let text = prompt.split("Texts:").nth(1).unwrap_or_default();
    let number: String = text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number = if number.is_empty() { "1" } else { &number };
    streamed(&format!("The answer is {number}."), 40, 5)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_retrieves_and_answers() -> Result<()> {
    if sandbox::open().await?.is_none() {
        return Ok(());
    }
    let place = Place::empty(reader).await?;
    copy_example(&place.path("b"))?;
    let own = place.train("Retrieve").await?;
    assert!(own.iter().all(|line| line["effect"] == "inform" && line["calls"][0]["tool"] == true), "{own:?}");
    assert!(own.iter().any(|line| line["context"].as_str().is_some_and(|text| text.contains("120 seats"))), "{own:?}");
    let question = "run the_hall_has_how_many_seats?";
    assert_eq!(place.json(&format!("{question} --plan Answer --json")).await?["answer"], "1");
    let answered = place.json(&format!("{question} --plan Retrieve;Answer --json")).await?;
    assert_eq!(answered["answer"], "120", "{answered}");
    // Charged as the catalogue says.
    assert_eq!(answered["trace"]["spans"][0]["tool_seconds"], 0.05, "{answered}");
    let drawn = place.lamas(&format!("{question} --plan Retrieve;Answer")).await?;
    assert!(drawn.code == Some(0) && drawn.out.contains("Retrieve"), "{}", drawn.out);
    // The controller has learned that it pays, in a run that was made here.
    let asked = place.json("run how_many_blades_has_the_wheel_of_the_mill? --checkpoint run --json").await?;
    assert_eq!(asked["answer"], "16", "{asked}");
    check_strangers(&place).await
}

/// A checkpoint's commands run where it was made; elsewhere only if asked for.
async fn check_strangers(place: &Place) -> Result<()> {
    let question = "run how_many_blades_has_the_wheel_of_the_mill? --checkpoint run";
    let refused = place.lamas_at(question, "elsewhere").await?;
    assert_ne!(refused.code, Some(0));
    let told = "operator `Retrieve` of `run";
    assert!(refused.errors.contains(told) && refused.errors.contains("hint: `--run-commands`"), "{}", refused.errors);
    let allowed = place.lamas_at(&format!("{question} --run-commands"), "elsewhere").await?;
    assert!(allowed.code == Some(0) && allowed.out.contains("16"), "{}{}", allowed.out, allowed.errors);
    Ok(())
}

/// What a command may not do, each as a program that prints `context` if it could do it.
fn hostile(home: &Path, port: u16) -> Vec<(&'static str, String)> {
    let ends = "\nimport json; print(json.dumps({'context': 'done'}))";
    let home = home.display();
    [
        ("reads a file of the home folder", format!("open('{home}/secret').read()")),
        ("lists the home folder", format!("import os; os.listdir('{home}')")),
        ("writes into its own folder", "import os, sys; open(os.path.dirname(sys.argv[0]) + '/x', 'w')".to_owned()),
        ("opens a socket", format!("import socket; socket.create_connection(('127.0.0.1', {port}), 2)")),
        ("forks", "import os; os.fork()".to_owned()),
        ("starts a program", "import subprocess; subprocess.run(['/bin/true'], check=True)".to_owned()),
        ("reads a key of the environment", "import os; os.environ['OPENAI_API_KEY']".to_owned()),
    ]
    .map(|(what, program)| (what, program + ends))
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_command_is_stopped() -> Result<()> {
    if sandbox::open().await?.is_none() {
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let programs = |home: &Path| hostile(home, port);
    let count = programs(Path::new("")).len();
    let tables: String =
        (0..count).map(|at| command(&format!("H{at}"), &format!("{at}.py"), "gives = \"context\"")).collect();
    let honest = command("Honest", "honest.py", "gives = \"context\"");
    let place = Place::new(&[GENERATE, &honest, &tables].concat(), |_| streamed("The answer is 42.", 40, 5)).await?;
    fs::create_dir(place.path("home"))?;
    fs::write(place.path("home/secret"), "secret")?;
    fs::write(place.path("b/honest.py"), "print('{\"context\": \"done\"}')")?;
    let home = place.path("home").canonicalize()?;
    for (at, (_, program)) in programs(&home).iter().enumerate() {
        fs::write(place.path(&format!("b/{at}.py")), program)?;
    }
    let names: Vec<String> = (0..count).map(|at| format!("H{at}")).collect();
    let answered = place
        .json(&format!("run 6*7? --plan Honest,{};Guess --json --cancel virtual --quorum false", names.join(",")))
        .await?;
    let outcome = |at: usize| &answered["trace"]["spans"][at]["outcome"];
    assert_eq!(outcome(0), "done", "{answered}");
    for (at, (what, _)) in programs(&home).iter().enumerate() {
        assert!(outcome(at + 1).get("failed").is_some(), "{what}: {}", outcome(at + 1));
    }
    listener.set_nonblocking(true)?;
    assert!(listener.accept().is_err(), "nobody has come");
    assert!(!place.path("b/x").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_command_has_the_users_rights_and_answers() -> Result<()> {
    let script = "import json, subprocess, sys\nasked = json.load(sys.stdin)\nsubprocess.run(['true'], check=True)\n\
                  json.dump({'solution': f\"{len(asked['solutions'])} of {asked['question']}\", 'answer': '42', 'tokens': 7, \
                  'dollars': 0.25}, sys.stdout)\n";
    let trusted = command("Agent", "agent.py", "trusted = true\ntakes = [\"solutions\"]");
    let broken = command("Broken", "broken.py", "trusted = true");
    let silent = command("Silent", "silent.py", "trusted = true");
    let catalogue = [GENERATE, &trusted, &broken, &silent].concat();
    let place = Place::new(&catalogue, |_| streamed("The answer is 7.", 40, 5)).await?;
    fs::write(place.path("b/agent.py"), script)?;
    fs::write(place.path("b/broken.py"), "print('hello')")?;
    fs::write(place.path("b/silent.py"), "")?;
    let answered = place.json("run what? --plan Guess;Agent --json --record r.jsonl").await?;
    let span = |answered: &Value, at: usize| answered["trace"]["spans"][at].clone();
    assert_eq!((&answered["answer"], &answered["text"]), (&"42".into(), &"1 of what?".into()), "{answered}");
    let agent = span(&answered, 1);
    assert_eq!((&agent["usage"]["completion_tokens"], &agent["cost"]), (&7.into(), &0.25.into()), "{agent}");
    assert!(agent["tool_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{agent}");
    // A recorded command is not run again, and costs what it cost then.
    fs::write(place.path("b/agent.py"), "raise Exception")?;
    let again = span(&place.json("run what? --plan Guess;Agent --json --record r.jsonl").await?, 1);
    assert_eq!([&again["cost"], &again["tool_seconds"]], [&agent["cost"], &agent["tool_seconds"]]);
    let Output { errors, out, .. } = place.lamas("run what? --plan Guess,Broken,Silent --json").await?;
    let answered: Value = serde_json::from_str(&out).context(errors)?;
    assert!(
        span(&answered, 1)["outcome"]["failed"].as_str().is_some_and(|fault| fault.contains("expected JSON")),
        "{out}"
    );
    assert_eq!((&span(&answered, 2)["outcome"], &answered["answer"]), (&"done".into(), &"7".into()), "{out}");
    Ok(())
}
