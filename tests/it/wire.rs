//! Odd, broken and endless data on the wire: what is usable is used, anything else is given up within bounds.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use lamas::model::openai::EndpointConfig;
use lamas::model::{Completion, Error, FinishReason, LanguageModel, Sampling};
use lamas::plan::Usage;
use serde_json::{Value, json};

use crate::endpoint::{ANSWER, KEY, USAGE, client, config, request};
use crate::server::{End, Reply, Server, raw, refusal, response, streamed, usage, whole, words};

const EVENTS: &str = "content-type: text/event-stream\r\n";
const JSON: &str = "content-type: application/json\r\n";
/// What the kernel and the client may hold of a stream that nobody reads.
const ON_ITS_WAY: u64 = 24 << 20;

/// One call, with a single try, of a server that gives this reply.
async fn call(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Result<Result<Completion, Error>> {
    let server = Server::start(move |_, _| reply()).await;
    let config = EndpointConfig { attempts: 1, stall_seconds: 60.0, ..config(&server) };
    Ok(client(config)?.complete(&request("3 + 5", 0)).await)
}

#[track_caller]
fn said(result: &Result<Completion, Error>, parts: &[&str]) {
    let text = result.as_ref().expect_err("no answer").to_string();
    assert!(!text.contains('\u{1b}') && !text.to_lowercase().contains(&KEY[2..]), "{text}");
    for part in parts {
        assert!(text.contains(part), "expected `{part}` in {text}");
    }
}

/// A whole answer with this choice and this usage.
fn answer(choice: &Value, usage: &Value) -> String {
    json!({ "choices": [choice], "usage": usage }).to_string()
}

fn message() -> Value {
    json!({ "index": 0, "message": { "content": ANSWER }, "finish_reason": "stop" })
}

/// The stream of [`ANSWER`], each event as `framed` writes it.
fn stream(framed: impl Fn(String) -> String) -> String {
    let end = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }], "usage": usage(12, 5) }).to_string();
    words(ANSWER).into_iter().chain([end, "[DONE]".into()]).map(framed).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory")
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("memory")
}

#[tokio::test]
async fn streams_and_bodies_are_read_in_every_form() -> Result<()> {
    let plain = stream(|event| format!("data: {event}\n\n"));
    let body = answer(&message(), &usage(12, 5));
    let forms: Vec<(&str, Vec<u8>)> = vec![
        (EVENTS, format!("\u{feff}{plain}").into()),
        (EVENTS, stream(|event| format!("data: {event}\r\n\r\n")).into()),
        (EVENTS, stream(|event| format!("data: {event}\r\r")).into()),
        (EVENTS, stream(|event| format!("data:{event}\n\n")).into()),
        (EVENTS, stream(|event| format!("data: {}\n\n", event.replace(",\"", ",\ndata: \""))).into()),
        (EVENTS, stream(|event| format!(": waiting\n\nid: 3\nevent: message\ndata: {event}\n\n\n\n")).into()),
        (EVENTS, stream(|event| format!("event: ping\ndata: now\n\ndata: {event}\n\n")).into()),
        (EVENTS, stream(|event| format!("data: {event}\n")).into()),
        // The last event has no end.
        (EVENTS, plain.trim_end().into()),
        (EVENTS, plain.replace("data: [DONE]\n\n", "").trim_end().into()),
        ("content-type: Text/Event-Stream; Charset=UTF-8\r\n", plain.clone().into()),
        (JSON, plain.clone().into()),
        ("", plain.clone().into()),
        (JSON, body.clone().into()),
        ("", body.clone().into()),
        (EVENTS, body.clone().into()),
        (JSON, format!("\u{feff}\n {body}\n").into()),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", gzip(&body)),
        ("content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", gzip(&plain)),
        ("content-type: application/json\r\ncontent-encoding: deflate\r\n", zlib(&body)),
        // Headers that say too much or too little.
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", body.clone().into()),
        (JSON, gzip(&body)),
        // Something after the end.
        (JSON, [gzip(&body), b"rest".to_vec()].concat()),
    ];
    for (head, body) in forms {
        let shown = format!("{head}{}", String::from_utf8_lossy(&body));
        let completion = call(move || raw(head, &body)).await?.unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!((completion.text.as_str(), completion.usage), (ANSWER, USAGE), "{shown}");
        assert_eq!((completion.finish, completion.timing.retries), (FinishReason::Stop, 0), "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_is_read_however_it_is_cut() -> Result<()> {
    let reply = || {
        let bytes = response(EVENTS, stream(|event| format!("data: {event}\r\n\r\n")).as_bytes());
        Reply::Raw(bytes.chunks(1).map(<[u8]>::to_vec).collect())
    };
    assert_eq!(call(reply).await?.map(|completion| completion.text)?, ANSWER);
    // A body that ends too early is not an answer, wherever it ends.
    let body = answer(&message(), &usage(12, 5));
    let end = body.len();
    let server = Server::start(move |number, _| raw(JSON, &body.as_bytes()[..number.min(end)])).await;
    let client = client(EndpointConfig { attempts: 1, ..config(&server) })?;
    for cut in 0..=end {
        let answered = client.complete(&request("3 + 5", 0)).await;
        assert_eq!(answered.is_ok(), cut == end, "{cut}: {answered:?}");
        assert!(answered.is_ok_and(|completion| completion.text == ANSWER) || cut < end);
    }
    Ok(())
}

#[tokio::test]
async fn odd_counts_lose_no_answer() -> Result<()> {
    let estimated = Usage { prompt_tokens: 2, completion_tokens: 4, cached_tokens: 0, estimated_tokens: 6 };
    let of = |prompt: Value, completion: Value| json!({ "prompt_tokens": prompt, "completion_tokens": completion });
    let odd = [
        json!([]),
        json!(false),
        json!("11"),
        json!(null),
        of(json!(-12), json!(-5)),
        of(json!([]), json!({})),
        of(json!(u64::MAX), json!(u64::MAX)),
        json!({ "prompt_tokens": null, "completion_tokens": null, "total_tokens": 0 }),
    ];
    let marked = Usage { estimated_tokens: 17, ..USAGE };
    let written = [of(json!(12.0), json!("5")), of(json!("12"), json!("5.0"))].map(|usage| (usage, marked)).into_iter();
    let uncounted = Usage { prompt_tokens: 12, estimated_tokens: 4, ..estimated };
    let uncounted = [(of(json!(12), json!(0)), uncounted)];
    for (usage, expected) in odd.into_iter().map(|usage| (usage, estimated)).chain(written).chain(uncounted) {
        let body = answer(&message(), &usage);
        let completion = call(move || raw(JSON, body.as_bytes())).await??;
        assert_eq!((completion.text.as_str(), completion.usage), (ANSWER, expected), "{usage}");
        assert!(completion.usage.estimated_tokens > 0, "{usage}");
    }
    Ok(())
}

#[test]
fn sums_of_tokens_do_not_wrap() {
    let most = Usage { prompt_tokens: u64::MAX, completion_tokens: u64::MAX, ..Usage::default() };
    let mut sum = most;
    sum += most;
    assert_eq!((sum, sum.tokens()), (most, u64::MAX));
}

#[tokio::test]
async fn the_text_is_found_wherever_it_stands() -> Result<()> {
    let parts = json!([{ "type": "text", "text": "the answer " }, { "type": "text", "text": "is 8" }]);
    let second = json!({ "index": 1, "message": { "content": "the answer is 9" }, "finish_reason": "stop" });
    for choices in [
        json!([{ "message": { "content": parts }, "finish_reason": "stop" }]),
        json!([second, message()]),
        json!([message(), second]),
        json!([{ "index": 1, "message": { "content": ANSWER }, "finish_reason": "stop" }]),
    ] {
        let body = json!({ "choices": choices, "usage": usage(12, 5) }).to_string();
        let completion = call(move || raw(JSON, body.as_bytes())).await??;
        assert_eq!((completion.text.as_str(), completion.usage), (ANSWER, USAGE), "{choices}");
    }
    // Two texts at once, a first piece without choices and a last one without a delta.
    let piece = |index: u64, word: &str| json!({ "choices": [{ "index": index, "delta": { "content": word } }] });
    let events = [
        json!({ "choices": [] }),
        piece(1, "the other "),
        piece(0, "the answer "),
        piece(1, "one"),
        piece(0, "is 8"),
        json!({ "choices": [{ "index": 1, "finish_reason": "length" }] }),
        json!({ "choices": [{ "index": 0, "finish_reason": "stop" }], "usage": usage(12, 5) }),
    ];
    let events: Vec<String> = events.iter().map(Value::to_string).collect();
    let completion = call(move || Reply::Events(events.clone(), End::Clean)).await??;
    assert_eq!((completion.text.as_str(), completion.finish, completion.usage), (ANSWER, FinishReason::Stop, USAGE));
    // Thoughts that used up all tokens leave no answer, and are paid for.
    let thoughts = json!({ "message": { "content": null, "reasoning_content": "hm" }, "finish_reason": "length" });
    let body = answer(&thoughts, &usage(12, 50));
    let completion = call(move || raw(JSON, body.as_bytes())).await??;
    assert_eq!(
        (completion.text.as_str(), completion.finish, completion.usage.completion_tokens),
        ("", FinishReason::Length, 50)
    );
    Ok(())
}

#[tokio::test]
async fn what_the_server_broke_off_is_no_answer() -> Result<()> {
    let ends = [
        json!({ "finish_reason": "error" }),
        json!({ "finish_reason": "stop", "native_finish_reason": "network_error" }),
        json!({ "finish_reason": null, "error": { "code": 502, "message": "lost the GPU" } }),
    ];
    for end in ends {
        for is_streamed in [true, false] {
            let end = end.clone();
            let server = Server::start(move |number, _| {
                let mut choice = end.clone();
                match (number, is_streamed) {
                    (0, true) => {
                        let broken = json!({ "choices": [choice] }).to_string();
                        Reply::Events(words("the answer").into_iter().chain([broken]).collect(), End::Clean)
                    }
                    (0, false) => {
                        choice["message"] = json!({ "content": "the answer" });
                        raw(JSON, answer(&choice, &usage(12, 2)).as_bytes())
                    }
                    _ => streamed(ANSWER, 12, 5),
                }
            })
            .await;
            let client = client(config(&server))?;
            let completion = client.complete(&request("3 + 5", 0)).await?;
            assert_eq!((completion.text.as_str(), completion.timing.retries), (ANSWER, 1));
            assert_eq!(client.account().answered, 1);
            assert!(client.account().lost.completion_tokens > 0, "{:?}", client.account());
        }
    }
    // Decided by the code: a request that cannot succeed is not retried.
    for (code, is_permanent) in [(json!(401), true), (json!("invalid_request_error"), true), (json!("x"), false)] {
        let events = [words("the"), vec![json!({ "error": { "code": code, "message": "no" } }).to_string()]].concat();
        let error = call(move || Reply::Events(events.clone(), End::Open)).await?.expect_err("an error");
        assert_eq!(error.is_permanent(), is_permanent, "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn parameters_that_a_model_lacks_are_left_out_once() -> Result<()> {
    let server = Server::start(|_, body| {
        let has = |name: &str| body.get(name).is_some();
        let refused = |message: &str| refusal(400, "", "invalid_request_error", message);
        if body["model"] == "other" {
            return streamed(ANSWER, 12, 5);
        }
        if has("temperature") {
            return refused(
                "'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            );
        }
        if has("seed") || has("stream_options") {
            return refused("seed and stream_options are not supported. Supported parameters: stop, top_p, max_tokens");
        }
        if has("stop") {
            return refused("Unsupported parameter: 'stop' is not supported with this model.");
        }
        if has("top_p") {
            return refused("`top_p` is deprecated for this model.");
        }
        if has("max_tokens") {
            return refused("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.");
        }
        match body["stream"].as_bool() {
            Some(true) => refused("stream is not supported"),
            _ => whole("the answer is 8\nQuestion: what", 12, 5),
        }
    })
    .await;
    let client = client(EndpointConfig { attempts: 1, ..config(&server) })?;
    let mut request = request("3 + 5", 0);
    let stop = vec![String::new(), "\nQuestion".into()];
    request.sampling = Sampling { temperature: 0.7, top_p: 0.9, max_tokens: 50, stop };
    assert_eq!(client.identity(&request), client.id());
    let completion = client.complete(&request).await?;
    assert_eq!(
        (completion.text.as_str(), completion.finish, completion.timing.retries),
        (ANSWER, FinishReason::Stop, 6)
    );
    assert_eq!(client.complete(&request).await?.timing.retries, 0);
    let body = server.seen().pop().expect("requests").body;
    let mut names: Vec<&String> = body.as_object().into_iter().flat_map(|body| body.keys()).collect();
    names.sort();
    assert_eq!(names, ["max_completion_tokens", "messages", "model", "stream"]);
    // Sampling in another way than requested gives another answer.
    let identity = format!("{} without temperature, top_p", client.id());
    assert_eq!(client.identity(&request), identity);
    assert!(client.identities(&request).iter().any(|other| *other == identity));
    Ok(())
}

#[tokio::test]
async fn nothing_endless_is_read_to_no_end() -> Result<()> {
    let text = "x".repeat(1 << 16);
    let event = format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }));
    let many = "data: {\"choices\": []}\n\n".repeat(1 << 10);
    let body = |head: &str, start: &str| [&response(head, b"")[..], start.as_bytes()].concat();
    // How each begins, what is repeated for ever, and how much of it may be accepted.
    let endless = [
        (body(JSON, "{\"choices\": [{\"message\": {\"content\": \""), text.clone(), 32 << 20, "at most 32 MB"),
        (body(JSON, "{\"choices\": [0"), ",{\"index\": 3}".repeat(1 << 10), 32 << 20, "at most 32 MB"),
        (body("", "no answer at all "), text.clone(), 32 << 20, "at most 32 MB"),
        (body(EVENTS, "data: {\"choices\": \""), text.clone(), 8 << 20, "at most 8 MB"),
        (body(EVENTS, ""), format!("data: {text}\n"), 8 << 20, "at most 8 MB"),
        (body(EVENTS, ""), event, 32 << 20, "at most 32 MB"),
        (body(EVENTS, ""), many, 32 << 20, "at most 32 MB"),
        (b"HTTP/1.1 500 no\r\nconnection: close\r\n\r\n".to_vec(), text.clone(), 1 << 20, "500: xxx"),
    ];
    for (start, part, most, message) in endless {
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let server = Server::start(move |_, _| Reply::Endless(start.clone(), part.clone().into(), count.clone())).await;
        let config = EndpointConfig { attempts: 1, stall_seconds: 60.0, ..config(&server) };
        let result = client(config)?.complete(&request("3 + 5", 0)).await;
        said(&result, &[message]);
        let written = written.load(Ordering::Relaxed);
        assert!(written < most + ON_ITS_WAY, "{message}: {written} bytes");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_small_on_the_wire_is_bounded_once_it_is_unpacked() -> Result<()> {
    for (head, unpacked) in
        [(JSON, format!("{{\"choices\": \"{}", " ".repeat(40 << 20))), (EVENTS, ": x".repeat(20 << 20))]
    {
        let packed = gzip(&unpacked);
        assert!(packed.len() < 1 << 17, "{}", packed.len());
        said(&call(move || raw(head, &packed)).await?, &["at most"]);
    }
    Ok(())
}

#[tokio::test]
async fn the_clock_runs_while_a_server_writes() -> Result<()> {
    let floods = [": waiting\n", "data: {\"choices\": []}\n\n", "x"];
    for flood in floods {
        let start = response(EVENTS, b"");
        let part = flood.repeat(16);
        let reply = move || Reply::Endless(start.clone(), part.clone().into(), Arc::default());
        let server = Server::start(move |_, _| reply()).await;
        let config = EndpointConfig { attempts: 1, stall_seconds: 0.2, total_seconds: 0.4, ..config(&server) };
        let result = client(config)?.complete(&request("3 + 5", 0)).await;
        let text = result.expect_err("no answer").to_string();
        assert!(
            ["no token for 0.2 s", "no answer within 0.4 s", "at most"].iter().any(|end| text.contains(end)),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn many_choices_and_long_lines_are_read_in_one_pass() -> Result<()> {
    let other = json!({ "index": 7, "message": { "content": "no" } }).to_string() + ",";
    let body = format!("{{\"choices\": [{}{}], \"usage\": {}}}", other.repeat(300_000), message(), usage(12, 5));
    let completion = call(move || raw(JSON, body.as_bytes())).await??;
    assert_eq!((completion.text.as_str(), completion.usage), (ANSWER, USAGE));
    let long = "x".repeat(7 << 20);
    let event = json!({ "choices": [{ "delta": { "content": long }, "finish_reason": "stop" }] });
    let completion = call(move || raw(EVENTS, format!("data: {event}\n\n").as_bytes())).await??;
    assert_eq!(completion.text.len(), 7 << 20);
    Ok(())
}

#[tokio::test]
async fn neither_the_key_nor_a_terminals_commands_are_told() -> Result<()> {
    let echoes = [
        format!("{}{KEY} is wrong", "x".repeat(290)),
        "sk-hun\nter2 is wrong".into(),
        "SK-HUNTER2 is wrong".into(),
        "c2staHVudGVyMg== is wrong".into(),
        "736b2d68756e74657232 is wrong".into(),
        "sk%2Dhunter2 is wrong".into(),
        "\u{1b}[31msk-hunter2\u{1b}[0m is wrong".into(),
    ];
    for echo in echoes {
        for body in [json!({ "error": { "message": echo } }).to_string(), json!({ "detail": [echo] }).to_string(), echo]
        {
            let reply = move || Reply::Whole(401, "", body.clone());
            said(&call(reply).await?, &["401", "[key]"]);
        }
    }
    let events = vec![json!({ "error": { "message": "sk-hun ter2 \u{1b}[2J", "code": 401 } }).to_string()];
    said(&call(move || Reply::Events(events.clone(), End::Open)).await?, &["[key]", "\\u{1b}[2J"]);
    Ok(())
}
