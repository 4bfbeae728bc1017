//! Serving: responses, what is kept of what is served, and what people say of it.

use anyhow::Result;
use lamas::serve::Keys;
use serde_json::{Value, json};

use crate::server::{streamed, whole};
use crate::serving::{ONE, Serving, by_plan, events, lines, right};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_kept_and_never_served_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let serving = Serving::keeping(Keys::default(), folder.path(), |number, _| match number {
        0 => streamed("The answer is 41.", 40, 5),
        _ => right(),
    })
    .await?;
    // Greedy calls of equal questions: each is made, and the record holds the first.
    let first = serving.asked("tiny:fast", json!({})).await?.1;
    serving.service.reload().await?;
    let second = serving.asked("tiny:fast", json!({})).await?.1;
    assert_eq!((&first["lamas"]["answer"], &second["lamas"]["answer"]), (&json!("41"), &json!("42")));
    let (_, seeded) = serving.asked("tiny", json!({ "seed": 5, "lamas": { "plan": ONE } })).await?;
    assert_eq!((serving.account().requests, &seeded["lamas"]["draw"]), (3, &json!(5)));
    let record = lines(folder.path(), "record.jsonl")?;
    let draws: Vec<&Value> = record.iter().map(|line| &line["draw"]).collect();
    assert_eq!(draws, [&json!("0"), &json!("serve 5")]);
    assert_eq!(record[0]["solutions"][0]["answer"], "41");
    let decisions = lines(folder.path(), "decisions.jsonl")?;
    let told: Vec<_> = decisions.iter().map(|line| (&line["result"], &line["planned"]["plan"])).collect();
    let answered = json!("answered");
    assert_eq!(told, [(&answered, &json!("Generate")), (&answered, &json!("Generate")), (&answered, &json!(ONE))]);
    assert_eq!((&decisions[0]["question"], &decisions[2]["draw"]), (&json!("what is 6 times 7 ?"), &json!(5)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_taken_once_from_who_asked() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keys = Keys::of_text("sk-alice-alice,sk-robert-robert")?;
    let serving =
        Serving::keeping(keys, folder.path(), |_, body| match body["messages"].to_string().contains("number alone") {
            true => streamed("The answer is 41.", 40, 5),
            false => right(),
        })
        .await?;
    let post = async |key: &str, path: &str, body: &Value| -> Result<(u16, Value)> {
        let response = serving.post(path).bearer_auth(key).json(body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    };
    let ask = async || -> Result<String> {
        let plan = json!({ "lamas": { "plan": "Generate,GenerateCoT" } });
        let request = crate::serving::body("tiny", plan);
        let (_, value) = post("sk-alice-alice", "/v1/chat/completions", &request).await?;
        Ok(value["id"].as_str().unwrap_or_default().to_owned())
    };
    let say = async |key: &str, body: Value| post(key, "/v1/feedback", &body).await;
    let id = ask().await?;
    assert_eq!(say("sk-robert-robert", json!({ "id": id, "answer": "42" })).await?.0, 404);
    assert_eq!(say("sk-alice-alice", json!({ "id": id })).await?.0, 400);
    assert_eq!(say("sk-alice-alice", json!({ "id": id, "score": 2 })).await?.0, 400);
    assert_eq!(say("sk-alice-alice", json!({ "id": id, "answer": "42.0" })).await?.0, 200);
    assert_eq!(say("sk-alice-alice", json!({ "id": id, "answer": "42" })).await?.0, 404);
    let other = ask().await?;
    assert_eq!(say("sk-alice-alice", json!({ "id": other, "score": 0.5 })).await?.1["graded"], 1);
    let kept = lines(folder.path(), "feedback.jsonl")?;
    let graded = kept[0]["graded"].as_array().cloned().unwrap_or_default();
    assert!(graded.contains(&json!(["42", 1.0])), "{graded:?}");
    assert!(graded.iter().all(|pair| pair[0] != "41" || pair[1] == 0.0), "{graded:?}");
    assert_eq!((kept.len(), &kept[1]["score"], &kept[0]["key"]), (2, &json!(0.5), &json!("key-1")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_nothing_takes_no_feedback() -> Result<()> {
    let serving = Serving::start(|_, _| right()).await?;
    let response = serving.post("/v1/feedback").json(&json!({ "id": "x", "score": 1 })).send().await?;
    let (status, value) = (response.status(), response.json::<Value>().await?);
    assert!(status == 404 && value["error"]["code"] == "not_recorded", "{value}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_whole_or_comes_in_numbered_events() -> Result<()> {
    let serving = Serving::start(|_, body| match body["stream"] == true && body["messages"][0]["content"] != "plain" {
        true => right(),
        false if body["stream"] == true => streamed("a b", 5, 2),
        false => whole("a b", 5, 2),
    })
    .await?;
    let ask = async |body: Value| serving.post("/v1/responses").json(&body).send().await;
    let input = json!([{ "role": "user", "content": [{ "type": "input_text", "text": "what is 6 times 7 ?" }] }]);
    let request = json!({ "model": "tiny", "input": input, "instructions": "be brief", "store": true,
        "lamas": { "plan": ONE } });
    let value: Value = ask(request.clone()).await?.json().await?;
    assert_eq!(value["output"][0]["content"][0]["text"], "6 * 7 = 42. The answer is 42.");
    assert_eq!(
        (&value["status"], &value["store"], &value["instructions"]),
        (&json!("completed"), &json!(false), &json!("be brief"))
    );
    assert_eq!((&value["usage"]["input_tokens"], &value["usage"]["output_tokens"]), (&json!(40), &json!(9)));
    assert_eq!(serving.upstream.seen()[0].body["messages"][0]["content"], "be brief");
    for (model, input, text) in [("tiny", "6 times 7 ?", "6 * 7 = 42. The answer is 42."), ("m", "plain", "a b")] {
        let mut request = json!({ "model": model, "input": input, "stream": true });
        if model == "tiny" {
            request["lamas"] = by_plan(ONE)["lamas"].clone();
        }
        let text_of = ask(request).await?.text().await?;
        let data: String =
            text_of.lines().filter(|line| line.starts_with("data: ")).map(|line| format!("{line}\n\n")).collect();
        let events = events(&data);
        let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        let last = events.last().cloned().unwrap_or_default();
        assert_eq!((deltas.as_str(), &last["type"]), (text, &json!("response.completed")));
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], text);
    }
    let (refused, whole) =
        (json!({ "model": "tiny", "input": "?", "background": true }), json!({ "model": "m", "input": "x" }));
    assert_eq!(ask(refused).await?.status(), 400);
    let value: Value = ask(whole).await?.json().await?;
    assert_eq!(value["output"][0]["content"][0]["text"], "a b");
    Ok(())
}
