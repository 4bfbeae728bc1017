//! A request that has been let in: how it is answered, and what is counted of it whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::caller::Caller;
use super::caps::Reserved;
use super::chat_request::ChatRequest;
use super::direct::{self, Passed};
use super::explore::{Explorer, Unasked};
use super::fault::Fault;
use super::gate::Place;
use super::journal::{Decision, Drawn, Journal};
use super::listener::{Listener, Told};
use super::live::{Live, Seen};
use super::metrics::Metrics;
use super::outcome::Outcome;
use super::planned::Course;
use super::run::{Run, Target};
use super::service::Service;
use super::time::now;
use crate::agent::Ask;
use crate::evaluate::latency::Budget;
use crate::model::openai::{TraceContext, traced};
use crate::task::AnswerForm;

/// A request on its way.
pub struct Admitted {
    pub request: ChatRequest,
    /// Why it is one plain call, where a plan was asked for.
    pub passed_on: Option<&'static str>,
    /// Names its answer.
    id: String,
    trace: Option<TraceContext>,
    /// Tells its draws apart.
    pub draw: u64,
    pub run: Arc<Run>,
    way: Way,
    until: Instant,
    watch: Watch,
    reserved: Option<Reserved>,
    _place: Place,
}

/// How a request is answered.
enum Way {
    Plan(Course),
    /// By this upstream model.
    Direct(usize),
}

impl Admitted {
    /// Lets a request in, once there is a place for it.
    ///
    /// # Errors
    /// It asks for what there is not, or what its key is not good for; there are too many requests.
    pub async fn admit(service: &Service, caller: &Caller, request: ChatRequest) -> Result<Self, Fault> {
        let runs = service.runs();
        let target = runs.find(&request.model)?;
        let rights = caller.holder.as_ref().map(|holder| &holder.rights);
        if let Some(rights) = rights {
            if !rights.may_ask(&request.model) {
                return Err(Fault::forbidden("the key may not use this model").at("model"));
            }
            rights.check_wishes(&request.wishes)?;
        }
        let (run, way, passed_on) = match (target, request.beyond) {
            (Target::Direct(run, at), _) => (run, Way::Direct(at), None),
            (Target::Plan(run, pace), None) => {
                let course = Course::new(&run, pace, &request)?;
                let course = match rights.and_then(|rights| rights.largest_plan) {
                    Some(most) => course.within_size(&run, &request, most)?,
                    None => course,
                };
                (run, Way::Plan(course), None)
            }
            (Target::Plan(run, _), Some(beyond)) if run.upstreams.is_empty() => {
                let message = format!("`{}` answers with text only; the request asks for {beyond}", run.name);
                return Err(Fault::invalid(message).coded("unsupported"));
            }
            (Target::Plan(run, _), Some(beyond)) => (run, Way::Direct(0), Some(beyond)),
        };
        let course = if let Way::Plan(course) = &way { Some(course.clone()) } else { None };
        let course = course.filter(|_| service.shadows && !run.upstreams.is_empty());
        let way = if course.is_some() { Way::Direct(0) } else { way };
        let budget = match request.wishes.budget {
            Some(Budget::Seconds(seconds)) => Some(std::time::Duration::from_secs_f64(seconds)),
            _ => rights.and_then(|rights| rights.most_budget).map(std::time::Duration::from_secs_f64),
        };
        let until = caller.arrived + budget.unwrap_or(service.limits.answer).min(service.limits.answer);
        let shadow = course.map(|course| course.foresee(&run, &request, until)).transpose()?;
        let reserve = |holder| service.caps.reserve(holder, most(&run, &way, &request), now());
        let mut reserved = caller.holder.as_ref().map(reserve).transpose()?;
        let place = service.gate.enter(until).await?;
        reserved.iter_mut().for_each(Reserved::begin);
        let fresh = || rand::random::<u64>() >> 11;
        let draw = request.wishes.draw.or(request.seed).unwrap_or_else(fresh);
        let explore = service.explorer.as_ref().filter(|_| matches!(way, Way::Plan(_))).map(|explorer| {
            let talk = &request.talk;
            let drawn = Drawn { share: explorer.exploration.share, drawn: explorer.draws(), dropped: false };
            let unasked = drawn.drawn.then(|| Unasked {
                id: caller.answer.clone(),
                run: run.clone(),
                question: talk.question.clone(),
                conversation: talk.before.clone(),
                draw,
            });
            Explore { explorer: explorer.clone(), drawn, unasked }
        });
        let decision = |journal: &Arc<Journal>| {
            let decision = Decision {
                id: caller.answer.clone(),
                request: caller.id.clone(),
                trace: caller.trace.map(|trace| trace.trace()),
                time: now(),
                key: caller.holder.as_ref().map(|holder| holder.name.clone()),
                run: run.name.clone(),
                model: request.model.clone(),
                question: request.talk.question.clone(),
                before: request.talk.before.len(),
                conversation: request.talk.digest(),
                budget: until.duration_since(caller.arrived).as_secs_f64(),
                in_flight: service.gate.in_flight(),
                waiting: service.gate.waiting(),
                queued: run.queue.seconds(),
                // What a controller chooses is the likeliest of all plans, whatever is drawn.
                probability: 1.0,
                explore: explore.as_ref().map(|explore| explore.drawn),
                draw,
                result: "left",
                took: 0.0,
                cost: 0.0,
                planned: None,
                shadow,
            };
            (journal.clone(), decision)
        };
        let seconds = request.wishes.budget.is_some().then(|| until.duration_since(caller.arrived).as_secs_f64());
        let seen = service.live.enter(&request.model, &request.talk.question, seconds, caller.arrived);
        let watch = Watch {
            metrics: service.metrics.clone(),
            model: request.model.clone(),
            arrived: caller.arrived,
            budget: request.wishes.budget.is_some().then_some(until),
            decision: service.journal.as_ref().map(decision),
            explore,
            live: service.live.clone(),
            seen,
            form: run.agent.solver().benchmark().answer,
            is_over: false,
            first: Arc::new(First::new(&service.metrics, &request.model, caller.arrived)),
        };
        Ok(Admitted {
            request,
            passed_on,
            id: caller.answer.clone(),
            trace: caller.trace,
            draw,
            run,
            way,
            until,
            watch,
            reserved,
            _place: place,
        })
    }

    /// Answers the request. `explains`: whether the answer tells what happened in a plan; `told` hears of that at once, `hear`
    /// of each piece of a model's own answer.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn answer(
        &mut self,
        explains: bool,
        told: Option<Told>,
        hear: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Passed, Fault> {
        let Admitted { request, id, trace, draw, run, way, until, watch, .. } = &*self;
        let answered = match way {
            Way::Plan(course) => {
                watch.seen.begins();
                let listener = Listener::new(explains, told, Some(watch.seen.clone()));
                let answering = course.answer(run, request, *draw, *until, id, &listener);
                let outcome = traced(*trace, answering).await;
                outcome.map(|outcome| Passed { outcome, body: None })
            }
            Way::Direct(at) => {
                watch.seen.calls(run.upstreams.get(*at).map_or("", |upstream| &upstream.name));
                traced(*trace, direct::ask_in_turn(run, *at, request, *draw, *until, hear)).await
            }
        };
        let cost = answered.as_ref().map_or_else(|fault| fault.cost, |passed| passed.outcome.cost);
        self.reserved.iter_mut().for_each(|reserved| reserved.spent(cost));
        self.watch.ended(answered.as_ref());
        answered
    }

    /// Takes note of when the first text of the answer goes out.
    pub fn first(&self) -> Arc<First> {
        self.watch.first.clone()
    }

    /// Whether a plan answers.
    pub fn is_plan(&self) -> bool {
        matches!(self.way, Way::Plan(_))
    }
}

/// Most dollars that a request may cost, by estimate.
fn most(run: &Run, way: &Way, request: &ChatRequest) -> f64 {
    match way {
        Way::Direct(at) => run.upstreams.get(*at).map_or(0.0, |upstream| direct::most(upstream, request)),
        Way::Plan(course) => {
            run.most(course.plan().map(std::slice::from_ref), &request.talk.question, &request.talk.before)
        }
    }
}

impl Course {
    /// The same course, unless its plan has more operators than `most`: then the smallest.
    fn within_size(self, run: &Run, request: &ChatRequest, most: usize) -> Result<Self, Fault> {
        let size = |plan: &crate::plan::Plan| plan.choices().count();
        if let Some(plan) = self.plan() {
            if size(plan) <= most {
                return Ok(self);
            }
            let message = format!("the key allows plans of at most {most} operators, found {}", size(plan));
            return Err(Fault::forbidden(message).at("lamas.plan"));
        }
        let chosen = run.agent.plan(&request.talk.question, &Ask::default()).map_err(|error| Fault::of_plan(&error))?;
        Ok(if size(&chosen.plan) <= most { self } else { self.replaced(run.fast.clone()) })
    }
}

/// When the first text of an answer goes out.
pub struct First {
    metrics: Arc<Metrics>,
    model: String,
    arrived: Instant,
    is_heard: AtomicBool,
}

impl First {
    fn new(metrics: &Arc<Metrics>, model: &str, arrived: Instant) -> Self {
        First { metrics: metrics.clone(), model: model.to_owned(), arrived, is_heard: AtomicBool::new(false) }
    }

    /// Text goes out.
    pub fn heard(&self) {
        if !self.is_heard.swap(true, Ordering::Relaxed) {
            self.metrics.first(&self.model, self.arrived.elapsed().as_secs_f64());
        }
    }
}

/// Whether a request is explored once it is answered, and by whom.
struct Explore {
    explorer: Arc<Explorer>,
    drawn: Drawn,
    unasked: Option<Unasked>,
}

/// Counts a request, once, however it ends: also where whoever asked has gone away.
struct Watch {
    metrics: Arc<Metrics>,
    model: String,
    arrived: Instant,
    /// When its budget ends, where it has one.
    budget: Option<Instant>,
    /// What is written down of it, and where.
    decision: Option<(Arc<Journal>, Decision)>,
    explore: Option<Explore>,
    live: Arc<Live>,
    seen: Arc<Seen>,
    form: AnswerForm,
    is_over: bool,
    first: Arc<First>,
}

impl Watch {
    fn took(&self) -> f64 {
        self.arrived.elapsed().as_secs_f64()
    }

    fn write_down(&mut self, result: &'static str, cost: f64, outcome: Option<&Outcome>) {
        let took = self.took();
        self.live.ended(&self.seen, result, cost, outcome);
        if let Some((_, decision)) = self.decision.as_mut().filter(|_| outcome.is_some())
            && let Some(Explore { explorer, unasked: Some(unasked), .. }) = self.explore.take()
            && let Some(drawn) = &mut decision.explore
        {
            drawn.dropped = !explorer.offer(unasked);
        }
        if let Some((journal, decision)) = self.decision.take() {
            let planned = outcome.and_then(|outcome| outcome.planned.as_ref().map(|_| outcome.own()));
            journal.note(&Decision { result, took, cost, planned, ..decision }, outcome, self.form);
        }
    }

    fn ended(&mut self, answered: Result<&Passed, &Fault>) {
        self.is_over = true;
        match answered {
            Ok(passed) => {
                self.first.heard();
                self.metrics.answered(&self.model, &passed.outcome, self.took());
            }
            Err(fault) => {
                self.metrics.ended(&self.model, if fault.status == 504 { "late" } else { "failed" }, self.took());
                self.metrics.spent(&self.model, fault.cost);
            }
        }
        let (result, cost) = match answered {
            Ok(passed) => ("answered", passed.outcome.cost),
            Err(fault) => (if fault.status == 504 { "late" } else { "failed" }, fault.cost),
        };
        self.write_down(result, cost, answered.ok().map(|passed| &passed.outcome));
        if let Some(until) = self.budget {
            // The answer of a plan that its time has ended goes out a moment later.
            let grace = std::time::Duration::from_millis(50);
            self.metrics.budget(&self.model, answered.is_ok() && Instant::now() <= until + grace);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.metrics.ended(&self.model, "left", self.took());
            self.write_down("left", 0.0, None);
        }
    }
}
