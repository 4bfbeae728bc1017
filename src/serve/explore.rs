//! Exploration: of a uniform share of the requests, what the operators that were not asked would have said, so that a
//! controller can be trained from what was served. It has the lowest priority and a cap of its own.

use std::collections::BTreeSet;
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
use crate::execute::{Clock, SolveOptions};
use crate::model::Message;
use crate::plan::{Layer, OperatorId, Plan, Status, Trace};
use crate::random::Purpose;

/// Requests that wait to be explored; of more, those that come then are dropped.
const MOST_WAITING: usize = 1024;
/// Requests that are explored at once.
const AT_ONCE: usize = 4;
/// Seconds that calls of a model may wait of late where it is not loaded.
const CALM: f64 = 0.05;
/// Pause before it is looked again whether calls still wait.
const PAUSE: Duration = Duration::from_millis(200);

/// How much is explored.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    /// Of the requests, from 0 to 1.
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
    /// Taken by whoever works.
    receiver: Mutex<Option<Receiver<Unasked>>>,
    caps: Arc<Caps>,
    holder: Arc<Holder>,
}

/// A request that is to be explored.
pub struct Unasked {
    /// Names its answer.
    pub id: String,
    pub run: Arc<Run>,
    pub question: String,
    pub conversation: Vec<Message>,
    pub draw: u64,
    /// Operators that gave all they had to give.
    pub asked: Vec<OperatorId>,
}

/// What became of a request that was to be explored.
#[derive(Serialize)]
struct Explored<'a> {
    id: &'a str,
    time: u64,
    run: &'a str,
    /// Names of the operators that were to be asked, with those whose answers others work on.
    operators: Vec<&'a str>,
    /// `done`, `failed`, or `dropped`, with the reason.
    result: &'static str,
    reason: Option<String>,
    /// Seconds.
    took: f64,
    /// Dollars.
    cost: f64,
}

impl Explorer {
    /// Nothing is explored before [`Explorer::work`]. `caps` go on from what was spent before.
    pub fn new(exploration: Exploration, caps: Caps) -> Self {
        let (sender, receiver) = channel(MOST_WAITING);
        let rights = Rights { dollars_per_day: Some(exploration.dollars_per_day), ..Rights::default() };
        let holder = Arc::new(Holder::without_key("exploration", rights));
        Explorer { exploration, sender, receiver: Mutex::new(Some(receiver)), caps: Arc::new(caps), holder }
    }

    /// Whether a request is among those that are explored: whatever it asks, each is with the same probability.
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

    /// Explores what is taken in, while the server has nothing else to do. Ends where another works already.
    pub async fn work(&self, gate: &Gate, metrics: &Metrics, journal: &Journal) {
        let Some(receiver) = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let waiting = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        let explore = async |unasked: Unasked| {
            let since = Instant::now();
            let plans = plans(&unasked);
            let Unasked { id, run, .. } = &unasked;
            let (result, reason, cost) = match plans.is_empty() {
                true => ("done", None, 0.0),
                false => self.explore(&unasked, &plans, gate).await,
            };
            metrics.explored(result, cost);
            let names = run.operators();
            let ids: BTreeSet<OperatorId> = plans.iter().flat_map(Plan::choices).map(|(_, id)| id).collect();
            let operators = ids.into_iter().filter_map(|id| names.get(id.index()).copied()).collect();
            let took = since.elapsed().as_secs_f64();
            journal.explored(&Explored { id, time: now(), run: &run.name, operators, result, reason, took, cost });
        };
        waiting.for_each_concurrent(AT_ONCE, explore).await;
    }

    /// Asks what was not asked, once the server is calm; given up when requests begin to wait.
    async fn explore(&self, unasked: &Unasked, plans: &[Plan], gate: &Gate) -> (&'static str, Option<String>, f64) {
        loop {
            gate.calm().await;
            if unasked.run.queue.seconds() <= CALM {
                break;
            }
            // What calls wait is known from answers alone: where there are none any more, it is out of date.
            tokio::time::sleep(PAUSE).await;
            unasked.run.queue.forget();
        }
        let most = unasked.run.most(Some(plans), &unasked.question, &unasked.conversation);
        let mut reserved = match self.caps.reserve(&self.holder, most, now()) {
            Ok(reserved) => reserved,
            Err(_) => return ("dropped", Some("the cap on what exploration may cost is reached".into()), 0.0),
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
        let Unasked { id, run, question, conversation, draw, .. } = unasked;
        let (solver, mut cost) = (run.agent.solver(), 0.0);
        let until = Instant::now() + self.exploration.longest;
        for plan in plans {
            let options = SolveOptions {
                quorum: false,
                without_finish: true,
                clock: Clock::Live,
                until: Some(until),
                called: id,
                conversation,
                ..run.agent.options()
            };
            let mut decider = FixedPlan::new(plan.clone());
            let answered = solver.answer(question, &mut decider, Purpose::Serve.draw(*draw), &options).await;
            match answered {
                Ok(answer) => {
                    run.queue.note(&answer.trace);
                    cost += answer.trace.cost();
                    if let Some(reason) = answer.trace.failure() {
                        return ("failed", Some(reason.to_owned()), cost);
                    }
                    if answer.trace.all().any(|span| span.outcome != Status::Done) {
                        return ("failed", Some("the time was over".into()), cost);
                    }
                }
                Err(error) => return ("failed", Some(error.to_string()), cost),
            }
        }
        ("done", None, cost)
    }
}

/// The operators that gave in a trace all they had to give.
pub fn asked(trace: &Trace) -> Vec<OperatorId> {
    let done = trace.spans.iter().filter(|span| span.outcome == Status::Done);
    done.map(|span| span.operator).collect()
}

/// Plans in which all operators take part that were not asked: those that answer side by side, behind them those that work on
/// an answer. Whoever readies context for others has a plan of its own, before somebody who reads it.
fn plans(unasked: &Unasked) -> Vec<Plan> {
    let Unasked { run, question, conversation, draw, asked, .. } = unasked;
    let solver = run.agent.solver();
    let signed = || {
        let signatures = solver.catalogue().signatures().into_iter();
        (0u16..).map(OperatorId).zip(signatures).filter(|(_, it)| it.is_at_work())
    };
    // One whose first answers ended the plan has not given all: what counts is what is recorded.
    let is_known = |id: OperatorId| solver.holds(question, conversation, Purpose::Serve.draw(*draw), id);
    let is_asked = |id: OperatorId, opens: bool| if opens { is_known(id) } else { asked.contains(&id) };
    let missing = || signed().filter(|(id, it)| !is_asked(*id, it.opens()));
    let first: Vec<OperatorId> = missing().filter(|(_, it)| it.opens()).map(|(id, _)| id).collect();
    let second: Vec<OperatorId> = missing().filter(|(_, it)| it.improves()).map(|(id, _)| id).collect();
    let ids = |mut found: Vec<OperatorId>, base: Option<OperatorId>| {
        found.retain(|&id| Some(id) != base);
        found.extend(base);
        found
    };
    let base = unasked.run.base;
    let layers = match second.is_empty() {
        true => vec![first],
        // The solution that stands last is the one that is worked on.
        false => vec![ids(first, base), second],
    };
    let layers: Vec<Layer> =
        layers.into_iter().filter(|it| !it.is_empty()).map(|operators| Layer { operators }).collect();
    let reader = signed().find(|(_, it)| it.opens() && it.reads_context).map(|(id, _)| id).or(base);
    let prepare = |(id, _)| {
        let layers = [Some(id), reader].into_iter().flatten();
        Plan { layers: layers.map(|id| Layer { operators: vec![id] }).collect() }
    };
    let prepared = missing().filter(|(_, it)| it.prepares()).map(prepare);
    [Plan { layers }].into_iter().filter(|plan| !plan.layers.is_empty()).chain(prepared).collect()
}
