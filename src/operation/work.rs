//! One operator at work: it asks the model and uses tools.

use futures::stream::{FuturesUnordered, StreamExt};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::backing::Backing;
use super::board::Solution;
use super::calls::{Calls, Reporter, ToolRun};
use super::identity::{Identity, Turn};
use super::operator::Operator;
use super::prompts::Material;
use super::steps::{Call, Step, Steps, Tariff};
use super::task::Task;
use crate::model::{self, Hedged, Message, Meter, Request};
use crate::plan::{Latency, Signature, Usage};
use crate::random;
use crate::sandbox::{Evaluator, Launch, Limits, Run, Sandbox, run_trusted};

/// An operator of a plan while it runs.
pub struct Work<'a> {
    task: Task<'a>,
    operator: &'a Operator,
    backing: &'a Backing,
    signature: Signature,
    identity: Identity,
    turn: Turn,
    steps: Steps,
    /// The first of several solutions, if they are already known.
    known: Vec<Solution>,
    /// Receives each of several answers as it arrives.
    reporter: Option<Reporter>,
}

impl<'a> Work<'a> {
    /// An operator that starts. What it does is counted in `steps`, which outlive it if it is dropped.
    pub fn new(
        task: Task<'a>,
        operator: &'a Operator,
        backing: &'a Backing,
        signature: Signature,
        identity: Identity,
        turn: Turn,
        steps: Steps,
    ) -> Self {
        Work { task, operator, backing, signature, identity, turn, steps, known: Vec::new(), reporter: None }
    }

    /// What it works on.
    pub fn task(&self) -> &Task<'a> {
        &self.task
    }

    pub fn operator(&self) -> &'a Operator {
        self.operator
    }

    /// What answers its prompts.
    pub fn backing(&self) -> &'a Backing {
        self.backing
    }

    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// What the operator has taken so far.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Counts calls as if they were made now.
    pub fn replay(&mut self, calls: &[Call]) {
        let at_once = self.signature.rounds.map_or(1, |rounds| calls.len().div_ceil(rounds.max(1) as usize).max(1));
        for round in calls.chunks(at_once) {
            let begins = self.steps.latency();
            for call in round {
                if call.tool {
                    self.tariff().charge(&self.steps, call.seconds, call.usage, call.hedged);
                    continue;
                }
                let lasts = Latency { tokens: call.usage.completion_tokens as f64, seconds: call.seconds };
                let &Call { usage, hedged, .. } = call;
                self.steps.extend([Step { calls: 1, usage, hedged, ..Step::new(begins, lasts) }]);
            }
        }
    }

    /// Makes a generator continue after the first of its solutions, which took these calls.
    pub fn goes_on(&mut self, known: Vec<Solution>, calls: &[Call]) {
        self.replay(calls);
        self.known = known;
    }

    /// Whether its calls are made in parallel, each for one solution.
    pub fn is_side_by_side(&self) -> bool {
        self.signature.is_side_by_side
    }

    /// Makes it report each of several answers to `reporter` as it arrives.
    pub fn reports(&mut self, reporter: Reporter) {
        self.reporter = Some(reporter);
    }

    /// The number of answers that it gives, in parallel if there are several.
    pub fn samples(&self) -> u32 {
        self.signature.solutions.max(1) as u32
    }

    pub(super) fn tariff(&self) -> Tariff {
        Tariff { gamma: self.task.gamma, tool_seconds: self.operator.tool_seconds }
    }

    /// Asks the model once.
    pub(super) async fn ask(&mut self, material: Material<'_>) -> Result<String, model::Error> {
        Ok(self.ask_all(material, 1, None).await?.swap_remove(0))
    }

    /// Asks the model this many times in parallel, with independent draws. One failed call fails all.
    pub(super) async fn ask_together(
        &mut self,
        material: Material<'_>,
        calls: u32,
    ) -> Result<Vec<String>, model::Error> {
        self.ask_all(material, calls, None).await
    }

    /// Asks the model in parallel for all solutions that are not known, with independent draws. One failed call fails
    /// all.
    pub(super) async fn ask_side_by_side(&mut self, material: Material<'_>) -> Result<Vec<Solution>, model::Error> {
        let reporter = self.reporter.clone();
        if let Some(reporter) = &reporter {
            for (place, (solution, call)) in self.known.iter().zip(self.steps.taken()).enumerate() {
                let after = Latency { tokens: call.usage.completion_tokens as f64, seconds: call.seconds };
                reporter.tell(place, Some(solution.clone()), after);
            }
        }
        let mut solutions = std::mem::take(&mut self.known);
        let missing = self.samples().saturating_sub(solutions.len() as u32);
        if missing > 0 && !solutions.is_empty() {
            // What is known may be enough.
            tokio::task::yield_now().await;
        }
        let texts = self.ask_all(material, missing, reporter).await?;
        solutions.extend(texts.into_iter().map(|text| self.solution(text)));
        Ok(solutions)
    }

    async fn ask_all(
        &mut self,
        material: Material<'_>,
        samples: u32,
        reporter: Option<Reporter>,
    ) -> Result<Vec<String>, model::Error> {
        let Task { question, conversation, prompts, .. } = self.task;
        let model = &self.backing.model;
        let messages = prompts
            .messages(&self.operator.name, question, conversation, material)
            .map_err(|error| model::Error::Permanent(format!("prompt of `{}`: {error:#}", self.operator.name)))?;
        let made = self.steps.calls();
        let requests: Vec<_> = (0..samples).map(|sample| self.request(messages.clone(), made + sample)).collect();
        let meters: Vec<_> = requests.iter().map(|_| Meter::default()).collect();
        // Dropped after the calls, whose meters then show what they used.
        let begins = if self.is_side_by_side() { Latency::default() } else { self.steps.latency() };
        let mut calls = Calls::new(self.steps.clone(), begins, meters.clone());
        let complete = async |(place, (request, meter))| (place, model.complete_metered(request, meter).await);
        let mut running: FuturesUnordered<_> = requests.iter().zip(&meters).enumerate().map(complete).collect();
        let mut is_failed = false;
        while let Some((place, result)) = running.next().await {
            // The query can no longer succeed, so the other calls are dropped.
            if let Err(error) = &result
                && error.is_permanent()
            {
                return Err(error.clone());
            }
            let reporter = reporter.as_ref().filter(|_| !is_failed);
            let completion = reporter.and(result.as_ref().ok());
            let solution = completion.map(|completion| self.solution(completion.answer().to_owned()));
            let after = calls.ends(&result);
            calls.results[place] = Some(result);
            if let Some(reporter) = reporter {
                is_failed = solution.is_none();
                reporter.tell(made as usize + place, solution, after);
                if !running.is_empty() {
                    // The answer may make the rest superfluous. After the last one the operator ends, and is recorded,
                    // before a plan that it decides can drop it.
                    tokio::task::yield_now().await;
                }
            }
        }
        calls.texts()
    }

    /// Request number `call` of this operator.
    fn request(&self, messages: Vec<Message>, call: u32) -> Request {
        let sampling = self.operator.sampling();
        // All greedy draws are the same, so a cache need not repeat them.
        let is_greedy = sampling.temperature == 0.0;
        let draw = || random::key(&[&self.task.draw, &self.identity.fingerprint, &self.turn, &call]);
        let sample = if is_greedy { 0 } else { draw() };
        Request { model: self.backing.asks.clone(), messages, sampling, sample }
    }

    /// The random stream of this choice in this run of the query.
    pub(super) fn stream(&self) -> ChaCha8Rng {
        random::stream(0, &[&self.task.draw, &self.task.question, &self.operator.name, &self.turn])
    }

    /// Uses the evaluator once and charges for it.
    pub(super) fn evaluate<T>(&mut self, tool: impl FnOnce(&Evaluator) -> T) -> T {
        let started = Instant::now();
        let result = tool(self.task.evaluator);
        self.charge(started.elapsed().as_secs_f64());
        result
    }

    /// Runs a Python program in the sandbox and charges for its time. Waiting for a free core is not charged.
    ///
    /// # Errors
    /// There is no sandbox, or it broke. What the program does is not an error.
    pub(super) async fn run_python(&mut self, program: &str, stdin: &str) -> Result<Run, model::Error> {
        let sandbox = self.sandbox()?;
        let charged = ToolRun::new(self.steps.clone(), self.tariff());
        let run = sandbox.run(program, stdin, &Limits::default()).await;
        charged.ended();
        let run = run.map_err(|error| model::Error::Transient(format!("sandbox: {error:#}")))?;
        self.charge(run.seconds);
        Ok(run)
    }

    /// Runs a user's program, confined unless it is trusted. The caller charges for it.
    ///
    /// # Errors
    /// There is no sandbox or no such program. What the program does is not an error.
    pub(super) async fn run_command(
        &mut self,
        launch: Launch<'_>,
        is_trusted: bool,
        stdin: &str,
        limits: &Limits,
    ) -> Result<Run, model::Error> {
        let sandbox = if is_trusted { None } else { Some(self.sandbox()?) };
        let charged = ToolRun::new(self.steps.clone(), self.tariff());
        let run = match sandbox {
            Some(sandbox) => sandbox.run_command(launch, stdin, limits).await,
            None => run_trusted(launch, stdin, limits).await,
        };
        charged.ended();
        run.map_err(|error| model::Error::Permanent(format!("{error:#}")))
    }

    fn sandbox(&self) -> Result<&'a Sandbox, model::Error> {
        let name = &self.operator.name;
        let missing = || model::Error::Permanent(format!("expected a sandbox for operator `{name}`, found none"));
        self.task.sandbox.ok_or_else(missing)
    }

    /// Counts one use of a tool that took `measured` seconds.
    pub(super) fn charge(&mut self, measured: f64) {
        self.tariff().charge(&self.steps, measured, Usage::default(), None);
    }

    /// Like [`Work::charge`], for a tool that states what else it used.
    pub(super) fn charge_stated(&mut self, measured: f64, tokens: u64, dollars: f64) {
        let usage = Usage { completion_tokens: tokens, ..Usage::default() };
        let hedged = (dollars > 0.0).then(|| Hedged { cost: dollars, ..Hedged::default() });
        self.tariff().charge(&self.steps, measured, usage, hedged);
    }

    /// What the model wrote, with the final answer found in it.
    pub(super) fn solution(&self, text: String) -> Solution {
        let answer = self.task.answer.extract(&text);
        Solution { text, answer, ..Solution::default() }
    }
}
