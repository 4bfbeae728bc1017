//! One operator at work: its calls of the model and of tools, and what they take.

use futures::future::try_join_all;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::catalogue::Material;
use super::traces::Output;
use super::{Operator, Query, Solution};
use crate::llm::{self, Completion, Message, Request, Role};
use crate::plan::{Latency, Usage};
use crate::random;
use crate::sandbox::Evaluator;

/// An operator of a plan while it runs.
pub struct Work<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) operator: &'a Operator,
    /// How often the plan holds this operator before this choice.
    occurrence: usize,
    /// Model calls made.
    pub calls: u32,
    pub usage: Usage,
    /// Seconds charged for tools.
    pub tool_seconds: f64,
    /// (E3) Calls side by side count once, calls one after another add up.
    pub latency: Latency,
    /// Dollars, where recorded outputs name them; else the usage is priced.
    pub recorded_cost: Option<f64>,
}

impl<'a> Work<'a> {
    /// Nothing done yet.
    pub fn new(query: &'a Query<'a>, operator: &'a Operator, occurrence: usize) -> Self {
        let (usage, latency) = Default::default();
        Work { query, operator, occurrence, calls: 0, usage, tool_seconds: 0.0, latency, recorded_cost: None }
    }

    /// Asks the model once.
    pub(super) async fn ask(&mut self, material: Material<'_>) -> Result<String, llm::Error> {
        Ok(self.ask_side_by_side(material, 1).await?.swap_remove(0))
    }

    /// Asks the model `samples` times at once, with independent draws. One failed call fails all.
    pub(super) async fn ask_side_by_side(
        &mut self,
        material: Material<'_>,
        samples: u32,
    ) -> Result<Vec<String>, llm::Error> {
        let Query { question, catalogue, model, .. } = *self.query;
        let prompt = catalogue
            .render(self.operator, question, material)
            .map_err(|error| llm::Error::Permanent(format!("prompt of `{}`: {error:#}", self.operator.name)))?;
        let requests: Vec<_> = (0..samples).map(|_| self.request(prompt.clone())).collect();
        let started = Instant::now();
        let complete = async |request| match model.complete(request).await {
            // Nothing can come of the query any more: the other calls are dropped.
            Err(error) if error.is_permanent() => Err(error),
            result => Ok(result),
        };
        let results = try_join_all(requests.iter().map(complete)).await?;
        let waited = started.elapsed().as_secs_f64();
        self.count(results, waited)
    }

    fn request(&mut self, content: String) -> Request {
        let Operator { name, model, .. } = self.operator;
        let sampling = self.operator.sampling();
        // All greedy draws are one, which a cache need not make twice.
        let is_greedy = sampling.temperature == 0.0;
        let draw = || random::key(&[&self.query.draw, name, &self.occurrence, &self.calls]);
        let sample = if is_greedy { 0 } else { draw() };
        self.calls += 1;
        Request { model: model.clone(), messages: vec![Message { role: Role::User, content }], sampling, sample }
    }

    fn count(&mut self, results: Vec<Result<Completion, llm::Error>>, waited: f64) -> Result<Vec<String>, llm::Error> {
        let mut slowest = Latency::default();
        let mut texts = Vec::with_capacity(results.len());
        let mut failure = None;
        for result in results {
            slowest = slowest.beside(match result {
                Ok(completion) => {
                    self.usage += completion.usage;
                    texts.push(completion.text);
                    Latency { tokens: completion.usage.completion_tokens as f64, seconds: completion.timing.total }
                }
                // The published code counts no time for calls that fail; they delay the plan all the same.
                Err(error) => {
                    failure.get_or_insert(error);
                    Latency { tokens: 0.0, seconds: waited }
                }
            });
        }
        self.latency = self.latency.then(slowest);
        failure.map_or(Ok(texts), Err)
    }

    /// Counts outputs that were recorded, side by side.
    pub(super) fn count_recorded(&mut self, outputs: &[&Output]) {
        for output in outputs {
            self.calls += output.calls;
            self.usage += output.usage;
            self.tool_seconds += output.tool_seconds;
            let tokens = output.usage.completion_tokens as f64 + self.query.gamma * output.tool_seconds;
            self.latency = self.latency.beside(Latency { tokens, seconds: output.seconds });
        }
        self.recorded_cost = Some(outputs.iter().map(|output| output.cost).sum());
    }

    /// The random stream of this choice of this run of the query.
    pub(super) fn stream(&self) -> ChaCha8Rng {
        random::stream(self.query.draw, &[&self.query.question, &self.operator.name, &self.occurrence])
    }

    /// Uses the evaluator once and charges for it.
    pub(super) fn evaluate<T>(&mut self, tool: impl FnOnce(&Evaluator) -> T) -> T {
        let started = Instant::now();
        let result = tool(self.query.evaluator);
        let measured = started.elapsed().as_secs_f64();
        let charged = self.operator.tool_seconds.unwrap_or(measured);
        self.tool_seconds += charged;
        self.latency = self.latency.then(Latency { tokens: self.query.gamma * charged, seconds: measured });
        result
    }

    /// What the model wrote, with the final answer found in it.
    pub(super) fn solution(&self, text: String) -> Solution {
        let answer = self.query.answer.extract(&text);
        Solution { text, answer, executed: false }
    }
}
