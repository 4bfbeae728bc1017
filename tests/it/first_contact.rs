//! The first contact with an endpoint, and waits that are reported, kept and broken off.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use lamas::model::openai::{EndpointConfig, Notice, OpenAi};
use lamas::model::{Error, LanguageModel, Mode, Replay};
use serde_json::json;

use crate::endpoint::{ANSWER, client, config, request};
use crate::server::{Reply, Server, refusal, streamed};

/// The usual patience: eight tries, and pauses of at least half a second.
fn patient(server: &Server) -> EndpointConfig {
    let EndpointConfig { attempts, backoff_seconds, .. } = EndpointConfig::default();
    EndpointConfig { attempts, backoff_seconds, ..config(server) }
}

fn listening(client: OpenAi) -> (OpenAi, Arc<Mutex<Vec<Notice>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    (client.telling(Box::new(move |notice| heard.lock().expect("no panic").push(notice.clone()))), told)
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_at_once() -> Result<()> {
    let server = Server::start(|_, _| streamed(ANSWER, 12, 5)).await;
    let config = patient(&server);
    server.close().await;
    let unknown = EndpointConfig { url: Some("http://no-such-host.invalid/v1".into()), ..config.clone() };
    for (config, part) in [(config, "refused"), (unknown, "no-such-host.invalid")] {
        let (client, told) = listening(client(config)?);
        let requests = [request("3 + 5", 0), request("3 + 5", 1)];
        let calls = requests.iter().map(|request| client.complete(request));
        for result in futures::future::join_all(calls).await {
            let error = result.expect_err("nobody is there");
            let text = error.to_string();
            assert!(error.is_permanent() && text.contains(part) && text.contains("`--endpoint`"), "{text}");
        }
        assert_eq!((client.account().probes, client.account().requests), (1, 0));
        assert!(told.lock().expect("no panic").is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn the_list_of_models_is_asked_for_once_and_only_believed_where_a_model_fails() -> Result<()> {
    let models = || Reply::Whole(200, "", json!({ "data": [{ "id": "first" }, { "id": "second" }] }).to_string());
    // A server that accepts any model name.
    let server = Server::listing(models, |_, _| streamed(ANSWER, 12, 5)).await;
    let easy = client(patient(&server))?;
    for sample in 0..3 {
        assert_eq!(easy.complete(&request("3 + 5", sample)).await?.text, ANSWER);
    }
    assert_eq!((server.probes(), easy.account().probes, easy.account().requests), (1, 1, 3));
    // A server that does not, in two ways.
    for status in [404, 503] {
        let server = Server::listing(models, move |_, _| refusal(status, "", "no_channel", "no such channel")).await;
        let error = client(patient(&server))?.complete(&request("3 + 5", 0)).await.expect_err("an unknown model");
        let text = error.to_string();
        assert!(error.is_permanent() && text.contains("lists `first`, `second` and no such model"), "{text}");
        assert_eq!(server.seen().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_lists_no_models_still_serves() -> Result<()> {
    let lists: [fn() -> Reply; 5] = [
        || refusal(401, "", "missing_scope", "no right to read models"),
        || Reply::Whole(200, "", "<html>".into()),
        || Reply::Whole(200, "", json!({ "data": [{ "id": "m" }] }).to_string()),
        || Reply::Close,
        || streamed(ANSWER, 12, 5),
    ];
    for list in lists {
        let server = Server::listing(list, |number, _| match number {
            0 => refusal(503, "", "server_error", "loading"),
            _ => streamed(ANSWER, 12, 5),
        })
        .await;
        let completion = client(config(&server))?.complete(&request("3 + 5", 0)).await?;
        assert_eq!((completion.text.as_str(), completion.timing.retries), (ANSWER, 1));
    }
    Ok(())
}

#[tokio::test]
async fn waits_are_told_and_end_when_nobody_waits() -> Result<()> {
    let server = Server::start(|_, _| refusal(429, "retry-after: 60\r\n", "rate_limit_exceeded", "slow down")).await;
    let (teller, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = Box::new(move |notice: &Notice| teller.send(notice.clone()).expect("somebody listens"));
    let client = Arc::new(client(patient(&server))?.telling(listener));
    let started = Instant::now();
    // Dropped: the wait is over, and nothing more is sent.
    let first = request("3 + 5", 0);
    let notice = tokio::select! {
        result = client.complete(&first) => panic!("{result:?}"),
        notice = told.recv() => notice.expect("a notice"),
    };
    let Notice::Waiting { pause, request: 2, requests: 8, .. } = &notice else { panic!("{notice:?}") };
    assert!(pause.as_secs() == 60 && notice.to_string().contains("429: slow down"), "{notice}");
    // Stopped: calls that pause between two tries, and calls that wait until the server admits anyone.
    let waiting = client.clone();
    let call = tokio::spawn(async move { waiting.complete(&request("3 + 5", 1)).await });
    tokio::task::yield_now().await;
    client.stop_waiting("Ctrl-C");
    let stopped = call.await?.expect_err("nobody waits any longer");
    assert!(matches!(&stopped, Error::Capped(why) if why == "Ctrl-C"), "{stopped}");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(server.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn waits_beyond_reason_are_refused_with_the_reason() -> Result<()> {
    for header in ["retry-after: 100000000000000000000\r\n", "x-ratelimit-reset-requests: 11m0s\r\n"] {
        let server = Server::start(move |_, _| refusal(429, header, "rate_limit_exceeded", "slow down")).await;
        let error = client(patient(&server))?.complete(&request("3 + 5", 0)).await.expect_err("too long a wait");
        assert!(error.is_permanent() && error.to_string().contains("the server asks to wait"), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_model_lacks_is_said_once() -> Result<()> {
    let server = Server::start(|_, body| match body.get("temperature") {
        Some(_) => refusal(400, "", "unsupported_value", "temperature: only the default value is supported"),
        None => streamed(ANSWER, 12, 5),
    })
    .await;
    let (client, told) = listening(client(patient(&server))?);
    let requests: Vec<_> = (0..4).map(|sample| request("3 + 5", sample)).collect();
    futures::future::try_join_all(requests.iter().map(|request| client.complete(request))).await?;
    let told = told.lock().expect("no panic");
    assert!(
        matches!(&told[..], [Notice::Remark(remark)] if remark.contains("it does not accept our `temperature`")),
        "{told:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_service_with_a_version_in_its_query_is_asked_as_it_wants() -> Result<()> {
    let server = Server::start(|_, _| streamed(ANSWER, 12, 5)).await;
    let url = format!("{}/openai/deployments/m/chat/completions?api-version=2024-10-21", server.url);
    let client = client(EndpointConfig { url: Some(url), ..config(&server) })?;
    assert_eq!(client.complete(&request("3 + 5", 0)).await?.text, ANSWER);
    let head = server.seen().pop().expect("a request").head.to_lowercase();
    assert!(head.starts_with("post /openai/deployments/m/chat/completions?api-version=2024-10-21 http/1.1"), "{head}");
    assert!(head.contains("api-key: sk-hunter2") && !head.contains("authorization"), "{head}");
    Ok(())
}

#[tokio::test]
async fn what_is_recorded_needs_no_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("completions.sqlite");
    let server = Server::start(|_, body| match body.get("temperature") {
        Some(_) => refusal(400, "", "unsupported_value", "temperature: only the default value is supported"),
        None => streamed(ANSWER, 12, 5),
    })
    .await;
    let config = patient(&server);
    let recording = Replay::open(client(config.clone())?, &path, Mode::Use)?;
    recording.complete(&request("3 + 5", 0)).await?;
    let records = recording.store().expect("a store").holdings()?;
    assert!(records[0].back_end.ends_with("/v1 without temperature"), "{records:?}");
    drop(recording);
    server.close().await;
    for mode in [Mode::Use, Mode::Replay] {
        // A client that does not know yet that the model accepts no temperature.
        let client = Arc::new(client(config.clone())?);
        let replay = Replay::open(client.clone(), &path, mode)?;
        assert_eq!(replay.complete(&request("3 + 5", 0)).await?.text, ANSWER);
        assert_eq!((replay.misses(), client.account().probes), (0, 0));
        assert!(replay.complete(&request("3 + 5", 1)).await.is_err());
    }
    Ok(())
}
