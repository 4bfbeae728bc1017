//! The request as it goes over the wire.

use serde::Serialize;

use super::dialect::Dialect;
use crate::model::{Message, Request};
use crate::random;

#[derive(Serialize)]
pub struct Body<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Body<'a> {
    pub fn new(request: &'a Request, model: &'a str, dialect: Dialect) -> Self {
        let sampling = &request.sampling;
        let limit = Some(sampling.max_tokens);
        Body {
            model,
            messages: &request.messages,
            temperature: dialect.temperature.then_some(sampling.temperature),
            top_p: (dialect.top_p && sampling.top_p < 1.0).then_some(sampling.top_p),
            max_tokens: limit.filter(|_| !dialect.max_completion_tokens),
            max_completion_tokens: limit.filter(|_| dialect.max_completion_tokens),
            stop: if dialect.stop { &sampling.stop } else { &[] },
            // Servers keep seeds in 32 signed bits, or read the top one as "none".
            seed: dialect.seed.then(|| draw_key(request) >> 33),
            stream: dialect.stream,
            stream_options: (dialect.stream && dialect.stream_options).then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// Names the draw: depends on the messages, the sampling and the sample's number, as in the local back end.
pub fn draw_key(request: &Request) -> u64 {
    let content = serde_json::json!([request.messages, request.sampling]);
    random::key(&[&content, &request.sample])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, Sampling};

    #[test]
    fn the_request_says_what_is_meant_and_no_more() -> Result<(), serde_json::Error> {
        let messages = vec![Message { role: Role::User, content: "2 + 2".into() }];
        let sampling = Sampling { temperature: 0.7, top_p: 1.0, max_tokens: 9, stop: Vec::new() };
        let request = Request { model: String::new(), messages, sampling, sample: 1 };
        let body = serde_json::to_value(Body::new(&request, "m", Dialect::new(true)))?;
        let seed = body["seed"].as_u64().filter(|&seed| seed < 1 << 31);
        assert_eq!(
            serde_json::to_string(&Body::new(&request, "m", Dialect::new(true)))?,
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"2 + 2"}}],"temperature":0.7,"max_tokens":9,"seed":{},"stream":true,"stream_options":{{"include_usage":true}}}}"#,
                seed.unwrap_or_default()
            )
        );
        assert_ne!(draw_key(&request), draw_key(&Request { sample: 2, ..request.clone() }));
        let plain = Dialect { seed: false, max_completion_tokens: true, ..Dialect::new(false) };
        let body = serde_json::to_value(Body::new(&request, "m", plain))?;
        assert_eq!(
            (&body["max_completion_tokens"], &body["stream"], body.get("seed")),
            (&9.into(), &false.into(), None)
        );
        Ok(())
    }
}
