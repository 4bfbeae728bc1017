//! The address of an endpoint: its base URL, as people copy it from documentation, and the URLs of its methods.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;

use super::redact::KEY_VARIABLES;

/// The only part of a query that is no secret and that a service asks for (Azure).
const VERSION: &str = "api-version";
/// Methods with which people copy a base URL.
const METHODS: [&str; 4] = ["/chat/completions", "/completions", "/responses", "/models"];
const HINT: &str = "write it as `http://host:8000/v1`";

/// The URL below which the methods of an endpoint lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Address(Url);

impl Address {
    /// # Errors
    /// Not the URL of a web server, or one that carries a secret, which settings files would keep.
    pub fn parse(text: &str) -> Result<Self> {
        // The text itself may hold a password: errors do not repeat it.
        let text = text.trim();
        let url = Url::parse(text);
        let mut url = url.with_context(|| format!("endpoint: expected a URL, found something else; hint: {HINT}"))?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host(),
            "endpoint: expected a URL that begins with `http://` or `https://`, found `{}:`; hint: {HINT}",
            url.scheme()
        );
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "endpoint: expected a URL without user name and password; hint: a key belongs in {}",
                KEY_VARIABLES[1]
            );
        }
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| name != VERSION) {
            bail!(
                "endpoint: expected a URL without query, or with `?{VERSION}=...` alone, found `{}`; hint: a key belongs \
                 in {}, the name of a model in `--model-name`; leave the rest out",
                name.chars()
                    .filter(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter))
                    .collect::<String>(),
                KEY_VARIABLES[1]
            );
        }
        url.set_fragment(None);
        if url.query() == Some("") {
            url.set_query(None);
        }
        let path = url.path().trim_end_matches('/');
        // Where a version is asked for, `models` is the name of a service.
        let methods = if url.query().is_some() { &METHODS[..3] } else { &METHODS[..] };
        let path = methods.iter().find_map(|method| path.strip_suffix(method)).unwrap_or(path);
        let path = if path.is_empty() { "/v1".to_owned() } else { path.trim_end_matches('/').to_owned() };
        url.set_path(&path);
        Ok(Address(url))
    }

    /// The URL of a method, such as `chat/completions`.
    pub fn method(&self, name: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{name}", self.0.path().trim_end_matches('/')));
        url
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether the server is on this machine, where no proxy leads.
    pub fn is_local(&self) -> bool {
        matches!(self.0.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }

    /// Whether the key is asked for in a header of its own rather than as `Authorization`: the services that want a
    /// version in the query do so.
    pub fn has_key_header(&self) -> bool {
        self.0.query().is_some()
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        match (Address::parse(text), expected) {
            (Ok(address), Ok(expected)) => assert_eq!(address.method("chat/completions").as_str(), expected),
            (Err(error), Err(part)) => {
                let error = format!("{error:#}");
                assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
            }
            (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn base_urls_are_those_of_the_field_and_hold_no_secret() {
        check("http://localhost:8000", Ok("http://localhost:8000/v1/chat/completions"));
        check(" http://localhost:8000/ ", Ok("http://localhost:8000/v1/chat/completions"));
        check("https://host/openai/v1/", Ok("https://host/openai/v1/chat/completions"));
        check("https://host/v1/chat/completions", Ok("https://host/v1/chat/completions"));
        check("https://host/v1/chat/completions/#top", Ok("https://host/v1/chat/completions"));
        check("https://host/chat/completions", Ok("https://host/v1/chat/completions"));
        check("https://host/v1/models", Ok("https://host/v1/chat/completions"));
        check("http://[::1]:8000", Ok("http://[::1]:8000/v1/chat/completions"));
        check("https://host/v1?", Ok("https://host/v1/chat/completions"));
        let azure = "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21";
        check(azure, Ok(azure));
        check(&azure.replace("/chat/completions", ""), Ok(azure));
        check(&azure.replace("/chat/completions", "/"), Ok(azure));
        let foundry = "https://me.services.ai.azure.com/models?api-version=2024-05-01-preview";
        check(foundry, Ok(&foundry.replace("/models", "/models/chat/completions")));
        check("localhost:8000", Err("found `localhost:`; hint: write it as `http://"));
        check("127.0.0.1:8000", Err("hint: write it as `http://"));
        check("hunter2", Err("expected a URL"));
        check("ftp://host/v1", Err("found `ftp:`"));
        check("", Err("expected a URL"));
        check("https://me:hunter2@host", Err("hint: a key belongs in OPENAI_API_KEY"));
        check("https://host/v1?key=hunter2", Err("found `key`; hint: a key belongs in OPENAI_API_KEY"));
        check("https://host/v1?api-version=1&key=hunter2", Err("with `?api-version=...` alone"));
    }

    #[test]
    fn local_servers_and_those_with_a_version_are_known() -> Result<()> {
        let [local, far] = ["http://[::1]:8000", "https://host/v1?api-version=1"].map(Address::parse);
        let (local, far) = (local?, far?);
        assert_eq!((local.is_local(), local.has_key_header(), local.as_str()), (true, false, "http://[::1]:8000/v1"));
        assert_eq!((far.is_local(), far.has_key_header()), (false, true));
        Ok(())
    }
}
