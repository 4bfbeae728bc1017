//! Exploration: for a uniform share of the requests, asks the operators that were not asked, so that a controller can
//! be trained from what was served. It has the lowest priority and its own spending cap.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::caps::Caps;
use super::gate::Gate;
use super::journal::Journal;
use super::keys::{Holder, Rights};
use super::metrics::Metrics;
use super::run::Run;
use super::time::now;
use crate::decide::FixedPlan;
use crate::execute::{Clock, Expense, SolveOptions};
use crate::model::Message;
use crate::plan::{Layer, OperatorId, Plan, Signature, Status};
use crate::random::Purpose;

/// The most requests that wait to be explored; those that come later are dropped.
const MOST_WAITING: usize = 1024;
/// Requests that are explored at once.
const AT_ONCE: usize = 4;
/// The longest wait of a model's latest calls, in seconds, with which it counts as not loaded.
const CALM: f64 = 0.05;
/// Pause before checking again whether calls still wait, or whether the cap has room.
const PAUSE: Duration = Duration::from_millis(200);

/// How much is explored.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    /// The share of the requests, from 0 to 1.
    pub share: f64,
    /// Most dollars a day.
    pub dollars_per_day: f64,
    /// How long the calls for one request may take.
    pub longest: Duration,
}

/// Explores what was served.
pub struct Explorer {
    pub exploration: Exploration,
    sender: Sender<Unasked>,
    /// Taken by the worker.
    receiver: Mutex<Option<Receiver<Unasked>>>,
    caps: Arc<Caps>,
    holder: Arc<Holder>,
}

/// A request that is to be explored.
pub struct Unasked {
    /// The id of its answer.
    pub id: String,
    pub run: Arc<Run>,
    pub question: String,
    pub conversation: Vec<Message>,
    pub draw: u64,
}

/// What became of a request that was to be explored.
#[derive(Serialize)]
struct Explored<'a> {
    id: &'a str,
    time: u64,
    run: &'a str,
    /// `done`, `failed`, or `dropped`, with the reason.
    result: &'static str,
    reason: Option<String>,
    /// Seconds.
    took: f64,
    /// Dollars.
    cost: f64,
}

impl Explorer {
    /// Nothing is explored before [`Explorer::work`]. `caps` include what was spent before.
    pub fn new(exploration: Exploration, caps: Caps) -> Self {
        let (sender, receiver) = channel(MOST_WAITING);
        let rights = Rights { dollars_per_day: Some(exploration.dollars_per_day), ..Rights::default() };
        let holder = Arc::new(Holder::without_key("exploration", rights));
        Explorer { exploration, sender, receiver: Mutex::new(Some(receiver)), caps: Arc::new(caps), holder }
    }

    /// Draws whether to explore a request: each has the same probability, whatever it asks.
    pub fn draws(&self) -> bool {
        rand::random::<f64>() < self.exploration.share
    }

    /// What was spent today.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Takes in a request that was drawn; false where too many wait already.
    pub fn offer(&self, unasked: Unasked) -> bool {
        self.sender.try_send(unasked).is_ok()
    }

    /// Explores the requests taken in, while the server has nothing else to do. Returns at once if another worker was
    /// started.
    pub async fn work(&self, gate: &Gate, metrics: &Metrics, journal: &Journal) {
        let Some(receiver) = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let waiting = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        let explore = async |unasked: Unasked| {
            let since = Instant::now();
            let plans = plans(&unasked.run);
            let Unasked { id, run, .. } = &unasked;
            let (result, reason, cost) = self.explore(&unasked, &plans, gate).await;
            let took = since.elapsed().as_secs_f64();
            journal.explored(&Explored { id, time: now(), run: &run.name, result, reason, took, cost });
            metrics.explored(result, cost);
        };
        waiting.for_each_concurrent(AT_ONCE, explore).await;
    }

    /// Asks what was not asked, once the server is calm; gives up when requests begin to wait.
    async fn explore(&self, unasked: &Unasked, plans: &[Plan], gate: &Gate) -> (&'static str, Option<String>, f64) {
        loop {
            gate.calm().await;
            if unasked.run.queue.seconds() <= CALM {
                break;
            }
            // How long calls wait is known only from answers: once there are none, it is out of date.
            tokio::time::sleep(PAUSE).await;
            unasked.run.queue.forget();
        }
        let most = unasked.run.most(Some(plans), &unasked.question, &unasked.conversation);
        let mut reserved = loop {
            match self.caps.reserve(&self.holder, most, now()) {
                Ok(reserved) => break reserved,
                Err(_) if self.caps.is_reserved(&self.holder) => tokio::time::sleep(PAUSE).await,
                Err(_) => {
                    let reason =
                        format!("it may cost up to {most:.6} $, and the cap on what exploration may cost leaves less");
                    return ("dropped", Some(reason), 0.0);
                }
            }
        };
        reserved.begin();
        tokio::select! {
            biased;
            () = gate.crowded() => ("dropped", Some("requests wait".into()), most),
            (result, reason, cost) = self.ask(unasked, plans) => {
                reserved.spent(cost);
                (result, reason, cost)
            }
        }
    }

    async fn ask(&self, unasked: &Unasked, plans: &[Plan]) -> (&'static str, Option<String>, f64) {
        let Unasked { id, run, question, conversation, draw } = unasked;
        let (solver, expense) = (run.agent.solver(), Expense::default());
        let until = Instant::now() + self.exploration.longest;
        for plan in plans {
            let options = SolveOptions {
                quorum: false,
                without_finish: true,
                clock: Clock::Live,
                until: Some(until),
                called: id,
                replays: Some(&expense),
                conversation,
                ..run.agent.options()
            };
            let mut decider = FixedPlan::new(plan.clone());
            let answered = solver.answer(question, &mut decider, Purpose::Serve.draw(*draw), &options).await;
            let failure = match answered {
                Ok(answer) => {
                    run.queue.note(&answer.trace);
                    let is_late = answer.trace.all().any(|span| span.outcome == Status::Cancelled);
                    let failure = answer.trace.failure().map(str::to_owned);
                    failure.or(is_late.then(|| "the time was over".to_owned()))
                }
                Err(error) => Some(error.to_string()),
            };
            if failure.is_some() {
                return ("failed", failure, expense.dollars());
            }
        }
        ("done", None, expense.dollars())
    }
}

/// Plans that together ask every operator at work: those that answer, in parallel; those that work on an answer, after
/// each of these, since what they say depends on it; each that prepares context, in a plan of its own, before one that
/// reads it. Calls that are already recorded for this request are not repeated.
fn plans(run: &Run) -> Vec<Plan> {
    let signatures = run.agent.solver().catalogue().signatures();
    let of = |wanted: fn(&Signature) -> bool| -> Vec<OperatorId> {
        let ids = (0u16..).map(OperatorId).zip(&signatures);
        ids.filter(|(_, signature)| signature.is_at_work() && wanted(signature)).map(|(id, _)| id).collect()
    };
    let plan = |layers: Vec<Vec<OperatorId>>| {
        let layers = layers.into_iter().filter(|operators| !operators.is_empty());
        Plan { layers: layers.map(|operators| Layer { operators }).collect() }
    };
    let (opening, working) = (of(Signature::opens), of(Signature::improves));
    let reader = of(|signature| signature.opens() && signature.reads_context).into_iter().next().or(run.base);
    let behind = opening.iter().filter(|_| !working.is_empty()).map(|&id| vec![vec![id], working.clone()]);
    let preparing = of(Signature::prepares).into_iter().map(|id| vec![vec![id], reader.into_iter().collect()]);
    [vec![opening.clone()]].into_iter().chain(behind).chain(preparing).map(plan).collect()
}
