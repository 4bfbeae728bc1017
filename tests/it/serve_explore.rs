//! Exploration, and training from what was served.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use lamas::folder::Folder;
use lamas::import::{Served, ServedSummary, Shares, import_served};
use lamas::operation::{Catalogue, Traces};
use lamas::serve::{Journal, Keys};
use lamas::task::Benchmark;
use serde_json::{Value, json};

use crate::server::{streamed, whole};
use crate::serving::{ONE, Serving, Setup, body, by_plan, lines, right};

/// All operators of the run that ask a model.
const OPERATORS: [&str; 4] = ["Generate", "GenerateCoT", "MultiGenerateCoT", "SelfRefine"];

#[tokio::test(flavor = "multi_thread")]
async fn who_was_not_asked_is_asked_afterwards() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::exploring(Keys::default(), folder.path(), 1.0, |_, _| right()).await?;
    let (_, value) = serving.asked("tiny", by_plan(ONE)).await?;
    serving.counts("lamas_explorations_total{result=\"done\"} 1").await;
    let id = value["id"].as_str().and_then(|id| id.strip_prefix("chatcmpl-")).unwrap_or_default();
    // One call that answers; then one and three beside it, and one that works on an answer: all say the same, and what is
    // recorded of a request is not asked again.
    assert_eq!((serving.account().requests, serving.upstream.seen().len()), (6, 6));
    let record = lines(folder.path(), "record.jsonl")?;
    let asked: BTreeSet<&str> = record.iter().filter_map(|line| line["operator"].as_str()).collect();
    assert_eq!(asked, BTreeSet::from(OPERATORS));
    assert!(record.iter().all(|line| line["problem"] == id), "{record:?}");
    let decisions = lines(folder.path(), "decisions.jsonl")?;
    let drawn = json!({ "share": 1.0, "drawn": true, "dropped": false });
    assert_eq!((decisions.len(), &decisions[0]["explore"], &decisions[0]["probability"]), (1, &drawn, &json!(1.0)));
    let explored = &lines(folder.path(), "explorations.jsonl")?[0];
    assert_eq!((&explored["id"], &explored["result"]), (&json!(id), &json!("done")), "{explored}");
    // What is explored is no cost of the request.
    let [cost, answer] = [&explored["cost"], &value["lamas"]["cost"]].map(|cost| cost.as_f64().unwrap_or_default());
    assert!((cost - 5.0 * answer).abs() < 1e-12 && (serving.account().cost - cost - answer).abs() < 1e-12, "{cost}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_on_answers_is_asked_behind_each_of_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::exploring(Keys::default(), folder.path(), 1.0, |number, _| {
        streamed(&format!("{number} ways. The answer is 42."), 40, 9)
    })
    .await?;
    serving.asked("tiny", by_plan(ONE)).await?;
    serving.counts("lamas_explorations_total{result=\"done\"} 1").await;
    let record = lines(folder.path(), "record.jsonl")?;
    let reads: BTreeSet<&str> = record.iter().filter_map(|line| line["read"].as_str()).collect();
    let lines_of = |name: &str| record.iter().filter(|line| line["operator"] == name).count();
    assert_eq!((reads.len(), OPERATORS.map(lines_of), serving.account().answered), (3, [1, 1, 1, 3], 8));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_not_heard_out_is_asked_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::exploring(Keys::default(), folder.path(), 1.0, |_, _| right()).await?;
    // Two of three answers that agree end the plan: the third is dropped, and nothing is recorded.
    let (_, value) = serving.asked("tiny", by_plan("MultiGenerateCoT")).await?;
    assert_eq!(value["lamas"]["answer"], "42");
    serving.counts("lamas_explorations_total{result=\"done\"} 1").await;
    let record = lines(folder.path(), "record.jsonl")?;
    let several = record.iter().filter(|line| line["operator"] == "MultiGenerateCoT");
    let solutions: Vec<usize> = several.filter_map(|line| Some(line["solutions"].as_array()?.len())).collect();
    assert_eq!(solutions, [3]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_shadow_a_plan_answers_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let journal = Some(Arc::new(Journal::open(folder.path())?));
    let setup = Setup { journal, shadows: true, ..Setup::default() };
    let serving = Serving::set_up(setup, |_, _| whole("plain", 5, 1)).await?;
    let (_, value) = serving.asked("tiny", by_plan("GenerateCoT;SelfRefine")).await?;
    assert_eq!((&value["choices"][0]["message"]["content"], serving.upstream.seen().len()), (&json!("plain"), 1));
    let decision = &lines(folder.path(), "decisions.jsonl")?[0];
    assert_eq!((&decision["shadow"]["plan"], &decision["planned"]), (&json!("GenerateCoT;SelfRefine"), &Value::Null));
    assert_eq!(serving.asked("tiny", by_plan("Nobody")).await?.0, 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exploration_has_a_cap_of_its_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::exploring(Keys::default(), folder.path(), 0.0, |_, _| right()).await?;
    assert_eq!(serving.asked("tiny", by_plan(ONE)).await?.0, 200);
    serving.counts("lamas_explorations_total{result=\"dropped\"} 1").await;
    let explored = &lines(folder.path(), "explorations.jsonl")?[0];
    assert!(explored["reason"].as_str().is_some_and(|reason| reason.contains("cap")), "{explored}");
    assert_eq!(serving.account().requests, 1);
    Ok(())
}

/// What the run `tiny` was asked, as a benchmark.
fn import(folder: &Path, out: &Path, most_share: f64) -> Result<ServedSummary> {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/benchmarks/tiny");
    let benchmark = Benchmark::load(Folder::Disk(tiny))?;
    import_served(&Served {
        folder: folder.to_owned(),
        run: "tiny".into(),
        catalogue: Catalogue::load(benchmark.folder(), &benchmark.catalogue)?,
        benchmark,
        out: out.to_owned(),
        most_share,
        seed: 1,
        shares: Shares::default(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_and_rated_is_trained_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = Keys::of_text("sk-alice-alice,sk-robert-robert")?;
    let serving = Serving::exploring(keys, folder.path(), 1.0, |_, _| right()).await?;
    let ask = async |key: &str, question: &str, feedback: Value| -> Result<()> {
        let mut request = body("tiny", by_plan(ONE));
        request["messages"][0]["content"] = question.into();
        let answered: Value =
            serving.post("/v1/chat/completions").bearer_auth(key).json(&request).send().await?.json().await?;
        let mut feedback = feedback;
        feedback["id"] = answered["id"].clone();
        let said = serving.post("/v1/feedback").bearer_auth(key).json(&feedback).send().await?;
        assert_eq!(said.status(), 200);
        Ok(())
    };
    for number in 0..6 {
        ask("sk-alice-alice", &format!("question {number} ?"), json!({ "answer": "42" })).await?;
    }
    ask("sk-alice-alice", "a wrong one ?", json!({ "answer": "41" })).await?;
    ask("sk-robert-robert", "a good one ?", json!({ "score": 1 })).await?;
    // All answers are the one that was shown, so that the score says what each is worth.
    ask("sk-robert-robert", "half of one ?", json!({ "score": 0.5 })).await?;
    // Asked a second time: greedy calls are in the record but once.
    ask("sk-robert-robert", "question 0 ?", json!({ "answer": "42" })).await?;
    ask("sk-robert-robert", "not said ?", json!({ "answer": "who knows" })).await?;
    serving.counts("lamas_explorations_total{result=\"done\"} 11").await;
    let out = folder.path().join("out");
    let summary = import(folder.path(), &out, 1.0)?;
    let ServedSummary { answered, rated, explored, complete, problems, notes, .. } = &summary;
    assert_eq!([*answered, *rated, *explored, *complete, problems.values().sum()], [11, 11, 11, 11, 10], "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("1 problems are left out")), "{notes:?}");
    let benchmark = Benchmark::load(Folder::Disk(out.clone()))?;
    let catalogue = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?;
    assert_eq!((benchmark.reward.cost_weight, benchmark.reward.latency_weight), (3.0, 0.001));
    let traces = Traces::load(&summary.traces, &catalogue, benchmark.answer)?;
    let mut found: Vec<(String, String, Option<f64>)> = Vec::new();
    for split in ["train", "validation", "test"] {
        for problem in benchmark.problems(split)? {
            let score = traces.query(&problem.id).and_then(|query| query.score("42"));
            found.push((problem.question, problem.answer, score));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let of = |question: &str| {
        found.iter().find(|(asked, ..)| asked == question).map(|(_, answer, score)| (answer.as_str(), *score))
    };
    assert_eq!(of("a wrong one ?"), Some(("41", None)));
    assert_eq!((of("a good one ?"), of("half of one ?")), (Some(("42", None)), Some(("", Some(0.5)))));
    assert_eq!(found.iter().filter(|(question, ..)| question == "question 0 ?").count(), 2);
    // Of ten problems seven are of one key: no more than those of the other are left.
    let limited = import(folder.path(), &folder.path().join("limited"), 0.5)?;
    assert_eq!(limited.problems.values().sum::<usize>(), 6, "{:?}", limited.notes);
    let refused = import(folder.path(), &folder.path().join("refused"), 0.4).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("with N keys it is at least 1/N")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_explored_is_no_sample() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::keeping(Keys::default(), folder.path(), |_, _| right()).await?;
    let all = json!({ "lamas": { "plan": "Generate,GenerateCoT,MultiGenerateCoT;SelfRefine" } });
    for (number, more) in [all.clone(), all.clone(), all, by_plan(ONE)].into_iter().enumerate() {
        let mut more = more;
        more["messages"] = json!([{ "role": "user", "content": format!("question {number} ?") }]);
        let (_, value) = serving.asked("tiny", more).await?;
        let feedback = json!({ "id": value["id"], "answer": "42" });
        assert_eq!(serving.post("/v1/feedback").json(&feedback).send().await?.status(), 200);
    }
    // The quorum of plans may have dropped calls: what is not there cannot be trained from.
    let imported = import(folder.path(), &folder.path().join("out"), 1.0);
    let told = imported.map_or_else(|error| error.to_string(), |summary| summary.notes.join("; "));
    assert!(told.contains("nothing was explored") || told.contains("4 were rated, 0 of these explored"), "{told}");
    Ok(())
}
