//! The rules of the grammar, checked with a reader of chains and programs that shares no code with their writer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::mix::MIX;
use super::words::{NAMES, PLACES, THINGS};
use super::*;

fn number(word: &str) -> u32 {
    word.parse().unwrap_or_else(|_| panic!("expected a number, found `{word}`"))
}

/// Checks every line and returns the final answer and the number of lines before it.
fn read_chain(chain: &str) -> (u32, usize) {
    let lines: Vec<&str> = chain.split(" . ").collect();
    let (last, steps) = lines.split_last().expect("a chain has a last line");
    let mut tally = 0;
    for step in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let [left, sign, right, equals, result] = words[..] else { panic!("unreadable step `{step}`") };
        let (left, right, result) = (number(left), number(right), number(result));
        assert!(result <= 9999, "{chain}");
        match (sign, equals) {
            ("+", "=") => assert_eq!(left + right, result, "{chain}"),
            ("-", "=") => assert_eq!(result + right, left, "{chain}"),
            ("*", "=") => assert_eq!(left * right, result, "{chain}"),
            ("/", "=") => assert_eq!(result * right, left, "{chain}"),
            ("%", "=") => assert_eq!(left % right, result, "{chain}"),
            ("max", "=") => assert_eq!(left.max(right), result, "{chain}"),
            ("min", "=") => assert_eq!(left.min(right), result, "{chain}"),
            (">", ":") => assert!(left > right && (result == tally || result == tally + 1), "{chain}"),
            ("<", ":") => assert!(left < right && (result == tally || result == tally + 1), "{chain}"),
            _ => panic!("unreadable step `{step}`"),
        }
        tally = result;
    }
    (number(last.strip_prefix("the answer is ").expect("a chain ends in the answer")), steps.len())
}

/// The value of a program. Each line is one operation, or a sum of any length.
fn run_program(program: &str) -> u32 {
    let mut variables: BTreeMap<&str, u32> = BTreeMap::new();
    for line in program.split(" ; ") {
        let words: Vec<&str> = line.split(' ').collect();
        let value = |word: &str| variables.get(word).copied().unwrap_or_else(|| number(word));
        match &words[..] {
            ["return", variable] => return variables[variable],
            [variable, "=", first, rest @ ..] => {
                let result = rest.chunks(2).fold(value(first), |left, pair| match pair {
                    ["+", right] => left + value(right),
                    ["-", right] => left - value(right),
                    ["*", right] => left * value(right),
                    ["/", right] => left / value(right),
                    _ => panic!("unreadable line `{line}`"),
                });
                variables.insert(variable, result);
            }
            _ => panic!("unreadable line `{line}`"),
        }
    }
    panic!("`{program}` returns nothing")
}

fn plain(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit()
}

fn check_example(split: Split, example: &Example) {
    let Example { question, answer, steps, direct, chain, program, wrong, .. } = example;
    assert_eq!(read_chain(chain), (number(answer), *steps as usize), "{question}");
    if let Some(program) = program {
        assert_eq!(run_program(program), number(answer), "{question}");
    }
    assert_eq!(direct.as_ref(), (*steps <= 1).then_some(answer), "{question}");
    assert!(split.holds(random::key(&[question])), "{question}");
    let apart = |word: &str| [".", ",", "?"].contains(&word) || (!word.is_empty() && word.chars().all(plain));
    assert!(question.split(' ').all(apart) && question.ends_with(" ?"), "{question}");
    if split == Split::Corpus {
        assert!((2..=3).contains(&wrong.len()), "{question}");
        let ends = wrong.iter().map(|chain| number(chain.rsplit(' ').next().unwrap_or_default()));
        assert!(ends.into_iter().all(|end| end != number(answer) && end <= 9999), "{wrong:?}");
    } else {
        assert!(wrong.is_empty());
    }
}

/// The sentences of the examples with names, things, places and numbers left out.
fn patterns(examples: &[Example]) -> BTreeSet<String> {
    let known: BTreeSet<&str> = words(examples).into_iter().collect();
    let general = |word| match word {
        word if NAMES.contains(&word) || !known.contains(word) => "N",
        word if THINGS.contains(&word) => "T",
        word if PLACES.contains(&word) => "W",
        word if word.chars().all(|letter| letter.is_ascii_digit()) => "0",
        word => word,
    };
    let sentences = examples.iter().flat_map(|example| example.question.split(" . "));
    sentences.map(|sentence| sentence.split(' ').map(general).collect::<Vec<_>>().join(" ")).collect()
}

/// Numbers, and words that occur in at least 8 examples; invented names occur in fewer.
fn words(examples: &[Example]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for example in examples {
        for word in example.question.split(' ').collect::<BTreeSet<_>>() {
            *counts.entry(word).or_default() += 1;
        }
    }
    let frequent = counts.into_iter().filter(|(word, count)| *count >= 8 || word.parse::<u32>().is_ok());
    frequent.map(|(word, _)| word).collect()
}

fn examples(split: Split, seed: u64, count: usize) -> Vec<Example> {
    generate(split, seed).take(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_solution_is_right(seed: u64) {
        for split in Split::ALL {
            for example in generate(split, seed).take(100) {
                check_example(split, &example);
            }
        }
    }
}

#[test]
fn same_seed_same_examples() {
    for split in Split::ALL {
        assert_eq!(examples(split, 7, 50), examples(split, 7, 50));
        assert_ne!(examples(split, 7, 50), examples(split, 8, 50));
    }
}

#[test]
fn splits_share_no_question_and_repeat_none() {
    let mut seen = BTreeSet::new();
    for split in [Split::Train, Split::Validation, Split::Test, Split::Hard] {
        for example in examples(split, 3, 1000) {
            assert!(seen.insert(example.question), "{split} repeats {}", example.id);
        }
    }
    for example in examples(Split::Corpus, 3, 5000) {
        assert!(!seen.contains(&example.question), "{}", example.question);
    }
}

#[test]
fn kinds_come_in_their_shares() {
    assert_eq!(MIX.iter().map(|kind| kind.share).sum::<u32>(), 1000);
    for split in [Split::Corpus, Split::Test, Split::Hard] {
        let drawn = examples(split, 1, 4000);
        for kind in MIX {
            let share = drawn.iter().filter(|example| example.kind == kind.name).count() as f64 / 4000.0;
            let expected = f64::from(kind.share) / 1000.0;
            assert!((share - expected).abs() < 0.02, "{split}: {} has {share}, expected {expected}", kind.name);
        }
    }
}

#[test]
fn the_hard_split_has_other_sentences_of_the_same_words() {
    let (corpus, hard) = (examples(Split::Corpus, 1, 20_000), examples(Split::Hard, 1, 6000));
    let vocabulary = words(&corpus);
    let letters = vocabulary.iter().filter(|word| word.chars().all(char::is_alphabetic)).count();
    assert!(letters < 350, "{letters} words");
    let mut foreign = words(&hard);
    foreign.retain(|word| !vocabulary.contains(word) && word.parse::<u32>().is_err());
    assert!(foreign.is_empty(), "not in the corpus: {foreign:?}");
    let shared: Vec<_> = patterns(&corpus).intersection(&patterns(&hard)).cloned().collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn the_shipped_splits_are_what_the_grammar_writes() {
    for (split, count) in [(Split::Train, 2400), (Split::Validation, 300), (Split::Test, 1200), (Split::Hard, 500)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/arithmetic/{split}.jsonl"));
        let shipped = std::fs::read_to_string(&path).expect("the split ships");
        let lines = examples(split, 1, count).iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        let written = lines.expect("examples serialise").join("\n") + "\n";
        assert!(shipped == written, "`{}` is not what `lamas data arithmetic` writes", path.display());
    }
}
