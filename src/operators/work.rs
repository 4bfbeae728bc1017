//! One operator at work: its calls of the model and of tools, and what they take.

use futures::stream::{FuturesUnordered, StreamExt};
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::calls::{Calls, Reporter, ToolRun};
use super::catalogue::Material;
use super::traces::Output;
use super::{Operator, Query, Solution};
use crate::llm::{self, Message, Meter, Request, Role};
use crate::plan::{Kind, Latency, Usage};
use crate::random;
use crate::sandbox::{Evaluator, Limits, Run};

/// An operator of a plan while it runs.
pub struct Work<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) operator: &'a Operator,
    /// How often the plan holds this operator before this choice.
    occurrence: usize,
    /// What was done so far, in the order of its beginnings.
    pub(super) steps: Vec<Step>,
    /// Told of each of several answers as it arrives.
    reporter: Option<Reporter>,
}

/// A call of the model or of a tool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// From the start of the operator.
    pub begins: Latency,
    pub lasts: Latency,
    /// Calls of the model.
    pub calls: u32,
    pub retries: u32,
    /// Seconds that the call waited to be served.
    pub queued: f64,
    pub usage: Usage,
    pub tool_seconds: f64,
    pub recorded_cost: f64,
}

/// What an operator has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Model calls begun.
    pub calls: u32,
    /// Requests that were sent again, beyond one for each call.
    pub retries: u32,
    pub usage: Usage,
    /// Seconds charged for tools.
    pub tool_seconds: f64,
    /// (E3) Calls side by side count once, calls one after another add up.
    pub latency: Latency,
    /// Seconds that the calls waited to be served, added up.
    pub queued: f64,
    /// Dollars that recorded outputs name; nothing where the usage is priced.
    pub recorded_cost: f64,
}

impl Step {
    /// A step that took nothing but its time.
    pub fn new(begins: Latency, lasts: Latency) -> Self {
        Step { begins, lasts, ..Step::default() }
    }

    fn ends(&self) -> Latency {
        self.begins.then(self.lasts)
    }
}

impl<'a> Work<'a> {
    /// Nothing done yet.
    pub fn new(query: &'a Query<'a>, operator: &'a Operator, occurrence: usize) -> Self {
        Work { query, operator, occurrence, steps: Vec::new(), reporter: None }
    }

    /// Has `reporter` told of each of several answers as it arrives.
    pub fn reports(&mut self, reporter: Reporter) {
        self.reporter = Some(reporter);
    }

    /// What was done so far, which leaves nothing done.
    pub fn take(&mut self) -> Self {
        Work { steps: std::mem::take(&mut self.steps), reporter: None, ..*self }
    }

    /// What was taken within `tokens` of virtual time (E3) from the start: of a step that was still going on then, the
    /// prompt and the tokens written by then.
    pub fn spent(&self, tokens: f64) -> Spent {
        let mut spent = Spent::default();
        for step in self.steps.iter().filter(|step| step.begins.tokens < tokens || step.ends().tokens <= tokens) {
            let share =
                if step.ends().tokens <= tokens { 1.0 } else { (tokens - step.begins.tokens) / step.lasts.tokens };
            let written = (step.usage.completion_tokens as f64 * share).floor() as u64;
            spent.calls += step.calls;
            spent.retries += step.retries;
            spent.queued += step.queued;
            spent.usage += Usage { completion_tokens: written, ..step.usage };
            spent.tool_seconds += step.tool_seconds * share;
            spent.recorded_cost += step.recorded_cost * share;
            let lasts = Latency { tokens: step.lasts.tokens * share, seconds: step.lasts.seconds * share };
            spent.latency = spent.latency.beside(step.begins.then(lasts));
        }
        spent
    }

    /// When each of `solutions` existed, in tokens from the start: the answers of a generator as each call ended, the
    /// one of any other operator at its end.
    pub fn arrivals(&self, solutions: usize) -> Vec<f64> {
        let end = self.latency().tokens;
        match self.operator.kind {
            Kind::Generate if self.steps.len() == solutions => {
                self.steps.iter().map(|step| step.ends().tokens).collect()
            }
            _ => vec![end; solutions],
        }
    }

    pub(super) fn latency(&self) -> Latency {
        self.steps.iter().fold(Latency::default(), |latest, step| latest.beside(step.ends()))
    }

    fn calls(&self) -> u32 {
        self.steps.iter().map(|step| step.calls).sum()
    }

    /// Asks the model once.
    pub(super) async fn ask(&mut self, material: Material<'_>) -> Result<String, llm::Error> {
        Ok(self.ask_all(material, 1, None).await?.swap_remove(0))
    }

    /// Asks the model `samples` times at once, with independent draws, each for a solution. One failed call fails all.
    pub(super) async fn ask_side_by_side(
        &mut self,
        material: Material<'_>,
        samples: u32,
    ) -> Result<Vec<String>, llm::Error> {
        let reporter = self.reporter.clone();
        self.ask_all(material, samples, reporter).await
    }

    async fn ask_all(
        &mut self,
        material: Material<'_>,
        samples: u32,
        reporter: Option<Reporter>,
    ) -> Result<Vec<String>, llm::Error> {
        let Query { question, catalogue, model, .. } = *self.query;
        let prompt = catalogue
            .render(self.operator, question, material)
            .map_err(|error| llm::Error::Permanent(format!("prompt of `{}`: {error:#}", self.operator.name)))?;
        let made = self.calls();
        let requests: Vec<_> = (0..samples).map(|sample| self.request(prompt.clone(), made + sample)).collect();
        let meters: Vec<_> = requests.iter().map(|_| Meter::default()).collect();
        // Dropped after the calls, whose meters then show what they came to.
        let mut calls = Calls::new(self, meters.clone());
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
            let solution = completion.map(|completion| calls.work().solution(completion.text.clone()));
            calls.results[place] = Some(result);
            if let Some(reporter) = reporter {
                is_failed = solution.is_none();
                reporter.tell(place, solution).await;
            }
        }
        calls.texts()
    }

    /// Request number `call` of this operator.
    fn request(&self, content: String, call: u32) -> Request {
        let Operator { name, model, .. } = self.operator;
        let sampling = self.operator.sampling();
        // All greedy draws are one, which a cache need not make twice.
        let is_greedy = sampling.temperature == 0.0;
        let draw = || random::key(&[&self.query.draw, name, &self.occurrence, &call]);
        let sample = if is_greedy { 0 } else { draw() };
        Request { model: model.clone(), messages: vec![Message { role: Role::User, content }], sampling, sample }
    }

    /// Counts outputs that were recorded, side by side.
    pub(super) fn count_recorded(&mut self, outputs: &[&Output]) {
        let begins = self.latency();
        for &&Output { calls, usage, tool_seconds, seconds, cost: recorded_cost, .. } in outputs {
            let tokens = usage.completion_tokens as f64 + self.query.gamma * tool_seconds;
            let step = Step::new(begins, Latency { tokens, seconds });
            self.steps.push(Step { calls, usage, tool_seconds, recorded_cost, ..step });
        }
    }

    /// The random stream of this choice of this run of the query.
    pub(super) fn stream(&self) -> ChaCha8Rng {
        random::stream(self.query.draw, &[&self.query.question, &self.operator.name, &self.occurrence])
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
    pub(super) async fn run_python(&mut self, program: &str, stdin: &str) -> Result<Run, llm::Error> {
        let name = &self.operator.name;
        let sandbox = self
            .query
            .sandbox
            .ok_or_else(|| llm::Error::Permanent(format!("expected a sandbox for operator `{name}`, found none")))?;
        let charged = ToolRun::new(self);
        let run = sandbox.run(program, stdin, &Limits::default()).await;
        charged.ended();
        let run = run.map_err(|error| llm::Error::Transient(format!("sandbox: {error:#}")))?;
        self.charge(run.seconds);
        Ok(run)
    }

    /// Counts one use of a tool that took `measured` seconds.
    pub(super) fn charge(&mut self, measured: f64) {
        let tool_seconds = self.operator.tool_seconds.unwrap_or(measured);
        let lasts = Latency { tokens: self.query.gamma * tool_seconds, seconds: measured };
        self.steps.push(Step { tool_seconds, ..Step::new(self.latency(), lasts) });
    }

    /// What the model wrote, with the final answer found in it.
    pub(super) fn solution(&self, text: String) -> Solution {
        let answer = self.query.answer.extract(&text);
        Solution { text, answer, executed: false }
    }
}
