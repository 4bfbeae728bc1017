//! Serving: answers by plans, whole and streamed; what is passed on; what is refused, and in which words.

use anyhow::Result;
use serde_json::{Value, json};

use crate::server::{End, Reply, refusal, streamed, whole, words};
use crate::serving::{ONE, Serving, Setup, UPSTREAM_KEY, by_plan, events, right};

/// A plan with two calls, one after another, whatever the first comes to.
const TWO: &str = "GenerateCoT;SelfRefine";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_answers_and_says_what_it_took() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let response = serving.post("/v1/chat/completions").header("x-request-id", "mine-1");
    let request = crate::serving::body("tiny", json!({ "temperature": 0.5, "lamas": { "plan": TWO } }));
    let response = response.json(&request).send().await?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(header("x-lamas-plan").as_deref(), Some(TWO));
    assert_eq!(header("x-lamas-not-applied").as_deref(), Some("temperature"));
    assert_eq!(header("x-request-id").as_deref(), Some("mine-1"));
    assert_eq!(header("x-litellm-response-cost").as_deref(), Some("0.000098000"));
    let value: Value = response.json().await?;
    assert_eq!(value["choices"][0]["message"]["content"], "6 * 7 = 42. The answer is 42.");
    assert_eq!((&value["choices"][0]["finish_reason"], &value["object"]), (&json!("stop"), &json!("chat.completion")));
    assert_eq!((&value["lamas"]["answer"], &value["model"]), (&json!("42"), &json!("tiny")));
    let usage = &value["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(80), &json!(18)));
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 9);
    assert_eq!((serving.account().requests, serving.upstream.seen().len()), (2, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_what_it_came_to() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let more = json!({ "stream": true, "stream_options": { "include_usage": true },
        "lamas": { "plan": ONE, "explain": true } });
    let response = serving.chat("tiny", more).await?;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&response.text().await?);
    let [first, thoughts @ .., text, finish, usage, done] = &events[..] else { panic!("{events:?}") };
    assert_eq!(first["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    let thought = |event: &Value| event["choices"][0]["delta"]["reasoning_content"].as_str().map(str::to_owned);
    let thoughts: Vec<String> = thoughts.iter().filter_map(thought).collect();
    assert!(thoughts.iter().any(|thought| thought.contains("GenerateCoT answered 42")), "{thoughts:?}");
    assert_eq!(text["choices"][0]["delta"]["content"], "6 * 7 = 42. The answer is 42.");
    assert_eq!((&finish["choices"][0]["finish_reason"], &finish["usage"]), (&json!("stop"), &json!(null)));
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(49)));
    assert_eq!((&usage["lamas"]["plan"], done), (&json!(ONE), &json!("[DONE]")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_reaches_the_models() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let messages = json!([
        { "role": "developer", "content": "be brief" },
        { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
        { "role": "assistant", "content": "hello" },
        { "role": "user", "content": "what is 6 times 7 ?" },
    ]);
    let (status, _) = serving.asked("tiny", json!({ "messages": messages, "lamas": { "plan": ONE } })).await?;
    let seen = serving.upstream.seen();
    let sent = seen[0].body["messages"].as_array().expect("messages");
    let said: Vec<(&str, &str)> = sent
        .iter()
        .map(|message| (message["role"].as_str().unwrap_or(""), message["content"].as_str().unwrap_or("")))
        .collect();
    assert_eq!((status, &said[..3]), (200, &[("system", "be brief"), ("user", "hi"), ("assistant", "hello")][..]));
    assert!(said[3].1.starts_with("what is 6 times 7 ?\nWork it out"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_plan_can_serve_is_passed_on_whole() -> Result<()> {
    let serving = Serving::start(|_, body| match body["stream"] == true {
        true => streamed("a b c", 5, 3),
        false => whole("plain", 5, 1),
    })
    .await?;
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let more = json!({ "tools": tools, "temperature": 0.3, "user": "u", "lamas": { "budget": 9 } });
    let request = serving.post("/v1/chat/completions").header("x-secret", "s").header("authorization", "Bearer mine");
    let response = request.json(&crate::serving::body("tiny", more)).send().await?;
    assert_eq!(response.headers()["x-lamas-passed-through"], "tools");
    let value: Value = response.json().await?;
    assert_eq!((&value["choices"][0]["message"]["content"], &value["model"]), (&json!("plain"), &json!("tiny")));
    assert!(value["lamas"]["cost"].as_f64().is_some_and(|cost| (cost - 6e-6).abs() < 1e-12), "{value}");
    let seen = serving.upstream.seen().remove(0);
    assert_eq!(
        (&seen.body["tools"], &seen.body["temperature"], &seen.body["model"]),
        (&tools, &json!(0.3), &json!("m"))
    );
    assert_eq!(seen.body.get("lamas"), None);
    let head = seen.head.to_lowercase();
    assert!(!head.contains("x-secret") && !head.contains("mine") && head.contains(UPSTREAM_KEY), "{head}");
    // An upstream model by its own name, token by token, with no usage where none is asked for.
    for (model, include_usage) in [("m", false), ("tiny:direct", true)] {
        let more = json!({ "stream": true, "stream_options": { "include_usage": include_usage } });
        let events = events(&serving.chat(model, more).await?.text().await?);
        let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        let usages = events.iter().filter(|event| event["usage"]["total_tokens"] == 8).count();
        assert_eq!((text.as_str(), usages), ("a b c", usize::from(include_usage)), "{events:?}");
        assert!(events.last() == Some(&json!("[DONE]")) && events[0]["model"] == model, "{events:?}");
    }
    assert_eq!(serving.account().answered, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_of_a_local_model_streams_its_text() -> Result<()> {
    let serving = Serving::set_up(Setup { is_local: true, ..Setup::default() }, |_, _| right()).await?;
    let more = json!({ "temperature": 0, "max_tokens": 8 });
    let (_, whole) = serving.asked("tiny:direct", more.clone()).await?;
    let mut streaming = more;
    streaming["stream"] = true.into();
    let events = events(&serving.chat("tiny:direct", streaming).await?.text().await?);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert!(!text.is_empty() && whole["choices"][0]["message"]["content"] == text.as_str(), "{whole} {events:?}");
    assert_eq!((events.last(), serving.upstream.seen().len()), (Some(&json!("[DONE]")), 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_in_another_form_ends_no_connection() -> Result<()> {
    for odd in ["[]", "\"x\"", "7", "null", "{}", r#"{"choices":{}}"#, r#"{"choices":[7]}"#, "nothing"] {
        let serving = Serving::start(move |_, _| Reply::Whole(200, "", odd.into())).await?;
        for path in ["/v1/chat/completions", "/v1/responses"] {
            let asked = json!({ "model": "m", "input": "?", "messages": [{ "role": "user", "content": "?" }] });
            let response = serving.post(path).json(&asked).send().await?;
            let status = response.status();
            let value: Value = response.json().await?;
            assert!(
                status == 200 || status == 502 && value["error"]["message"].is_string(),
                "{odd} {path}: {status} {value}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_cut_as_asked() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let cut = async |more: Value| -> Result<(String, String)> {
        let mut more = more;
        more["lamas"] = json!({ "plan": ONE });
        let (_, value) = serving.asked("tiny", more).await?;
        let choice = &value["choices"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok((text(&choice["message"]["content"]), text(&choice["finish_reason"])))
    };
    assert_eq!(cut(json!({ "stop": [" The", "."] })).await?, ("6 * 7 = 42".into(), "stop".into()));
    assert_eq!(cut(json!({ "max_tokens": 3 })).await?, ("6 * 7 = 4".into(), "length".into()));
    assert_eq!(cut(json!({ "max_completion_tokens": 9 })).await?.1, "stop");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_as_openai_says_it() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let check = |found: (u16, Value), status: u16, param: Option<&str>, code: Option<&str>| {
        let error = &found.1["error"];
        assert_eq!((found.0, &error["param"], &error["code"]), (status, &json!(param), &json!(code)), "{found:?}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{found:?}");
    };
    check(serving.asked("nobody", json!({})).await?, 404, Some("model"), Some("model_not_found"));
    check(serving.asked("tiny:slow", json!({})).await?, 404, Some("model"), Some("model_not_found"));
    check(serving.asked("tiny", by_plan("Nobody")).await?, 400, Some("lamas.plan"), None);
    check(
        serving.asked("tiny", json!({ "lamas": { "latency_weight": 1 } })).await?,
        400,
        Some("lamas.latency_weight"),
        None,
    );
    check(serving.asked("tiny", json!({ "lamas": { "budget": "9tokens" } })).await?, 400, Some("lamas.budget"), None);
    let strict = json!({ "temperature": 1, "lamas": { "plan": ONE, "strict": true } });
    check(serving.asked("tiny", strict).await?, 400, Some("temperature"), Some("not_applied"));
    check(serving.asked("tiny", json!({ "messages": [] })).await?, 400, Some("messages"), None);
    let raw = async |body: &'static str| -> Result<(u16, Value)> {
        let response = serving.post("/v1/chat/completions").body(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    };
    check(raw("{\"model\": ").await?, 400, None, Some("invalid_json"));
    check(raw("").await?, 400, None, Some("invalid_json"));
    check(raw("[]").await?, 400, None, None);
    let get = async |path: &str| -> Result<(u16, Value)> {
        let response = serving.get(path).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    };
    check(get("/v1/nothing").await?, 404, None, Some("unknown_url"));
    check(get("/v1/chat/completions").await?, 405, None, Some("method_not_allowed"));
    check(get("/v1/models/nobody").await?, 404, Some("model"), Some("model_not_found"));
    check(get("/metrics").await?, 403, None, Some("not_allowed"));
    assert_eq!(get("/v1/models/tiny:fast").await?.1["id"], "tiny:fast");
    let names: Vec<Value> =
        get("/v1/models").await?.1["data"].as_array().expect("a list").iter().map(|m| m["id"].clone()).collect();
    assert_eq!(names, ["tiny", "tiny:fast", "tiny:best", "tiny:direct", "m"]);
    assert_eq!(serving.upstream.seen().len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_models_cannot_do_is_told_without_their_key() -> Result<()> {
    let serving = Serving::start(|_, body| match body["user"].as_str() {
        Some("context") => refusal(400, "", "context_length_exceeded", "maximum context length is 9 tokens"),
        Some("tool") => refusal(400, "", "invalid_request_error", "tool `f` is none"),
        Some("busy") => refusal(429, "", "rate_limit", "slow down"),
        Some("cut") => Reply::Events(words("one two"), End::Cut),
        _ => refusal(401, "", "invalid_api_key", &format!("wrong key {UPSTREAM_KEY}")),
    })
    .await?;
    let check = async |user: &str, status: u16, code: Option<&str>| -> Result<()> {
        let (found, value) = serving.asked("tiny:direct", json!({ "user": user })).await?;
        assert_eq!((found, &value["error"]["code"]), (status, &json!(code)), "{value}");
        assert!(!value.to_string().contains(UPSTREAM_KEY), "{value}");
        Ok(())
    };
    check("context", 400, Some("context_length_exceeded")).await?;
    check("tool", 400, None).await?;
    check("busy", 429, Some("rate_limit_exceeded")).await?;
    check("key", 502, Some("upstream_error")).await?;
    let (status, value) = serving.asked("tiny", by_plan(ONE)).await?;
    assert!(status == 502 && !value.to_string().contains(UPSTREAM_KEY), "{value}");
    // What breaks off after its first piece is not asked again: an error ends the stream.
    let before = serving.upstream.seen().len();
    let response = serving.chat("tiny:direct", json!({ "user": "cut", "stream": true })).await?;
    let events = events(&response.text().await?);
    assert_eq!(events.iter().filter(|event| event.get("error").is_some()).count(), 1, "{events:?}");
    assert!(events.last().is_some_and(|event| event["error"]["code"] == "upstream_error"), "{events:?}");
    assert_eq!(serving.upstream.seen().len(), before + 1);
    Ok(())
}
