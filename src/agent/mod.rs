//! The agent: a trained controller with everything it needs to answer questions, for programs that embed it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use lamas::agent::{Agent, Ask};
//!
//! let agent = Agent::open("runs/arithmetic-adaptive").await?;
//! let ask = Ask { within: Some("40tokens".parse()?), ..Ask::default() };
//! let answer = agent.answer("a hall has 432 rows of 6 seats . how many seats are in the hall ?", ask).await?;
//! println!("{}", answer.answer.unwrap_or_default());
//! # Ok(())
//! # }
//! ```

mod ask;
pub mod plans;
mod run_folder;
mod session;
mod trained;

pub use ask::{Answered, Ask, Chosen};
pub use run_folder::{CHECKPOINT, checkpoints, latency_model, latency_path, newest};
pub use session::{Action, Ending, Report, Session, Start, Step, Told, Used, What};
pub use trained::Trained;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::checkpoint::Checkpoint;
use crate::controller::Policy;
use crate::decide::{Decider, HaltingHead, Proposal, Then};
use crate::encoder::{Embeddings, Encoder};
use crate::evaluate::latency::{LatencyModel, Prediction};
use crate::evidence::Asked;
use crate::execute::{Answer, Clock, Episode, ExecutionConfig, SolveOptions, Solver};
use crate::objective::Objective;
use crate::operation::{Catalogue, Solution, vote};
use crate::plan::Plan;
use crate::random::Draw;
use crate::record::Record;
use crate::settings::{Endpoints, Host, Parts, Settings, admit, drift, of_checkpoint};
use crate::task::Problem;

/// Answers questions. It is immutable: any number of questions can be asked at once, and none affects another.
///
/// It owns no runtime, prints nothing and reads no environment.
pub struct Agent {
    solver: Solver,
    encoder: Box<dyn Encoder>,
    trained: Option<Trained>,
    latency: Option<LatencyModel>,
    execution: ExecutionConfig,
    objective: Objective,
    endpoints: Endpoints,
    /// The default clock.
    clock: Clock,
    remarks: Vec<String>,
}

impl Agent {
    /// Opens a checkpoint, or the newest one of a run folder, with the benchmark, operators and model of its run.
    ///
    /// # Errors
    /// There is none, or a part cannot be opened; says which part, and why.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &Host::default()).await
    }

    /// Like [`Agent::open`], with the key of an endpoint and the location of recorded calls.
    ///
    /// # Errors
    /// Those of [`Agent::open`]; or the run asks for the key or names a program, and the host does not: see [`admit`].
    pub async fn open_with(path: impl AsRef<Path>, host: &Host) -> Result<Self> {
        let path = path.as_ref();
        let (checkpoint, origin) =
            if path.is_dir() { newest(path)? } else { (Checkpoint::load(path)?, path.to_owned()) };
        let (settings, gone) =
            of_checkpoint(&checkpoint).with_context(|| format!("settings of `{}`", origin.display()))?;
        let text = checkpoint.provenance.catalogue.clone();
        let catalogue = Catalogue::parse(text, &format!("{} (catalogue)", origin.display()))?;
        let settings = admit(settings, &catalogue, &origin, host)?;
        let drift = drift(&settings, &settings, &catalogue, &settings.benchmark()?, &origin);
        let parts = Parts::open_for(&settings, host, catalogue).await?;
        let mut agent = Self::restore(parts, &settings, &checkpoint, &origin)?;
        agent.remarks.extend(gone.into_iter().chain(drift));
        Ok(agent)
    }

    /// An agent from a checkpoint, with parts that were opened for its catalogue. The settings may differ from those of its run.
    ///
    /// # Errors
    /// Those of [`Trained::restore`]; or the latency model cannot be used.
    pub fn restore(parts: Parts, settings: &Settings, checkpoint: &Checkpoint, origin: &Path) -> Result<Self> {
        let execution = settings.execution(parts.solver.benchmark());
        let trained = Trained::restore(checkpoint, origin, &parts, execution)?;
        let latency = latency_model(parts.solver.catalogue(), origin)?;
        Ok(Self::new(parts, settings, Some(trained), latency))
    }

    /// An agent from these parts. Without a controller it needs a plan for each question.
    pub fn new(parts: Parts, settings: &Settings, trained: Option<Trained>, latency: Option<LatencyModel>) -> Self {
        let Parts { encoder, endpoints, solver, remarks, .. } = parts;
        Agent {
            execution: settings.execution(solver.benchmark()),
            objective: settings.training.objective,
            clock: if endpoints.is_empty() { Clock::Virtual } else { Clock::Live },
            endpoints,
            solver,
            encoder,
            trained,
            latency,
            remarks,
        }
    }

    /// The same agent with a record of calls: see [`Solver::with_record`].
    pub fn with_record(mut self, record: Option<Arc<Record>>) -> Self {
        self.solver.set_record(record);
        self
    }

    /// The solver of its queries.
    pub fn solver(&self) -> &Solver {
        &self.solver
    }

    /// The model servers.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// How plans are run.
    pub fn execution(&self) -> ExecutionConfig {
        self.execution
    }

    /// The trained controller, if there is one.
    pub fn trained(&self) -> Option<&Trained> {
        self.trained.as_ref()
    }

    /// What an answer is worth.
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// Remarks for the user, one line each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The latency model of the run, if there is one.
    pub fn latency_model(&self) -> Option<&LatencyModel> {
        self.latency.as_ref()
    }

    /// How plans are run, without a halting head.
    pub fn options(&self) -> SolveOptions<'static> {
        SolveOptions::new(self.execution, None, self.objective.unit)
    }

    /// Solves a problem of the benchmark in virtual time with the controller's own plan, for comparison with other deciders.
    ///
    /// # Errors
    /// There is no controller, or the query cannot be completed.
    pub async fn solve(&self, problem: &Problem, draw: Draw) -> Result<Episode> {
        let trained = self.trained.as_ref().context("expected a trained controller, found none")?;
        let embeddings = self.embed(&[&problem.question])?;
        let embedding = embeddings.row(0).context("the encoder returned no embedding")?;
        let head = trained.halting.as_ref();
        let options = SolveOptions::new(self.execution, head, self.objective.unit);
        let asked = Asked { question: &problem.question, embedding };
        let mut decider = trained.propose(asked).decider(trained.strategies.stages.as_ref(), None);
        Ok(self.solver.solve(problem, &mut *decider, draw, &options).await?)
    }

    /// Answers a question.
    ///
    /// # Errors
    /// The question is empty, there is no controller to choose a plan, or the query cannot be completed
    /// ([`crate::execute::ExecuteError`]). A missing answer is not an error.
    pub async fn answer(&self, question: &str, ask: Ask<'_>) -> Result<Answered> {
        let chosen = self.plan(question, &ask)?;
        let (mut decider, head) = self.decider(&chosen, &ask);
        let options = SolveOptions {
            clock: ask.clock.unwrap_or(self.clock),
            samples: ask.samples,
            observer: ask.observer,
            called: ask.called,
            conversation: ask.conversation,
            until: ask.until,
            letters: ask.letters,
            ..SolveOptions::new(self.execution, head.as_ref(), self.objective.unit)
        };
        self.solver.catalogue().check_samples(ask.samples)?;
        let answer = self.solver.answer(question, &mut *decider, ask.purpose.draw(ask.draw), &options).await?;
        let given = |solution: &&Solution| answer.answer.is_some() && solution.answer == answer.answer;
        let text = answer.solutions.iter().rev().find(given).or(vote(&answer.solutions));
        let text = text.map(|solution| solution.text.clone());
        let chosen = Chosen { plan: answer.plan, ..chosen };
        let Answer { answer, confidence, trace, solutions, .. } = answer;
        Ok(Answered { answer, confidence, text, trace, solutions, chosen })
    }

    /// The decider that follows a choice, and the head that may end its plan.
    pub fn decider(&self, chosen: &Chosen, ask: &Ask<'_>) -> (Box<dyn Decider>, Option<Arc<HaltingHead>>) {
        let of_weight = |trained: &'_ Trained| match ask.latency_weight {
            Some(weight) => trained.strategies.at(weight).is_controller(),
            None => true,
        };
        let own = self.trained.as_ref().filter(|trained| ask.plan.is_none() && of_weight(trained));
        let head = own.and_then(|trained| trained.head(chosen.latency_weight));
        let strategies = self.trained.as_ref().map(|trained| match chosen.latency_weight {
            Some(weight) => trained.strategies.at(weight),
            None => &trained.strategies,
        });
        let stages = strategies.and_then(|strategies| strategies.stages.as_ref());
        let Chosen { plan, then, .. } = chosen.clone();
        (Proposal { plan, then }.decider(stages, ask.confidence), head)
    }

    /// The plan that [`Agent::answer`] would use.
    ///
    /// # Errors
    /// Those of [`Agent::answer`] before anything runs.
    pub fn plan(&self, question: &str, ask: &Ask<'_>) -> Result<Chosen> {
        ensure!(!question.trim().is_empty(), "expected a question, found an empty one");
        let embeddings = self.embed(&[question])?;
        let embedding = embeddings.row(0).context("the encoder returned no embedding")?;
        self.plan_of(Asked { question, embedding }, ask)
    }

    /// Like [`Agent::plan`], for a question that [`Agent::embed`] has embedded.
    ///
    /// # Errors
    /// Those of [`Agent::plan`].
    pub fn plan_of(&self, asked: Asked<'_>, ask: &Ask<'_>) -> Result<Chosen> {
        let chosen = self.choose(asked, ask)?;
        Ok(Chosen { predicted: self.predict(asked, &chosen.plan), ..chosen })
    }

    fn choose(&self, asked: Asked<'_>, ask: &Ask<'_>) -> Result<Chosen> {
        let of_plan =
            |plan| Chosen { plan, then: Then::Nothing, latency_weight: None, is_within: true, predicted: None };
        if let Some(plan) = ask.plan {
            return Ok(of_plan(plan.clone()));
        }
        let trained = self.trained.as_ref().context("expected a trained controller or a plan, found neither")?;
        match (ask.latency_weight, ask.within) {
            (Some(weight), _) => {
                trained.latency_weights()?;
                let strategy = trained.strategies.at(weight).chosen();
                let Proposal { plan, then } = strategy.propose(&trained.policy.at(weight), asked);
                Ok(Chosen { latency_weight: Some(weight), then, ..of_plan(plan) })
            }
            (None, Some(budget)) => {
                let model = self
                    .latency
                    .as_ref()
                    .context("expected a latency model of the run, found none; hint: `lamas calibrate RUN` fits one")?;
                let choice = trained.choose(&self.solver, self.execution.schedule, model, budget, asked)?;
                let (latency_weight, is_within) = (Some(choice.latency_weight), choice.is_within);
                Ok(Chosen { latency_weight, is_within, ..of_plan(choice.plan) })
            }
            (None, None) => {
                let Proposal { plan, then } = match ask.confidence {
                    Some(_) => trained.propose_sure()?,
                    None => trained.propose(asked),
                };
                Ok(Chosen { then, ..of_plan(plan) })
            }
        }
    }

    /// The predicted latency of a plan; none without a latency model.
    fn predict(&self, asked: Asked<'_>, plan: &Plan) -> Option<Prediction> {
        let prepared = self.execution.schedule.prepare(plan, &self.solver.catalogue().signatures());
        Some(self.latency.as_ref()?.predict(plan, &prepared, asked))
    }

    /// The embeddings of questions, which the controller reads.
    ///
    /// # Errors
    /// The encoder cannot encode them.
    pub fn embed(&self, questions: &[&str]) -> Result<Embeddings> {
        self.encoder.encode(questions)
    }

    /// The controller, if there is one.
    pub fn policy(&self) -> Option<&Policy> {
        self.trained.as_ref().map(|trained| &trained.policy)
    }
}
