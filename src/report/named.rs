//! Episodes for people: operators have names instead of numbers.

use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use serde_json::Value;

use super::names::operator_name;
use crate::execute::Episode;
use crate::plan::OperatorId;

/// Anything that serialises as an episode or a trace, with names in place of operator numbers.
///
/// # Errors
/// None that an episode can cause.
pub fn named(episode: &impl Serialize, names: &[String]) -> Result<Value> {
    let mut value = serde_json::to_value(episode)?;
    each_operator(&mut value, &mut |operator| {
        if let Some(number) = operator.as_u64().and_then(|number| u16::try_from(number).ok()) {
            *operator = operator_name(names, OperatorId(number)).into();
        }
        Ok(())
    })?;
    Ok(value)
}

/// Reads an episode that was written with these names, or with numbers, as earlier versions did.
///
/// # Errors
/// It names an operator that does not exist, or is not an episode.
pub fn numbered(mut value: Value, names: &[String]) -> Result<Episode> {
    each_operator(&mut value, &mut |operator| {
        if let Some(name) = operator.as_str() {
            let place = names.iter().position(|known| known == name);
            let place = place.with_context(|| format!("expected an operator of the run, found `{name}`"))?;
            *operator = place.into();
        }
        Ok(())
    })?;
    serde_json::from_value(value).map_err(|error| anyhow!("expected an episode: {error}"))
}

/// Visits everything that stands for an operator, in a plan and in the spans of a trace.
fn each_operator(value: &mut Value, visit: &mut impl FnMut(&mut Value) -> Result<()>) -> Result<()> {
    let plan = value.get_mut("plan").and_then(Value::as_array_mut).into_iter().flatten();
    for layer in plan.filter_map(Value::as_array_mut) {
        layer.iter_mut().try_for_each(&mut *visit)?;
    }
    if value.get("trace").is_some() {
        value["trace"] = spans(value["trace"].take(), visit)?;
    } else if value.get("spans").is_some() {
        *value = spans(value.take(), visit)?;
    }
    Ok(())
}

fn spans(mut trace: Value, visit: &mut impl FnMut(&mut Value) -> Result<()>) -> Result<Value> {
    let mut finish = trace.get_mut("finish").map(Value::take);
    let spans = trace.get_mut("spans").and_then(Value::as_array_mut).into_iter().flatten();
    for span in spans.chain(&mut finish) {
        if let Some(operator) = span.get_mut("operator") {
            visit(operator)?;
        }
    }
    if let Some(finish) = finish {
        trace["finish"] = finish;
    }
    Ok(trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Dependencies, Plan, Span, Status, Trace, Written};

    #[test]
    fn names_stand_for_numbers_both_ways() -> Result<()> {
        let names = ["Generate", "Vote"].map(str::to_owned).to_vec();
        let wrote = vec![Written::new("so 7", Some("7"), 9)];
        let span = |operator| Span { operator: OperatorId(operator), wrote: wrote.clone(), ..Span::default() };
        let finish = Some(Span { outcome: Status::Failed("503".into()), ..span(1) });
        let spans = vec![span(0), span(0), span(1)];
        let trace = Trace { spans, dependencies: Dependencies(vec![vec![], vec![], vec![0, 1]]), finish };
        let plan = Plan::from_indices(&[&[0, 0], &[1]]);
        let episode =
            Episode { problem: "p".into(), plan, trace, answer: Some("7".into()), confidence: None, score: 1.0 };
        let shown = named(&episode, &names)?;
        assert_eq!(shown["plan"], serde_json::json!([["Generate", "Generate"], ["Vote"]]));
        assert_eq!(shown["trace"]["finish"]["operator"], "Vote");
        assert_eq!(shown["trace"]["spans"][0]["wrote"][0]["text"], "so 7");
        assert_eq!(named(&episode.trace, &names)?["spans"][2]["operator"], "Vote");
        assert_eq!(numbered(shown.clone(), &names)?, episode);
        assert_eq!(numbered(serde_json::to_value(&episode)?, &names)?, episode);
        let message = numbered(shown, &names[..1]).map_err(|error| error.to_string()).unwrap_err();
        assert_eq!(message, "expected an operator of the run, found `Vote`");
        assert!(numbered(Value::Null, &names).is_err() && numbered(serde_json::json!({"plan": 3}), &names).is_err());
        Ok(())
    }
}
