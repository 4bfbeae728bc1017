//! What goes wrong, as OpenAI's interface words it.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::execute::ExecuteError;
use crate::model::openai::Refused;
use crate::model::{self, FinishReason};

/// Why a request gets no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub status: StatusCode,
    /// `type` in OpenAI's form.
    pub kind: &'static str,
    pub code: Option<&'static str>,
    /// The field at fault.
    pub param: Option<String>,
    pub message: String,
    /// Seconds after which the same request may be answered.
    pub retry_after: Option<u64>,
    /// Dollars that were spent all the same.
    pub cost: f64,
    /// Whether neither the request nor the settings are at fault: another model may answer.
    pub is_outside: bool,
}

impl Fault {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let (code, param, retry_after) = (None, None, None);
        Fault { status, kind, code, param, message: message.into(), retry_after, cost: 0.0, is_outside: false }
    }

    /// The request is at fault.
    pub fn invalid(message: impl Into<String>) -> Self {
        Fault::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A field of the request is at fault.
    pub fn of(param: impl Into<String>, message: impl Into<String>) -> Self {
        Fault::invalid(message).at(param)
    }

    /// There is no such thing.
    pub fn absent(message: impl Into<String>) -> Self {
        Fault::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    /// Whoever asks may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Fault::new(StatusCode::FORBIDDEN, "permission_error", message).coded("not_allowed")
    }

    /// There are too many requests, for now.
    pub fn busy(code: &'static str, message: impl Into<String>, retry_after: u64) -> Self {
        let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message).coded(code);
        Fault { retry_after: Some(retry_after.max(1)), ..fault }
    }

    /// The time is over, and there is no answer.
    pub fn late() -> Self {
        let message = "no answer within the budget; hint: set a longer one in `lamas.budget` or `x-lamas-budget`";
        Fault::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message).coded("no_answer_in_time")
    }

    /// The models gave nothing.
    pub fn upstream(message: impl Into<String>) -> Self {
        Fault::new(StatusCode::BAD_GATEWAY, "upstream_error", message).coded("upstream_error")
    }

    /// Something inside is at fault.
    pub fn inside(message: impl Into<String>) -> Self {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).coded("internal_error")
    }

    pub fn coded(self, code: &'static str) -> Self {
        Fault { code: Some(code), ..self }
    }

    pub fn at(self, param: impl Into<String>) -> Self {
        Fault { param: Some(param.into()), ..self }
    }

    /// The same, where this was spent.
    pub fn costing(self, cost: f64) -> Self {
        Fault { cost, ..self }
    }

    /// What a model's error means for who asks this server.
    pub fn of_model(error: &model::Error) -> Self {
        let fault = match error {
            model::Error::Capped(message) => {
                Fault::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", message.clone())
                    .coded("insufficient_quota")
            }
            model::Error::Exhausted { message, .. } | model::Error::Transient(message) => {
                Fault::upstream(format!("a model gave no answer: {message}"))
            }
            model::Error::Permanent(message) | model::Error::Broken(message) => {
                Fault::upstream(format!("a model cannot be asked: {message}"))
            }
        };
        Fault { is_outside: error.is_outside(), ..fault }
    }

    /// What it means that a plan could not be run to its end.
    pub fn of_plan(error: &anyhow::Error) -> Self {
        if let Some(error) = error.downcast_ref::<model::Error>() {
            return Fault::of_model(error);
        }
        match error.downcast_ref::<ExecuteError>() {
            Some(ExecuteError::Model { error, .. }) => Fault::of_model(error),
            Some(ExecuteError::NotRecorded { .. }) => {
                Fault::of("messages", "expected a question with recorded outputs, found another one")
            }
            Some(other) => Fault::inside(other.to_string()),
            None => Fault::invalid(format!("{error:#}")),
        }
    }

    /// What it means that a server did not answer a request that was passed on to it.
    pub fn of_relay(refused: &Refused) -> Self {
        match (refused.finish, refused.status) {
            (Some(FinishReason::ContextExceeded), _) => {
                Fault::invalid(refused.to_string()).coded("context_length_exceeded").at("messages")
            }
            (Some(FinishReason::Filtered), _) => {
                Fault::invalid(refused.to_string()).coded("content_filter").at("messages")
            }
            (_, Some(400 | 413 | 415 | 422)) => Fault::invalid(refused.to_string()),
            (_, Some(429)) => {
                let fault = Fault::busy("rate_limit_exceeded", refused.to_string(), 1);
                Fault { is_outside: refused.error.is_outside(), ..fault }
            }
            _ => Fault::of_model(&refused.error),
        }
    }

    /// The error as JSON.
    pub fn value(&self) -> Value {
        let Fault { message, kind, param, code, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.value().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.cost > 0.0 {
            super::cost::note(headers, self.cost);
        }
        response.extensions_mut().insert(self);
        response
    }
}
