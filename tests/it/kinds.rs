//! Every kind of operator from a catalogue to an answer: surveyed, recorded, trained, drawn and reported, on the
//! command line and a server of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use assert_cmd::Command;
use lamas::operation::Catalogue;
use lamas::plan::{OperatorId, Signature, improvers, openers};
use serde_json::Value;

use crate::server::{Reply, Server, streamed};

const SMALL: &str = "[[operator]]\nname = \"Small\"\nkind = \"generate\"\ndescription = \"Answers at once.\"\n\
                     prompt = \"{{ question }} small\"\nmax_tokens = 9\n";
const LARGE: &str = "[[operator]]\nname = \"Large\"\nkind = \"generate\"\ndescription = \"Thinks first.\"\n\
                     prompt = \"{{ question }} large\"\nmax_tokens = 99\n";
const DEBATE: &str = "[[operator]]\nname = \"Debate\"\nkind = \"debate\"\ndescription = \"Three argue.\"\nsamples = 3\nrounds = 2\n\
                      prompt = \"{{ question }}{% for s in solutions %} said {{ s }}{% endfor %}\"\nmax_tokens = 99\n\
                      temperature = 0.5\n";
const JUDGE: &str = "[[operator]]\nname = \"Judge\"\nkind = \"judge\"\ndescription = \"Rates solutions.\"\n\
                     prompt = \"{{ question }} rate{% for s in solutions %} {{ loop.index }}: {{ s }}{% endfor %}\"\n\
                     max_tokens = 20\n";

pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub errors: String,
}

/// A benchmark of a few problems, a server, and a folder for what is written.
pub struct Place {
    folder: tempfile::TempDir,
    server: Server,
}

impl Place {
    /// A catalogue for the problems of the tiny benchmark, whose answer is always 42.
    pub async fn new(catalogue: &str, script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let place = Self::empty(script).await?;
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny");
        fs::create_dir(place.path("b"))?;
        fs::copy(tiny.join("benchmark.toml"), place.path("b/benchmark.toml"))?;
        fs::write(place.path("b/catalogue.toml"), catalogue)?;
        for split in ["train", "validation", "test"] {
            let problem = |at: usize| {
                format!("{{\"id\": \"{split}-{at}\", \"question\": \"what is {at} and more ?\", \"answer\": \"42\"}}\n")
            };
            fs::write(place.path(&format!("b/{split}.jsonl")), (0..4).map(problem).collect::<String>())?;
        }
        Ok(place)
    }

    /// Without a benchmark yet; the server answers according to the text of the prompt.
    pub async fn empty(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let server =
            Server::start(move |_, body| script(body["messages"][0]["content"].as_str().unwrap_or_default())).await;
        Ok(Place { folder: tempfile::tempdir()?, server })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn lamas(&self, arguments: &str) -> Result<Output> {
        self.lamas_at(arguments, "state").await
    }

    /// As on the machine whose state is in the folder of that name.
    pub async fn lamas_at(&self, arguments: &str, state: &str) -> Result<Output> {
        let mut command = Command::cargo_bin("lamas")?;
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.args(["--model-name", "m", "--price", "1", "--endpoint", &self.server.url]);
        command.env("LAMAS_DEVICE", "cpu").env("LAMAS_BENCHMARK", self.path("b")).env("LAMAS_CACHE_MODE", "off");
        command.env("XDG_STATE_HOME", self.path(state)).env("OPENAI_API_KEY", "sk-hunter2").env_remove("LAMAS_API_KEY");
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let [out, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(!errors.contains("panicked"), "{errors}");
        Ok(Output { code: output.status.code(), out, errors })
    }

    /// What `lamas` prints, as JSON.
    pub async fn json(&self, arguments: &str) -> Result<Value> {
        let Output { code, out, errors } = self.lamas(arguments).await?;
        assert_eq!(code, Some(0), "{arguments}: {errors}");
        serde_json::from_str(&out).with_context(|| format!("{arguments}: {out}"))
    }

    /// Trains, and expects that the operator is surveyed, recorded and reported. Returns its lines of the record.
    pub async fn train(&self, operator: &str) -> Result<Vec<Value>> {
        let trained = self.lamas("train --epochs 1 --out run").await?;
        assert_eq!(trained.code, Some(0), "{}", trained.errors);
        let record = fs::read_to_string(self.path("run/record.jsonl"))?;
        let lines: Vec<Value> = record.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let own: Vec<Value> = lines.into_iter().filter(|line| line["operator"] == operator).collect();
        assert!(own.len() >= 4, "each training problem has a line of `{operator}`, found {}", own.len());
        let report = fs::read_to_string(self.path("run/report.html"))?;
        assert!(report.contains(operator), "the report names `{operator}`");
        Ok(own)
    }
}

/// Of two answers, the small model's is wrong. A debater who has read another answer gives 42, and a judge knows it
/// too.
fn script(prompt: &str) -> Reply {
    let right = "6 * 7 = 42. The answer is 42.";
    if prompt.contains(" rate") {
        let ratings = prompt.split(" rate").nth(1).unwrap_or_default();
        let numbers = (1..9).filter_map(|at| ratings.split(&format!(" {at}: ")).nth(1).map(|text| (at, text)));
        let rate = |(at, text): (usize, &str)| {
            let own = text.split(&format!(" {}: ", at + 1)).next().unwrap_or_default();
            format!("Solution {at}: {}/10\n", if own.contains("42") { 9 } else { 1 })
        };
        return streamed(&numbers.map(rate).collect::<String>(), 40, 6);
    }
    let is_right = prompt.contains("large") || prompt.contains("said");
    streamed(if is_right { right } else { "The answer is 7." }, 40, if is_right { 9 } else { 5 })
}

#[tokio::test(flavor = "multi_thread")]
async fn debaters_read_each_other() -> Result<()> {
    let place = Place::new(&[SMALL, DEBATE].concat(), script).await?;
    let own = place.train("Debate").await?;
    for line in &own {
        // Three answers in two rounds: those of the second count, and each took one call in either round.
        assert_eq!((&line["effect"], line["calls"].as_array().map(Vec::len)), (&"append".into(), Some(6)), "{line}");
        let solutions = line["solutions"].as_array().context("solutions")?;
        assert_eq!(solutions.len(), 3, "{line}");
        let texts = solutions.iter().map(|solution| (&solution["answer"], &solution["tokens"]));
        assert!(texts.into_iter().all(|(answer, tokens)| *answer == "42" && *tokens == 5 + 9), "{line}");
    }
    let answered = place.json("run 6*7? --plan Debate --json --cancel virtual").await?;
    assert_eq!((&answered["answer"], &answered["usage"]["completion_tokens"]), (&"42".into(), &(3 * 5 + 3 * 9).into()));
    // The rounds follow one another, each as long as its longest answer.
    assert_eq!(answered["critical_path_tokens"], 14.0);
    let span = &answered["trace"]["spans"][0];
    assert_eq!((&span["calls"], &span["latency"]["tokens"]), (&6.into(), &14.0.into()), "{span}");
    // A recorded call takes just as long when it is replayed.
    let replayed = place.json("run 6*7? --plan Debate --json --cancel virtual --record again.jsonl").await?;
    let again = place.json("run 6*7? --plan Debate --json --cancel virtual --record again.jsonl").await?;
    for answered in [&replayed, &again] {
        assert_eq!(answered["critical_path_tokens"], 14.0, "{answered}");
    }
    let drawn = place.lamas("run 6*7? --plan Small,Debate").await?;
    assert!(drawn.code == Some(0) && drawn.out.contains("Debate") && drawn.out.contains("42"), "{}", drawn.out);
    let asked = place.json("run 6*7? --checkpoint run --json").await?;
    assert_eq!(asked["answer"], "42", "the debate is worth its calls: {asked}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judge_weighs_the_vote() -> Result<()> {
    let place = Place::new(&[LARGE, SMALL, JUDGE].concat(), script).await?;
    let own = place.train("Judge").await?;
    assert!(own.iter().all(|line| line["effect"] == "judge" && line["solutions"] == Value::Array(vec![])), "{own:?}");
    let two = own.iter().find(|line| line["marks"].as_array().is_some_and(|marks| marks.len() == 2));
    assert_eq!(two.context("a judge of two solutions")?["marks"], serde_json::json!([0.9, 0.1]));
    // Of two answers the last one wins, unless a judge knows better.
    assert_eq!(place.json("run 6*7? --plan Large,Small --json").await?["answer"], "7");
    let judged = place.json("run 6*7? --plan Large,Small;Judge --json").await?;
    assert_eq!((&judged["answer"], &judged["trace"]["spans"][2]["calls"]), (&"42".into(), &1.into()), "{judged}");
    let drawn = place.lamas("run 6*7? --plan Large,Small;Judge").await?;
    assert!(drawn.code == Some(0) && drawn.out.contains("Judge") && drawn.out.contains("42"), "{}", drawn.out);
    // A record takes the place of the model, also for judges.
    let made = place.lamas("record --split train --readers --out calls.jsonl").await?;
    assert_eq!(made.code, Some(0), "{}", made.errors);
    let asked = place.server.seen().len();
    let found = place.lamas("operators --traces calls.jsonl --split train").await?;
    assert!(found.code == Some(0) && found.out.contains("Judge"), "{}{}", found.out, found.errors);
    assert_eq!(place.server.seen().len(), asked, "what is recorded asks nobody");
    Ok(())
}

#[test]
fn every_kind_is_surveyed() -> Result<()> {
    let of_kind = |kind: &str, more: &str| {
        format!("[[operator]]\nname = \"{kind}\"\nkind = \"{kind}\"\ndescription = \"Acts.\"\n{more}\n")
    };
    let asks =
        "prompt = \"{{ question }}{% for s in solutions %}{{ s }}{% endfor %}\"\nmax_tokens = 9\ntemperature = 0.5";
    // The error lists the known kinds. Whoever adds a kind must say here what it needs.
    let unknown = Catalogue::parse(of_kind("unknown", ""), "c").err().context("an error")?.to_string();
    let known: Vec<&str> = unknown.split('`').skip(5).step_by(2).collect();
    assert!(known.contains(&"generate") && known.contains(&"command"), "{unknown}");
    let settings = |kind: &str| match kind {
        "ensemble" | "stop" => String::new(),
        "test" => format!("checker = \"equations\"\n{asks}"),
        "command" => "command = [\"x\"]".to_owned(),
        _ => asks.to_owned(),
    };
    let mut text: String = known.iter().map(|kind| of_kind(kind, &settings(kind))).collect();
    text += &of_kind("ensemble", asks).replacen("\"ensemble\"", "\"chooser\"", 1);
    text += &of_kind("command", "command = [\"x\"]\ngives = \"context\"").replacen("\"command\"", "\"finder\"", 1);
    text += &of_kind("command", "command = [\"x\"]\ntakes = [\"solutions\"]").replacen("\"command\"", "\"checker\"", 1);
    let catalogue = Catalogue::parse(text, "c")?;
    let signatures = catalogue.signatures();
    let surveyed: Vec<OperatorId> = openers(&signatures).chain(improvers(&signatures)).collect();
    for (at, (operator, signature)) in catalogue.operators().iter().zip(&signatures).enumerate() {
        let is_surveyed = surveyed.contains(&OperatorId(at as u16));
        // Every plan ends with a plain vote anyway, and a stop does nothing.
        let expected = !["ensemble", "stop"].contains(&operator.name.as_str());
        assert_eq!(is_surveyed, expected, "{}", operator.name);
        assert_eq!(signature.is_at_work(), expected, "{}", operator.name);
        assert_eq!(
            [signature.opens(), signature.improves(), signature.prepares()].iter().filter(|is| **is).count(),
            usize::from(expected),
            "{}: one place in a plan",
            operator.name
        );
    }
    assert_eq!(surveyed.len(), known.len() - 2 + 3);
    assert!(Signature::prepares(&signatures[catalogue.find("finder")?.index()]));
    Ok(())
}
