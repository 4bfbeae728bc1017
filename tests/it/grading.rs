//! Graders against answers with known verdicts, by the library and by `lamas grade`.

use std::fs;
use std::path::Path;

use anyhow::Result;
use assert_cmd::Command;
use lamas::benchmarks::AnswerForm;
use lamas::benchmarks::grading::grade;
use serde_json::Value;

use crate::shared::shared;

/// Expects `share` of the verdicts on a file, and that no wrong answer counts as right where the rule is exact.
fn check(file: &Path, form: AnswerForm, share: f64) -> Result<()> {
    let lines = fs::read_to_string(file)?;
    let rows: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let verdicts = grade(form, &lines, "file")?;
    let mut right = 0;
    for (row, verdict) in rows.iter().zip(&verdicts) {
        let is_right = row["true"] == verdict.correct;
        right += usize::from(is_right);
        let is_exact = row["policy"] != "convention";
        assert!(is_right || !is_exact || !verdict.correct, "a wrong answer counts as right: {row}");
        if !is_right {
            println!("{}: {row}", file.display());
        }
    }
    assert!(right as f64 >= share * rows.len() as f64, "{}: {right} of {}", file.display(), rows.len());
    Ok(())
}

#[test]
fn known_verdicts_are_met() -> Result<()> {
    let Some(folder) = shared("graders") else { return Ok(()) };
    check(&folder.join("math_pairs.jsonl"), AnswerForm::Mathematics, 0.98)?;
    check(&folder.join("math_extract.jsonl"), AnswerForm::Mathematics, 0.98)?;
    check(&folder.join("gsm_texts.jsonl"), AnswerForm::Number, 0.99)
}

/// Every spelling is an answer equal to the one it spells.
#[test]
fn spellings_read_back_as_equal_answers() -> Result<()> {
    let Some(folder) = shared("graders") else { return Ok(()) };
    let form = AnswerForm::Mathematics;
    for line in fs::read_to_string(folder.join("math_pairs.jsonl"))?.lines() {
        let row: Value = serde_json::from_str(line)?;
        for answer in [&row["pred"], &row["ref"]].into_iter().filter_map(Value::as_str) {
            let spelling = form.extract(&format!("\\boxed{{{answer}}}")).unwrap_or_default();
            assert!(form.equal(answer, &spelling), "`{answer}` is spelled `{spelling}`");
            assert_eq!(form.extract(&format!("\\boxed{{{spelling}}}")), Some(spelling), "{answer}");
        }
    }
    Ok(())
}

fn run(arguments: &[&str], folder: &Path) -> Result<(Option<i32>, String, String)> {
    let output = Command::cargo_bin("lamas")?.args(arguments).current_dir(folder).output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn files_are_graded_on_the_command_line() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    let lines = [r#"{"pred": "\\frac12", "ref": "0.5"}"#, r#"{"text": "so \\boxed{3}", "gold": "4"}"#];
    fs::write(here.join("a.jsonl"), lines.join("\n"))?;
    let (code, shown, _) = run(&["grade", "math", "a.jsonl"], here)?;
    let expected = "1: right: \\frac12 (expected 0.5)\n2: wrong: 3 (expected 4)\naccuracy 50.0 %: 1 of 2 right\n";
    assert_eq!((code, shown.as_str()), (Some(0), expected));
    let (code, shown, _) = run(&["grade", "gsm8k", "a.jsonl", "--json"], here)?;
    let rows: Vec<Value> = shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((code, &rows[1]["correct"], &rows[1]["extracted"]), (Some(0), &Value::Bool(false), &"3".into()));
    fs::write(here.join("b.jsonl"), format!("{}\n{{\"pred\": 1}}\n", lines[0]))?;
    let (code, _, errors) = run(&["grade", "math", "b.jsonl"], here)?;
    assert_eq!(code, Some(1));
    assert!(errors.contains("b.jsonl:2: expected a reference in `ref` or `gold`"), "{errors}");
    let (code, _, errors) = run(&["grade", "math", "c.jsonl"], here)?;
    assert!(code == Some(1) && errors.contains("c.jsonl"), "{errors}");
    Ok(())
}
