//! One operator at work: it asks the model and uses tools.

use futures::stream::{FuturesUnordered, StreamExt};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::calls::{Calls, Reporter, ToolRun};
use super::catalogue::Material;
use super::identity::{Identity, Turn};
use super::steps::{Call, Step, Steps, Tariff};
use super::traces::Output;
use super::{Backing, Operator, Query, Solution};
use crate::model::{self, Message, Meter, Request};
use crate::plan::{Kind, Latency};
use crate::random;
use crate::sandbox::{Evaluator, Limits, Run};

/// An operator of a plan while it runs.
pub struct Work<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) operator: &'a Operator,
    backing: &'a Backing,
    identity: Identity,
    turn: Turn,
    pub(super) steps: Steps,
    /// The first of several solutions, where they are known.
    known: Vec<Solution>,
    /// Told of each of several answers as it arrives.
    reporter: Option<Reporter>,
}

impl<'a> Work<'a> {
    /// An operator that starts; what it does is counted in `steps`, also for whom its work is dropped.
    pub fn new(
        query: &'a Query<'a>,
        operator: &'a Operator,
        backing: &'a Backing,
        identity: Identity,
        turn: Turn,
        steps: Steps,
    ) -> Self {
        Work { query, operator, backing, identity, turn, steps, known: Vec::new(), reporter: None }
    }

    pub fn query(&self) -> &'a Query<'a> {
        self.query
    }

    pub fn operator(&self) -> &'a Operator {
        self.operator
    }

    /// What answers its prompts.
    pub fn backing(&self) -> &'a Backing {
        self.backing
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
        for call in calls {
            if call.tool {
                self.charge(call.seconds);
                continue;
            }
            let begins = if self.is_side_by_side() { Latency::default() } else { self.steps.latency() };
            let lasts = Latency { tokens: call.usage.completion_tokens as f64, seconds: call.seconds };
            let &Call { usage, hedged, .. } = call;
            self.steps.extend([Step { calls: 1, usage, hedged, ..Step::new(begins, lasts) }]);
        }
    }

    /// Has a generator go on from the first of its solutions, which took these calls.
    pub fn goes_on(&mut self, known: Vec<Solution>, calls: &[Call]) {
        self.replay(calls);
        self.known = known;
    }

    /// Whether its calls are made at once, each for a solution.
    pub fn is_side_by_side(&self) -> bool {
        self.operator.kind == Kind::Generate
    }

    /// Has `reporter` told of each of several answers as it arrives.
    pub fn reports(&mut self, reporter: Reporter) {
        self.reporter = Some(reporter);
    }

    /// Answers that a generator gives side by side.
    pub fn samples(&self) -> u32 {
        self.query.samples(self.operator)
    }

    pub(super) fn tariff(&self) -> Tariff {
        Tariff { gamma: self.query.gamma, tool_seconds: self.operator.tool_seconds }
    }

    /// Asks the model once.
    pub(super) async fn ask(&mut self, material: Material<'_>) -> Result<String, model::Error> {
        Ok(self.ask_all(material, 1, None).await?.swap_remove(0))
    }

    /// Asks the model at once for all solutions that are not known, with independent draws. One failed call fails all.
    pub(super) async fn ask_side_by_side(&mut self, material: Material<'_>) -> Result<Vec<Solution>, model::Error> {
        let reporter = self.reporter.clone();
        if let Some(reporter) = &reporter {
            for (place, (solution, call)) in self.known.iter().zip(self.steps.taken()).enumerate() {
                let after = Latency { tokens: call.usage.completion_tokens as f64, seconds: call.seconds };
                reporter.tell(place, Some(solution.clone()), after).await;
            }
        }
        let mut solutions = std::mem::take(&mut self.known);
        let missing = self.samples().saturating_sub(solutions.len() as u32);
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
        let Query { question, conversation, catalogue, .. } = *self.query;
        let model = &self.backing.model;
        let messages = catalogue
            .messages(self.operator, question, conversation, material)
            .map_err(|error| model::Error::Permanent(format!("prompt of `{}`: {error:#}", self.operator.name)))?;
        let made = self.steps.calls();
        let requests: Vec<_> = (0..samples).map(|sample| self.request(messages.clone(), made + sample)).collect();
        let meters: Vec<_> = requests.iter().map(|_| Meter::default()).collect();
        // Dropped after the calls, whose meters then show what they came to.
        let begins = if self.is_side_by_side() { Latency::default() } else { self.steps.latency() };
        let mut calls = Calls::new(self.steps.clone(), begins, meters.clone());
        let complete = async |(place, (request, meter))| (place, model.complete_metered(request, meter).await);
        let mut running: FuturesUnordered<_> = requests.iter().zip(&meters).enumerate().map(complete).collect();
        let mut is_failed = false;
        while let Some((place, result)) = running.next().await {
            // Nothing can come of the query any more: the other calls are dropped.
            if let Err(error) = &result
                && error.is_permanent()
            {
                return Err(error.clone());
            }
            let reporter = reporter.as_ref().filter(|_| !is_failed);
            let completion = reporter.and(result.as_ref().ok());
            let solution = completion.map(|completion| self.solution(completion.text.clone()));
            let after = calls.ends(&result);
            calls.results[place] = Some(result);
            if let Some(reporter) = reporter {
                is_failed = solution.is_none();
                reporter.tell(made as usize + place, solution, after).await;
            }
        }
        calls.texts()
    }

    /// Request number `call` of this operator.
    fn request(&self, messages: Vec<Message>, call: u32) -> Request {
        let sampling = self.operator.sampling();
        // All greedy draws are one, which a cache need not make twice.
        let is_greedy = sampling.temperature == 0.0;
        let draw = || random::key(&[&self.query.draw, &self.identity.fingerprint, &self.turn, &call]);
        let sample = if is_greedy { 0 } else { draw() };
        Request { model: self.backing.asks.clone(), messages, sampling, sample }
    }

    /// Counts outputs that were recorded, side by side.
    pub(super) fn count_recorded(&mut self, outputs: &[&Output]) {
        let begins = self.steps.latency();
        for &&Output { calls, usage, tool_seconds, seconds, cost: recorded_cost, .. } in outputs {
            let tokens = usage.completion_tokens as f64 + self.query.gamma * tool_seconds;
            let step = Step::new(begins, Latency { tokens, seconds });
            self.steps.extend([Step { calls, usage, tool_seconds, recorded_cost, ..step }]);
        }
    }

    /// The random stream of this choice of this run of the query.
    pub(super) fn stream(&self) -> ChaCha8Rng {
        random::stream(0, &[&self.query.draw, &self.query.question, &self.operator.name, &self.turn])
    }

    /// Uses the evaluator once and charges for it.
    pub(super) fn evaluate<T>(&mut self, tool: impl FnOnce(&Evaluator) -> T) -> T {
        let started = Instant::now();
        let result = tool(self.query.evaluator);
        self.charge(started.elapsed().as_secs_f64());
        result
    }

    /// Runs a Python program in the sandbox and charges for its time; waiting for a free core is not charged.
    ///
    /// # Errors
    /// There is no sandbox, or it broke. What the program does is no error.
    pub(super) async fn run_python(&mut self, program: &str, stdin: &str) -> Result<Run, model::Error> {
        let name = &self.operator.name;
        let sandbox = self
            .query
            .sandbox
            .ok_or_else(|| model::Error::Permanent(format!("expected a sandbox for operator `{name}`, found none")))?;
        let charged = ToolRun::new(self.steps.clone(), self.tariff());
        let run = sandbox.run(program, stdin, &Limits::default()).await;
        charged.ended();
        let run = run.map_err(|error| model::Error::Transient(format!("sandbox: {error:#}")))?;
        self.charge(run.seconds);
        Ok(run)
    }

    /// Counts one use of a tool that took `measured` seconds.
    pub(super) fn charge(&mut self, measured: f64) {
        self.tariff().charge(&self.steps, measured);
    }

    /// What the model wrote, with the final answer found in it.
    pub(super) fn solution(&self, text: String) -> Solution {
        let answer = self.query.answer.extract(&text);
        Solution { text, answer, executed: false }
    }
}
