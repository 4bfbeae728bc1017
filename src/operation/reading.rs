//! Reads the table of an operator: the common settings, and those of its kind.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::fields::fields;
use super::kinds::{Entry, KINDS, Operation};
use super::operator::Operator;

/// What is wrong with a table, and where in the catalogue's text.
pub(super) struct Fault {
    pub at: Range<usize>,
    pub text: String,
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        Fault { at: error.span().unwrap_or_default(), text: error.message().to_owned() }
    }
}

/// Settings of one kind that catalogues gave to any operator, with the value that has no effect.
const SILENT: [(&str, &str); 3] = [("samples", "1"), ("rounds", "0"), ("language", "arithmetic")];

/// # Errors
/// Points at a setting that such an operator does not have, or that cannot have this value.
pub(super) fn read(table: Spanned<DeValue<'_>>) -> Result<(Operator, Operation), Fault> {
    let at = table.span();
    let DeValue::Table(mut common) = table.into_inner() else {
        return Err(Fault { at, text: "expected a table".to_owned() });
    };
    let Entry { name, keys, read } = kind_of(&common, &at)?;
    let mut own = DeTable::new();
    let keys = keys();
    for (key, value) in std::mem::take(&mut common) {
        let setting = key.get_ref().as_ref();
        if keys.contains(&setting) {
            own.insert(key, value);
        } else if fields::<Operator>().contains(&setting) {
            common.insert(key, value);
        } else if !SILENT.contains(&(setting, &told(value.get_ref()))) {
            return Err(Fault { at: key.span(), text: unknown(setting, name, keys) });
        }
    }
    let operator = Operator::deserialize(whole(common, &at))?;
    let operation = read(whole(own, &at))?;
    Ok((operator, operation))
}

fn whole<'a>(table: DeTable<'a>, at: &Range<usize>) -> ValueDeserializer<'a> {
    Spanned::new(at.clone(), DeValue::Table(table)).into()
}

fn kind_of(table: &DeTable<'_>, at: &Range<usize>) -> Result<&'static Entry, Fault> {
    let Some(kind) = table.get("kind") else {
        return Err(Fault { at: at.clone(), text: "missing field `kind`".to_owned() });
    };
    let found = told(kind.get_ref());
    KINDS.iter().find(|entry| kind.get_ref().is_str() && entry.name == found).ok_or_else(|| {
        let names: Vec<String> = KINDS.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let text = format!("unknown operator kind `{found}`, expected one of {}", names.join(", "));
        Fault { at: kind.span(), text: text + hint(&found, KINDS.iter().map(|entry| entry.name)).as_str() }
    })
}

/// The message that operators of a kind have no such setting, with the one that was probably meant.
fn unknown(setting: &str, kind: &str, keys: &[&str]) -> String {
    let others: Vec<String> = KINDS
        .iter()
        .filter(|entry| (entry.keys)().contains(&setting))
        .map(|entry| format!("`{}`", entry.name))
        .collect();
    if !others.is_empty() {
        return format!(
            "`{setting}` is a setting of {} operators, found it for a `{kind}` operator",
            others.join(", ")
        );
    }
    let known = || fields::<Operator>().iter().chain(keys).copied();
    let hint = hint(setting, known());
    let names: Vec<String> = known().map(|key| format!("`{key}`")).collect();
    format!("unknown setting `{setting}` of a `{kind}` operator, expected one of {}{hint}", names.join(", "))
}

/// Suggests the most similar name, if there is one.
fn hint<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.map(|known| (strsim::osa_distance(found, known), known)).min();
    let is_alike = |(distance, known): &(usize, &str)| *distance <= known.len() / 3;
    nearest.filter(is_alike).map_or(String::new(), |(_, known)| format!("; hint: did you mean `{known}`?"))
}

/// A value as its author wrote it, if it is short.
fn told(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        other => format!("a {}", other.type_str()),
    }
}
