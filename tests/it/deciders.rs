//! Decisions at events: what a decider is told, what follows from its decisions, and that both clocks give the same
//! trace.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use lamas::decide::{Decider, Escalation, FixedPlan, Next, Quorum};
use lamas::evidence::{Known, Stage};
use lamas::execute::{Answer, Clock, ExecuteError, Observer, SolveOptions, Solver, Transcript};
use lamas::learn::{Credit, utilities};
use lamas::model::{Error, Reply, Request};
use lamas::objective::Objective;
use lamas::plan::{Billing, Layer, OperatorId, Plan, Schedule, Status, Trace, Unit};
use lamas::random::{self, Purpose};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::schedule::{COT, GENERATE, MULTI, REFINE, SCHEDULES, plans, scripted};

const PROGRAMMER: u16 = 4;

/// A tenth of a second per token, and none without tokens, so events come in the same order on both clocks.
fn steady(request: &Request) -> Result<Reply, Error> {
    let content = &request.messages[0].content;
    let draw = random::key(&[content, &request.sample]);
    let (number, tokens) = (draw % 3, draw / 7 % 30 + 1);
    let mode = content.rsplit_once("<|").map_or("", |(_, mode)| mode);
    let mut reply = match mode {
        "program|>" => Reply::new(format!("return {number}"), tokens),
        "judge|>" => Reply::new(format!("{}", number + 1), tokens),
        "direct|>" if draw.is_multiple_of(11) => return Err(Error::Transient("busy".into())),
        _ => Reply::new(format!("2 + {number} = 4 . the answer is {number}"), tokens),
    };
    reply.usage.prompt_tokens = 7;
    Ok(reply.after(Duration::from_millis(100) * u32::try_from(tokens).unwrap_or_default()))
}

static STEADY: LazyLock<Solver> = LazyLock::new(|| scripted(Schedule::Dataflow.into(), steady).solver);

fn solve(solver: &Solver, decider: &mut dyn Decider, draw: u64, options: &SolveOptions<'_>) -> (Answer, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let clock = Instant::now();
        let answer = solver
            .answer("what is 3 and 5", decider, Purpose::Training.draw(draw), options)
            .await
            .expect("no permanent error");
        (answer, clock.elapsed().as_secs_f64())
    })
}

fn layers(layers: &[&[u16]]) -> Vec<Layer> {
    Plan::from_indices(layers).layers
}

/// Commits the layers of a plan one by one, the next whenever the last has given something; may drop what still runs.
struct Staged {
    left: Vec<Layer>,
    drops: bool,
}

impl Staged {
    fn new(plan: &Plan, drops: bool) -> Self {
        Staged { left: plan.layers.iter().rev().cloned().collect(), drops }
    }
}

impl Decider for Staged {
    fn next(&mut self, known: &Known<'_>) -> Next {
        let is_new = |layer: usize| {
            let mut choices = known.choices.iter().filter(|choice| choice.layer == layer);
            choices.any(|choice| choice.stage == Stage::Ended || choice.solutions().next().is_some())
        };
        if !known.is_start() && !is_new(known.layers - 1) {
            return Next::Wait;
        }
        let running = (0..known.choices.len()).filter(|&choice| known.choices[choice].stage == Stage::Running);
        let running: Vec<usize> = running.collect();
        match self.left.pop() {
            Some(layer) => Next::Commit(vec![layer]),
            None if self.drops && !running.is_empty() => Next::Drop(running),
            None => Next::Wait,
        }
    }

    fn may_add(&self) -> bool {
        !self.left.is_empty()
    }
}

fn path(trace: &Trace) -> f64 {
    trace.path(Unit::Tokens).length
}

/// Rounds away what the wall clock measures of the evaluator.
fn rounded(mut trace: Trace) -> Trace {
    for span in &mut trace.spans {
        span.started = (span.started * 10.0).round();
        span.latency.seconds = (span.latency.seconds * 10.0).round();
        for cause in &mut span.causes {
            cause.after.seconds = (cause.after.seconds * 10.0).round();
        }
    }
    trace
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_clocks_tell_the_same_story(plan in plans(), draw: u64, way in 0usize..3) {
        // The evaluator's nominal seconds differ from those of the wall clock, so events of programs and tests come in
        // another order.
        let asks = |layer: &Layer| layer.operators.iter().all(|id| ![PROGRAMMER, 5, 11].contains(&id.0));
        let plan = Plan { layers: plan.layers.into_iter().filter(asks).collect() };
        for schedule in SCHEDULES {
            let run = |clock| {
                let options = SolveOptions { schedule, clock, ..SolveOptions::default() };
                let mut decider: Box<dyn Decider> = match way {
                    0 => Box::new(Staged::new(&plan, false)),
                    1 => Box::new(Escalation::new(plan.clone())),
                    _ => Box::new(FixedPlan::new(plan.clone())),
                };
                solve(&STEADY, &mut *decider, draw, &options)
            };
            let ((virtual_time, _), (live, elapsed)) = (run(Clock::Virtual), run(Clock::Live));
            prop_assert_eq!(&live.answer, &virtual_time.answer);
            prop_assert_eq!(&live.solutions, &virtual_time.solutions);
            prop_assert_eq!(&live.plan, &virtual_time.plan);
            prop_assert!((live.trace.end() - elapsed).abs() < 0.02, "{} {elapsed}", live.trace.end());
            prop_assert_eq!(rounded(live.trace), rounded(virtual_time.trace));
        }
    }

    #[test]
    fn a_quorum_ends_both_clocks_alike(plan in plans(), draw: u64) {
        let asks = |layer: &Layer| layer.operators.iter().all(|id| ![PROGRAMMER, 5, 11].contains(&id.0));
        let plan = Plan { layers: plan.layers.into_iter().filter(asks).collect() };
        for schedule in SCHEDULES {
            let run = |clock, quorum| {
                let options = SolveOptions { schedule, quorum, clock, ..SolveOptions::default() };
                solve(&STEADY, &mut FixedPlan::new(plan.clone()), draw, &options).0
            };
            let [whole, cut, live] = [(Clock::Virtual, false), (Clock::Virtual, true), (Clock::Live, true)]
                .map(|(clock, quorum)| run(clock, quorum));
            prop_assert_eq!(&cut.answer, &whole.answer);
            prop_assert_eq!(&live.answer, &whole.answer);
            prop_assert!((path(&live.trace) - path(&cut.trace)).abs() < 1e-6);
            // The last token of a dropped call may or may not have been written.
            let token = 1.1e-5 * cut.trace.spans.len() as f64;
            prop_assert!((live.trace.cost() - cut.trace.cost()).abs() <= token);
        }
    }

    #[test]
    fn the_path_of_a_decided_plan_is_the_time_it_took(plan in plans(), draw: u64, drops: bool, quorum: bool) {
        for schedule in SCHEDULES {
            let options = SolveOptions { schedule, quorum, ..SolveOptions::default() };
            let (answer, _) = solve(&STEADY, &mut Staged::new(&plan, drops), draw, &options);
            let spans = &answer.trace.spans;
            let ran = || spans.iter().filter(|span| span.outcome != Status::Skipped);
            let end = ran().map(|span| span.start + span.latency.tokens).fold(0.0, f64::max);
            let kept = ran().filter(|span| span.outcome != Status::Cancelled);
            let kept = kept.map(|span| span.start + span.latency.tokens).fold(0.0, f64::max);
            let length = path(&answer.trace);
            prop_assert!(kept - 1e-9 <= length && length <= end + 1e-9, "{schedule:?} {kept} {length} {end} {:#?}", answer.trace);
            for (choice, span) in spans.iter().enumerate() {
                for cause in &span.causes {
                    let of = &spans[cause.choice];
                    prop_assert!(cause.choice != choice && of.start + cause.after.tokens <= span.start + 1e-9);
                }
            }
            // Nobody is charged more than the path, and nobody off it is charged anything (E5).
            let episode = lamas::execute::Episode {
                problem: String::new(),
                plan: answer.plan.clone(),
                trace: answer.trace.clone(),
                answer: None,
                confidence: None,
                score: 0.0,
            };
            let objective = Objective { latency_weight: 1.0, cost_weight: 0.0, unit: Unit::Tokens };
            let charged = utilities(&episode, &objective, Credit::Marginal).latency;
            let on_path = answer.trace.path(Unit::Tokens).on_path;
            for (charge, on_path) in charged.iter().zip(on_path) {
                prop_assert!(-charge <= length + 1e-9 && *charge <= 1e-9 && (on_path || *charge == 0.0));
            }
        }
    }
}

/// For each kind of call in turn: its answer and its tokens.
fn calls(replies: &'static [(&'static str, &'static str, u64)]) -> impl Fn(&Request) -> Result<Reply, Error> {
    let made = AtomicUsize::new(0);
    move |request| {
        let mode = request.messages[0].content.rsplit_once("<|").map_or("", |(_, mode)| mode.trim_end_matches("|>"));
        let mut of_mode = replies.iter().filter(|(kind, ..)| *kind == mode);
        let turn = made.fetch_add(1, Ordering::Relaxed) % of_mode.clone().count().max(1);
        let (_, text, tokens) = of_mode.nth(turn).copied().unwrap_or(("", "the answer is 7", 20));
        Ok(Reply::new(text, tokens).after(Duration::from_millis(100) * tokens as u32))
    }
}

#[test]
fn a_third_is_asked_where_two_differ_and_its_time_comes_after_theirs() {
    let check = |chain: &'static [(&'static str, &'static str, u64)], answer, tokens, plan: &[&[u16]]| {
        for clock in [Clock::Virtual, Clock::Live] {
            let solver = scripted(Schedule::Dataflow.into(), calls(chain)).solver;
            let options = SolveOptions { schedule: Schedule::Dataflow, clock, ..SolveOptions::default() };
            let mut decider = Escalation::new(Plan::from_indices(&[&[GENERATE, COT], &[REFINE]]));
            let (found, elapsed) = solve(&solver, &mut decider, 1, &options);
            assert_eq!((found.answer.as_deref(), path(&found.trace)), (Some(answer), tokens), "{:?}", found.trace);
            assert_eq!((found.plan, (elapsed * 10.0).round()), (Plan::from_indices(plan), tokens));
        }
    };
    check(&[("direct", "8", 2), ("chain", "the answer is 8", 10)], "8", 10.0, &[&[GENERATE, COT]]);
    check(
        &[("direct", "7", 2), ("chain", "the answer is 8", 10), ("refine", "the answer is 9", 4)],
        "9",
        14.0,
        &[&[GENERATE, COT], &[REFINE]],
    );
    // A solution without an answer does not agree.
    check(
        &[("direct", "no idea", 2), ("chain", "the answer is 8", 10), ("refine", "the answer is 9", 4)],
        "9",
        14.0,
        &[&[GENERATE, COT], &[REFINE]],
    );
}

/// Starts everything at once; drops the rest as soon as two solutions agree.
struct DropRest(Plan);

impl Decider for DropRest {
    fn next(&mut self, known: &Known<'_>) -> Next {
        if known.is_start() {
            return Next::Commit(self.0.layers.clone());
        }
        let answers: Vec<&str> = known.answers().into_iter().flatten().collect();
        let agree = answers.iter().any(|answer| answers.iter().filter(|other| *other == answer).count() > 1);
        let running = (0..known.choices.len()).filter(|&choice| known.choices[choice].stage == Stage::Running);
        let running: Vec<usize> = running.collect();
        if agree && !running.is_empty() { Next::Drop(running) } else { Next::Wait }
    }
}

#[test]
fn what_is_dropped_counts_for_what_it_had_written() {
    let script: &[_] = &[("direct", "8", 2), ("chain", "the answer is 8", 10), ("program", "return 3", 50)];
    let plan = Plan::from_indices(&[&[GENERATE, COT, PROGRAMMER]]);
    for clock in [Clock::Virtual, Clock::Live] {
        let solver = scripted(Schedule::Dataflow.into(), calls(script)).solver;
        let options = SolveOptions { schedule: Schedule::Dataflow, clock, ..SolveOptions::default() };
        let (found, elapsed) = solve(&solver, &mut DropRest(plan.clone()), 1, &options);
        let written: Vec<u64> = found.trace.spans.iter().map(|span| span.usage.completion_tokens).collect();
        assert_eq!((written, &found.trace.spans[2].outcome), (vec![2, 10, 10], &Status::Cancelled), "{clock:?}");
        assert_eq!((found.answer.as_deref(), path(&found.trace)), (Some("8"), 10.0));
        // In virtual time the call really runs to its end; on the wall clock it is cancelled.
        assert_eq!(elapsed.round(), if clock == Clock::Live { 1.0 } else { 5.0 });
    }
}

#[test]
fn what_is_dropped_is_billed_by_its_share_or_in_full() {
    let script: &[_] = &[("direct", "8", 2), ("chain", "the answer is 8", 10), ("program", "return 3", 50)];
    let plan = Plan::from_indices(&[&[GENERATE, COT, PROGRAMMER]]);
    let solver = scripted(Schedule::Dataflow.into(), calls(script)).solver;
    let run = |billing| {
        let options = SolveOptions { schedule: Schedule::Dataflow, billing, ..SolveOptions::default() };
        solve(&solver, &mut DropRest(plan.clone()), 1, &options).0.trace
    };
    let [share, full] = [Billing::Share, Billing::Full].map(run);
    let dropped = share.spans[2].dropped.expect("a dropped span");
    assert!((dropped.full / dropped.share - 5.0).abs() < 1e-9, "50 tokens, of which 10 were written: {dropped:?}");
    assert_eq!((share.spans[2].cost, full.spans[2].cost), (dropped.share, dropped.full));
    assert!(share.spans[..2].iter().all(|span| span.dropped.is_none()), "{share:?}");
    for trace in [&share, &full] {
        assert_eq!((trace.billed(Billing::Share), trace.billed(Billing::Full)), (share.cost(), full.cost()));
    }
}

#[test]
fn who_reads_what_was_dropped_starts_then_and_reads_what_had_arrived() {
    // Three chains of 4, 6 and 60 tokens, and a refinement that reads them.
    let script: &[_] = &[
        ("chain", "the answer is 8", 4),
        ("chain", "the answer is 8", 6),
        ("chain", "the answer is 9", 60),
        ("refine", "the answer is 5", 3),
    ];
    let solver = scripted(Schedule::Dataflow.into(), calls(script)).solver;
    for clock in [Clock::Virtual, Clock::Live] {
        let options = SolveOptions { schedule: Schedule::Dataflow, clock, ..SolveOptions::default() };
        let mut decider = DropRest(Plan::from_indices(&[&[MULTI], &[REFINE]]));
        let (found, _) = solve(&solver, &mut decider, 1, &options);
        let refined = &found.trace.spans[1];
        assert_eq!((refined.start, refined.latency.tokens, &refined.outcome), (6.0, 3.0, &Status::Done), "{clock:?}");
        assert_eq!(found.solutions.len(), 3, "two chains and the refinement");
        assert_eq!(path(&found.trace), 9.0);
    }
}

#[test]
fn a_quorum_waits_for_what_may_be_added() {
    // The chain settles nothing while its decider may still ask another operator.
    struct Patient(bool);
    impl Decider for Patient {
        fn next(&mut self, known: &Known<'_>) -> Next {
            match (known.is_start(), known.is_under_way()) {
                (true, _) => Next::Commit(layers(&[&[COT]])),
                (false, true) => Next::Wait,
                (false, false) if std::mem::replace(&mut self.0, true) => Next::End,
                (false, false) => Next::Commit(layers(&[&[GENERATE]])),
            }
        }
    }
    let (found, _) = solve(&STEADY, &mut Quorum(Patient(false)), 3, &SolveOptions::default());
    assert_eq!(found.plan, Plan::from_indices(&[&[COT], &[GENERATE]]));
}

#[test]
fn what_no_plan_allows_is_an_error_and_nothing_committed_is_an_empty_plan() {
    struct Says(Next);
    impl Decider for Says {
        fn next(&mut self, _: &Known<'_>) -> Next {
            self.0.clone()
        }
    }
    let ends = |next| solve(&STEADY, &mut Says(next), 1, &SolveOptions::default()).0;
    for next in [Next::Wait, Next::End, Next::Drop(vec![0, 9]), Next::Commit(vec![Layer::default()])] {
        let found = ends(next);
        assert_eq!((found.answer, found.plan), (None, Plan::default()));
    }
    let fails = |next| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (mut says, options) = (Says(next), SolveOptions::default());
        runtime.block_on(STEADY.answer("?", &mut says, Purpose::Training.draw(1), &options)).expect_err("an error")
    };
    let unknown = Layer { operators: vec![OperatorId(99)] };
    assert!(matches!(fails(Next::Commit(vec![unknown])), ExecuteError::UnknownOperator { found: 99, .. }));
    let endless = Next::Commit(layers(&[&[GENERATE]]));
    assert!(matches!(fails(endless), ExecuteError::TooManyLayers { most: 64 }));
}

#[test]
fn an_observer_hears_in_order_what_has_become_certain() {
    let script: &[_] = &[("direct", "7", 2), ("chain", "the answer is 8", 10), ("refine", "the answer is 9", 4)];
    for clock in [Clock::Virtual, Clock::Live] {
        let solver = scripted(Schedule::Dataflow.into(), calls(script)).solver;
        let transcript = Transcript::default();
        let observer = Some(&transcript as &dyn Observer);
        let options = SolveOptions { schedule: Schedule::Dataflow, clock, observer, ..SolveOptions::default() };
        solve(&solver, &mut Escalation::new(Plan::from_indices(&[&[GENERATE, COT], &[REFINE]])), 1, &options);
        let read = |line: &String| {
            let event: serde_json::Value = serde_json::from_str(line).expect("an object");
            let at = event["at"]["tokens"].as_f64().expect("tokens");
            format!("{} {} {at}", event["event"].as_str().unwrap_or_default(), event["choice"])
        };
        let heard: Vec<String> = transcript.lines().iter().map(read).collect();
        let expected = [
            "committed 0 0",
            "started 0 0",
            "committed 1 0",
            "started 1 0",
            "arrived 0 2",
            "ended 0 2",
            "arrived 1 10",
            "ended 1 10",
            "committed 2 10",
            "started 2 10",
            "arrived 2 14",
            "ended 2 14",
        ];
        assert_eq!(heard, expected, "{clock:?}");
    }
}
