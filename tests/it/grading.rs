//! Graders against answers with known verdicts, through the library and through `lamas grade`.

use std::fs;
use std::path::Path;

use anyhow::Result;
use assert_cmd::Command;
use lamas::task::AnswerForm;
use lamas::task::grading::grade;
use serde_json::Value;

use crate::shared::shared;

/// Expects at least the `share` of right verdicts on a file, separately for exact verdicts and for those by convention,
/// and that no wrong answer counts as right among the exact ones.
fn check(file: &Path, form: AnswerForm, share: f64) -> Result<()> {
    let lines = fs::read_to_string(file)?;
    let rows: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let verdicts = grade(form, &lines, "file")?;
    let mut counts = [(0, 0); 2];
    for (row, verdict) in rows.iter().zip(&verdicts) {
        let is_right = row["true"] == verdict.correct;
        let is_exact = row["policy"] != "convention";
        let (right, all) = &mut counts[usize::from(is_exact)];
        *right += usize::from(is_right);
        *all += 1;
        assert!(is_right || !is_exact || !verdict.correct, "a wrong answer counts as right: {row}");
        if !is_right {
            println!("{}: {row}", file.display());
        }
    }
    let [(convention, conventions), (exact, all)] = counts;
    println!("{}: exact {exact} of {all}, convention {convention} of {conventions}", file.display());
    assert!(exact as f64 >= share * all as f64, "{}: {exact} of {all}", file.display());
    assert!(convention as f64 >= share * conventions as f64, "{}: {convention} of {conventions}", file.display());
    Ok(())
}

#[test]
fn known_verdicts_are_met() -> Result<()> {
    let Some(folder) = shared("graders") else { return Ok(()) };
    check(&folder.join("math_pairs.jsonl"), AnswerForm::Mathematics, 0.99)?;
    check(&folder.join("math_extract.jsonl"), AnswerForm::Mathematics, 0.99)?;
    check(&folder.join("gsm_texts.jsonl"), AnswerForm::Number, 0.99)
}

#[test]
fn known_faults_are_gone() -> Result<()> {
    let Some(folder) = shared("faults") else { return Ok(()) };
    check(&folder.join("math_pairs.jsonl"), AnswerForm::Mathematics, 1.0)?;
    check(&folder.join("gsm_texts.jsonl"), AnswerForm::Number, 1.0)
}

/// Every spelling is an answer equal to the one it spells.
#[test]
fn spellings_read_back_as_equal_answers() -> Result<()> {
    let (Some(graders), Some(faults)) = (shared("graders"), shared("faults")) else { return Ok(()) };
    let form = AnswerForm::Mathematics;
    let pairs = [graders, faults].map(|folder| fs::read_to_string(folder.join("math_pairs.jsonl")));
    for line in pairs.into_iter().collect::<Result<Vec<_>, _>>()?.iter().flat_map(|pairs| pairs.lines()) {
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
    // Half a surrogate pair and an invalid UTF-8 byte spoil nothing.
    let broken: [&[u8]; 2] =
        [br#"{"text": "\ud83d\n#### 5", "gold": "5"}"#, b"{\"text\": \"\xe9\xff: 6\", \"gold\": \"6\"}"];
    fs::write(here.join("d.jsonl"), broken.join(&b'\n'))?;
    let (code, shown, errors) = run(&["grade", "gsm8k", "d.jsonl"], here)?;
    assert!(code == Some(0) && shown.ends_with("accuracy 100.0 %: 2 of 2 right\n"), "{shown}{errors}");
    // A benchmark of one's own.
    run(&["init", "mine", "--kind", "choice"], here)?;
    fs::write(here.join("e.jsonl"), r#"{"text": "I think it is (B).", "gold": "B"}"#)?;
    let (code, shown, errors) = run(&["grade", "mine", "e.jsonl"], here)?;
    assert!(code == Some(0) && shown.ends_with("accuracy 100.0 %: 1 of 1 right\n"), "{shown}{errors}");
    let (code, _, errors) = run(&["grade", "maths", "e.jsonl"], here)?;
    assert!(code == Some(1) && errors.contains("or a benchmark folder, found `maths`"), "{errors}");
    let (code, _, errors) = run(&["grade", "math", "c.jsonl"], here)?;
    assert!(code == Some(1) && errors.contains("c.jsonl"), "{errors}");
    Ok(())
}
