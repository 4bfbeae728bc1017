//! The halting head: trained with the controller, saved with it, and the same whenever it is trained.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use candle_core::{Device, Tensor};
use lamas::checkpoint::{Checkpoint, Provenance};
use lamas::controller::{Controller, ControllerConfig};
use lamas::decide::HaltingHead;
use lamas::execute::{Episode, ExecutionConfig};
use lamas::learn::{
    CHECKPOINT_FILE, Course, Event, HaltingConfig, Judged, Problems, Rollout, STATE_FILE, Setup, SurveyConfig, Trained,
    TrainingConfig, train,
};
use lamas::objective::Objective;
use lamas::plan::{Latency, Plan, Schedule, Signature, Span, Trace};
use lamas::random::Draw;

const SIGNATURES: [Signature; 2] = [Signature::ANSWERS, Signature::ENDS];
const PROBLEMS: usize = 16;

/// Plans last 40 tokens; on even problems, the answer after 10 is already right.
struct Slow;

#[async_trait]
impl Rollout for Slow {
    async fn solve(&self, problem: usize, plan: Plan, _draw: Draw) -> Result<Episode> {
        let latency = Latency { tokens: 40.0, seconds: 0.0 };
        let span = |(layer, operator)| Span { layer, operator, latency, ..Span::default() };
        let spans = plan.choices().map(span).collect();
        let trace = Trace { spans, dependencies: Schedule::Dataflow.dependencies(&plan, &[]), finish: None };
        Ok(Episode { problem: format!("slow-{problem}"), plan, trace, answer: None, confidence: None, score: 1.0 })
    }

    async fn course(&self, problem: usize, plan: Plan, draw: Draw) -> Result<Course> {
        let is_odd = problem % 2;
        let evidence = vec![is_odd as f32];
        let moments = vec![Judged { evidence, score: 1.0 - is_odd as f64, latency: 10.0, cost: 0.0 }];
        Ok(Course { moments, episode: self.solve(problem, plan, draw).await? })
    }
}

/// Trains with a halting head; stops at the event with this number.
fn run(folder: &Path, resume: bool, seed: u64, stop_at: Option<usize>) -> Trained {
    let execution = ExecutionConfig { halting: true, ..TrainingConfig::default().execution };
    let survey = SurveyConfig { passes: 2, batch: 8, ..SurveyConfig::default() };
    let halting = HaltingConfig { passes: 60, batch: 8, ..HaltingConfig::default() };
    let objective = Objective::default().at(0.005);
    let config = TrainingConfig {
        fallback: false,
        execution,
        survey,
        halting,
        objective,
        concurrency: 4,
        ..TrainingConfig::default()
    };
    let settings = ControllerConfig { layers: 2, hidden: 4, embedding: 2, ..ControllerConfig::default() };
    let operators = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).expect("a matrix");
    let controller =
        Controller::new(settings, SIGNATURES.to_vec(), &operators, seed, &Device::Cpu).expect("a controller");
    let ids: Vec<String> = (0..PROBLEMS).map(|problem| format!("slow-{problem}")).collect();
    let queries: Vec<Vec<f32>> = (0..PROBLEMS).map(|problem| vec![1.0, problem as f32 / 16.0]).collect();
    let problems = Problems { ids: &ids, questions: &[], queries: &queries, rollout: &Slow };
    let configuration = serde_json::json!({ "controller": controller.config(), "training": config });
    let cancelled = AtomicBool::new(false);
    let setup = Setup {
        controller,
        config,
        train: problems,
        validation: problems,
        provenance: Provenance { configuration, seed, ..Provenance::default() },
        folder: Some(folder),
        resume,
        cancelled: &cancelled,
    };
    let mut events = 0;
    let mut notify = |_: Event<'_>| {
        events += 1;
        cancelled.store(stop_at.is_some_and(|stop_at| events >= stop_at), Ordering::Relaxed);
    };
    futures::executor::block_on(train(setup, &mut notify)).expect("no error")
}

fn bytes(folder: &Path) -> [Vec<u8>; 2] {
    [CHECKPOINT_FILE, STATE_FILE].map(|file| std::fs::read(folder.join(file)).expect("a file"))
}

#[test]
fn the_head_is_trained_last_and_kept_with_the_controller() {
    let folders: [_; 3] = std::array::from_fn(|_| tempfile::tempdir().expect("a folder"));
    let [first, stopped, other] = folders.each_ref().map(tempfile::TempDir::path);
    assert!(run(first, false, 1, None).finished);
    // One event for each number of operators, and one for each of two passes.
    assert!(!run(stopped, false, 1, Some(5)).finished);
    assert!(Checkpoint::load(&stopped.join(CHECKPOINT_FILE)).expect("a checkpoint").halting.is_empty());
    assert!(run(stopped, true, 1, None).finished);
    assert!(bytes(first) == bytes(stopped));
    let trained = bytes(first);
    assert!(run(first, true, 1, None).finished);
    assert!(bytes(first) == trained, "what is trained is not trained again");
    run(other, false, 2, None);
    assert!(bytes(first)[0] != bytes(other)[0]);

    let checkpoint = Checkpoint::load(&first.join(CHECKPOINT_FILE)).expect("a checkpoint");
    Controller::from_checkpoint(&checkpoint, SIGNATURES.to_vec(), &Device::Cpu).expect("a controller");
    let head = HaltingHead::from_tensors(&checkpoint.halting, 1).expect("a head");
    assert!(head.halts(&[0.0]) && !head.halts(&[1.0]), "{:?}", [head.forecast(&[0.0]), head.forecast(&[1.0])]);
}

#[test]
fn a_damaged_head_is_named() {
    let message = |tensors: &[(&str, Vec<usize>, f32)]| {
        let tensor = |(name, shape, value): &(&str, Vec<usize>, f32)| {
            (name.to_string(), Tensor::full(*value, shape.as_slice(), &Device::Cpu).expect("a tensor"))
        };
        let tensors: BTreeMap<String, Tensor> = tensors.iter().map(tensor).collect();
        format!("{:#}", HaltingHead::from_tensors(&tensors, 4).expect_err("an error"))
    };
    let hidden = ("hidden.bias", vec![2], 0.0);
    assert!(message(&[]).contains("no tensor `hidden.weight`"));
    assert!(message(&[hidden.clone(), ("hidden.weight", vec![2, 3], 0.0)]).contains("expected shape [2, 4]"));
    assert!(message(&[hidden, ("hidden.weight", vec![2, 4], f32::NAN)]).contains("finite"));
}
