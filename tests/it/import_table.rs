//! Tables become benchmark folders: conflicts, scores instead of references, and what is wrong with a file.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lamas::import::{Format, Precedence, import};
use lamas::task::AnswerForm;

use crate::import::{CHAIN, DIRECT, Place, shown};

const HEADER: &str = "id,question,answer,operator,output,correct,prompt_tokens,tokens,seconds,cost,split";

/// Two operators on three problems, one for each split.
fn sound() -> String {
    let row = |(number, split): (usize, &str)| {
        let question = format!("\"What is {number},\n exactly?\"");
        let short = format!("{number},{question},{number},short,{number},1,9,2,0.5,1e-6,{split}");
        let long = format!("{number},{question},{number},long,It is {number},0,9,20,2,1e-5,{split}");
        format!("{short}\n{long}\n")
    };
    let rows = (1..).zip(["train", "val", "test"]).map(row).collect::<String>();
    format!("{HEADER}\n{rows}")
}

#[test]
fn a_table_brings_all_that_is_recorded() -> Result<()> {
    let place = Place::new()?;
    let file = place.file("t.csv", &sound().replace(',', ";").replace(";\n exactly", ",\n exactly"))?;
    let summary = import(&place.options(Format::Csv, &[&file]))?;
    // The verdicts on equal answers contradict each other, so the benchmark grades.
    assert_eq!(shown(&summary), [("short", -1.0, [0; 3]), ("long", -1.0, [0; 3])]);
    assert!(
        summary.notes.iter().any(|note| note.starts_with("verdicts of 6 outputs contradict those of equal answers"))
    );
    let lines = place.traces()?;
    let first = &lines[0];
    assert_eq!((first.query.as_str(), first.tokens, first.seconds, first.cost), ("1", 2, 0.5, 1e-6));
    assert!(lines.iter().all(|line| line.estimated.is_empty()));
    let test = place.benchmark()?.problems("test")?;
    assert_eq!((test.len(), test[0].question.as_str()), (1, "What is 3,\n exactly?"));
    Ok(())
}

#[test]
fn files_without_ids_and_operators_are_joined_by_questions() -> Result<()> {
    let place = Place::new()?;
    let files = [
        place.file("small.csv", "Question,Expected,Model reply,correct\nq 1,A,B,false\nq 2,B,B,true\nq 3,C,C,1\n")?,
        place
            .file("large.tsv", "Question\tExpected\tModel reply\nq 3\tC\tthe answer is (C)\nq 1\tA\tA\nq 2\tB\tB\n")?,
    ];
    let mut options = place.options(Format::Csv, &files.each_ref().map(String::as_str));
    options.columns.insert("output".into(), "Model reply".into());
    let summary = import(&options)?;
    assert_eq!(shown(&summary), [("small", 0.667, [3; 3]), ("large", -1.0, [3; 3])]);
    assert_eq!((summary.answers, summary.problems.len()), (AnswerForm::MultipleChoice, 3));
    let lines = place.traces()?;
    assert_eq!(lines.len(), 6);
    assert!(lines.iter().all(|line| line.operator != "large" || line.correct.is_none()));
    options.columns.insert("colour".into(), "red".into());
    options.out = place.path("other");
    let error = import(&options).map(|_| ()).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.starts_with("expected one of the columns id, question, ")));
    Ok(())
}

#[test]
fn contradictions_are_listed_at_once_and_one_side_can_count() -> Result<()> {
    let place = Place::new()?;
    let added = "1,\"What is 1,\n exactly?\",1,short,one,1,9,2,0.5,1e-6,train\n\
                 2,Another question,2,long,It is 2,0,9,20,2,1e-5,val\n\
                 3,\"What is 3, exactly?\",3,short,3,1,9,2,0.5,1e-6,test\n";
    let file = place.file("t.csv", &format!("{}{added}", sound()))?;
    let mut options = place.options(Format::Csv, &[&file]);
    let error = import(&options).map(|_| ()).map_err(|error| error.to_string()).unwrap_err();
    assert!(error.starts_with("expected lines that agree, found 2 that contradict others:\n  "), "{error}");
    for part in [
        "t.csv:14: problem `1`, operator `short`: `one` (score 1), `1` (score 1) in ",
        "t.csv:16: problem `2`: question `Another question`, `What is 2, exactly?` in ",
        "hint: `--on-conflict first` or `last`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for (precedence, output, question) in
        [(Precedence::First, "1", "What is 2,\n exactly?"), (Precedence::Last, "one", "Another question")]
    {
        fs::remove_dir_all(place.path("out")).ok();
        options.precedence = precedence;
        let summary = import(&options)?;
        let counts = |note: &&String| note.contains("lines contradict others: the ") && note.contains("counts:\n  ");
        assert!(summary.notes.iter().any(|note| counts(&note)), "{:?}", summary.notes);
        assert!(summary.notes.iter().any(|note| note.starts_with("2 lines repeat others")), "{:?}", summary.notes);
        assert_eq!(place.traces()?[0].output.as_deref(), Some(output));
        assert_eq!(place.benchmark()?.problems("validation")?[0].question, question);
    }
    let many: String =
        (0..50).map(|number| format!("{},x{number},1,short,1,1,1,1,1,1,test\n", number % 3 + 1)).collect();
    fs::remove_dir_all(place.path("out"))?;
    let file = place.file("many.csv", &format!("{}{many}", sound()))?;
    let error =
        import(&place.options(Format::Csv, &[&file])).map(|_| ()).map_err(|error| error.to_string()).unwrap_err();
    assert!(error.contains("\n  ... and ") && error.lines().count() == 23, "{error}");
    Ok(())
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_left() -> Result<()> {
    let check = |name: &str, format: Format, content: &str, expected: &str| -> Result<()> {
        let place = Place::new()?;
        let file = place.file(name, content)?;
        let error = import(&place.options(format, &[&file])).map(|_| ()).map_err(|error| format!("{error:#}"));
        let error = error.err().with_context(|| format!("`{content}` was imported"))?;
        assert!(error.contains(expected), "{content}:\nexpected {expected}\nfound {error}");
        assert!(!place.path("out").exists() && place.holds_nothing_half_done());
        Ok(())
    };
    let table = |rows: &str, expected: &str| check("t.csv", Format::Csv, &format!("{HEADER}\n{rows}"), expected);
    let row = |cell: usize, text: &str| {
        let mut cells = ["1", "Why?", "2", "a", "2", "1", "9", "2", "0.5", "0", "train"];
        cells[cell] = text;
        cells.join(",")
    };
    table("", "t.csv: expected at least one row below the header")?;
    table("1,2\n", "t.csv:2: expected 11 cells, as the header has, found 2; hint: ")?;
    table(&row(5, "perhaps"), "t.csv:2: expected true, false, 1 or 0 in `correct`, found `perhaps`")?;
    table(&row(7, "-1"), "t.csv:2: expected a number from 0 up in `tokens`, found `-1`")?;
    table(&row(9, "NaN"), "t.csv:2: expected a number from 0 up in `cost`, found `NaN`")?;
    table(&row(4, ""), "t.csv:2: expected text in `output` for a score of 1, found none")?;
    table(&row(0, ""), "t.csv:2: expected text in `id`, found none")?;
    table(&row(10, "hard"), "expected at least 3 problems")?;
    table(&row(1, " "), "expected a question for every problem, found none for 1:\n  ")?;
    check(
        "t.csv",
        Format::Csv,
        "id,reply\n1,2\n",
        "expected a column `output`, found `id`, `reply`; hint: `--column output=",
    )?;
    check("t.csv", Format::Csv, "", "t.csv: expected at least one row below the header, found none")?;
    let lines = |content: &str, expected: &str| check("samples_t.jsonl", Format::LmEval, content, expected);
    lines("", "expected a sample of lm-evaluation-harness")?;
    lines("{\"doc_id\": 1", "samples_t.jsonl:1: expected a sample of lm-evaluation-harness")?;
    lines("{\"doc_id\": 1}\n[2]", "samples_t.jsonl:2: expected a sample")?;
    lines("{\"doc_id\": 1}", "samples_t.jsonl:1: expected a field `resps`, found none")?;
    lines("{\"doc\": {}}", "samples_t.jsonl:1: expected a field `doc_id`, found none")?;
    let sample = r#"{"doc_id": 1, "doc": {"question": "q"}, "target": "2", "resps": [["2"]], "filtered_resps": ["2"], "filter": "a""#;
    lines(
        &format!("{sample}, \"metrics\": [\"f\", \"g\"]}}"),
        "filter `a`: expected one score, found `f`, `g`; hint: ",
    )?;
    lines(
        &format!("{sample}, \"metrics\": [\"f\"], \"f\": 7}}"),
        "samples_t.jsonl:1: expected a score from 0 to 1 in `f`, found `7`",
    )?;
    let two = format!("{sample}}}\n{}}}", sample.replace("\"a\"", "\"b\""));
    lines(&two, "expected one filter, found the filters `a`, `b`; hint: choose with `--filter NAME`")?;
    lines(&format!("{}}}", sample.replace("[[\"2\"]]", "[[[-3]]]")), "expected generated text, or choices")?;
    let log = |content: &str, expected: &str| check("x.json", Format::Inspect, content, expected);
    log("{}", "x.json: expected a log of Inspect (an object with `eval` and `samples`), found no `samples`")?;
    log("{\"samples\": []}", "expected a log of Inspect, found no `eval`")?;
    log("{\"samples\": [3], \"eval\": {}}", "x.json: sample 1: expected an object, found `3`")?;
    log("{\"samples\": [{}], \"eval\": {}}", "x.json: sample 1: expected a field `id`, found none")?;
    log("{\"samples\": [], \"eval\": {}}", "expected at least one output, found none")?;
    let scored = |scores: &str| format!("{{\"samples\": [{{\"id\": 1, \"scores\": {scores}}}], \"eval\": {{}}}}");
    log(
        &scored(r#"{"a": {"value": "C"}, "b": {"value": "I"}}"#),
        "expected one scorer, found `a`, `b`; hint: choose with",
    )?;
    log(&scored(r#"{"a": {"value": {"x": 1, "y": 0}}}"#), "hint: choose with `--metric NAME`, one of `a/x`, `a/y`")?;
    log(&scored(r#"{"a": {"value": 7.5}}"#), "expected a score from 0 to 1 in `a`, found `7.5`")?;
    check(
        "x.eval",
        Format::Inspect,
        "PK\u{3}\u{4} and no more",
        "x.eval: expected a whole `.eval` file (a zip archive), found ",
    )?;
    let batch = |content: &str, expected: &str| check("x.jsonl", Format::OpenAiBatch, content, expected);
    batch("{\"custom_id\": 1}", "x.jsonl:1: expected requests (with `body`) or responses (with `response`)")?;
    batch(
        "{\"custom_id\": 1, \"body\": {}}",
        "expected a file of responses (an output file of the batch API), found none",
    )?;
    batch("{\"response\": {}}", "x.jsonl:1: expected a field `custom_id`, found none")?;
    batch("{\"custom_id\": 1, \"response\": {\"body\": {}}}", "x.jsonl:1: expected the body of a chat completion")?;
    let missing =
        import(&Place::new()?.options(Format::Csv, &["nowhere.csv"])).map(|_| ()).map_err(|error| format!("{error:#}"));
    assert!(missing.is_err_and(|error| error.starts_with("cannot read `nowhere.csv`")));
    Ok(())
}

#[test]
fn cut_and_damaged_logs_are_refused_or_read_but_never_half_written() -> Result<()> {
    let logs = [
        (Format::LmEval, DIRECT),
        (Format::Inspect, "tests/logs/inspect/arith_direct.json"),
        (Format::Inspect, "tests/logs/inspect/arith_chain.eval"),
        (Format::Inspect, "tests/logs/inspect/arith_chain_deflated.eval"),
    ];
    for (format, log) in logs {
        let whole = fs::read(log)?;
        for step in 0..40 {
            let place = Place::new()?;
            let at = whole.len() * step / 40;
            let mut damaged = whole.clone();
            damaged[at] ^= 0x15;
            for content in [&whole[..at], &damaged] {
                let file = place.path("log.json");
                fs::write(&file, content)?;
                let mut options = place.options(format, &[&file.display().to_string()]);
                options.filter = Some("strict-match".into());
                let is_read = import(&options).is_ok();
                assert_eq!(is_read, place.path("out").exists(), "{log} at {at}");
                assert!(place.holds_nothing_half_done());
                fs::remove_dir_all(place.path("out")).ok();
            }
        }
    }
    Ok(())
}

#[test]
fn the_command_imports_and_scores_train_without_references() -> Result<()> {
    let place = Place::new()?;
    let lamas = |arguments: &str| -> Result<(String, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lamas"));
        command.args(arguments.split_whitespace()).current_dir(place.path("."));
        command.env("XDG_STATE_HOME", place.path("state")).env("LAMAS_DEVICE", "cpu");
        let output = command.env("LAMAS_CACHE", place.path("cache")).output()?;
        let [told, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        ensure!(output.status.success(), "{errors}");
        Ok((told, errors))
    };
    // The cheap operator is good at letters, the expensive one at cities; only a judge's scores say so.
    let row = |number: usize| {
        let (question, cheap, dear) = if number.is_multiple_of(2) {
            (format!("Write a letter about day {number}"), 0.9, 0.9)
        } else {
            (format!("Describe the city number {number} and its history"), 0.1, 0.8)
        };
        format!("{number},{question},cheap,ok {number},{cheap},5\n{number},{question},dear,fine {number},{dear},50\n")
    };
    let rows: String = (0..60).map(row).collect();
    place.file("t.csv", &format!("id,question,operator,output,score,tokens\n{rows}"))?;
    place.file("p.toml", "[cheap]\nprice = 1\n[dear]\nprice = 10\n")?;
    let (told, errors) = lamas("traces import --format csv t.csv --out out --prices p.toml")?;
    assert!(told.contains("operator  outputs  score") || told.contains("operator"), "{told}");
    for part in ["0.500", "0.850", "estimated", "36 problems to train, 5 to validate, 19 to test in `out`"] {
        assert!(told.contains(part), "{part}: {told}{errors}");
    }
    assert!(told.contains("lamas train --benchmark out --traces out/traces.jsonl"), "{told}");
    let (told, errors) =
        lamas("train --benchmark out --traces out/traces.jsonl --second-costs 0 --dollar-costs 0 --out run --json")?;
    assert!(
        errors
            .contains("of 120 outputs, these values are estimated: cost of 120, prompt_tokens of 120, seconds of 120"),
        "{errors}"
    );
    let rows: Vec<serde_json::Value> = serde_json::from_str(&told)?;
    let score = |row: &serde_json::Value| row["summary"]["score"]["mean"].as_f64();
    let last = rows.last().and_then(score).with_context(|| format!("a score in {told}"))?;
    assert!((0.8..0.91).contains(&last), "{last}: {told}");
    // Problems without outputs are counted in a message.
    let traces = fs::read_to_string(place.path("out/traces.jsonl"))?;
    let fewer: Vec<&str> = traces.lines().filter(|line| !line.contains("\"query\":\"0\"")).collect();
    place.file("fewer.jsonl", &fewer.join("\n"))?;
    let (_, errors) = lamas("baselines --benchmark out --traces fewer.jsonl")?;
    assert!(errors.contains("`fewer.jsonl`: problems without recorded outputs are left out: 1 of "), "{errors}");
    let chain = std::env::current_dir()?.join(CHAIN);
    let refused = lamas(&format!("traces import --format lm-eval {} --out other", chain.display()));
    assert!(
        refused.is_err_and(|error| error.to_string().contains("found the filters `flexible-extract`, `strict-match`"))
    );
    assert!(!place.path("other").exists());
    Ok(())
}
