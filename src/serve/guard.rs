//! A server without keys answers programs of this machine only: no web page may spend money through it, whatever name it
//! gives to this machine.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

use super::fault::Fault;

/// That a request comes from a program that knows whom it asks.
///
/// # Errors
/// It is addressed to another name, or comes from a web page.
pub fn check(headers: &HeaderMap, uri: &Uri, hosts: &[String]) -> Result<(), Fault> {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"));
    let named = uri.authority().map(|authority| authority.as_str()).or_else(|| text(HOST));
    let host = named.ok_or_else(|| Fault::forbidden("expected a `Host` header, found none"))?;
    if !is_here(host, hosts) {
        let message =
            "a server without keys answers only to names of this machine; hint: `--allow-host NAME`, or give it keys";
        return Err(Fault::forbidden(message));
    }
    match text(ORIGIN) {
        Some(origin) if origin != format!("http://{host}") => Err(Fault::forbidden(
            "a server without keys does not answer web pages of another origin; hint: give it keys",
        )),
        _ => Ok(()),
    }
}

/// Whether a host, with its port or without, is the loopback interface, or one that is allowed.
fn is_here(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_loopback = || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    name.eq_ignore_ascii_case("localhost") || is_loopback() || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_programs_of_this_machine_are_answered() {
        let check = |host: Option<&'static str>, origin: Option<&'static str>, expected: bool| {
            let named = [(HOST, host), (ORIGIN, origin)];
            let headers =
                named.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_static(value?)))).collect();
            let found = check(&headers, &Uri::from_static("/v1/models"), &["box".to_owned()]);
            assert_eq!(found.is_ok(), expected, "{host:?} {origin:?}");
        };
        for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.0.0.9", "[::1]:8080", "[::1]", "box:80"] {
            check(Some(host), None, true);
        }
        for host in ["evil.org", "evil.org:8080", "localhost.evil.org", "10.0.0.1", "[::2]", "", "?"] {
            check(Some(host), None, false);
        }
        check(None, None, false);
        check(Some("localhost:1"), Some("http://localhost:1"), true);
        for origin in ["null", "http://evil.org", "http://localhost:2", "https://localhost:1", "http://127.0.0.1:1"] {
            check(Some("localhost:1"), Some(origin), false);
        }
    }
}
