//! Reads JSON from servers: only the requested fields of an object, whatever else it contains.
//!
//! Everything else is skipped, not built, so memory does not grow with the size of a text, nor the stack with its depth.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The texts of the fields of these names; none for a field that is absent or null, or where `text` is no object. The
/// last of several fields of one name counts.
pub fn fields<'a, const N: usize>(text: &'a str, names: [&str; N]) -> serde_json::Result<[Option<&'a str>; N]> {
    if kind(text) != b'{' {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Ok([None; N]);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Fields(names))?;
    reader.end()?;
    Ok(found.map(|field| field.filter(|text| *text != "null")))
}

/// Hands each element of a list to `take`; what is no list is its own only element.
pub fn each<'a>(text: &'a str, take: impl FnMut(&'a str)) -> serde_json::Result<()> {
    if kind(text) != b'[' {
        let mut take = take;
        take(text);
        return Ok(());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.deserialize_seq(Elements(take))?;
    reader.end()
}

/// What a JSON string says. Halves of letters outside the basic plane, which some servers send apart, become `U+FFFD`.
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    if kind(text) != b'"' {
        return None;
    }
    match serde_json::from_str::<String>(text) {
        Ok(text) => Some(Cow::Owned(text)),
        Err(_) => serde_json::Deserializer::from_str(text).deserialize_bytes(Lossy).ok().map(Cow::Owned),
    }
}

/// The first byte of a value, by which its kind is known; 0 for nothing.
pub fn kind(text: &str) -> u8 {
    text.trim_start().bytes().next().unwrap_or(0)
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(at) = map.next_key_seed(Name(&self.0))? {
            match at {
                Some(at) => found[at] = Some(map.next_value::<&RawValue>()?.get()),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }
}

/// Reads the name of a field: its place among those asked for.
struct Name<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a field")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|asked| asked.as_bytes() == name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|asked| *asked == name))
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&RawValue>()? {
            (self.0)(element.get());
        }
        Ok(())
    }
}

struct Lossy;

impl Visitor<'_> for Lossy {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_read() {
        let check = |text: &str, expected: [Option<&str>; 2]| {
            assert_eq!(fields(text, ["a", "b"]).ok(), Some(expected), "{text}");
        };
        check(r#"{"a": 1, "c": [[{}]], "b": {"a": 2} }"#, [Some("1"), Some(r#"{"a": 2}"#)]);
        check(r#"{"a": null, "\u0062": "x", "b": "y", "\ud800": 0}"#, [None, Some("\"y\"")]);
        check("{}", [None, None]);
        check(r#"[{"a": 1}]"#, [None, None]);
        let deep = format!(r#"{{"c": {0}{1}, "a": 3}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, [Some("3"), None]);
        for text in ["", "{", r#"{"a": }"#, r#"{"a": 1} x"#, r#"{"a": "x}"#, "nul"] {
            assert!(fields(text, ["a"]).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_and_strings_are_read_leniently() {
        let elements = |text: &str| {
            let mut found = Vec::new();
            each(text, |element| found.push(element.to_owned())).map(|()| found).ok()
        };
        assert_eq!(elements(r#"[1, "a", [2]]"#), Some(vec!["1".into(), "\"a\"".into(), "[2]".into()]));
        assert_eq!(elements("{}"), Some(vec!["{}".into()]));
        assert_eq!(elements("[1, "), None);
        assert_eq!(string(r#""a\n\u00e9""#).as_deref(), Some("a\né"));
        assert_eq!(string(r#""\ud83d!""#).map(|text| text.contains('\u{fffd}') && text.ends_with('!')), Some(true));
        assert_eq!((string("11"), string("null"), string("\"")), (None, None, None));
    }
}
