//! The agent for Python.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::json;

use super::answering::{Answering, layers};
use super::fault::raised;
use super::runtime::wait;
use super::session::{self, Session};
use super::wish::Wish;
use crate::agent::{self, plans};
use crate::cli::host;
use crate::controller::Policy;
use crate::evidence::Asked;
use crate::execute::Solver;
use crate::model::openai::EndpointConfig;
use crate::plan::Plan;
use crate::settings::{Endpoints, Host, Own, Parts, Preset, Settings};

/// What the user allows a run that was made elsewhere, as Python writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Allowed {
    endpoint: Option<String>,
    send_keys: Vec<(String, String)>,
    python: Option<PathBuf>,
    allow_unsandboxed: bool,
    run_commands: bool,
}

impl Allowed {
    fn host(self) -> Host {
        let endpoint = EndpointConfig { url: self.endpoint, ..EndpointConfig::default() };
        let (keys, python) = (self.send_keys, self.python);
        let (allow_unsandboxed, runs_commands) = (self.allow_unsandboxed, self.run_commands);
        let own = Own { endpoint, keys, python, allow_unsandboxed, runs_commands, ..Own::default() };
        // Nothing is printed: whoever embeds the agent decides what is shown.
        Host { own, shows_progress: false, listener: None, ..host() }
    }
}

/// A trained controller with everything needed to answer questions.
#[pyclass(frozen, module = "lamas._native")]
pub struct Agent {
    agent: Arc<agent::Agent>,
    names: Vec<String>,
    /// The process that opened it.
    process: u32,
}

impl Agent {
    fn of(agent: agent::Agent) -> Self {
        let operators = agent.solver().catalogue().operators();
        let names = operators.iter().map(|operator| operator.name.clone()).collect();
        Agent { names, agent: Arc::new(agent), process: std::process::id() }
    }

    /// # Errors
    /// This process is a fork of the one that opened it.
    fn here(&self) -> Result<&Arc<agent::Agent>> {
        ensure!(
            self.process == std::process::id(),
            "expected an agent that this process opened, found one of process {}; hint: open it after the fork, or start \
             processes by `spawn`",
            self.process
        );
        Ok(&self.agent)
    }

    fn policy(&self) -> Result<&Policy> {
        self.agent.policy().context("expected a trained controller, found none; hint: open a run that `train` has made")
    }

    fn at(&self, latency_weight: Option<f64>) -> Result<Policy> {
        let policy = self.policy()?;
        Ok(latency_weight.map_or_else(|| policy.clone(), |weight| policy.at(weight)))
    }

    fn planned(&self, question: &str, wish: &str) -> Result<String> {
        let agent = self.here()?;
        let wish = Wish::read(wish, agent)?;
        ensure!(!question.trim().is_empty(), "expected a question, found an empty one");
        let embeddings = agent.embed(&[question])?;
        let embedding = embeddings.row(0).context("the encoder returned no embedding")?;
        let chosen = agent.plan_of(Asked { question, embedding }, &wish.ask(None))?;
        let probabilities = match agent.policy() {
            Some(_) => self.at(chosen.latency_weight)?.probabilities(embedding, &chosen.plan),
            None => Vec::new(),
        };
        let predicted = chosen.predicted.as_ref();
        Ok(json!({
            "layers": layers(&chosen.plan, &self.names),
            "then": chosen.then,
            "probabilities": probabilities,
            "latency_weight": chosen.latency_weight,
            "within_budget": chosen.is_within,
            "predicted": predicted.map(|predicted| predicted.path),
            "bound": predicted.map(|predicted| predicted.bound),
        })
        .to_string())
    }

    /// # Errors
    /// An operator is unknown; another plan than the controller's own need not be one that it can draw.
    fn plan_named(&self, plan: &str) -> Result<Plan> {
        plans::parse(plan, self.agent.solver().catalogue())
    }
}

#[pymethods]
impl Agent {
    /// Opens a checkpoint, or the newest one of a run folder.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, allowed: &str) -> PyResult<Self> {
        let allowed: Allowed = serde_json::from_str(allowed).map_err(|error| raised(py, &error.into()))?;
        let host = allowed.host();
        wait(py, async move { agent::Agent::open_with(&path, &host).await }).map(Agent::of)
    }

    /// An agent without a controller and without a model, for plans that somebody else executes.
    #[staticmethod]
    fn untrained(py: Python<'_>, benchmark: Option<PathBuf>, catalogue: Option<PathBuf>) -> PyResult<Self> {
        let open = || -> Result<agent::Agent> {
            let mut settings = Settings { benchmark, catalogue, ..Preset::default().settings() };
            let benchmark = settings.benchmark()?;
            settings.training.objective = benchmark.reward.objective();
            // What is recorded must be there for every operator, so no plan ends early.
            (settings.training.execution.quorum, settings.training.execution.halting) = (false, false);
            let catalogue = settings.catalogue(&benchmark)?;
            let (device, _) = settings.device()?.open()?;
            let encoder = settings.encoder()?.open(&device)?;
            let solver = Solver::idle(catalogue, benchmark);
            let (endpoints, recordings) = (Endpoints::default(), Vec::new());
            let parts = Parts { device, encoder, endpoints, recordings, solver, remarks: Vec::new() };
            Ok(agent::Agent::new(parts, &settings, None, None))
        };
        py.detach(open).map(Agent::of).map_err(|error| raised(py, &error))
    }

    /// The names of the operators, in catalogue order.
    #[getter]
    fn operators(&self) -> Vec<String> {
        self.names.clone()
    }

    /// What the user should know, one line each.
    #[getter]
    fn remarks(&self) -> Vec<String> {
        self.agent.remarks().to_vec()
    }

    /// The range of latency weights that the controller serves, if it serves several.
    #[getter]
    fn latency_weights(&self) -> Option<(f64, f64)> {
        let weights = self.agent.policy()?.config().latency_weights?;
        Some((weights.at(0.0), weights.at(1.0)))
    }

    #[getter]
    fn is_trained(&self) -> bool {
        self.agent.trained().is_some()
    }

    /// The first decision for a question, in JSON.
    fn plan(&self, py: Python<'_>, question: &str, wish: &str) -> PyResult<String> {
        py.detach(|| self.planned(question, wish)).map_err(|error| raised(py, &error))
    }

    /// Begins to answer a question.
    fn answer(&self, py: Python<'_>, question: String, wish: &str, wakes: bool) -> PyResult<Answering> {
        let begin = || {
            let agent = self.here()?.clone();
            let wish = Wish::read(wish, &agent)?;
            Answering::begin(agent, question, wish, wakes)
        };
        begin().map_err(|error| raised(py, &error))
    }

    /// A query that somebody else executes.
    fn session(&self, py: Python<'_>, question: &str, wish: &str, record: Option<PathBuf>) -> PyResult<Session> {
        let begin = || {
            let agent = self.here()?.clone();
            let wish = Wish::read(wish, &agent)?;
            let record = record.as_deref().map(session::shared_record).transpose()?;
            Session::begin(agent, self.names.clone(), question, &wish, record)
        };
        py.detach(begin).map_err(|error| raised(py, &error))
    }

    /// The embeddings of questions: numbers of four bytes, and how many belong to one question.
    fn embed<'py>(&self, py: Python<'py>, questions: Vec<String>) -> PyResult<(Bound<'py, PyBytes>, usize)> {
        let embed = || {
            let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
            let embeddings = self.here()?.embed(&questions)?;
            let bytes: Vec<u8> = embeddings.values().iter().flat_map(|value| value.to_ne_bytes()).collect();
            Ok((bytes, embeddings.dimension()))
        };
        let (bytes, dimension) = py.detach(embed).map_err(|error| raised(py, &error))?;
        Ok((PyBytes::new(py, &bytes), dimension))
    }

    /// The probability of each operator in each layer of a plan, given the layers before it: numbers of four bytes.
    #[pyo3(signature = (question, plan, latency_weight))]
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        question: &str,
        plan: Option<&str>,
        latency_weight: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let compute = || -> Result<Vec<u8>> {
            let policy = self.at(latency_weight)?;
            let embeddings = self.here()?.embed(&[question])?;
            let embedding = embeddings.row(0).context("the encoder returned no embedding")?;
            let plan = match plan {
                Some(plan) => self.plan_named(plan)?,
                None => policy.greedy(embedding),
            };
            let rows = policy.probabilities(embedding, &plan);
            Ok(rows.iter().flatten().flat_map(|value| value.to_ne_bytes()).collect())
        };
        let bytes = py.detach(compute).map_err(|error| raised(py, &error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The log-probability that the controller draws each of these plans for the question.
    #[pyo3(signature = (question, plans, latency_weight))]
    fn log_probabilities(
        &self,
        py: Python<'_>,
        question: &str,
        plans: Vec<String>,
        latency_weight: Option<f64>,
    ) -> PyResult<Vec<f64>> {
        let compute = || -> Result<Vec<f64>> {
            let policy = self.at(latency_weight)?;
            let embeddings = self.here()?.embed(&[question])?;
            let embedding = embeddings.row(0).context("the encoder returned no embedding")?;
            let of = |plan: &String| Ok(policy.log_probability(embedding, &self.plan_named(plan)?));
            plans.iter().map(of).collect()
        };
        py.detach(compute).map_err(|error| raised(py, &error))
    }
}
