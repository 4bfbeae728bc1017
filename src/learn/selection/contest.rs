//! The contest: measures every candidate on problems that it was not fitted to, and chooses the one that answers.

use std::sync::Arc;

use super::candidates::{Candidate, Selection};
use crate::decide::{Proposal, Vote};
use crate::evidence::Asked;
use crate::learn::crossfit::{gain, is_sure, mean, nested, nested_among};
use crate::learn::measured::Measured;
use crate::learn::routing::Routing;
use crate::learn::staging::{self, Replies, Staging};
use crate::objective::Objective;
use crate::strategy::{Features, Router, Strategies, Strategy};

/// The measurements of all candidates on `N` problems.
pub(super) struct Contest<'a> {
    /// `[P]`
    pub plans: Vec<Proposal>,
    pub of_plans: Vec<Measured>,
    /// Indices of the plans with one operator.
    pub singles: Vec<usize>,
    pub rules: Vec<Proposal>,
    pub of_rules: Vec<Measured>,
    /// The replies of single operators, and the votes fitted without each fold.
    pub replies: Option<(Replies, Vec<Vote>)>,
    /// `[N]`
    pub asked: Vec<Asked<'a>>,
    pub features: Features,
    /// Of each problem.
    pub folds: Vec<usize>,
    pub seed: u64,
    /// Whether a head will end the controller's plans early.
    pub halts: bool,
}

/// A candidate in the contest.
struct Contender {
    name: &'static str,
    strategy: Strategy,
    /// On each problem.
    utilities: Vec<f64>,
    /// The outcomes to expect when it answers. If its proposal is the same for all questions, these are the outcomes of that
    /// proposal, whatever was chosen without each fold.
    expected: Measured,
}

/// The winner, and its outcomes on problems that it was not fitted to.
pub(super) struct Won {
    pub strategies: Strategies,
    pub selection: Selection,
    pub expected: Measured,
}

impl Contest<'_> {
    /// The candidate that answers best at these weights; `controller` holds the controller's outcomes.
    pub fn hold(&self, objective: &Objective, controller: &Measured) -> Won {
        let Contest { folds, .. } = self;
        let contender = |name, strategy, measured: Measured| Contender {
            name,
            strategy,
            utilities: measured.utilities(objective),
            expected: measured,
        };
        let utilities = |columns: &[Measured]| -> Vec<Vec<f64>> {
            columns.iter().map(|column| column.utilities(objective)).collect()
        };
        let of_plans = utilities(&self.of_plans);
        let fixed = |name, proposals: &[Proposal], columns: &[Measured], (best, picks): (usize, Vec<usize>)| {
            let strategy = Strategy::Fixed(proposals[best].clone());
            let expected = columns[best].clone();
            Contender { expected, ..contender(name, strategy, Measured::picked(columns, &picks)) }
        };
        let mut found = vec![fixed("best fixed plan", &self.plans, &self.of_plans, nested(&of_plans, folds))];
        let singles = nested_among(&of_plans, &self.singles, folds);
        let has_single = singles.is_some();
        found.extend(singles.map(|best| fixed("best operator", &self.plans, &self.of_plans, best)));
        if !self.rules.is_empty() {
            let best = nested(&utilities(&self.of_rules), folds);
            found.push(fixed("best rule", &self.rules, &self.of_rules, best));
        }
        let routed = |name, columns: &[Measured], (router, picks): (Router, Vec<usize>)| {
            contender(name, Strategy::Router(router), Measured::picked(columns, &picks))
        };
        let over_plans = self.routing(&self.plans, &of_plans);
        found.push(routed("ridge router", &self.of_plans, over_plans.linear()));
        found.push(routed("nearest neighbours", &self.of_plans, over_plans.nearest()));
        found.push(routed("forest router", &self.of_plans, over_plans.forest()));
        let explained = explained(&of_plans, &found);
        let place = found.len();
        found.push(contender("controller", Strategy::Controller, controller.clone()));
        let learned = self.replies.as_ref().map(|(replies, votes)| staging::learn(replies, votes, objective, folds));
        if let Some(Staging { starts, measured, .. }) = &learned {
            let of_starts = utilities(measured);
            found.push(fixed("stages", starts, measured, nested(&of_starts, folds)));
            let proposals = [starts.as_slice(), &self.plans].concat();
            let columns = [measured.as_slice(), &self.of_plans].concat();
            let of_all = [of_starts, of_plans].concat();
            found.push(routed("routed stages", &columns, self.routing(&proposals, &of_all).forest()));
        }
        let (chosen, simplest) = self.choose(&found, has_single, place);
        let candidates = found.iter().map(|contender| contender.candidate(&found[simplest])).collect();
        let expected = found[chosen].expected.clone();
        let named = |Contender { name, strategy, .. }| (String::from(name), strategy);
        let strategies = Strategies {
            candidates: found.into_iter().map(named).collect(),
            chosen,
            stages: learned.map(|learned| Arc::new(learned.stages)),
            at: Vec::new(),
        };
        Won { strategies, selection: Selection { candidates, chosen, explained, met: None }, expected }
    }

    fn routing<'a>(&'a self, proposals: &'a [Proposal], utilities: &'a [Vec<f64>]) -> Routing<'a> {
        let Contest { asked, features, folds, seed, .. } = self;
        Routing { proposals, utilities, asked, features, folds, seed: *seed }
    }

    /// The index of the candidate that answers, and of the simplest one, which it must beat.
    fn choose(&self, found: &[Contender], has_single: bool, controller: usize) -> (usize, usize) {
        // The best of many plans is partly lucky: a plan of several operators must beat the best single operator.
        let simplest = usize::from(has_single && !is_sure(&found[0].utilities, &found[1].utilities));
        let gains = |at: &usize| is_sure(&found[*at].utilities, &found[simplest].utilities);
        let worth = |at: usize| mean(&found[at].utilities);
        let better = |best: usize, at: usize| if worth(at) > worth(best) { at } else { best };
        let mut chosen = (0..=controller).filter(gains).fold(simplest, better);
        // A candidate with more to fit must also beat the one that would answer without it.
        for at in (controller + 1..found.len()).filter(gains) {
            let (ahead, error) = gain(&found[at].utilities, &found[chosen].utilities);
            if ahead >= error {
                chosen = at;
            }
        }
        // If a head will end its plans early, the controller has not yet shown its full strength.
        if self.halts && gains(&controller) {
            let (behind, error) = gain(&found[chosen].utilities, &found[controller].utilities);
            if behind <= error {
                chosen = controller;
            }
        }
        (chosen, simplest)
    }
}

impl Contender {
    fn candidate(&self, simplest: &Contender) -> Candidate {
        let (gain, error) = gain(&self.utilities, &simplest.utilities);
        let proposal = match &self.strategy {
            Strategy::Fixed(proposal) => Some(proposal.clone()),
            Strategy::Controller | Strategy::Router(_) => None,
        };
        Candidate { name: self.name.to_owned(), proposal, utility: mean(&self.utilities), gain, error }
    }
}

/// How much of the gap to hindsight, over the same plans, the best router closes.
fn explained(of_plans: &[Vec<f64>], found: &[Contender]) -> f64 {
    let problems = of_plans.first().map_or(0, Vec::len);
    let best = |problem: usize| of_plans.iter().map(|of_plan| of_plan[problem]).fold(f64::NEG_INFINITY, f64::max);
    let hindsight = mean(&(0..problems).map(best).collect::<Vec<f64>>());
    let fixed = found.first().map_or(0.0, |contender| mean(&contender.utilities));
    let routers = found.iter().filter(|contender| matches!(contender.strategy, Strategy::Router(_)));
    let router = routers.map(|contender| mean(&contender.utilities)).fold(fixed, f64::max);
    if hindsight > fixed { (router - fixed) / (hindsight - fixed) } else { 0.0 }
}
