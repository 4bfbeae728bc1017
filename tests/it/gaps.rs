//! Recorded outputs of some operators for only some problems, such as those of a model that is new.

use std::fs;
use std::path::Path;

use anyhow::Result;
use lamas::operation::{Catalogue, Traces};
use lamas::random;
use lamas::task::AnswerForm;

use crate::run_folder::{check, lamas};

const OPERATORS: [&str; 3] = ["A", "B", "New"];
/// How many outputs in ten are right.
const RIGHT: [u64; 3] = [6, 6, 10];

/// A benchmark whose test problems have all outputs, and the others `known` of the new operator.
fn benchmark(folder: &Path, known: usize) -> Result<()> {
    let text = "name = \"gaps\"\ndescription = \"Answers.\"\nanswer = \"integer\"\ncatalogue = \"catalogue.toml\"\n[splits]\n\
                train = \"train.jsonl\"\nvalidation = \"validation.jsonl\"\ntest = \"test.jsonl\"\n[reward]\n\
                latency_weight = 0.001\ncost_weight = 1.0\ngamma = 50.0\n";
    fs::write(folder.join("benchmark.toml"), text)?;
    let operator = |name: &str| {
        format!("[[operator]]\nname = \"{name}\"\nkind = \"generate\"\ndescription = \"Answers.\"\nmax_tokens = 9\n")
    };
    fs::write(folder.join("catalogue.toml"), OPERATORS.map(operator).concat())?;
    let mut traces = String::new();
    for (split, count) in [("train", 120), ("validation", 40), ("test", 60)] {
        let problems: Vec<String> = (0..count)
            .map(|at| format!("{{\"id\": \"{split}-{at}\", \"question\": \"{split} {at} ?\", \"answer\": \"42\"}}"))
            .collect();
        fs::write(folder.join(format!("{split}.jsonl")), problems.join("\n"))?;
        for at in 0..count {
            for (name, right) in OPERATORS.iter().zip(RIGHT) {
                if *name == "New" && split != "test" && at >= known {
                    continue;
                }
                let said = if random::key(&[&split, &at, name]) % 10 < right { 42 } else { 7 };
                traces += &format!(
                    "{{\"query\": \"{split}-{at}\", \"operator\": \"{name}\", \"output\": \"It is {said}.\", \"tokens\": 9, \
                     \"seconds\": 1, \"cost\": 0.001}}\n"
                );
            }
        }
    }
    fs::write(folder.join("traces.jsonl"), traces)?;
    Ok(())
}

#[test]
fn a_new_operator_is_used_once_enough_is_known_of_it() -> Result<()> {
    for (known, is_used) in [(2, false), (30, true)] {
        let place = tempfile::tempdir()?;
        let here = place.path();
        benchmark(here, known)?;
        let with = ["--benchmark", ".", "--traces", "traces.jsonl"];
        let said = check(0, lamas(&[&["train", "--out", "run"][..], &with].concat(), here), &[])?;
        let covered = format!("not every operator was recorded for every problem: `New` for {} of 220", 60 + 2 * known);
        assert!(said.contains(&covered), "{said}");
        let answers = said.lines().find(|line| line.starts_with("answers with")).unwrap_or_default();
        assert_eq!(answers.contains("New"), is_used, "{known} known: {said}");
        // What needs every output leaves out the problems that lack some.
        let said = check(0, lamas(&[&["evaluate", "run", "--split", "train"][..], &with].concat(), here), &[])?;
        assert!(said.contains(&format!("{known} problems, 1 seed")), "{said}");
    }
    Ok(())
}

#[test]
fn gaps_are_counted() -> Result<()> {
    let place = tempfile::tempdir()?;
    benchmark(place.path(), 30)?;
    let text = fs::read_to_string(place.path().join("catalogue.toml"))?;
    let catalogue = Catalogue::parse(text, "catalogue.toml")?;
    let traces = Traces::load(&place.path().join("traces.jsonl"), &catalogue, AnswerForm::Integer)?;
    assert_eq!(traces.gaps(&catalogue), (vec![("A", 0), ("B", 0), ("New", 100)], 220));
    assert!(traces.is_complete("train-29", &catalogue) && !traces.is_complete("train-30", &catalogue));
    Ok(())
}

#[test]
fn an_operator_without_outputs_is_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let here = place.path();
    benchmark(here, 0)?;
    let lines = fs::read_to_string(here.join("traces.jsonl"))?;
    let lines: Vec<&str> = lines.lines().filter(|line| !line.contains("\"New\"")).collect();
    fs::write(here.join("traces.jsonl"), lines.join("\n"))?;
    let command = lamas(&["train", "--benchmark", ".", "--traces", "traces.jsonl"], here);
    check(1, command, &["traces.jsonl: expected outputs of every operator, found none of `New`"])?;
    Ok(())
}
