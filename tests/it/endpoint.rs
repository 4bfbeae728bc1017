//! The client of OpenAI-compatible endpoints against a server on the wire: what servers do, and what the client makes
//! of it.

use std::time::Duration;

use anyhow::Result;
use lamas::model::openai::{EndpointConfig, Key, OpenAi};
use lamas::model::{
    Completion, Error, FinishReason, LanguageModel, Message, Meter, Prices, Reading, Request, Role, Sampling,
};
use lamas::plan::Usage;
use serde_json::{Value, json};

use crate::server::{End, Reply, Server, refusal, streamed, usage, whole, words};

pub const KEY: &str = "sk-hunter2";

/// Settings for a nearby server and hurried tests.
pub fn config(server: &Server) -> EndpointConfig {
    EndpointConfig {
        url: Some(server.url.clone()),
        model: Some("m".into()),
        price: Some(1.0),
        attempts: 3,
        backoff_seconds: 0.002,
        stall_seconds: 0.25,
        ..EndpointConfig::default()
    }
}

pub fn client(config: EndpointConfig) -> Result<OpenAi> {
    OpenAi::new(config, Key::new(Some(KEY.into())), &Prices::default())
}

pub fn request(content: &str, sample: u64) -> Request {
    Request {
        model: String::new(),
        messages: vec![Message { role: Role::User, content: content.into() }],
        sampling: Sampling { temperature: 0.7, top_p: 1.0, max_tokens: 50, stop: Vec::new() },
        sample,
    }
}

pub const ANSWER: &str = "the answer is 8";
pub const USAGE: Usage = Usage { prompt_tokens: 12, completion_tokens: 5, cached_tokens: 0, estimated_tokens: 0 };

fn good() -> Reply {
    streamed(ANSWER, 12, 5)
}

fn finish(reason: &str) -> String {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }).to_string()
}

/// One call of a server that gives `replies` in turn, and then repeats the last one.
async fn call(replies: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Result<(Result<Completion, Error>, Server)> {
    let server = Server::start(move |number, _| replies(number)).await;
    let completion = client(config(&server))?.complete(&request("3 + 5", 0)).await;
    Ok((completion, server))
}

#[tokio::test]
async fn an_answer_is_streamed_and_timed() -> Result<()> {
    let server = Server::start(|_, _| good()).await;
    let client = client(config(&server))?;
    let completion = client.complete(&request("3 + 5", 1)).await?;
    client.complete(&request("3 + 5", 1)).await?;
    client.complete(&request("3 + 5", 2)).await?;
    assert_eq!((completion.text.as_str(), completion.usage, completion.finish), (ANSWER, USAGE, FinishReason::Stop));
    let timing = completion.timing;
    assert!(0.0 < timing.first_token && timing.first_token <= timing.total, "{timing:?}");
    assert!(timing.queued < 0.1 && timing.retries == 0 && completion.seconds_per_token().is_some(), "{timing:?}");

    let seen = server.seen();
    assert!(seen[0].head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", seen[0].head);
    assert!(seen[0].head.to_lowercase().contains(&format!("authorization: bearer {KEY}")), "{}", seen[0].head);
    let body = |number: usize| &seen[number].body;
    assert_eq!(
        (&body(0)["model"], &body(0)["stream"], &body(0)["max_tokens"]),
        (&json!("m"), &json!(true), &json!(50))
    );
    assert_eq!(body(0), body(1));
    assert_ne!(body(0)["seed"], body(2)["seed"]);
    let account = client.account();
    assert_eq!((account.requests, account.answered, account.usage.tokens(), account.lost.tokens()), (3, 3, 51, 0));
    assert!((account.cost - 51e-6).abs() < 1e-12);
    Ok(())
}

#[tokio::test]
async fn usage_is_found_wherever_servers_put_it() -> Result<()> {
    let check = async |reply: fn() -> Reply, expected: Usage| -> Result<()> {
        let (completion, _) = call(move |_| reply()).await?;
        let completion = completion?;
        assert_eq!((completion.text.as_str(), completion.usage, completion.timing.retries), (ANSWER, expected, 0));
        Ok(())
    };
    fn with(end: End, last: &[Value]) -> Reply {
        Reply::Events(words(ANSWER).into_iter().chain(last.iter().map(Value::to_string)).collect(), end)
    }
    let estimated = Usage { prompt_tokens: 2, completion_tokens: 4, cached_tokens: 0, estimated_tokens: 6 };
    check(|| whole(ANSWER, 12, 5), USAGE).await?;
    // A usage chunk whose choices are not empty.
    check(
        || {
            let stop = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
            with(End::Clean, &[stop, json!({ "choices": [{ "delta": {} }], "usage": usage(12, 5) })])
        },
        USAGE,
    )
    .await?;
    // Usage on the finish chunk, no `[DONE]`, a connection that breaks or stays open.
    fn at_once(end: End) -> Reply {
        with(end, &[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": usage(12, 5) })])
    }
    check(|| at_once(End::Clean), USAGE).await?;
    check(|| at_once(End::Cut), USAGE).await?;
    check(|| at_once(End::Open), USAGE).await?;
    check(|| with(End::Clean, &[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })]), estimated).await?;
    // Cached tokens, at a price of their own.
    let cached = || {
        let mut counted = usage(12, 5);
        counted["prompt_tokens_details"] = json!({ "cached_tokens": 8 });
        with(End::Clean, &[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": counted })])
    };
    check(cached, Usage { cached_tokens: 8, ..USAGE }).await
}

#[tokio::test]
async fn a_server_that_does_not_count_in_streams_is_asked_for_whole_answers() -> Result<()> {
    let server = Server::start(|_, body| match body["stream"].as_bool() {
        Some(true) => {
            Reply::Events(words(ANSWER).into_iter().chain([finish("length"), "[DONE]".into()]).collect(), End::Clean)
        }
        _ => whole(ANSWER, 12, 5),
    })
    .await;
    let client = client(config(&server))?;
    let first = client.complete(&request("3 + 5", 0)).await?;
    assert_eq!((first.usage.estimated_tokens, first.finish), (6, FinishReason::Length));
    assert_eq!(client.complete(&request("3 + 5", 1)).await?.usage, USAGE);
    assert_eq!(server.seen().len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_may_pass_is_tried_again() -> Result<()> {
    let check = async |fault: fn() -> Reply| -> Result<()> {
        let (completion, server) = call(move |number| if number == 0 { fault() } else { good() }).await?;
        let completion = completion?;
        assert_eq!((completion.text.as_str(), completion.usage, completion.timing.retries), (ANSWER, USAGE, 1));
        assert!(completion.timing.queued >= 0.002, "{:?}", completion.timing);
        assert_eq!(server.seen().len(), 2);
        Ok(())
    };
    check(|| refusal(429, "retry-after: 0\r\n", "rate_limit_exceeded", "slow down")).await?;
    check(|| refusal(408, "", "timeout", "late")).await?;
    check(|| Reply::Whole(409, "", r#"{"detail": "conflict"}"#.into())).await?;
    check(|| Reply::Whole(503, "", "<html>no upstream</html>".into())).await?;
    check(|| Reply::Whole(200, "", "no JSON at all".into())).await?;
    check(|| Reply::Whole(200, "", r#"{"object": "list"}"#.into())).await?;
    check(|| Reply::Whole(200, "", r#"{"error": {"message": "overloaded", "code": 529}}"#.into())).await?;
    check(|| Reply::CutBody(r#"{"choices": [{"mess"#.into())).await?;
    check(|| Reply::Events(words("the answer"), End::Cut)).await?;
    // A gateway that ends the stream properly, but in the middle of the answer.
    check(|| Reply::Events(words("the answer"), End::Clean)).await?;
    check(|| Reply::Events(vec!["no JSON".into()], End::Clean)).await?;
    check(|| Reply::Events(vec![json!({ "error": { "message": "lost the GPU" } }).to_string()], End::Clean)).await?;
    check(|| Reply::Close).await?;
    // Stalls, before the first token and after it.
    check(|| Reply::Silence).await?;
    check(|| Reply::Events(words("the answer"), End::Open)).await
}

#[tokio::test]
async fn waits_that_servers_ask_for_are_kept_by_all_and_are_not_the_models_latency() -> Result<()> {
    for header in ["retry-after: 0.4\r\n", "llm_provider-retry-after: 0.4\r\n"] {
        let server = Server::start(move |number, _| match number {
            0 => refusal(429, header, "rate_limit_exceeded", "slow down"),
            _ => good(),
        })
        .await;
        let client = client(EndpointConfig { in_flight: 1, ..config(&server) })?;
        let requests = [request("3 + 5", 0), request("4 + 5", 0)];
        let both = futures::future::try_join_all(requests.iter().map(|request| client.complete(request))).await?;
        for completion in both {
            let timing = completion.timing;
            assert!(timing.queued >= 0.35 && timing.total < 0.25, "{timing:?}");
        }
        assert_eq!(server.seen().len(), 3);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_pass_is_asked_once_and_the_key_is_not_told() -> Result<()> {
    let check = async |fault: fn() -> Reply, parts: &[&str]| -> Result<()> {
        let (completion, server) = call(move |_| fault()).await?;
        let error = completion.expect_err("a refusal");
        assert!(error.is_permanent(), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(KEY), "{text}");
        for part in parts.iter().chain(&["127.0.0.1", "model `m`"]) {
            assert!(text.contains(part), "expected `{part}` in {text}");
        }
        assert_eq!(server.seen().len(), 1);
        Ok(())
    };
    check(
        || refusal(401, "", "invalid_api_key", "Incorrect API key provided: sk-hunter2."),
        &["401: Incorrect API key provided: [key].", "hint: set OPENAI_API_KEY"],
    )
    .await?;
    check(|| refusal(429, "retry-after: 1\r\n", "insufficient_quota", "check your plan"), &["nothing left to spend"])
        .await?;
    check(|| refusal(404, "", "model_not_found", "no such model"), &["404: no such model", "--model-name"]).await?;
    check(|| Reply::Whole(400, "", r#"{"detail": "too long"}"#.into()), &["400: too long"]).await?;
    check(|| refusal(429, "retry-after: 86400\r\n", "rate_limit_exceeded", "today's share"), &["wait 86400 s"]).await?;
    check(|| Reply::Whole(302, "location: http://elsewhere/\r\n", String::new()), &["302"]).await
}

#[tokio::test]
async fn attempts_are_bounded() -> Result<()> {
    let (completion, server) = call(|_| refusal(500, "", "server_error", "broken")).await?;
    let error = completion.expect_err("a failure");
    assert!(!error.is_permanent() && error.retries() == 2, "{error:?}");
    assert!(error.to_string().ends_with("500: broken (after 3 requests)"), "{error}");
    assert_eq!(server.seen().len(), 3);

    // A server that disappears in the middle of a run is retried; one that was never there is not.
    let server = Server::start(|_, _| good()).await;
    let client = client(config(&server))?;
    client.complete(&request("3 + 5", 0)).await?;
    server.close().await;
    let error = client.complete(&request("3 + 5", 1)).await.expect_err("nobody listens there");
    assert!(matches!(error, Error::Exhausted { requests: 3, .. }), "{error}");
    assert_eq!((client.account().lost.tokens(), client.account().requests), (0, 4));
    Ok(())
}

#[tokio::test]
async fn parameters_that_a_server_lacks_are_left_out_from_then_on() -> Result<()> {
    let server = Server::start(|_, body| {
        if body.get("seed").is_some() {
            return refusal(400, "", "unknown_parameter", "Unrecognized request argument supplied: seed");
        }
        if body.get("max_tokens").is_some() {
            return refusal(400, "", "unsupported_parameter", "Unsupported parameter: 'max_tokens'. Use another.");
        }
        good()
    })
    .await;
    let client = client(config(&server))?;
    assert_eq!(client.complete(&request("3 + 5", 0)).await?.timing.retries, 2);
    assert_eq!(client.complete(&request("3 + 5", 1)).await?.timing.retries, 0);
    let last = server.seen().pop().expect("four requests").body;
    assert_eq!((&last["max_completion_tokens"], last.get("max_tokens"), last.get("seed")), (&json!(50), None, None));
    assert_eq!(server.seen().len(), 4);
    Ok(())
}

#[tokio::test]
async fn caps_are_never_exceeded() -> Result<()> {
    let server = Server::start(|_, _| streamed(ANSWER, 20, 50)).await;
    // At most 5 + 16 tokens read and 50 written: room for two calls and never a third, whatever runs at once.
    let client = client(EndpointConfig { max_tokens: Some(205), ..config(&server) })?;
    let requests: Vec<Request> = (0..8).map(|sample| request("3 + 5", sample)).collect();
    let all = futures::future::join_all(requests.iter().map(|request| client.complete(request))).await;
    let capped: Vec<&Error> = all.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(
        capped.iter().all(|error| matches!(error, Error::Capped(why) if why.contains("--max-tokens 205"))),
        "{capped:?}"
    );
    assert_eq!((server.seen().len(), client.account().usage.tokens(), capped.len()), (2, 140, 6));
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_no_longer_needed_is_dropped() -> Result<()> {
    let server = Server::start(|number, _| if number == 0 { Reply::Silence } else { good() }).await;
    let client = client(EndpointConfig { in_flight: 1, stall_seconds: 60.0, ..config(&server) })?;
    let dropped = tokio::time::timeout(Duration::from_millis(100), client.complete(&request("3 + 5", 0))).await;
    assert!(dropped.is_err());
    assert_eq!(client.complete(&request("3 + 5", 1)).await?.text, ANSWER);
    let account = client.account();
    assert_eq!((account.requests, account.answered, account.lost.estimated_tokens), (2, 1, 2));

    // A server that does not stream may go on writing, so everything that it may write is counted.
    let server = Server::start(|_, _| Reply::Silence).await;
    let client = self::client(EndpointConfig { stream: false, ..config(&server) })?;
    let meter = Meter::default();
    let request = request("3 + 5", 0);
    let call = client.complete_metered(&request, &meter);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    let lost = Usage { prompt_tokens: 2, completion_tokens: 50, cached_tokens: 0, estimated_tokens: 52 };
    let Reading { requests, usage, written, sent, .. } = meter.read();
    assert_eq!((client.account().lost, usage, requests, written, sent.is_some()), (lost, lost, 1, 0, true));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() -> Result<()> {
    let server = Server::start(|_, _| Reply::Silence).await;
    let config = EndpointConfig { stream: false, total_seconds: 0.1, attempts: 2, ..config(&server) };
    let error = client(config)?.complete(&request("3 + 5", 0)).await.expect_err("silence");
    assert!(error.to_string().contains("no answer within 0.1 s (after 2 requests)"), "{error}");
    Ok(())
}

#[test]
fn models_need_a_price_and_a_name() {
    let url = Some("http://127.0.0.1:9".to_owned());
    let error = |config| client(config).err().map(|error| error.to_string()).unwrap_or_default();
    let unpriced = error(EndpointConfig { url: url.clone(), model: Some("m".into()), ..Default::default() });
    assert!(unpriced.contains("found `m`") && unpriced.contains("price = 0"), "{unpriced}");
    assert!(error(EndpointConfig { url, ..Default::default() }).contains("`--model-name NAME`"));
}
