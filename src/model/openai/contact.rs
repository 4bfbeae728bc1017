//! The first contact with an endpoint: whether it is there at all, and which models it serves.
//!
//! If a server fails in the middle of a run, the client waits, because the server may come back. A server that was never there is
//! a mistake in the settings, which is reported at once.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

use super::config::{EndpointConfig, duration};
use super::incoming::Incoming;
use super::json;
use super::network_error::describe;
use super::redact::Key;
use super::retry::{Cause, Failure};

/// How long the first contact takes at most. A server that is slow to list its models may still serve.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest list of models that is believed.
const MOST_MODELS: usize = 1 << 14;
/// Names that are shown of a list.
const SHOWN: usize = 8;
pub const HINT: &str = "; hint: is the server there? Check `--endpoint`, or `endpoint` in its `[[model]]` table";

/// What the first contact showed.
#[derive(Debug, Default)]
pub struct Contact {
    /// Whether there was a connection.
    is_made: bool,
    /// Held by the first call where the list of models was refused for the key.
    doubted: Option<Mutex<()>>,
    /// Models by name; empty where the server does not list them.
    models: Vec<String>,
}

impl Contact {
    /// Asks for the list of models.
    ///
    /// # Errors
    /// No connection: what went wrong, with the causes.
    pub async fn make(client: &reqwest::Client, url: reqwest::Url, config: &EndpointConfig) -> Result<Self, String> {
        let until = Instant::now() + PATIENCE.min(duration(config.total_seconds));
        match timeout_at(until, client.get(url).send()).await {
            Ok(Ok(response)) if response.status().is_success() => Ok(Contact::read(response, until).await),
            Ok(Err(error)) if error.is_connect() || error.is_builder() => Err(describe(error)),
            // Whatever it answers: it is there.
            Ok(Ok(response)) if response.status() == StatusCode::UNAUTHORIZED => {
                Ok(Contact { is_made: true, doubted: Some(Mutex::default()), models: Vec::new() })
            }
            Ok(_) => Ok(Contact { is_made: true, ..Contact::default() }),
            Err(_) => Ok(Contact::default()),
        }
    }

    async fn read(response: Response, until: Instant) -> Self {
        let mut incoming = Incoming::new(response, until);
        let mut body = Vec::new();
        while let Ok(Some(bytes)) = incoming.next(until).await {
            body.extend(bytes);
        }
        Contact { is_made: true, models: models(&String::from_utf8_lossy(&body)), ..Contact::default() }
    }

    /// Lets calls go one after another while `is_new`, no call having been answered, and the key may be wrong.
    pub async fn alone(&self, is_new: impl Fn() -> bool) -> Option<MutexGuard<'_, ()>> {
        let doubted = self.doubted.as_ref().filter(|_| is_new())?;
        let first = doubted.lock().await;
        is_new().then_some(first)
    }

    /// What a failure means while the endpoint has not answered any call: a connection that never was is not waited for,
    /// and the refusal of a model that the server does not list is final, however it is worded. A limit of requests says
    /// nothing about the model.
    pub fn judge(&self, failure: Failure, model: &str, key: &Key) -> Failure {
        match failure {
            Failure::Transient { message, cause: Cause::Connection, .. } if !self.is_made => {
                Failure::Permanent(format!("{message}{HINT}"))
            }
            Failure::Permanent(message) | Failure::Transient { message, cause: Cause::Refusal, .. }
                if self.doubt(model, key).is_some() =>
            {
                let doubt = self.doubt(model, key).unwrap_or_default();
                Failure::Permanent(format!("{message}; {doubt}"))
            }
            failure => failure,
        }
    }

    /// What is wrong with the name of a model that has given no answer yet; none where the server lists it, or lists none.
    fn doubt(&self, model: &str, key: &Key) -> Option<String> {
        let model = model.to_lowercase();
        let is_it = |listed: &String| {
            let listed = listed.to_lowercase();
            let tagged =
                |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with([':', '@']));
            // Names of every kind, tags that may be left out, owners and folders.
            listed.contains('*')
                || listed == model
                || tagged(&listed, &model)
                || tagged(&model, &listed)
                || listed.ends_with(&format!("/{model}"))
                || model.ends_with(&format!("/{listed}"))
        };
        if self.models.is_empty() || self.models.iter().any(is_it) {
            return None;
        }
        let names = self.models.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = if self.models.len() > SHOWN { ", ..." } else { "" };
        Some(format!(
            "the server lists {}{more} and no such model; hint: check `--model-name`, or `model` in its table",
            key.said(&names)
        ))
    }
}

/// Reads `{"data": [{"id": ..}]}`, `{"models": [{"name": ..}]}` or such a list by itself; none where it is anything else.
fn models(body: &str) -> Vec<String> {
    let list = match json::kind(body) {
        b'[' => Some(body),
        _ => json::fields(body, ["data", "models"]).ok().and_then(|[data, models]| data.or(models)),
    };
    let mut models = Vec::new();
    let read = json::each(list.filter(|list| json::kind(list) == b'[').unwrap_or("[]"), |entry| {
        let named = || json::fields(entry, ["id", "name", "model"]).ok()?.into_iter().flatten().next();
        let name = json::string(entry).or_else(|| json::string(named()?));
        if let Some(name) = name.filter(|_| models.len() <= MOST_MODELS) {
            models.push(name.into_owned());
        }
    });
    if read.is_err() || models.len() > MOST_MODELS { Vec::new() } else { models }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_models_are_read_in_all_their_forms() {
        let check = |body: &str, expected: &[&str]| assert_eq!(models(body), expected, "{body}");
        check(r#"{"object": "list", "data": [{"id": "a"}, {"id": "b", "name": "c"}]}"#, &["a", "b"]);
        check(r#"{"models": [{"name": "a", "model": "a"}]}"#, &["a"]);
        check(r#"[{"id": "a"}, "b", 3, {}]"#, &["a", "b"]);
        for none in ["", "{}", "[]", r#"{"data": {"id": "a"}}"#, r#"{"data": [{"id": "a"}"#, "data: x", "null"] {
            check(none, &[]);
        }
        let endless = format!("[{}\"a\"]", "\"a\",".repeat(MOST_MODELS));
        check(&endless, &[]);
    }

    #[test]
    fn only_a_model_that_is_nowhere_in_the_list_is_doubted() {
        let doubt = |listed: &[&str], model: &str| {
            let models = listed.iter().map(|&name| name.to_owned()).collect();
            Contact { is_made: true, models, ..Contact::default() }.doubt(model, &Key::default())
        };
        for (listed, model) in [
            (&[][..], "m"),
            (&["a", "M"], "m"),
            (&["m:latest"], "m"),
            (&["m"], "m:free"),
            (&["owner/m"], "m"),
            (&["models/m"], "m"),
            (&["m"], "owner/m"),
            (&["openai/*"], "m"),
        ] {
            assert_eq!(doubt(listed, model), None, "{listed:?} {model}");
        }
        let doubted = doubt(&["a", "m2"], "m").unwrap_or_default();
        assert!(doubted.contains("lists `a`, `m2` and no such model") && doubted.contains("hint"), "{doubted}");
    }

    #[test]
    fn a_connection_that_never_was_is_not_waited_for() {
        let judge = |is_made: bool, cause: Cause| {
            let failure = Failure::Transient { message: "no".into(), wait: None, cause };
            let contact = Contact { is_made, models: vec!["a".into()], ..Contact::default() };
            matches!(contact.judge(failure, "m", &Key::default()), Failure::Permanent(_))
        };
        for (is_made, cause, is_final) in [
            (false, Cause::Connection, true),
            (true, Cause::Connection, false),
            (true, Cause::Refusal, true),
            (true, Cause::Limit, false),
            (true, Cause::Reply, false),
        ] {
            assert_eq!(judge(is_made, cause), is_final, "{is_made} {cause:?}");
        }
    }
}
