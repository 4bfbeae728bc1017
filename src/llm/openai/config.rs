//! Settings of an endpoint, and the key, which comes from the environment alone.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// Where requests go if nothing else is said.
const OPENAI: &str = "https://api.openai.com/v1";
/// Environment variables that may hold the base URL, after the setting.
const URL_VARIABLE: &str = "OPENAI_BASE_URL";
/// Environment variables that may hold the key; the first one set counts.
const KEY_VARIABLES: [&str; 2] = ["LAMAS_API_KEY", "OPENAI_API_KEY"];

/// An OpenAI-compatible endpoint and how it may be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// Base URL; `/v1` is added where it has no path. Absent: `OPENAI_BASE_URL`, or OpenAI itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Model of all operators that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Dollars per million tokens of any kind for `model`, in place of the price list; 0 for a server of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Whether answers are streamed, which shows the time to the first token and stalls within an answer.
    pub stream: bool,
    /// Most requests at once.
    pub in_flight: usize,
    /// Most requests within any minute; 0 for no limit.
    pub requests_per_minute: u64,
    /// Most tokens within any minute, read and written; 0 for no limit.
    pub tokens_per_minute: u64,
    /// Requests after which a call is given up.
    pub attempts: u32,
    /// First pause between two attempts; it doubles from one to the next, up to 30 seconds.
    pub backoff_seconds: f64,
    pub connect_seconds: f64,
    /// Longest silence before the first token, and between two.
    pub stall_seconds: f64,
    /// Longest time from sending a request to the end of its answer.
    pub total_seconds: f64,
    /// Dollars that the process may spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// Tokens that the process may spend, read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            url: None,
            model: None,
            price: None,
            stream: true,
            in_flight: 32,
            requests_per_minute: 0,
            tokens_per_minute: 0,
            attempts: 8,
            backoff_seconds: 0.5,
            connect_seconds: 10.0,
            stall_seconds: 60.0,
            total_seconds: 600.0,
            max_cost: None,
            max_tokens: None,
        }
    }
}

impl EndpointConfig {
    /// Whether an endpoint was asked for at all.
    pub fn is_used(&self) -> bool {
        self.url.is_some() || self.model.is_some()
    }

    /// # Errors
    /// Names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        for (name, count) in [("in_flight", self.in_flight as u64), ("attempts", self.attempts.into())] {
            ensure!(count > 0, "endpoint setting `{name}`: expected at least 1, found 0");
        }
        let seconds = [
            ("backoff_seconds", self.backoff_seconds),
            ("connect_seconds", self.connect_seconds),
            ("stall_seconds", self.stall_seconds),
            ("total_seconds", self.total_seconds),
        ];
        for (name, seconds) in seconds {
            let usable = seconds > 0.0 && seconds <= 1e6;
            ensure!(usable, "endpoint setting `{name}`: expected seconds above 0, at most 1,000,000, found {seconds}");
        }
        let dollars = [("price", self.price), ("max_cost", self.max_cost)];
        for (name, dollars) in dollars.into_iter().filter_map(|(name, dollars)| Some((name, dollars?))) {
            ensure!(
                dollars.is_finite() && dollars >= 0.0,
                "endpoint setting `{name}`: expected dollars from 0 up, found {dollars}"
            );
        }
        let capped = self.max_cost.is_some() || self.max_tokens.is_some();
        ensure!(
            self.is_used() || !capped,
            "`--max-cost` and `--max-tokens` limit what an endpoint is asked, and none is named; hint: `--model-name`"
        );
        self.base_url().map(drop)
    }

    /// The URL below which the endpoint's methods lie.
    pub(super) fn base_url(&self) -> Result<Url> {
        let environment = || std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
        base_url(&self.url.clone().or_else(environment).unwrap_or_else(|| OPENAI.to_owned()))
    }

    pub(super) fn model(&self) -> Result<&str> {
        let model = self.model.as_deref().filter(|model| !model.trim().is_empty());
        model.context("expected the name of a model at the endpoint, found none; hint: `--model-name NAME`")
    }
}

/// # Errors
/// Not the URL of a web server, or one that carries a secret, which settings files would keep.
fn base_url(text: &str) -> Result<Url> {
    // The text itself may hold a password: errors do not repeat it.
    let mut url =
        Url::parse(text.trim_end_matches('/')).context("endpoint: expected a URL such as `http://host/v1`")?;
    ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "endpoint: expected a URL that begins with `http://` or `https://`, found `{}:`",
        url.scheme()
    );
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        bail!(
            "endpoint: expected a URL without user name, password or query; hint: a key belongs in {}",
            KEY_VARIABLES[1]
        );
    }
    if url.path() == "/" {
        url.set_path("/v1");
    }
    Ok(url)
}

/// The secret that an endpoint asks for, if it asks for one. Shown nowhere.
#[derive(Clone, Default)]
pub struct Key(Option<String>);

impl Key {
    /// A key, or none for a server that needs none.
    pub fn new(key: Option<String>) -> Self {
        Key(key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()))
    }

    /// The key of this process's environment.
    pub fn from_environment() -> Self {
        Key::new(KEY_VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|key| !key.trim().is_empty())))
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `text` without the key, which servers like to repeat in their errors.
    pub(super) fn hide(&self, text: &str) -> String {
        self.secret().map_or(text.to_owned(), |key| text.replace(key, "[key]"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Key([key])" } else { "Key(none)" })
    }
}

/// Seconds of a setting, which [`EndpointConfig::validate`] has checked.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        match (base_url(text), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
            (Err(error), Err(part)) => {
                let error = format!("{error:#}");
                assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
            }
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn base_urls_are_those_of_the_field_and_hold_no_secret() {
        check("http://localhost:8000", Ok("http://localhost:8000/v1"));
        check("http://localhost:8000/", Ok("http://localhost:8000/v1"));
        check("https://host/openai/v1/", Ok("https://host/openai/v1"));
        check("localhost:8000", Err("found `localhost:`"));
        check("hunter2", Err("expected a URL such as"));
        check("https://me:hunter2@host", Err("hint: a key belongs in OPENAI_API_KEY"));
        check("https://host/v1?key=hunter2", Err("without user name, password or query"));
    }

    #[test]
    fn the_key_is_shown_nowhere() {
        let key = Key::new(Some(" sk-hunter2\n".into()));
        assert_eq!(format!("{key:?} {:?}", Key::new(Some(String::new()))), "Key([key]) Key(none)");
        assert_eq!(key.hide("Incorrect API key provided: sk-hunter2."), "Incorrect API key provided: [key].");
        assert_eq!(key.secret(), Some("sk-hunter2"));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let faulty = |config: EndpointConfig| config.validate().map_err(|error| error.to_string()).unwrap_err();
        let sound = EndpointConfig { model: Some("m".into()), max_cost: Some(1.0), ..Default::default() };
        assert!(sound.validate().is_ok() && EndpointConfig::default().validate().is_ok());
        assert!(faulty(EndpointConfig { attempts: 0, ..sound.clone() }).contains("`attempts`"));
        assert!(faulty(EndpointConfig { stall_seconds: 0.0, ..sound.clone() }).contains("`stall_seconds`"));
        assert!(faulty(EndpointConfig { price: Some(f64::NAN), ..sound.clone() }).contains("`price`"));
        assert!(faulty(EndpointConfig { model: None, ..sound }).contains("`--max-cost`"));
    }
}
