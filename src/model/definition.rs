//! `[[model]]` tables: language models by the names that operators use, each with its location, prices and limits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::Price;
use super::openai::EndpointConfig;
use crate::folder::line_of;
use crate::printable::printable;

/// A model: of an endpoint, or a local one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// By which operators ask for it; definitions are kept by it.
    #[serde(default, skip_serializing)]
    name: String,
    /// `FILE:LINE`, where it was read from a text.
    #[serde(skip)]
    read_at: String,
    /// Base URL of the OpenAI-compatible endpoint that serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Further servers of the same model, which hedged operators ask beside the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
    /// The environment variable that holds the endpoint's key; none where no key is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// What the endpoint calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A local model: a folder, a GGUF file, or its name on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Dollars per million tokens, in place of the price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Price>,
    /// The name of the model that a server of ours asks in its place while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// What follows are settings of the endpoint, in place of those under `[endpoint]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_flight: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_per_minute: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backoff_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stall_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total_seconds: Option<f64>,
}

/// Models by their names.
pub type Definitions = BTreeMap<String, Definition>;

impl Definition {
    /// Where it stands and what it is called, for errors.
    pub fn describe(&self, name: &str) -> String {
        let at = if self.read_at.is_empty() { "" } else { ": " };
        format!("{}{at}model `{name}`", self.read_at)
    }

    /// What it is called where it is served, and where that is.
    pub fn place(&self) -> String {
        match (&self.folder, &self.model) {
            (Some(folder), _) => format!("the local model `{}`", folder.display()),
            (None, id) => {
                let servers: Vec<&str> = self.servers().collect();
                format!("`{}` at {}", id.as_deref().unwrap_or_default(), servers.join(" and "))
            }
        }
    }

    /// URLs of the servers of an endpoint's model, the first before its replicas; none of a local model.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.endpoint.iter().chain(&self.replicas).map(String::as_str)
    }

    /// How the server at `url` is used, where nothing else is said as `base` says.
    pub fn config(&self, base: &EndpointConfig, url: &str) -> EndpointConfig {
        EndpointConfig {
            url: Some(url.to_owned()),
            model: self.model.clone(),
            price: None,
            stream: self.stream.unwrap_or(base.stream),
            in_flight: self.in_flight.unwrap_or(base.in_flight),
            requests_per_minute: self.requests_per_minute.unwrap_or(base.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.unwrap_or(base.tokens_per_minute),
            attempts: self.attempts.unwrap_or(base.attempts),
            backoff_seconds: self.backoff_seconds.unwrap_or(base.backoff_seconds),
            connect_seconds: self.connect_seconds.unwrap_or(base.connect_seconds),
            stall_seconds: self.stall_seconds.unwrap_or(base.stall_seconds),
            total_seconds: self.total_seconds.unwrap_or(base.total_seconds),
            max_cost: base.max_cost,
            max_tokens: base.max_tokens,
        }
    }

    /// # Errors
    /// It is neither the model of an endpoint nor a local one, or a setting is out of range.
    pub fn check(&self) -> Result<()> {
        match (&self.endpoint, &self.folder) {
            (Some(_), None) => self.check_remote(),
            (None, Some(_)) => {
                let local = Definition {
                    name: self.name.clone(),
                    read_at: self.read_at.clone(),
                    folder: self.folder.clone(),
                    prices: self.prices,
                    fallback: self.fallback.clone(),
                    ..Definition::default()
                };
                ensure!(
                    *self == local,
                    "a local model (`folder`) takes only `prices` and `fallback`, no settings of an endpoint; hint: for a server, set \
                     `endpoint` instead of `folder`"
                );
                Ok(())
            }
            (Some(_), Some(_)) => Err(anyhow!("expected `endpoint` or `folder`, found both")),
            (None, None) => Err(anyhow!(
                "expected where the model is, found neither `endpoint` nor `folder`; hint: `endpoint = \"URL\"` with \
                 `model = \"ID\"`, or `folder = \"PATH\"` for a local model"
            )),
        }
    }

    fn check_remote(&self) -> Result<()> {
        let id = self.model.as_deref().filter(|id| !id.trim().is_empty());
        ensure!(id.is_some(), "expected what the endpoint calls the model, found none; hint: `model = \"ID\"`");
        if let Some(variable) = &self.key_env {
            let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            // What is no name may be the key itself: it is not repeated.
            ensure!(
                is_name(variable) && variable.starts_with(|first: char| !first.is_ascii_digit()),
                "`key_env`: expected the name of an environment variable, found something else; hint: the key itself belongs \
                 in the environment, as in `export NAME=KEY`"
            );
        }
        let servers: Vec<EndpointConfig> =
            self.servers().map(|url| self.config(&EndpointConfig::default(), url)).collect();
        servers.iter().try_for_each(EndpointConfig::validate)
    }
}

/// The `[[model]]` tables of a text, which may hold more; `origin` names it in errors.
///
/// # Errors
/// Names the line and the model at fault, and two models of one name.
pub fn definitions(text: &str, origin: &str) -> Result<Definitions> {
    #[derive(Deserialize)]
    struct Tables {
        #[serde(default)]
        model: Vec<Spanned<Definition>>,
    }
    let place = |span: Option<Range<usize>>| {
        let start = span.map_or(0, |span| span.start);
        let model = model_at(text, start).map_or(String::new(), |name| format!(": model `{}`", printable(&name)));
        format!("{origin}:{}{model}", line_of(text, start))
    };
    let Tables { model: tables } =
        toml::from_str(text).map_err(|error| anyhow!("{}: {}", place(error.span()), error.message()))?;
    let mut found = Definitions::new();
    let mut lines = BTreeMap::new();
    for table in tables {
        let (span, mut definition) = (table.span(), table.into_inner());
        let name = definition.name.clone();
        let check = || {
            ensure!(!name.trim().is_empty(), "expected a name, found none");
            ensure!(printable(&name) == name, "expected a name of visible letters, found `{}`", printable(&name));
            definition.check()
        };
        check().with_context(|| place(Some(span.clone())))?;
        let line = line_of(text, span.start);
        if let Some(first) = lines.insert(name.clone(), line) {
            return Err(anyhow!("{}: expected a unique name, found that of line {first}", place(Some(span))));
        }
        definition.read_at = format!("{origin}:{line}");
        found.insert(name, definition);
    }
    Ok(found)
}

/// The name of the model whose table holds the byte at `offset`, where the text is TOML enough to tell.
fn model_at(text: &str, offset: usize) -> Option<String> {
    #[derive(Deserialize)]
    struct Outline {
        model: Vec<Spanned<Name>>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: Option<String>,
    }
    let outline: Outline = toml::from_str(text).ok()?;
    outline.model.into_iter().rfind(|table| table.span().start <= offset)?.into_inner().name
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "[[model]]\nname = \"small\"\nendpoint = \"http://h/v1\"\nmodel = \"s\"\n";

    /// Expects that `text`, after a sound model of four lines and an empty line, is refused with `message`.
    #[track_caller]
    fn check(text: &str, message: &str) {
        let error = definitions(&format!("{SMALL}\n{text}"), "c.toml").err().map(|error| format!("{error:#}"));
        assert!(error.as_deref().is_some_and(|error| error.starts_with(message)), "{text}: {error:?}");
    }

    #[test]
    fn a_model_is_read() -> Result<()> {
        let text = format!(
            "{SMALL}key_env = \"SMALL_KEY\"\nprices = {{ prompt = 1, completion = 4 }}\nin_flight = 3\n\
             replicas = [\"http://other/v1\"]\n[[model]]\nname = \"own\"\nfolder = \"here\"\n"
        );
        let found = definitions(&text, "c.toml")?;
        let small = &found["small"];
        assert_eq!(small.servers().collect::<Vec<_>>(), ["http://h/v1", "http://other/v1"]);
        let base = EndpointConfig { attempts: 2, in_flight: 9, max_cost: Some(1.0), ..EndpointConfig::default() };
        let config = small.config(&base, "http://other/v1");
        assert_eq!((config.in_flight, config.attempts, config.max_cost), (3, 2, Some(1.0)));
        assert_eq!((config.url.as_deref(), config.model.as_deref()), (Some("http://other/v1"), Some("s")));
        assert_eq!(small.prices, Some(Price { prompt: 1.0, cached_prompt: None, completion: 4.0 }));
        assert_eq!((found["own"].folder.clone(), found["own"].servers().count()), (Some("here".into()), 0));
        // As settings keep them.
        let json = serde_json::to_string(&found)?;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Definitions>(&json)?)?, json);
        assert!(definitions("[endpoint]\nstream = true\n", "c.toml")?.is_empty());
        Ok(())
    }

    #[test]
    fn mistakes_name_file_line_and_model() {
        let other = "[[model]]\nname = \"large\"\n";
        check(SMALL, "c.toml:6: model `small`: expected a unique name, found that of line 1");
        check(
            other,
            "c.toml:6: model `large`: expected where the model is, found neither `endpoint` nor `folder`; hint: ",
        );
        check(
            &format!("{other}endpoint = \"http://h\""),
            "c.toml:6: model `large`: expected what the endpoint calls the model",
        );
        check(
            &format!("{other}endpoint = \"http://h\"\nfolder = \"f\""),
            "c.toml:6: model `large`: expected `endpoint` or",
        );
        check(
            &format!("{other}folder = \"f\"\nkey_env = \"K\""),
            "c.toml:6: model `large`: a local model (`folder`) takes",
        );
        check(
            &format!("{other}url = \"http://h\""),
            "c.toml:8: model `large`: unknown field `url`, expected one of `name`",
        );
        let remote = |more: &str| format!("{other}endpoint = \"http://h\"\nmodel = \"m\"\n{more}");
        check(&remote("key_env = \"sk-12345678\""), "c.toml:6: model `large`: `key_env`: expected the name of an env");
        check(
            &remote("in_flight = 0"),
            "c.toml:6: model `large`: endpoint setting `in_flight`: expected at least 1, found 0",
        );
        check(&remote("replicas = [\"h\"]"), "c.toml:6: model `large`: endpoint: expected a URL");
        check(
            &remote("prices = { prompt = 1 }"),
            "c.toml:10: model `large`: expected `price`, or `prompt` and `completion`",
        );
        check("[[model]]\nfolder = \"f\"", "c.toml:6: expected a name, found none");
        check(
            "[[model]]\nname = \"\\u001b\"\nfolder = \"f\"",
            "c.toml:6: model `\\u{1b}`: expected a name of visible letters",
        );
        assert!(definitions("model = \"m\"", "c.toml").is_err_and(|error| error.to_string().starts_with("c.toml:1: ")));
    }
}
