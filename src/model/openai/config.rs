//! Settings of an endpoint.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::address::Address;

/// Where requests go if nothing else is said.
const OPENAI: &str = "https://api.openai.com/v1";
/// Environment variables that may hold the base URL, after the setting.
const URL_VARIABLE: &str = "OPENAI_BASE_URL";

/// An OpenAI-compatible endpoint and how it may be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// Base URL; `/v1` is added where it has no path, `?api-version=...` is kept. Absent: `OPENAI_BASE_URL`, or OpenAI itself.
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
    /// Whether what may be spent is capped.
    pub fn is_capped(&self) -> bool {
        self.max_cost.is_some() || self.max_tokens.is_some()
    }

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
        self.address().map(drop)
    }

    /// The base URL, as it is asked.
    ///
    /// # Errors
    /// It is none.
    pub fn base_url(&self) -> Result<String> {
        Ok(self.address()?.as_str().to_owned())
    }

    /// Whether requests to both go to one server: scheme, host and port.
    ///
    /// # Errors
    /// A base URL that is none.
    pub fn shares_server(&self, other: &EndpointConfig) -> Result<bool> {
        Ok(self.address()?.origin() == other.address()?.origin())
    }

    /// Where the endpoint is.
    pub(super) fn address(&self) -> Result<Address> {
        let environment = || std::env::var(URL_VARIABLE).ok().filter(|url| !url.trim().is_empty());
        Address::parse(&self.url.clone().or_else(environment).unwrap_or_else(|| OPENAI.to_owned()))
    }

    pub(super) fn model(&self) -> Result<&str> {
        let model = self.model.as_deref().filter(|model| !model.trim().is_empty());
        model.context("expected the name of a model at the endpoint, found none; hint: `--model-name NAME`")
    }
}

/// Seconds of a setting, which [`EndpointConfig::validate`] has checked.
pub(super) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let faulty = |config: EndpointConfig| config.validate().map_err(|error| error.to_string()).unwrap_err();
        let sound = EndpointConfig { model: Some("m".into()), max_cost: Some(1.0), ..Default::default() };
        assert!(sound.validate().is_ok() && EndpointConfig::default().validate().is_ok());
        assert!(faulty(EndpointConfig { attempts: 0, ..sound.clone() }).contains("`attempts`"));
        assert!(faulty(EndpointConfig { stall_seconds: 0.0, ..sound.clone() }).contains("`stall_seconds`"));
        assert!(faulty(EndpointConfig { price: Some(f64::NAN), ..sound }).contains("`price`"));
    }
}
