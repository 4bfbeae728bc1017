//! The runs that a server answers by, and the models that it shows for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::fault::Fault;
use super::queue::Queue;
use crate::agent::{Agent, plans};
use crate::model::openai::OpenAi;
use crate::model::{LanguageModel, Message, Price};
use crate::operation::Operator;
use crate::plan::{Layer, OperatorId, Plan, Signature, Usage};

/// A run under a name.
pub struct Run {
    pub name: String,
    pub agent: Agent,
    pub upstreams: Vec<Upstream>,
    /// What its calls wait of late.
    pub queue: Queue,
    /// The operator that may write least, by itself.
    pub fast: Option<Plan>,
    /// All that answer by themselves, and a vote.
    pub best: Option<Plan>,
    /// On whose answer others work, where they have no other to work on.
    pub base: Option<OperatorId>,
}

/// A model that a run asks.
pub struct Upstream {
    pub name: String,
    /// What requests call it; empty for the client's own model.
    pub asks: String,
    pub via: Via,
    /// Names of the upstream models that are asked in its place while it does not answer.
    pub reserve: Vec<String>,
}

/// How a model is asked.
#[derive(Clone)]
pub enum Via {
    Endpoint(Arc<OpenAi>),
    Local(Arc<dyn LanguageModel>, Price),
}

/// How much a plan may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Usual,
    Fast,
    Best,
}

/// What a name of a model stands for.
#[derive(Clone)]
pub enum Target {
    Plan(Arc<Run>, Pace),
    /// One plain call of this upstream model.
    Direct(Arc<Run>, usize),
}

/// All runs of a server.
pub struct Runs(Vec<Arc<Run>>);

impl Run {
    /// A run that is open.
    pub fn new(name: String, agent: Agent) -> Self {
        let upstreams = upstreams(&agent);
        let operators = agent.solver().catalogue().operators();
        let id = |at: usize| u16::try_from(at).ok().map(OperatorId);
        let signatures = agent.solver().catalogue().signatures();
        let opens = |at: usize| signatures.get(at).is_some_and(Signature::opens);
        let generators = || operators.iter().enumerate().filter(|&(at, _)| opens(at));
        let writes = |(at, operator): &(usize, &Operator)| operator.max_tokens * signatures[*at].most_calls;
        let single = generators().min_by_key(writes).and_then(|(at, _)| id(at));
        let all: Vec<OperatorId> = generators().filter_map(|(at, _)| id(at)).collect();
        let vote = signatures.iter().position(|it| it.replaces && it.needs_solution).and_then(id);
        let layers = [Some(all), vote.map(|vote| vec![vote])].into_iter().flatten();
        let layers = layers.map(|operators| Layer { operators }).collect();
        let plan = |operator| Plan { layers: vec![Layer { operators: vec![operator] }] };
        let best = single.is_some().then_some(Plan { layers });
        let base = plans::base(agent.solver().catalogue());
        Run { name, agent, upstreams, queue: Queue::default(), fast: single.map(plan), best, base }
    }

    /// An upstream model, and behind it those in reserve.
    pub fn upstreams_from(&self, at: usize) -> Vec<&Upstream> {
        let named = |name: &String| self.upstreams.iter().find(|upstream| upstream.name == *name);
        let first = self.upstreams.get(at);
        first.into_iter().chain(first.iter().flat_map(|first| first.reserve.iter().filter_map(named))).collect()
    }

    /// The names of its operators, in the order of the catalogue.
    pub fn operators(&self) -> Vec<&str> {
        self.agent.solver().catalogue().operators().iter().map(|operator| operator.name.as_str()).collect()
    }

    /// Most dollars that plans may cost, by estimate; without any, that all operators may cost.
    pub fn most(&self, plans: Option<&[Plan]>, question: &str, conversation: &[Message]) -> f64 {
        let solver = self.agent.solver();
        let said = conversation.iter().map(|message| message.content.len()).sum::<usize>();
        let said = (said + question.len()) as u64;
        let signatures = solver.catalogue().signatures();
        let of = |(at, operator): (usize, &Operator)| {
            let times = |plan: &Plan| plan.choices().filter(|(_, id)| id.index() == at).count();
            let times = plans.map_or(1, |plans| plans.iter().map(times).sum());
            let Some(backing) = solver.backings().get(at).filter(|_| operator.prompt.is_some()) else { return 0.0 };
            let calls = times as f64 * f64::from(signatures.get(at).map_or(1, |signature| signature.most_calls));
            let (written, prompt) = (u64::from(operator.max_tokens), operator.prompt.as_ref().map_or(0, String::len));
            // What others wrote is read too.
            let prompt_tokens = said + prompt as u64 + 4 * written;
            calls * backing.price.cost(Usage { prompt_tokens, completion_tokens: written, ..Usage::default() })
        };
        solver.catalogue().operators().iter().enumerate().map(of).sum()
    }

    /// A plan as people type it.
    pub fn spelled(&self, plan: &Plan) -> String {
        let names = self.operators();
        let name = |id: &OperatorId| names.get(id.index()).copied().unwrap_or_default();
        let layer = |layer: &Layer| layer.operators.iter().map(name).collect::<Vec<_>>().join(",");
        plan.layers.iter().map(layer).collect::<Vec<_>>().join(";")
    }
}

impl Runs {
    /// # Errors
    /// There is no run, two have one name, or a name that means something else.
    pub fn new(runs: Vec<Run>) -> Result<Self> {
        ensure!(!runs.is_empty(), "expected a run to serve, found none");
        let mut names = BTreeSet::new();
        for Run { name, .. } in &runs {
            let is_name =
                !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
            ensure!(is_name, "expected a name of letters, digits and `-_.` for a run, found `{name}`");
            ensure!(names.insert(name.clone()), "expected a unique name for each run, found `{name}` twice");
        }
        Ok(Runs(runs.into_iter().map(Arc::new).collect()))
    }

    /// The runs.
    pub fn all(&self) -> &[Arc<Run>] {
        &self.0
    }

    /// Names of all models.
    pub fn models(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for Run { name, fast, best, upstreams, .. } in self.0.iter().map(AsRef::as_ref) {
            names.push(name.clone());
            names.extend(fast.iter().map(|_| format!("{name}:fast")));
            names.extend(best.iter().map(|_| format!("{name}:best")));
            names.extend(upstreams.first().map(|_| format!("{name}:direct")));
        }
        for upstream in self.0.iter().flat_map(|run| &run.upstreams) {
            if !names.contains(&upstream.name) {
                names.push(upstream.name.clone());
            }
        }
        names
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// Nothing.
    pub fn find(&self, model: &str) -> Result<Target, Fault> {
        let (name, variant) = model.rsplit_once(':').unwrap_or((model, ""));
        if let Some(run) = self.0.iter().find(|run| run.name == name) {
            match variant {
                "" if name == model => return Ok(Target::Plan(run.clone(), Pace::Usual)),
                "fast" if run.fast.is_some() => return Ok(Target::Plan(run.clone(), Pace::Fast)),
                "best" if run.best.is_some() => return Ok(Target::Plan(run.clone(), Pace::Best)),
                "direct" if !run.upstreams.is_empty() => return Ok(Target::Direct(run.clone(), 0)),
                _ => {}
            }
        }
        for run in &self.0 {
            if let Some(at) = run.upstreams.iter().position(|upstream| upstream.name == model) {
                return Ok(Target::Direct(run.clone(), at));
            }
        }
        let shown: String = model.chars().take(100).collect();
        let message = format!("the model `{shown}` does not exist; `GET /v1/models` lists those that do");
        Err(Fault::absent(message).coded("model_not_found").at("model"))
    }
}

/// The models that a run asks, each once.
fn upstreams(agent: &Agent) -> Vec<Upstream> {
    let mut found: Vec<Upstream> = Vec::new();
    let mut add = |upstream: Upstream| {
        if !upstream.name.is_empty() && found.iter().all(|other| other.name != upstream.name) {
            found.push(upstream);
        }
    };
    for endpoint in &agent.endpoints().0 {
        let own = endpoint.client.model().to_owned();
        // Of several servers of one model the first is asked.
        let name = endpoint.name.as_deref().map_or(own, |name| name.split(" at ").next().unwrap_or(name).to_owned());
        let (via, reserve) = (Via::Endpoint(endpoint.client.clone()), endpoint.reserve.clone());
        add(Upstream { name, asks: String::new(), via, reserve });
    }
    let only = match &agent.endpoints().0[..] {
        [only] if only.name.is_none() => Some(only.client.clone()),
        _ => None,
    };
    let (solver, is_remote) = (agent.solver(), !agent.endpoints().is_empty());
    for (backing, operator) in solver.backings().iter().zip(solver.catalogue().operators()) {
        match &only {
            Some(client) if !backing.asks.is_empty() => {
                let (name, asks) = (backing.asks.clone(), backing.asks.clone());
                add(Upstream { name, asks, via: Via::Endpoint(client.clone()), reserve: Vec::new() });
            }
            None if !is_remote && operator.prompt.is_some() => {
                let (name, via) = (short(backing.model.id()), Via::Local(backing.model.clone(), backing.price));
                add(Upstream { name, asks: String::new(), via, reserve: Vec::new() });
            }
            _ => {}
        }
    }
    found
}

/// The name of a local model without the hash of its weights.
fn short(id: &str) -> String {
    if id == "none" {
        return String::new();
    }
    id.split(['@', '#', ' ']).next().unwrap_or(id).to_owned()
}
