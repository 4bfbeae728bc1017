//! Failed queries are asked again, and count as wrong if they fail again; what an endpoint refuses for good is an
//! answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use lamas::model::openai::{EndpointConfig, Key, OpenAi};
use lamas::model::{FinishReason, LanguageModel, Prices};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule};
use lamas::task::Benchmark;
use serde_json::Value;

use crate::endpoint::{config, request};
use crate::faults::benchmark;
use crate::planned::Planned;
use crate::run_folder::{check, lamas, tiny};
use crate::server::{Reply, Server, refusal, streamed};

fn asks(body: &Value, question: &str) -> bool {
    body["messages"].to_string().contains(question)
}

async fn system(server: &Server, benchmark: Benchmark) -> Result<Planned> {
    let config = EndpointConfig { attempts: 1, ..config(server) };
    let client = OpenAi::new(config, Key::default(), &Prices::default())?;
    let catalogue = Catalogue::load(benchmark.folder(), "catalogue.toml")?;
    let prices = client.prices().clone();
    Planned::new(catalogue, benchmark, Arc::new(client), &prices, Schedule::Layered)
}

#[tokio::test]
async fn a_query_that_fails_is_asked_once_more_and_then_counts_as_wrong() -> Result<()> {
    let benchmark = benchmark()?;
    let problems = benchmark.problems("train")?;
    let [once, always] = [3, 5].map(|at: usize| problems[at].question.clone());
    let answers: Vec<_> = problems.iter().map(|problem| (problem.question.clone(), problem.answer.clone())).collect();
    let failed = AtomicBool::new(false);
    let server = Server::start(move |_, body| {
        let is_down = asks(body, &always) || asks(body, &once) && !failed.swap(true, Ordering::Relaxed);
        let answer =
            answers.iter().find(|(question, _)| asks(body, question)).map_or("", |(_, answer)| answer.as_str());
        if is_down {
            refusal(503, "", "overloaded", "later")
        } else {
            streamed(&format!("The answer is {answer}."), 30, 6)
        }
    })
    .await;
    let system = system(&server, benchmark).await?;
    let (pass, outcome) = system.evaluate("direct", &problems, |_| Plan::from_indices(&[&[0]]), 0, 4).await;
    outcome?;
    assert_eq!((pass.episodes.len(), pass.failed), (problems.len(), 1));
    for (at, (episode, problem)) in pass.episodes.iter().zip(&problems).enumerate() {
        assert_eq!(
            (&episode.problem, episode.score, episode.is_complete()),
            (&problem.id, f64::from(at != 5), at != 5)
        );
    }
    // One more request for each failed query.
    assert_eq!(server.seen().len(), problems.len() + 2);
    Ok(())
}

#[tokio::test]
async fn what_is_refused_for_the_prompt_is_an_answer_without_text() -> Result<()> {
    for (reply, expected) in [
        (refusal(400, "", "content_filter", "no"), FinishReason::Filtered),
        (refusal(400, "", "invalid_request_error", "rejected by our safety system"), FinishReason::Filtered),
        (refusal(403, "", "moderation_blocked", "no"), FinishReason::Filtered),
        (refusal(400, "", "context_length_exceeded", "no"), FinishReason::ContextExceeded),
        (refusal(400, "", "", "This model's maximum context length is 4096 tokens."), FinishReason::ContextExceeded),
        (refusal(500, "", "exceed_context_size_error", "no"), FinishReason::ContextExceeded),
        (
            Reply::Events(
                vec![r#"{"error": {"message": "no", "code": "content_filter"}}"#.into()],
                crate::server::End::Clean,
            ),
            FinishReason::Filtered,
        ),
    ] {
        let replies = std::sync::Mutex::new(vec![reply]);
        let server = Server::start(move |_, _| replies.lock().expect("no panic").pop().unwrap_or(Reply::Close)).await;
        let client =
            OpenAi::new(EndpointConfig { attempts: 1, ..config(&server) }, Key::default(), &Prices::default())?;
        let completion = client.complete(&request("3 + 5", 0)).await?;
        assert_eq!((completion.text.as_str(), completion.finish, completion.usage.tokens()), ("", expected, 0));
    }
    Ok(())
}

/// While `is_down`, every prompt of one question gets `reply`; all other prompts are answered properly.
async fn unwilling(question: String, is_down: Arc<AtomicBool>, reply: fn() -> Reply) -> Server {
    Server::start(move |_, body| {
        let refuses = asks(body, &question) && is_down.load(Ordering::Relaxed);
        if refuses { reply() } else { streamed("The answer is 42.", 30, 6) }
    })
    .await
}

async fn baselines(code: i32, server: &Server, folder: &Path, expected: &[&str]) -> Result<String> {
    let settings = format!("[endpoint]\nurl = \"{}\"\nmodel = \"m\"\nprice = 0.0\nattempts = 1\n", server.url);
    fs::write(folder.join("settings.toml"), settings)?;
    let command = lamas(&["baselines", "--config", "settings.toml", "--benchmark", &tiny(), "--json"], folder);
    let expected: Vec<String> = expected.iter().map(|&part| part.to_owned()).collect();
    let checked = move || check(code, command, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(checked).await?
}

fn rows(text: &str) -> Result<Value> {
    let (start, end) = (text.find('[').context("a list")?, text.find("\n]").context("its end")?);
    Ok(serde_json::from_str(&text[start..end + 2])?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_most_of_whose_queries_fail_has_no_score_until_they_are_answered() -> Result<()> {
    let place = tempfile::tempdir()?;
    let question = benchmark()?.problems("test")?[2].question.clone();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = || refusal(503, "", "overloaded", "later");
    let server = unwilling(question.clone(), is_down.clone(), down).await;
    let expected = ["`Generate` has no score: 1 of 8 queries failed", "hint: the answers received are recorded"];
    let rows_of = rows(&baselines(1, &server, place.path(), &expected).await?)?;
    let summary = &rows_of[0]["summary"];
    assert_eq!((&summary["failed"], &summary["score"], &summary["problems"]), (&1.into(), &Value::Null, &8.into()));
    let before = server.seen().len();
    assert_eq!(before, 9, "each once, and the one that failed twice");
    is_down.store(false, Ordering::Relaxed);
    let rows_of = rows(&baselines(0, &server, place.path(), &[]).await?)?;
    assert!(rows_of[0]["summary"]["score"]["mean"].is_number(), "{rows_of}");
    let seen = server.seen();
    let first: BTreeSet<String> = seen[..before].iter().map(|seen| seen.body.to_string()).collect();
    let again = seen[before..].iter().filter(|seen| first.contains(&seen.body.to_string()));
    assert!(again.clone().all(|seen| asks(&seen.body, &question)) && again.count() == 1, "only what failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_a_filter_refuses_ends_no_run_and_is_asked_once() -> Result<()> {
    let place = tempfile::tempdir()?;
    let question = benchmark()?.problems("test")?[2].question.clone();
    let filtered = || refusal(400, "", "content_filter", "not this one");
    let server = unwilling(question, Arc::new(AtomicBool::new(true)), filtered).await;
    let said = ["not this one; such questions count as answered without text"];
    let first = baselines(0, &server, place.path(), &said).await?;
    assert_eq!(first.matches("count as answered").count(), 1, "{first}");
    let before = server.seen().len();
    let again = baselines(0, &server, place.path(), &[]).await?;
    assert_eq!(server.seen().len(), before);
    let figures = |text: &str| -> Result<Vec<Value>> {
        let rows = rows(text)?;
        let row = |row: &Value| {
            ["name", "score", "failed", "problems"].map(|name| row["summary"][name].clone()).to_vec().into()
        };
        Ok(rows.as_array().into_iter().flatten().map(row).collect())
    };
    assert_eq!(figures(&first)?, figures(&again)?);
    assert_eq!(
        (&rows(&again)?[0]["summary"]["failed"], &rows(&again)?[0]["summary"]["problems"]),
        (&0.into(), &8.into())
    );
    Ok(())
}
