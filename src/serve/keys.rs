//! Who may ask, and for what: keys, of which only digests are held.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::fault::Fault;
use super::wishes::Wishes;
use crate::evaluate::latency::Budget;

/// Who may ask a server; nobody is asked for a key where there is none.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Arc<Holder>>);

/// Somebody with a key.
#[derive(Clone, Debug)]
pub struct Holder {
    /// As logs and decisions call it.
    pub name: String,
    digest: [u8; 32],
    pub rights: Rights,
}

/// What a key is good for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rights {
    /// Names of the models; all where it is absent.
    pub models: Option<Vec<String>>,
    /// Most operators of a plan of its own.
    pub largest_plan: Option<usize>,
    /// Bounds of budgets, in seconds.
    pub least_budget: Option<f64>,
    pub most_budget: Option<f64>,
    /// What of `plan`, `draw`, `explain` and `admin` it may.
    pub may: Vec<String>,
    pub requests_per_minute: Option<u64>,
    pub requests_per_day: Option<u64>,
    pub dollars_per_minute: Option<f64>,
    pub dollars_per_day: Option<f64>,
}

const MAY: [&str; 4] = ["plan", "draw", "explain", "admin"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    /// SHA-256 of the key, in hexadecimal digits.
    sha256: String,
    #[serde(flatten)]
    rights: toml::Table,
}

impl Keys {
    /// Keys as they are, parted by commas, which may ask for everything but administration.
    ///
    /// # Errors
    /// One is too short to be a secret.
    pub fn of_text(text: &str) -> Result<Self> {
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        let holder = |(number, key): (usize, &str)| {
            ensure!(key.len() >= 8, "expected keys of at least 8 letters, found a shorter one (number {})", number + 1);
            let may = MAY[..3].iter().map(|&may| may.to_owned()).collect();
            let rights = Rights { may, ..Rights::default() };
            Ok(Arc::new(Holder { name: format!("key-{}", number + 1), digest: digest(key), rights }))
        };
        keys.enumerate().map(holder).collect::<Result<_>>().map(Keys)
    }

    /// Reads a file of `[[key]]` tables with `name`, `sha256` and [`Rights`].
    ///
    /// # Errors
    /// Names the file and what is at fault in it.
    pub fn load(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let file: File = toml::from_str(&std::fs::read_to_string(path)?)?;
            let mut holders: Vec<Arc<Holder>> = Vec::new();
            for Entry { name, sha256, rights } in file.key {
                let entry = || format!("key `{name}`");
                let digest = digits(&sha256).with_context(|| {
                    format!("key `{name}`: `sha256`: expected 64 hexadecimal digits; hint: `printf %s KEY | sha256sum`")
                })?;
                let rights: Rights = rights.try_into().with_context(entry)?;
                rights.check().with_context(entry)?;
                ensure!(holders.iter().all(|other| other.name != name), "key `{name}`: expected a unique name");
                holders.push(Arc::new(Holder { name, digest, rights }));
            }
            ensure!(!holders.is_empty(), "expected at least one `[[key]]`, found none");
            Ok(Keys(holders))
        };
        read().with_context(|| format!("cannot use the keys of `{}`", path.display()))
    }

    /// These and others.
    pub fn and(mut self, others: Keys) -> Self {
        self.0.extend(others.0);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who holds the key of a request. All keys are compared, each in constant time. With `as_password` it may come as a
    /// browser sends a password, whatever the name beside it.
    ///
    /// # Errors
    /// There is no key, or none of these.
    pub fn holder(&self, headers: &HeaderMap, as_password: bool) -> Result<Arc<Holder>, Fault> {
        let refused = |message: &str| {
            Fault::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message).coded("invalid_api_key")
        };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let of = |wanted: &str| {
            given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(wanted)).map(|(_, given)| given.trim())
        };
        let given = of("bearer").or_else(|| headers.get("api-key")?.to_str().ok()).map(str::to_owned);
        let given = given.or_else(|| password(of("basic").filter(|_| as_password)?));
        let given = given.ok_or_else(|| refused("expected a key (`Authorization: Bearer KEY`), found none"))?;
        let given = digest(&given);
        let mut found = None;
        for holder in &self.0 {
            if bool::from(holder.digest.ct_eq(&given)) {
                found = Some(holder);
            }
        }
        found.cloned().ok_or_else(|| refused("expected a key of this server, found another one"))
    }
}

impl Holder {
    /// Somebody whom no key opens anything for: what the server spends by itself.
    pub fn without_key(name: &str, rights: Rights) -> Self {
        Holder { name: name.to_owned(), digest: [0; 32], rights }
    }
}

impl Rights {
    fn check(&self) -> Result<()> {
        let unknown = self.may.iter().find(|may| !MAY.contains(&may.as_str()));
        ensure!(
            unknown.is_none(),
            "`may`: expected some of {}, found `{}`",
            MAY.join(", "),
            unknown.map_or("", String::as_str)
        );
        let numbers = [self.least_budget, self.most_budget, self.dollars_per_minute, self.dollars_per_day];
        let sound = numbers.into_iter().flatten().all(|number| number.is_finite() && number >= 0.0);
        ensure!(sound, "expected budgets and dollars from 0 up, found another number");
        Ok(())
    }

    /// Whether the key is good for this.
    pub fn may(&self, what: &str) -> bool {
        self.may.iter().any(|may| may == what)
    }

    /// Whether the key is good for a model.
    pub fn may_ask(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|may| may == model))
    }

    /// That the key is good for what a request asks of the controller.
    ///
    /// # Errors
    /// It is not.
    pub fn check_wishes(&self, wishes: &Wishes) -> Result<(), Fault> {
        let asked = [("plan", wishes.plan.is_some()), ("draw", wishes.draw.is_some()), ("explain", wishes.explain)];
        if let Some((what, _)) = asked.into_iter().find(|&(what, asked)| asked && !self.may(what)) {
            return Err(Fault::forbidden(format!("the key may not ask for `lamas.{what}`")).at(format!("lamas.{what}")));
        }
        let Some(Budget::Seconds(seconds)) = wishes.budget else { return Ok(()) };
        let (least, most) = (self.least_budget.unwrap_or(0.0), self.most_budget.unwrap_or(f64::MAX));
        if (least..=most).contains(&seconds) {
            return Ok(());
        }
        let message = format!("the key allows budgets from {least} to {most} s, found {seconds} s");
        Err(Fault::forbidden(message).at("lamas.budget"))
    }
}

/// The password in what a browser sends: `NAME:PASSWORD` in base64.
fn password(given: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok();
    let mut digest = [0; 32];
    for (at, place) in digest.iter_mut().enumerate() {
        *place = byte(at)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn only_a_key_that_is_held_opens() -> Result<()> {
        let keys = Keys::of_text("sk-first-key, sk-second-key")?;
        let check = |headers: HeaderMap, expected: Result<&str, u16>| {
            let found = keys.holder(&headers, false);
            let found = found.as_ref().map(|holder| holder.name.as_str()).map_err(|fault| fault.status.as_u16());
            assert_eq!(found, expected);
        };
        check(headers("authorization", "Bearer sk-second-key"), Ok("key-2"));
        check(headers("authorization", "bearer  sk-first-key "), Ok("key-1"));
        check(headers("api-key", "sk-first-key"), Ok("key-1"));
        for value in
            ["Bearer sk-third-key", "Bearer ", "Bearer", "sk-first-key", "Basic sk-first-key", "Bearer sk-first-ke"]
        {
            check(headers("authorization", value), Err(401));
        }
        check(HeaderMap::new(), Err(401));
        for (given, is_held) in
            [("x:sk-first-key", true), (":sk-first-key", true), ("sk-first-key", false), ("x:y", false)]
        {
            let value = format!("Basic {}", STANDARD.encode(given));
            let headers: HeaderMap = [(AUTHORIZATION, HeaderValue::from_str(&value)?)].into_iter().collect();
            assert_eq!((keys.holder(&headers, true).is_ok(), keys.holder(&headers, false).is_ok()), (is_held, false));
        }
        assert!(Keys::of_text("short").is_err() && Keys::of_text(" , ")?.is_empty());
        Ok(())
    }

    #[test]
    fn a_file_says_what_each_key_is_good_for() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("keys.toml");
        let hash = format!("{:x}", Sha256::digest(b"sk-alice-key"));
        let check = |more: &str, expected: Result<&[&str], &str>| -> Result<()> {
            std::fs::write(&path, format!("[[key]]\nname = \"alice\"\nsha256 = \"{hash}\"\n{more}\n"))?;
            let keys = Keys::load(&path).map_err(|error| format!("{error:#}"));
            match (keys, expected) {
                (Ok(keys), Ok(may)) => {
                    let holder = keys.holder(&headers("authorization", "Bearer sk-alice-key"), false);
                    assert_eq!(
                        holder.map(|holder| holder.rights.may.clone()).ok().as_deref(),
                        Some(&may.iter().map(|&may| may.to_owned()).collect::<Vec<_>>()[..])
                    );
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (found, _) => panic!("{more}: {found:?}"),
            }
            Ok(())
        };
        check("may = [\"plan\"]\nmodels = [\"m\"]", Ok(&["plan"]))?;
        check("", Ok(&[]))?;
        check("may = [\"everything\"]", Err("`may`: expected some of plan, draw, explain, admin, found `everything`"))?;
        check("modles = []", Err("unknown field `modles`"))?;
        check("most_budget = -1.0", Err("from 0 up"))?;
        check("[[key]]\nname = \"bob\"\nsha256 = \"abc\"", Err("hint: `printf %s KEY | sha256sum`"))
    }

    #[test]
    fn wishes_need_their_rights() {
        let rights = Rights { may: vec!["draw".into()], most_budget: Some(2.0), ..Rights::default() };
        let check = |wishes: Wishes, expected: Option<&str>| {
            let found = rights.check_wishes(&wishes).err();
            assert_eq!(found.as_ref().and_then(|fault| fault.param.as_deref()), expected);
            assert!(found.is_none_or(|fault| fault.status == 403));
        };
        check(Wishes::default(), None);
        check(Wishes { draw: Some(1), ..Wishes::default() }, None);
        check(Wishes { explain: true, ..Wishes::default() }, Some("lamas.explain"));
        check(Wishes { plan: Some("A".into()), ..Wishes::default() }, Some("lamas.plan"));
        check(Wishes { budget: Some(Budget::Seconds(2.0)), ..Wishes::default() }, None);
        check(Wishes { budget: Some(Budget::Seconds(2.5)), ..Wishes::default() }, Some("lamas.budget"));
    }
}
