//! Lines are found again, whatever interrupted their writer.

use std::fs;

use anyhow::Result;

use super::super::line::{Change, Given};
use super::*;
use crate::operation::Call;
use crate::plan::{Latency, Usage};

/// A call that gave solutions with these texts; each is right if its answer is `8`.
pub(in super::super) fn line(key: u128, texts: &[&str]) -> Line {
    let given = |text: &&str| Given {
        text: (*text).to_owned(),
        answer: text.split(' ').next_back().map(str::to_owned),
        score: Some(f64::from(u8::from(text.ends_with('8')))),
        executed: false,
        tokens: text.len() as u64,
        prompt_tokens: 3,
        seconds: 0.5,
        cost: 1e-4,
        arrival: Latency { tokens: text.len() as f64, seconds: 0.5 },
    };
    let call = |text: &&str| Call {
        usage: Usage { prompt_tokens: 3, completion_tokens: text.len() as u64, ..Usage::default() },
        seconds: 0.5,
        ..Call::default()
    };
    Line {
        key: Key(key),
        problem: "p".to_owned(),
        operator: "Go".to_owned(),
        model: "m".to_owned(),
        draw: "training 0".to_owned(),
        turn: "0".to_owned(),
        read: None,
        effect: if texts.is_empty() { Change::Keep } else { Change::Append },
        solutions: texts.iter().map(given).collect(),
        marks: Vec::new(),
        context: None,
        unusable: None,
        calls: texts.iter().map(call).collect(),
        cost: 1e-4 * texts.len() as f64,
        reference: Some(Key(5)),
    }
}

fn texts(record: &Record, key: u128, solutions: usize) -> Result<Option<Vec<String>>> {
    let found = record.find(Key(key), solutions)?;
    Ok(found.map(|line| line.solutions.iter().map(|given| given.text.clone()).collect()))
}

#[test]
fn what_is_written_is_found_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("new/record.jsonl");
    let record = Record::open(&path)?;
    record.append(line(1, &["it is 8", "it is 9"]))?;
    record.append(line(2, &[]))?;
    record.keep_score(&Graded { problem: "p".into(), reference: Key(5), answer: "10".into(), score: 0.25 })?;
    // A call with more solutions replaces one with fewer.
    record.append(line(1, &["it is 8", "it is 9", "it is 7"]))?;
    let second = Record::open(&path).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(second.contains("is being written by another process"), "{second}");
    let check = |record: &Record| -> Result<()> {
        assert_eq!(texts(record, 1, 3)?, Some(["it is 8", "it is 9", "it is 7"].map(str::to_owned).into()));
        assert_eq!((texts(record, 1, 4)?, texts(record, 2, 0)?, texts(record, 3, 0)?), (None, Some(Vec::new()), None));
        let score = |answer: &str| record.score(Reference(Key(5)), answer);
        assert_eq!(["8", "9", "10", "11"].map(score), [Some(1.0), Some(0.0), Some(0.25), None]);
        // Another reference means another score.
        assert_eq!(record.score(Reference(Key(6)), "8"), None);
        assert_eq!(record.calls(), 2);
        Ok(())
    };
    check(&record)?;
    drop(record);
    check(&Record::open(&path)?)
}

#[test]
fn an_unfinished_line_is_dropped_aloud() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("record.jsonl");
    let record = Record::open(&path)?;
    assert!(record.remark().is_none());
    record.append(line(1, &["it is 8"]))?;
    record.append(line(2, &["it is 9"]))?;
    drop(record);
    let whole = fs::read(&path)?;
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap_or_default() + 1;
    for cut in [first + 1, first + 20, whole.len() - 1] {
        fs::write(&path, &whole[..cut])?;
        let record = Record::open(&path)?;
        let remark = record.remark().unwrap_or_default().to_owned();
        assert!(remark.contains("line 2 was left unfinished"), "{remark}");
        assert_eq!((texts(&record, 1, 1)?.is_some(), texts(&record, 2, 1)?), (true, None), "{cut}");
        record.append(line(2, &["it is 9"]))?;
        drop(record);
        assert!(fs::read(&path)? == whole, "{cut}");
    }
    Ok(())
}

#[test]
fn what_is_no_record_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("record.jsonl");
    let sound = serde_json::to_string(&line(1, &["it is 8"]))?;
    let check = |text: String, expected: &str| -> Result<()> {
        fs::write(&path, text)?;
        let found = Record::open(&path).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(found.contains(expected) && found.contains("hint: `lamas record merge`"), "{found}");
        Ok(())
    };
    check(format!("{sound}\n\n{{}}\n"), "record.jsonl` line 3: expected a line of a record, found neither")?;
    check(format!("{sound}\nnonsense\n{sound}\n"), "line 2: expected a line of a record")?;
    check(format!("{}\n", sound.replacen("0000", "xyz", 1)), "line 1: expected a line of a record: expected 32")?;
    fs::write(&path, format!("{sound}\n"))?;
    let record = Record::open(&path)?;
    fs::write(&path, "x".repeat(sound.len()))?;
    let found = record.find(Key(1), 1).err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(found.contains("is not the one that was there"), "{found}");
    assert!(Record::open(folder.path()).is_err());
    Ok(())
}

#[tokio::test]
async fn a_call_is_made_by_one_at_a_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let record = Record::open(&folder.path().join("record.jsonl"))?;
    let first = record.claim(Key(1)).await;
    let other = record.claim(Key(2)).await;
    let mut waiting = Box::pin(record.claim(Key(1)));
    assert!(futures::poll!(&mut waiting).is_pending());
    // A caller who no longer waits is in nobody's way.
    drop(waiting);
    let mut waiting = Box::pin(record.claim(Key(1)));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(first);
    drop(waiting.await);
    drop(other);
    assert!(record.claims().is_empty());
    Ok(())
}
