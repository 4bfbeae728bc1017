//! Runs side by side: which there are, and whether one is better than another.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::run_folder::{check, lamas};

/// Outcomes of two methods with two seeds on ten questions: the run's own is right one question more often than by chance.
fn outcomes(right: usize, path: f64) -> String {
    let line = |method: &str, seed: u64, problem: usize, score: f64, path: f64| {
        json!({
            "method": method, "seed": seed, "problem": format!("p{problem}"), "score": score, "critical_path": path,
            "seconds": path / 10.0, "dollars": path / 1e5, "utility": score - path / 100.0, "operators": ["A"],
        })
    };
    let of = |method: &'static str, right: usize, path: f64| {
        (0..2).flat_map(move |seed| {
            (0..10).map(move |at| line(method, seed, at, if at < right { 1.0 } else { 0.0 }, path).to_string())
        })
    };
    of("best operator", 5, 10.0).chain(of("trained controller", right, path)).collect::<Vec<_>>().join("\n")
}

#[test]
fn two_runs_are_compared_question_by_question() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    for (run, right, path) in [("a", 8, 5.0), ("b", 6, 20.0)] {
        fs::create_dir(here.join(run))?;
        fs::write(here.join(run).join("outcomes.jsonl"), outcomes(right, path))?;
    }
    let figures = |arguments: &[&str]| -> Result<Vec<Value>> {
        let text = check(0, lamas(&[arguments, &["--json"]].concat(), here), &[])?;
        serde_json::from_str(&text).with_context(|| text)
    };
    let of = |figures: &[Value], at: usize, name: &str| figures[at][name].as_f64().unwrap_or(f64::NAN);
    let found = figures(&["diff", "a", "b"])?;
    assert_eq!((of(&found, 0, "first"), of(&found, 0, "second"), of(&found, 2, "first")), (0.8, 0.6, 5.0));
    let difference = &found[0]["difference"]["estimate"];
    assert!((difference["mean"].as_f64().unwrap_or_default() - 0.2).abs() < 1e-12, "{difference}");
    assert!(difference["low"].as_f64().is_some_and(|low| (0.0..0.2).contains(&low)), "{difference}");
    // Two methods of one run; a method that it does not have.
    let found = figures(&["diff", "a", "a", "--against", "best operator"])?;
    assert_eq!((of(&found, 0, "second"), of(&found, 2, "second")), (0.5, 10.0));
    check(0, lamas(&["diff", "a", "b"], here), &["10 questions, paired", "a: trained controller", "-75 %"])?;
    let wrong = lamas(&["diff", "a", "b", "--method", "none"], here);
    check(
        1,
        wrong,
        &["expected a method of `a/outcomes.jsonl` (`best operator`, `trained controller`), found `none`"],
    )?;
    check(1, lamas(&["diff", "a", "c"], here), &["expected a run that was evaluated, found no `c`"])?;
    fs::write(here.join("c.jsonl"), outcomes(8, 5.0).replace(":\"p", ":\"q"))?;
    check(1, lamas(&["diff", "a", "c.jsonl"], here), &["expected runs that share questions, found none in common"])?;
    Ok(())
}

#[test]
fn runs_are_listed_with_how_far_they_came() -> Result<()> {
    let place = tempfile::tempdir()?;
    let earlier = format!("{}/tests/runs", env!("CARGO_MANIFEST_DIR"));
    check(0, lamas(&["runs", &earlier], place.path()), &["earlier", "train", "1 run in"])?;
    fs::create_dir_all(place.path().join("runs/broken"))?;
    fs::write(place.path().join("runs/broken/settings.json"), "{")?;
    check(0, lamas(&["runs"], place.path()), &["runs/broken", "cannot read"])?;
    check(1, lamas(&["runs", "nowhere"], place.path()), &["cannot list `nowhere`"])?;
    Ok(())
}
