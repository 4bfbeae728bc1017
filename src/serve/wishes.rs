//! What a request may ask of the controller: `lamas` in its body, and `x-lamas-budget`.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::fields::Fields;
use crate::evaluate::latency::Budget;

/// The header of a budget.
pub const BUDGET: &str = "x-lamas-budget";
/// All that `lamas` may hold.
const NAMES: [&str; 6] = ["budget", "latency_weight", "plan", "draw", "explain", "strict"];
/// Shortest and longest budget, in seconds or tokens.
const SHORTEST: f64 = 1e-3;
const LONGEST: f64 = 1e6;

/// What a request asks of the controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    pub budget: Option<Budget>,
    pub latency_weight: Option<f64>,
    /// A plan as people type it.
    pub plan: Option<String>,
    pub draw: Option<u64>,
    /// Whether the answer tells how it came about.
    pub explain: bool,
    /// Whether a field that a plan does not obey is an error.
    pub strict: bool,
}

impl Wishes {
    /// Reads `lamas` and the header of a budget, which the body overrules.
    ///
    /// # Errors
    /// Names the field at fault.
    pub fn read(lamas: Option<&Value>, headers: &HeaderMap) -> Result<Self, Fault> {
        let none = Map::new();
        let fields = match lamas.filter(|lamas| !lamas.is_null()) {
            None => &none,
            Some(lamas) => lamas.as_object().ok_or_else(|| Fault::of("lamas", "`lamas`: expected an object"))?,
        };
        if let Some(unknown) = fields.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let path = format!("lamas.{unknown}");
            return Err(Fault::of(path.clone(), format!("`{path}`: expected one of {}", NAMES.join(", "))));
        }
        let fields = Fields::new(fields, "lamas.");
        let wishes = Wishes {
            budget: budget(&fields, headers)?,
            latency_weight: fields.number("latency_weight", 0.0, f64::MAX)?,
            plan: fields.text("plan")?.map(str::to_owned),
            draw: fields.count("draw")?,
            explain: fields.flag("explain")?.unwrap_or(false),
            strict: fields.flag("strict")?.unwrap_or(false),
        };
        let exclude = [
            (wishes.plan.is_some() && wishes.latency_weight.is_some(), "latency_weight", "plan"),
            (
                wishes.latency_weight.is_some() && matches!(wishes.budget, Some(Budget::Tokens(_))),
                "latency_weight",
                "budget",
            ),
        ];
        match exclude.into_iter().find(|(both, ..)| *both) {
            Some((_, one, other)) => {
                let path = format!("lamas.{one}");
                Err(Fault::of(path.clone(), format!("`{path}`: expected it without `lamas.{other}`, found both")))
            }
            None => Ok(wishes),
        }
    }
}

fn budget(fields: &Fields<'_>, headers: &HeaderMap) -> Result<Option<Budget>, Fault> {
    let expected = "a time such as 2, \"2s\", \"500ms\" or \"120tokens\"";
    let parsed = |text: &str| match text.trim().parse::<f64>() {
        Ok(seconds) => Some(Budget::Seconds(seconds)),
        Err(_) => text.parse::<Budget>().ok(),
    };
    let sound = |budget: &Budget| (SHORTEST..=LONGEST).contains(&budget.amount());
    match fields.get("budget") {
        Some(Value::Number(seconds)) => {
            let budget = seconds.as_f64().map(Budget::Seconds).filter(sound);
            budget.map(Some).ok_or_else(|| fields.expected("budget", expected))
        }
        Some(Value::String(text)) => {
            let budget = parsed(text).filter(sound);
            budget.map(Some).ok_or_else(|| fields.expected("budget", expected))
        }
        Some(_) => Err(fields.expected("budget", expected)),
        None => {
            let Some(header) = headers.get(BUDGET) else { return Ok(None) };
            let budget = header.to_str().ok().and_then(parsed).filter(sound);
            budget.map(Some).ok_or_else(|| Fault::of(BUDGET, format!("header `{BUDGET}`: expected {expected}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn read(lamas: Value, header: Option<&'static str>) -> Result<Wishes, Fault> {
        let headers =
            header.map(|value| (axum::http::HeaderName::from_static(BUDGET), HeaderValue::from_static(value)));
        Wishes::read(Some(&lamas), &headers.into_iter().collect())
    }

    #[test]
    fn budgets_are_read_in_all_their_forms() {
        let check = |lamas: Value, header, expected| {
            assert_eq!(read(lamas.clone(), header).map(|wishes| wishes.budget), Ok(expected), "{lamas}");
        };
        check(json!(null), None, None);
        check(json!({}), Some("1.5"), Some(Budget::Seconds(1.5)));
        check(json!({ "budget": 2 }), Some("1"), Some(Budget::Seconds(2.0)));
        check(json!({ "budget": "500ms" }), None, Some(Budget::Seconds(0.5)));
        check(json!({ "budget": "40tokens" }), None, Some(Budget::Tokens(40.0)));
    }

    #[test]
    fn wishes_at_fault_are_named() {
        let check = |lamas: Value, header, param: &str| {
            let fault = read(lamas.clone(), header).expect_err("a fault");
            assert_eq!((fault.status.as_u16(), fault.param.as_deref()), (400, Some(param)), "{lamas}");
        };
        check(json!([]), None, "lamas");
        check(json!({ "bugdet": 1 }), None, "lamas.bugdet");
        for budget in
            [json!(0), json!(1e-9), json!(-1), json!("soon"), json!("inf"), json!("NaN"), json!(true), json!(1e300)]
        {
            check(json!({ "budget": budget }), None, "lamas.budget");
        }
        check(json!({}), Some("soon"), BUDGET);
        check(json!({ "latency_weight": "x" }), None, "lamas.latency_weight");
        check(json!({ "latency_weight": 1, "plan": "A" }), None, "lamas.latency_weight");
        check(json!({ "draw": -1 }), None, "lamas.draw");
        check(json!({ "explain": 1 }), None, "lamas.explain");
    }
}
