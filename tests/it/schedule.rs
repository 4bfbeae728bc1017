//! Schedules, quorum and halting head: the same answers sooner, or what was predicted, whatever the plan.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::Result;
use candle_core::{Device, Tensor};
use lamas::decide::{HaltingHead, inputs};
use lamas::execute::{Answer, ExecutionConfig};
use lamas::learn::Course;
use lamas::model::{Error, Price, Prices, Reply, Request, Scripted};
use lamas::operation::Catalogue;
use lamas::plan::{Plan, Schedule, Status, Unit};
use lamas::task::{ARITHMETIC, Benchmark, Problem};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::planned::Planned;

pub const GENERATE: u16 = 0;
pub const COT: u16 = 1;
pub const MULTI: u16 = 2;
const ENSEMBLE: u16 = 3;
const PROGRAMMER: u16 = 4;
pub const REFINE: u16 = 6;
/// Operators of the built-in catalogue and of [`ADDED`].
const OPERATORS: u16 = 12;

/// Operators that read what the built-in ones of their kind do not, or that repeat those.
const ADDED: &str = r#"
    [[operator]]
    name = "Vote"
    kind = "ensemble"
    description = "Votes."

    [[operator]]
    name = "Judge"
    kind = "ensemble"
    description = "Lets the model choose among the solutions."
    prompt = "{{ question }} {{ solutions | join(' or ') }} <|judge|>"
    max_tokens = 2

    [[operator]]
    name = "Rethink"
    kind = "generate"
    description = "Answers with the latest solution in view."
    prompt = "{{ question }} {{ solution }} <|direct|>"
    max_tokens = 12

    [[operator]]
    name = "SureProgrammer"
    kind = "program"
    description = "Writes the likeliest program."
    prompt = "{{ question }} {{ feedback }} <|program|>"
    max_tokens = 12
    rounds = 1
    tool_seconds = 0.02
"#;

/// Answers, failures and times that depend on the request as a model's do, at a tenth of a second per token.
pub fn random_script(request: &Request) -> Result<Reply, Error> {
    let content = &request.messages[0].content;
    let draw = lamas::random::key(&[content, &request.sample]);
    let (number, tokens) = (draw % 3, draw / 7 % 30);
    let mode = content.rsplit_once("<|").map_or("", |(_, mode)| mode);
    let reply = match mode {
        "program|>" if number == 0 => Reply::new("return", tokens),
        "program|>" => Reply::new(format!("return {number}"), tokens),
        "judge|>" => Reply::new(format!("{}", number + 1), tokens),
        "direct|>" if draw.is_multiple_of(11) => return Err(Error::Transient("busy".into())),
        _ if draw.is_multiple_of(13) => Reply::new("who knows", tokens),
        _ => Reply::new(format!("2 + {number} = 4 . the answer is {number}"), tokens),
    };
    Ok(reply.after(Duration::from_millis(100) * u32::try_from(tokens).unwrap_or_default()))
}

fn system(execution: ExecutionConfig) -> Planned {
    scripted(execution, random_script)
}

pub fn scripted(
    execution: ExecutionConfig,
    script: impl Fn(&Request) -> Result<Reply, Error> + Send + Sync + 'static,
) -> Planned {
    let catalogue = ARITHMETIC.read_text("catalogue.toml").expect("the built-in catalogue") + ADDED;
    let catalogue = Catalogue::parse(catalogue, "catalogue.toml").expect("a catalogue");
    let prices = Prices([("scripted".to_owned(), Price { prompt: 1.0, completion: 10.0, ..Price::default() })].into());
    let benchmark = Benchmark::load(ARITHMETIC).expect("the built-in benchmark");
    let model = Arc::new(Scripted::new("scripted", script));
    Planned::new(catalogue, benchmark, model, &prices, execution).expect("a priced model")
}

pub const SCHEDULES: [Schedule; 3] = [Schedule::Sequential, Schedule::Layered, Schedule::Dataflow];

/// One for each schedule.
static SYSTEMS: LazyLock<[Planned; 3]> = LazyLock::new(|| SCHEDULES.map(|schedule| system(schedule.into())));

/// The same, but plans end early once nothing can change.
static QUORUMS: LazyLock<[Planned; 3]> =
    LazyLock::new(|| SCHEDULES.map(|schedule| system(ExecutionConfig { quorum: true, ..schedule.into() })));

/// The result of a plan, and the seconds that it took.
pub fn run(system: &Planned, plan: &Plan, draw: u64) -> (Answer, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let clock = Instant::now();
        let answer = system.answer("what is 3 and 5", plan, draw).await.expect("no permanent error");
        (answer, clock.elapsed().as_secs_f64())
    })
}

fn path(answer: &Answer) -> f64 {
    answer.trace.path(Unit::Tokens).length
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let layer = proptest::sample::subsequence((0..OPERATORS).collect::<Vec<u16>>(), 1..5).prop_shuffle();
    proptest::collection::vec(layer, 0..6).prop_map(|layers| {
        let layers: Vec<&[u16]> = layers.iter().map(Vec::as_slice).collect();
        Plan::from_indices(&layers)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn schedules_differ_in_time_alone(plan in plans(), draw: u64) {
        let [sequential, layered, dataflow] = &*SYSTEMS;
        let [sequential, layered, dataflow] = [sequential, layered, dataflow].map(|system| run(system, &plan, draw));
        for (other, elapsed) in [&sequential, &dataflow] {
            prop_assert_eq!(&other.answer, &layered.0.answer);
            prop_assert_eq!(&other.solutions, &layered.0.solutions);
            for (span, same) in other.trace.spans.iter().zip(&layered.0.trace.spans) {
                prop_assert_eq!((span.operator, span.usage, span.calls), (same.operator, same.usage, same.calls));
                prop_assert_eq!((span.cost, &span.outcome), (same.cost, &same.outcome));
            }
            let ends = other.trace.spans.iter().map(|span| span.started + span.latency.seconds);
            prop_assert!((ends.fold(0.0, f64::max) - elapsed).abs() < 0.02, "the spans end with the query");
        }
        prop_assert!(path(&dataflow.0) <= path(&layered.0) + 1e-9);
        prop_assert!(path(&layered.0) <= path(&sequential.0) + 1e-9);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_quorum_changes_no_answer(plan in plans(), draw: u64) {
        for (whole, early) in SYSTEMS.iter().zip(QUORUMS.iter()) {
            let [(whole, _), (early, _)] = [whole, early].map(|system| run(system, &plan, draw));
            prop_assert_eq!(&early.answer, &whole.answer);
            prop_assert_eq!(early.trace.spans.len(), plan.len());
            for (early, whole) in early.trace.spans.iter().zip(&whole.trace.spans) {
                prop_assert!(early.usage.completion_tokens <= whole.usage.completion_tokens);
                prop_assert!(early.usage.prompt_tokens <= whole.usage.prompt_tokens);
                prop_assert!(early.calls <= whole.calls && early.latency.tokens <= whole.latency.tokens + 1e-9);
            }
            prop_assert!(path(&early) <= path(&whole) + 1e-9);
            // No operator is charged for longer than the plan lasts.
            prop_assert!(early.trace.durations(Unit::Tokens).into_iter().all(|tokens| tokens <= path(&early) + 1e-9));
        }
    }
}

/// A head that ends a plan at the first moment `after` this many tokens.
fn head(after: f64) -> Arc<HaltingHead> {
    let inputs = inputs(usize::from(OPERATORS));
    let mut tokens = vec![0.0; inputs];
    // The evidence holds the tokens in units of 32; past the step, the rest is worth less than it takes.
    tokens[0] = 32e6;
    let numbers = [tokens, vec![-1e6 * after as f32], vec![-1.0, 0.0, 0.0], vec![0.0; 3], vec![0.0; 2]];
    let shapes = [vec![1, inputs], vec![1], vec![3, 1], vec![3], vec![2]];
    let tensors = numbers
        .into_iter()
        .zip(shapes)
        .map(|(numbers, shape)| Tensor::from_vec(numbers, shape, &Device::Cpu).expect("a tensor"));
    let named = HaltingHead::TENSORS.into_iter().map(str::to_owned).zip(tensors).collect();
    Arc::new(HaltingHead::from_tensors(&named, inputs).expect("a head"))
}

/// The same, but a head ends plans, even if the answer can still change.
static HALTING: LazyLock<[Planned; 3]> = LazyLock::new(|| {
    SCHEDULES.map(|schedule| system(ExecutionConfig { quorum: true, halting: true, ..schedule.into() }))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_plan_that_a_head_ends_comes_to_what_was_foretold(plan in plans(), draw: u64) {
        let question = "what is 3 and 5".to_owned();
        let (id, answer) = ("p".to_owned(), "4".to_owned());
        let problem = Problem { id, question, answer, kind: None, steps: None, tests: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        for system in &*HALTING {
            let Course { moments, episode } = runtime.block_on(system.course(&problem, &plan, draw)).expect("a course");
            prop_assert_eq!(&episode, &runtime.block_on(system.solve(&problem, &plan, draw)).expect("an episode"));
            for moment in &moments {
                let head = head(moment.latency - 0.5);
                let ended = runtime.block_on(system.halted(&problem, &plan, draw, head)).expect("an episode");
                prop_assert_eq!(ended.score, moment.score);
                prop_assert!((ended.trace.path(Unit::Tokens).length - moment.latency).abs() < 1e-6);
                prop_assert!((ended.trace.cost() - moment.cost).abs() < 1e-12);
                prop_assert!(moment.latency < episode.trace.path(Unit::Tokens).length);
                prop_assert_eq!(moment.evidence.len(), inputs(usize::from(OPERATORS)));
            }
        }
    }
}

/// Three chains of 4, 9 and 6 tokens, of which the second gives a different answer; anything else takes 20.
fn chains(request: &Request, calls: &std::sync::atomic::AtomicUsize) -> Reply {
    let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    match request.messages[0].content.ends_with("<|chain|>") {
        true => Reply::new(["the answer is 8", "the answer is 9", "the answer is 8"][call % 3], [4, 9, 6][call % 3]),
        false => Reply::new("the answer is 7", 20),
    }
}

#[test]
fn a_settled_vote_ends_the_plan_and_is_charged_until_then() {
    let early = |quorum, layers: &[&[u16]]| {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let config = ExecutionConfig { quorum, ..Schedule::Layered.into() };
        let system = scripted(config, move |request| Ok(chains(request, &calls)));
        let answer = run(&system, &Plan::from_indices(layers), 1).0;
        let spans = &answer.trace.spans;
        let figures: Vec<_> = spans.iter().map(|span| (span.usage.completion_tokens, span.outcome.clone())).collect();
        (answer.answer.clone().unwrap_or_default(), path(&answer), figures)
    };
    let done = Status::Done;
    let whole = early(false, &[&[MULTI]]);
    assert_eq!(whole, ("8".into(), 9.0, vec![(19, done.clone())]));
    // Two of three agree after 6 tokens; the third has written 6 of its 9.
    assert_eq!(early(true, &[&[MULTI]]), ("8".into(), 6.0, vec![(16, done)]));
    // A vote at the end is the one that ends every plan.
    assert_eq!(early(true, &[&[MULTI], &[ENSEMBLE]]).1, 6.0);
    // A direct answer and a refinement could still turn the vote.
    assert_eq!(early(true, &[&[MULTI, GENERATE], &[REFINE]]).1, 40.0);
}

/// `started` and `ended` of each span, in tokens.
fn times(answer: &Answer) -> Vec<(i64, i64)> {
    let tokens = |seconds: f64| (seconds * 10.0).round() as i64;
    let time = |span: &lamas::plan::Span| (tokens(span.started), tokens(span.started + span.latency.seconds));
    answer.trace.spans.iter().map(time).collect()
}

#[test]
fn an_operator_starts_when_what_it_reads_exists() {
    let plan = Plan::from_indices(&[&[COT], &[PROGRAMMER, REFINE], &[GENERATE, ENSEMBLE]]);
    let [_, layered, dataflow] = &*SYSTEMS;
    let [layered, dataflow] = [layered, dataflow].map(|system| times(&run(system, &plan, 3).0));
    let [cot, program, refine, generate, vote] = dataflow[..] else { panic!("five spans") };
    assert_eq!([cot.0, program.0, generate.0], [0, 0, 0]);
    assert_eq!(refine.0, cot.1);
    assert_eq!(vote.0, program.1.max(refine.1));
    let length = |times: &[(i64, i64)]| times.iter().map(|&(start, end)| end - start).collect::<Vec<_>>();
    assert_eq!(length(&layered), length(&dataflow));
    assert_eq!(layered[3].0, layered[1].1.max(layered[2].1));
}
