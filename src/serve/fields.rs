//! Picks fields out of a request: what is there is of the right kind, or is named.

use serde_json::{Map, Value};

use super::fault::Fault;

/// The fields of an object in a request.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    fields: &'a Map<String, Value>,
    /// What stands before a field's name where it is told of.
    path: &'a str,
}

impl<'a> Fields<'a> {
    pub fn new(fields: &'a Map<String, Value>, path: &'a str) -> Self {
        Fields { fields, path }
    }

    /// The field, unless it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// How the field is told of.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// That the field was expected to be something else.
    pub fn expected(&self, name: &str, expected: &str) -> Fault {
        let found = self.get(name).map_or("nothing", kind);
        let path = self.path(name);
        Fault::of(path.clone(), format!("`{path}`: expected {expected}, found {found}"))
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        self.of(name, "a string", Value::as_str)
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.of(name, "true or false", Value::as_bool)
    }

    pub fn count(&self, name: &str) -> Result<Option<u64>, Fault> {
        let whole = |value: &Value| value.as_u64().or_else(|| whole(value.as_f64()?));
        self.of(name, "a whole number from 0 up", whole)
    }

    /// A number between these.
    pub fn number(&self, name: &str, low: f64, high: f64) -> Result<Option<f64>, Fault> {
        let within = |value: &Value| value.as_f64().filter(|number| (low..=high).contains(number));
        let expected =
            if high == f64::MAX { format!("a number from {low} up") } else { format!("a number from {low} to {high}") };
        self.of(name, &expected, within)
    }

    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Fault> {
        self.of(name, "an object", Value::as_object)
    }

    pub fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Fault> {
        self.of(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    fn of<T>(&self, name: &str, expected: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>, Fault> {
        self.get(name).map(|value| read(value).ok_or_else(|| self.expected(name, expected))).transpose()
    }
}

fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

/// What a value is called.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "another number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
