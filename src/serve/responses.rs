//! `POST /v1/responses`, for text: whole, or as typed events with their numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::admitted::Admitted;
use super::asked::Asked;
use super::chat::{notes, streamed, whole};
use super::chat_request::ChatRequest;
use super::driven::Driven;
use super::fault::Fault;
use super::outcome::Outcome;
use super::responses_request::ResponsesRequest;
use super::time::now;

/// What all events of one response have in common.
struct Answering {
    id: String,
    created: u64,
    model: String,
    echo: Map<String, Value>,
    /// Numbers the events.
    next: AtomicU64,
}

/// Answers a request for a response.
///
/// # Errors
/// The request is at fault, or there is no answer.
pub async fn response(Asked { service, caller, headers, body }: Asked) -> Result<Response, Fault> {
    let ResponsesRequest { chat, echo } = ResponsesRequest::read(&body)?;
    let request = ChatRequest::read(chat, &headers)?;
    let (id, model) = (caller.answer.clone(), request.model.clone());
    let answering = Answering { id, created: now(), model, echo, next: AtomicU64::new(0) };
    let mut admitted = Admitted::admit(&service, &caller, request).await?;
    if admitted.request.stream {
        let told = notes(&admitted, None);
        let body = Driven::new(service.limits.keep_alive, move |out| stream(admitted, answering, out));
        return Ok(streamed(body, told));
    }
    let explains = admitted.request.wishes.explain;
    let passed = admitted.answer(explains, None, &|_| ()).await?;
    let mut outcome = passed.outcome;
    if let Some(body) = passed.body {
        let choice = body.get("choices").map_or(&Value::Null, |choices| &choices[0]);
        outcome.text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
        outcome.is_cut = choice["finish_reason"] == "length";
    }
    Ok(whole(&answering.ended(&outcome), notes(&admitted, Some(&outcome))))
}

/// Writes a response as it comes.
async fn stream(mut admitted: Admitted, answering: Answering, out: UnboundedSender<Bytes>) {
    // Who does not read any more has dropped this work.
    let send = |kind: &str, fields: Value| drop(out.send(answering.event(kind, fields)));
    let begun = answering.object("in_progress", &[], Value::Null);
    send("response.created", json!({ "response": begun }));
    send("response.in_progress", json!({ "response": begun }));
    let item = answering.item("in_progress", None);
    send("response.output_item.added", json!({ "output_index": 0, "item": item }));
    let at = json!({ "item_id": item["id"], "output_index": 0, "content_index": 0 });
    let with = |name: &str, value: Value| {
        let mut fields = at.clone();
        fields[name] = value;
        fields
    };
    send("response.content_part.added", with("part", part("")));
    let delta = |text: &str| {
        let mut fields = with("delta", text.into());
        fields["logprobs"] = json!([]);
        send("response.output_text.delta", fields);
    };
    let (pieces, first) = (Mutex::new((String::new(), false)), admitted.first());
    let hear = |piece: &str| {
        let piece: Value = serde_json::from_str(piece).unwrap_or_default();
        let choice = &piece["choices"][0];
        let said = if choice.get("delta").is_some() { &choice["delta"] } else { &choice["message"] };
        let mut heard = pieces.lock().unwrap_or_else(PoisonError::into_inner);
        heard.1 |= choice["finish_reason"] == "length";
        if let Some(text) = said["content"].as_str().filter(|text| !text.is_empty()) {
            first.heard();
            heard.0.push_str(text);
            delta(text);
        }
    };
    let mut outcome = match admitted.answer(false, None, &hear).await {
        Ok(passed) => passed.outcome,
        Err(fault) => {
            let mut failed = answering.object("failed", &[], Value::Null);
            failed["error"] = json!({ "code": fault.code.unwrap_or("server_error"), "message": fault.message });
            return send("response.failed", json!({ "response": failed }));
        }
    };
    let (heard, is_cut) = pieces.into_inner().unwrap_or_else(PoisonError::into_inner);
    match heard.is_empty() {
        true => delta(&outcome.text),
        false => (outcome.text, outcome.is_cut) = (heard, is_cut),
    }
    let mut done = with("text", outcome.text.as_str().into());
    done["logprobs"] = json!([]);
    send("response.output_text.done", done);
    send("response.content_part.done", with("part", part(&outcome.text)));
    let item = answering.item(status(&outcome), Some(&outcome.text));
    send("response.output_item.done", json!({ "output_index": 0, "item": item }));
    send(&format!("response.{}", status(&outcome)), json!({ "response": answering.ended(&outcome) }));
}

impl Answering {
    /// The response at its end.
    fn ended(&self, outcome: &Outcome) -> Value {
        let status = status(outcome);
        let items = [self.item(status, Some(&outcome.text))];
        let mut object = self.object(status, &items, usage(outcome));
        object["lamas"] = outcome.own();
        object
    }

    fn object(&self, status: &str, output: &[Value], usage: Value) -> Value {
        let Answering { id, created, model, echo, .. } = self;
        let incomplete = if status == "incomplete" { json!({ "reason": "max_output_tokens" }) } else { Value::Null };
        let mut object = json!({
            "id": format!("resp_{id}"),
            "object": "response",
            "created_at": created,
            "status": status,
            "error": null,
            "incomplete_details": incomplete,
            "model": model,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": { "effort": null, "summary": null },
            "store": false,
            "text": { "format": { "type": "text" } },
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        });
        if let Some(fields) = object.as_object_mut() {
            fields.extend(echo.clone());
        }
        object
    }

    fn item(&self, status: &str, text: Option<&str>) -> Value {
        let content: Vec<Value> = text.map(part).into_iter().collect();
        json!({ "id": format!("msg_{}", self.id), "type": "message", "status": status, "role": "assistant", "content": content })
    }

    fn event(&self, kind: &str, mut fields: Value) -> Bytes {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.next.fetch_add(1, Ordering::Relaxed).into();
        format!("event: {kind}\ndata: {fields}\n\n").into()
    }
}

fn status(outcome: &Outcome) -> &'static str {
    if outcome.is_cut { "incomplete" } else { "completed" }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn usage(outcome: &Outcome) -> Value {
    let usage = outcome.usage();
    json!({
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": usage["prompt_tokens_details"],
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": usage["completion_tokens_details"],
        "total_tokens": usage["total_tokens"],
    })
}
