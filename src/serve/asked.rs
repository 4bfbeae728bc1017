//! A request whose body is a JSON object, like everything that is asked.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::caller::Caller;
use super::fault::Fault;
use super::fields::kind;
use super::service::Service;

/// What is asked, and by whom.
pub struct Asked {
    pub service: Arc<Service>,
    pub caller: Caller,
    pub headers: HeaderMap,
    pub body: Map<String, Value>,
}

impl FromRequest<Arc<Service>> for Asked {
    type Rejection = Fault;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Fault> {
        let (head, body) = request.into_parts();
        let caller = head.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Fault::inside("expected to know who asks"))?;
        let body = object(service, body).await?;
        Ok(Asked { service: service.clone(), caller, headers: head.headers, body })
    }
}

/// The object that a body holds.
async fn object(service: &Service, body: Body) -> Result<Map<String, Value>, Fault> {
    let bytes = bytes(service, body).await?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(Fault::invalid(format!("expected an object in JSON, found {}", kind(&other)))),
        Err(error) => Err(Fault::invalid(format!("expected an object in JSON: {error}")).coded("invalid_json")),
    }
}

async fn bytes(service: &Service, body: Body) -> Result<Bytes, Fault> {
    let most = service.limits.body;
    let fault = |status, message: String| Fault::new(status, "invalid_request_error", message);
    match timeout(service.limits.upload, Limited::new(body, most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("expected a request of at most {most} bytes, found a longer one");
            Err(fault(StatusCode::PAYLOAD_TOO_LARGE, message).coded("request_too_large"))
        }
        Ok(Err(error)) => Err(fault(StatusCode::BAD_REQUEST, format!("the request broke off: {error}"))),
        Err(_) => Err(fault(StatusCode::REQUEST_TIMEOUT, "the request took too long to come".to_owned())),
    }
}
