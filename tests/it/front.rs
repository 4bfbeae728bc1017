//! One controller at all its latency weights, beside every operator alone, as a user asks for it.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run_folder::{check, lamas};

/// A quick operator that is right on every other question, and a slow one that is right on all.
fn table() -> String {
    let row = |number: usize| {
        let (question, quick) = match number % 2 {
            0 => (format!("Write a letter about day {number}"), 1),
            _ => (format!("Describe the city number {number} and its history"), 0),
        };
        format!("{number},{question},quick,a,{quick},5,0.1,0.0001\n{number},{question},slow,b,1,50,2.0,0.001\n")
    };
    let rows: String = (0..90).map(row).collect();
    format!("id,question,operator,output,correct,tokens,seconds,cost\n{rows}")
}

#[test]
fn a_front_runs_from_patient_to_hasty() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    fs::write(here.join("t.csv"), table())?;
    check(0, lamas(&["traces", "import", "--format", "csv", "t.csv", "--out", "out"], here), &[])?;
    let traces = ["--benchmark", "out", "--traces", "out/traces.jsonl", "--second-costs", "0.1", "--dollar-costs", "0"];
    let train =
        |out, more: &[&str]| lamas(&[&["train", "--no-evaluation", "--out", out], &traces[..], more].concat(), here);
    check(0, train("run", &["--latency-weights", "0.01..2"]), &[])?;
    let text = check(
        0,
        lamas(&["front", "run", "--points", "5", "--out", "front"], here),
        &["beside `slow`, the operator with the highest score:", "weight 0.010: score ", "of the dollars"],
    )?;
    assert!(!text.contains("utility"), "{text}");
    let report = fs::read_to_string(here.join("front/report.html"))?;
    assert!(report.contains("operators alone") && report.contains("dollars per 1,000 questions"));
    let rows: Value = serde_json::from_str(&fs::read_to_string(here.join("front/results.json"))?)?;
    let rows = rows["rows"].as_array().context("rows")?;
    let figures = |row: &Value| {
        let summary = &row["summary"];
        let name = summary["name"].as_str().unwrap_or_default().to_owned();
        (
            name,
            summary["score"]["mean"].as_f64().unwrap_or(f64::NAN),
            summary["path"]["mean"].as_f64().unwrap_or(f64::NAN),
        )
    };
    let (operators, front): (Vec<_>, Vec<_>) = rows.iter().map(figures).partition(|row| !row.0.starts_with("weight"));
    assert_eq!(operators.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["quick", "slow"]);
    assert!((operators[1].1, operators[1].2) == (1.0, 2.0) && operators[0].1 < 0.7, "{operators:?}");
    assert!(front.len() > 1 && front.is_sorted_by(|patient, hasty| patient.2 >= hasty.2), "{front:?}");
    let (patient, hasty) = (&front[0], &front[front.len() - 1]);
    assert!(patient.1 == 1.0 && (hasty.2 - 0.1).abs() < 1e-9, "{front:?}");
    // A run for one weight has one point.
    check(0, train("one", &[]), &[])?;
    check(
        1,
        lamas(&["front", "one"], here),
        &["expected a controller for many latency weights", "--latency-weights LOW..HIGH"],
    )?;
    Ok(())
}
