//! A record of a million lines: how long it takes to open, how much memory that takes, and what a plan costs that it
//! answers.
//!
//! `cargo bench --bench record [-- LINES]`

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use lamas::model::{Price, Prices, Reply, Scripted};
use lamas::operation::{Call, Catalogue};
use lamas::plan::{Latency, Plan, Schedule, Usage};
use lamas::random::digest;
use lamas::record::{Change, Given, Key, Line, Record};
use lamas::task::{ARITHMETIC, Benchmark};
use tokio::runtime::Builder;

#[path = "../it/planned.rs"]
#[allow(dead_code)]
mod planned;

use planned::Planned;

/// The text of a solution in words.
const TEXT: &str =
    "There are 432 rows of 6 seats. 432 * 6 = 2592 . Then 17 are taken out: 2592 - 17 = 2575 . the answer is 2575";

fn line(number: u64) -> Line {
    let usage = Usage { prompt_tokens: 71, completion_tokens: 48, ..Usage::default() };
    let given = Given {
        text: TEXT.to_owned(),
        answer: Some((number % 1000).to_string()),
        score: Some(1.0),
        executed: false,
        tokens: 48,
        prompt_tokens: 71,
        seconds: 0.731_25,
        cost: 1.25e-5,
        arrival: Latency { tokens: 48.0, seconds: 0.731_25 },
    };
    Line {
        key: Key(digest(&[&number.to_le_bytes()])),
        problem: format!("train-{:05}", number / 40),
        operator: "GenerateCoT".to_owned(),
        model: "model".to_owned(),
        draw: format!("training {}", number % 8),
        turn: "0".to_owned(),
        read: None,
        effect: Change::Append,
        solutions: vec![given],
        marks: Vec::new(),
        context: None,
        unusable: None,
        calls: vec![Call { usage, seconds: 0.731_25, ..Call::default() }],
        cost: 1.25e-5,
        reference: Some(Key(digest(&[&(number / 40).to_le_bytes()]))),
    }
}

fn write(path: &Path, lines: u64) {
    let clock = Instant::now();
    let record = Record::open(path).expect("a writable folder");
    (0..lines).for_each(|number| record.append(line(number)).expect("room on the disk"));
    let bytes = path.metadata().map_or(0, |file| file.len());
    println!("{lines} lines, {} MB, appended in {:.1} s", bytes >> 20, clock.elapsed().as_secs_f64());
}

/// Opens the record in a separate process, and looks up some lines.
fn open(path: &Path, lines: u64) {
    let clock = Instant::now();
    let record = Record::open(path).expect("a record");
    let opened = clock.elapsed().as_secs_f64();
    assert_eq!(record.calls() as u64, lines);
    println!("opened in {opened:.1} s, {} MB at most", peak());
    let looked_up = 100_000.min(lines);
    for pass in ["from the disk", "from memory"] {
        let clock = Instant::now();
        for number in 0..looked_up {
            let key = Key(digest(&[&(number % 10_000 * 7 % lines).to_le_bytes()]));
            assert!(record.find(key, 1).expect("a readable file").is_some());
        }
        println!("{:.2} us a line, {pass} at first", clock.elapsed().as_secs_f64() * 1e6 / looked_up as f64);
    }
    println!("{} MB at most", peak());
}

/// The most memory that this process has used, in MB; 0 if the system does not tell.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// What a plan costs with a full record and without one.
fn plans(folder: &Path) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let system = || {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml").expect("the catalogue");
        let prices = Prices([("model".to_owned(), Price::default())].into());
        let model = Arc::new(Scripted::new("model", |_| Ok(Reply::new(TEXT, 48))));
        let benchmark = Benchmark::load(ARITHMETIC).expect("the benchmark");
        Planned::new(catalogue, benchmark, model, &prices, Schedule::Dataflow).expect("a priced model")
    };
    let record = Arc::new(Record::open(&folder.join("plans.jsonl")).expect("a record"));
    let problems = system().problems("train").expect("problems");
    let plans = [&[&[1u16, 4][..], &[6]][..], &[&[2], &[3]], &[&[0, 1], &[5]], &[&[1]]].map(Plan::from_indices);
    for (name, system) in [
        ("no record", system()),
        ("empty record", system().with_record(&record)),
        ("full record", system().with_record(&record)),
    ] {
        let clock = Instant::now();
        let mut count = 0;
        runtime.block_on(async {
            for problem in problems.iter().take(1000) {
                for plan in &plans {
                    system.solve(problem, plan, 0).await.expect("a model that never fails");
                    count += 1;
                }
            }
        });
        println!("{name}: {:.1} us a plan", clock.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    if let [_, word, path, lines] = &arguments[..]
        && word == "open"
    {
        return open(Path::new(path), lines.parse().expect("a number of lines"));
    }
    let lines: u64 = arguments.get(1).and_then(|lines| lines.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record.jsonl");
    write(&path, lines);
    let own = std::env::current_exe().expect("a program");
    let status = Command::new(own).arg("open").arg(&path).arg(lines.to_string()).status().expect("a process");
    assert!(status.success());
    plans(folder.path());
}
