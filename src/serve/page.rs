//! The page that shows what the server does: one file, which loads nothing from elsewhere.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");

/// Admits the page's own script and style by their digests, and requests to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] = ["script", "style"].map(|tag| digest(inside(PAGE, tag)));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page.
pub fn page() -> Response {
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// The contents of the only element with this tag.
fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let rest = page.split_once(&open).map_or("", |(_, rest)| rest);
    rest.split_once(&close).map_or("", |(inside, _)| inside)
}

fn digest(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_and_makes_no_markup_of_texts() {
        for outside in ["http:", "https:", "//cdn", "src=", "@import", "url("] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        for markup in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "onclick", "style=\""] {
            assert!(!PAGE.contains(markup), "{markup}");
        }
        assert_eq!([PAGE.matches("<script").count(), PAGE.matches("<style").count()], [1, 1]);
        assert!(inside(PAGE, "script").contains("use strict") && inside(PAGE, "style").contains("--ground"));
        assert_eq!(digest(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
