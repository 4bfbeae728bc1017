//! Fits a latency model to traces: least squares, one quantity after another.

use std::collections::BTreeMap;

use super::ridge::{Linear, ridge};
use super::{LatencyModel, Observed, OperatorLatency, measured_path};
use crate::evaluate::statistics::{mean, quantile};
use crate::evidence::Asked;
use crate::operation::{Catalogue, Operator};
use crate::plan::{Latency, OperatorId, Plan, Prepared, Span, Status};

/// Share of the plans that the slack covers.
const COVERED: f64 = 0.95;

/// The slack is searched up to this many deviations, with this many bisection steps.
const MOST_DEVIATIONS: f64 = 10.0;
const STEPS: u32 = 24;

/// Keeps the embedding components from explaining noise when there are few questions; embeddings have length 1.
const PENALTY: f64 = 1.0;

/// What a span says about its operator.
struct Run<'a> {
    asked: Asked<'a>,
    rounds: f64,
    tokens: f64,
    written: f64,
    charge: f64,
    seconds: f64,
}

impl<'a> Run<'a> {
    fn new(asked: Asked<'a>, span: &Span, rounds: f64, gamma: f64) -> Self {
        let Span { latency: Latency { tokens, seconds }, tool_seconds: charge, .. } = *span;
        Run { asked, rounds, tokens, written: (tokens - gamma * charge).max(0.0), charge, seconds }
    }
}

impl LatencyModel {
    /// Fits a model of the operators of `catalogue`, with `gamma` of (E3); `prepare` says how a plan runs.
    ///
    /// An operator that was never seen takes nothing. The slack is found on queries that the fit has not seen: each half of the
    /// queries is predicted from the other half.
    pub fn fit(
        catalogue: &Catalogue,
        gamma: f64,
        observed: &[Observed<'_>],
        prepare: impl Fn(&Plan) -> Prepared,
    ) -> Self {
        let half = |odd: usize| observed.iter().skip(odd).step_by(2).copied().collect::<Vec<_>>();
        let halves = [half(0), half(1)];
        let mut needed = Vec::with_capacity(observed.len());
        for (seen, other) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
            let model = Self::means(catalogue, gamma, seen);
            needed.extend(other.iter().map(|observed| model.deviations_needed(observed, &prepare)));
        }
        let slack = |unit: fn(&Latency) -> f64| quantile(&needed.iter().map(unit).collect::<Vec<_>>(), COVERED);
        let slack = Latency { tokens: slack(|needed| needed.tokens), seconds: slack(|needed| needed.seconds) };
        LatencyModel { slack, ..Self::means(catalogue, gamma, observed) }
    }

    /// The model without slack.
    fn means(catalogue: &Catalogue, gamma: f64, observed: &[Observed<'_>]) -> Self {
        let (operators, signatures) = (catalogue.operators(), catalogue.signatures());
        let rounds = signatures.iter().map(|signature| signature.rounds).enumerate();
        let runs: Vec<Vec<Run<'_>>> = rounds.map(|(index, rounds)| runs(index, rounds, gamma, observed)).collect();
        let timing = model_timing(operators, &runs);
        let fit = |(operator, runs): (&Operator, &Vec<Run<'_>>)| {
            let (first_token, per_token) = timing.get(&served(operator)).copied().unwrap_or_default();
            fit_operator(operator, runs, gamma, first_token, per_token)
        };
        let finish = finish_runs(observed, gamma);
        let finish = finish.and_then(|(id, runs)| Some(fit((operators.get(id.index())?, &runs))));
        let operators = operators.iter().zip(&runs).map(fit).collect();
        LatencyModel { operators, finish, gamma, slack: Latency::default() }
    }

    /// The smallest number of deviations per operator that explains what was measured.
    fn deviations_needed(&self, observed: &Observed<'_>, prepare: impl Fn(&Plan) -> Prepared) -> Latency {
        let Observed { asked, episode } = *observed;
        let prepared = prepare(&episode.plan);
        let means = self.predict(&episode.plan, &prepared, asked);
        let measured = measured_path(&episode.trace);
        let needed = |unit: fn(Latency) -> f64| {
            let explains = |tried: f64| {
                let deviations = Latency { tokens: tried, seconds: tried };
                unit(self.stretched(&episode.plan, &prepared, &means, deviations)) >= unit(measured)
            };
            let (mut low, mut high) = (0.0, MOST_DEVIATIONS);
            for _ in 0..STEPS {
                let middle = (low + high) / 2.0;
                if explains(middle) { high = middle } else { low = middle }
            }
            high
        };
        Latency { tokens: needed(|latency| latency.tokens), seconds: needed(|latency| latency.seconds) }
    }
}

/// The finished runs of one operator; `rounds` is its number of sequential calls, if known.
fn runs<'a>(index: usize, rounds: Option<u32>, gamma: f64, observed: &[Observed<'a>]) -> Vec<Run<'a>> {
    let finished = |span: &&Span| span.operator.index() == index && span.outcome == Status::Done;
    let mut runs = Vec::new();
    for Observed { asked, episode } in observed {
        // Parallel calls count once.
        let rounds = |span: &Span| rounds.map_or(span.calls, |rounds| span.calls.min(rounds));
        let run = |span: &Span| Run::new(*asked, span, f64::from(rounds(span)), gamma);
        runs.extend(episode.trace.spans.iter().filter(finished).map(run));
    }
    runs
}

/// The finishes of the plans, if there were any, and their operator; a plan without one counts as taking nothing.
fn finish_runs<'a>(observed: &[Observed<'a>], gamma: f64) -> Option<(OperatorId, Vec<Run<'a>>)> {
    let finish = |observed: &Observed<'a>| observed.episode.trace.finish.clone();
    let id = observed.iter().find_map(finish)?.operator;
    let is_whole = |(_, span): &(Asked<'a>, Span)| span.outcome == Status::Done;
    let spans = observed.iter().map(|observed| (observed.asked, finish(observed).unwrap_or_default()));
    Some((
        id,
        spans.filter(is_whole).map(|(asked, span)| Run::new(asked, &span, f64::from(span.calls), gamma)).collect(),
    ))
}

/// What answers an operator: its model and, if its requests are hedged, how often and by which models.
type Served<'a> = (&'a str, u32, &'a [String]);

fn served(operator: &Operator) -> Served<'_> {
    (&operator.model, operator.hedge, &operator.hedge_with)
}

/// Seconds to the first token and from token to token of each language model, from runs without tools.
fn model_timing<'a>(operators: &'a [Operator], runs: &[Vec<Run<'_>>]) -> BTreeMap<Served<'a>, (f64, f64)> {
    let mut rows: BTreeMap<Served<'_>, Vec<[f64; 3]>> = BTreeMap::new();
    for (operator, runs) in operators.iter().zip(runs) {
        let asked = runs.iter().filter(|run| run.rounds > 0.0 && run.charge == 0.0);
        rows.entry(served(operator)).or_default().extend(asked.map(|run| [run.rounds, run.written, run.seconds]));
    }
    rows.into_iter().map(|(model, rows)| (model, not_negative(&rows))).collect()
}

fn fit_operator(
    operator: &Operator,
    runs: &[Run<'_>],
    gamma: f64,
    first_token: f64,
    per_token: f64,
) -> OperatorLatency {
    let of = |value: fn(&Run<'_>) -> f64| mean(&runs.iter().map(value).collect::<Vec<_>>());
    let features = |run: &Run<'_>| {
        let components = run.asked.embedding.iter().copied().map(f64::from);
        std::iter::once(run.asked.words()).chain(components).collect::<Vec<f64>>()
    };
    let written: Vec<f64> = runs.iter().map(|run| run.written).collect();
    let Linear { base, slopes } = ridge(&runs.iter().map(features).collect::<Vec<_>>(), &written, PENALTY);
    let mut slopes = slopes.into_iter();
    let per_word = slopes.next().unwrap_or_default();
    let later = |run: &Run<'_>| [run.written, run.charge, (run.seconds - first_token * run.rounds).max(0.0)];
    let (own_per_token, per_charge) = not_negative(&runs.iter().map(later).collect::<Vec<_>>());
    let has_written = runs.iter().any(|run| run.written > 0.0);
    let mut fitted = OperatorLatency {
        name: operator.name.clone(),
        kind: operator.kind.clone(),
        model: operator.model.clone(),
        spans: runs.len(),
        rounds: of(|run| run.rounds),
        base,
        per_word,
        per_component: slopes.map(|slope| slope as f32).collect(),
        tool_charge: of(|run| run.charge),
        first_token,
        per_token: if has_written { own_per_token } else { per_token },
        tool_seconds: per_charge * of(|run| run.charge),
        deviation: Latency::default(),
    };
    let squares = |unit: fn(Latency, &Run<'_>) -> f64| {
        let errors = runs.iter().map(|run| unit(fitted.predict(run.asked, gamma), run).powi(2));
        mean(&errors.collect::<Vec<_>>()).sqrt()
    };
    fitted.deviation = Latency {
        tokens: squares(|predicted, run| predicted.tokens - run.tokens),
        seconds: squares(|predicted, run| predicted.seconds - run.seconds),
    };
    fitted
}

/// Least squares of `y = p a + q b` over rows `[a, b, y]`, neither `p` nor `q` below zero.
fn not_negative(rows: &[[f64; 3]]) -> (f64, f64) {
    let sum = |left: usize, right: usize| rows.iter().map(|row| row[left] * row[right]).sum::<f64>();
    let (aa, ab, bb, ay, by) = (sum(0, 0), sum(0, 1), sum(1, 1), sum(0, 2), sum(1, 2));
    let determinant = aa * bb - ab * ab;
    if determinant > 1e-9 * aa * bb {
        let (p, q) = ((ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant);
        if p >= 0.0 && q >= 0.0 {
            return (p, q);
        }
    }
    // The best solution is on a border: only one of the two, whichever explains more.
    let alone = |own: f64, with: f64| if own > 0.0 { (with / own).max(0.0) } else { 0.0 };
    let (p, q) = (alone(aa, ay), alone(bb, by));
    if p * ay >= q * by { (p, 0.0) } else { (0.0, q) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Episode;
    use crate::operation::Catalogue;
    use crate::plan::{Schedule, Trace, Usage};
    use crate::task::ARITHMETIC;

    const GAMMA: f64 = 50.0;

    #[test]
    fn neither_coefficient_is_negative() {
        assert_eq!(not_negative(&[[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]), (2.0, 3.0));
        assert_eq!(not_negative(&[[1.0, 1.0, 2.0], [2.0, 2.0, 4.0]]), (2.0, 0.0));
        assert_eq!(not_negative(&[[1.0, 0.0, -2.0], [0.0, 2.0, 6.0]]), (0.0, 3.0));
        assert_eq!(not_negative(&[]), (0.0, 0.0));
    }

    /// The plan of the two operators, that takes what the model of the test says.
    fn episode(words: f64, rounds: u32, layers: &[&[u16]]) -> Episode {
        let plan = Plan::from_indices(layers);
        let span = |(layer, operator): (usize, OperatorId)| {
            let is_program = operator.0 == 4;
            let calls = if is_program { rounds } else { 1 };
            let written = if is_program { 10.0 * f64::from(calls) } else { 5.0 + 2.0 * words };
            let tool_seconds = if is_program { 0.02 * f64::from(calls) } else { 0.0 };
            let seconds = 0.3 * f64::from(calls) + 0.01 * written + 4.0 * tool_seconds;
            Span {
                layer,
                operator,
                calls,
                usage: Usage::default(),
                cost: 0.0,
                tool_seconds,
                latency: Latency { tokens: written + GAMMA * tool_seconds, seconds },
                started: 0.0,
                outcome: Status::Done,
                ..Span::default()
            }
        };
        let spans = plan.choices().map(span).collect();
        let dependencies = Schedule::Layered.dependencies(&plan, &[]);
        Episode {
            problem: String::new(),
            plan,
            trace: Trace { spans, dependencies, finish: None },
            answer: None,
            confidence: None,
            score: 0.0,
        }
    }

    #[test]
    fn a_finish_is_expected_as_often_as_it_was_seen() -> anyhow::Result<()> {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
        let asked = Asked { question: "how many ?", embedding: &[1.0, 0.0] };
        let latency = Latency { tokens: 20.0, seconds: 0.5 };
        let finish = Span { operator: OperatorId(5), calls: 2, latency, ..Span::default() };
        let mut episodes = vec![episode(3.0, 1, &[&[1]]); 40];
        episodes.iter_mut().step_by(4).for_each(|episode| episode.trace.finish = Some(finish.clone()));
        let observed: Vec<Observed<'_>> = episodes.iter().map(|episode| Observed { asked, episode }).collect();
        let signatures = catalogue.signatures();
        let prepare = |plan: &Plan| Schedule::Layered.prepare(plan, &signatures);
        let model = LatencyModel::fit(&catalogue, GAMMA, &observed, prepare);
        let predicted = model.predict(&episodes[0].plan, &prepare(&episodes[0].plan), asked);
        assert!((predicted.finish.tokens - 5.0).abs() < 1e-9, "{predicted:?}");
        assert!((predicted.path.tokens - 16.0).abs() < 1e-9 && predicted.bound.tokens > 20.0, "{predicted:?}");
        assert_eq!(model.finish.map(|finish| (finish.name, finish.rounds)), Some(("Test".to_owned(), 0.5)));
        assert_eq!(model.operators[5].spans, 0);
        Ok(())
    }

    #[test]
    fn each_model_has_a_timing_of_its_own() -> anyhow::Result<()> {
        let table = |name: &str, more: &str| {
            let head = format!("[[operator]]\nname = \"{name}\"\nkind = \"generate\"\ndescription = \"Answers.\"\n");
            format!("{head}prompt = \"{{{{ question }}}}\"\nmax_tokens = 9\n{more}\n")
        };
        let tables = [
            table("Small", "model = \"s\""),
            table("Large", "model = \"l\""),
            table("Both", "model = \"l\"\nhedge = 2"),
        ];
        let catalogue = Catalogue::parse(tables.concat(), "c.toml")?;
        let asked = Asked { question: "how many ?", embedding: &[1.0, 0.0] };
        let timings = [(0.1, 0.001), (0.5, 0.02), (0.25, 0.01)];
        let episode = |count: usize| {
            let mut episode = episode(1.0, 1, &[&[0, 1, 2]]);
            for (place, span) in episode.trace.spans.iter_mut().enumerate() {
                let (tokens, (first_token, per_token)) = ((5 + (count + place) % 7) as f64, timings[place]);
                span.latency = Latency { tokens, seconds: first_token + tokens * per_token };
            }
            episode
        };
        let episodes: Vec<Episode> = (0..60).map(episode).collect();
        let observed: Vec<Observed<'_>> = episodes.iter().map(|episode| Observed { asked, episode }).collect();
        let signatures = catalogue.signatures();
        let prepare = |plan: &Plan| Schedule::Layered.prepare(plan, &signatures);
        let model = LatencyModel::fit(&catalogue, GAMMA, &observed, prepare);
        for (operator, (first_token, per_token)) in model.operators.iter().zip(timings) {
            let close = |found: f64, expected: f64| (found - expected).abs() < 1e-6;
            assert!(close(operator.first_token, first_token) && close(operator.per_token, per_token), "{operator:#?}");
        }
        assert_eq!(model.operators.iter().map(|operator| operator.model.as_str()).collect::<Vec<_>>(), ["s", "l", "l"]);
        Ok(())
    }

    #[test]
    fn what_made_the_traces_is_found() -> anyhow::Result<()> {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
        let questions: Vec<String> = (0..400).map(|count| "a ".repeat(count % 40)).collect();
        let asked = questions.iter().map(|question| Asked { question, embedding: &[1.0, 0.0] });
        let episodes: Vec<Episode> = asked
            .clone()
            .enumerate()
            .map(|(index, asked)| episode(asked.words(), 1 + index as u32 / 40 % 2, &[&[1], &[4]]))
            .collect();
        let observed: Vec<Observed<'_>> =
            asked.zip(&episodes).map(|(asked, episode)| Observed { asked, episode }).collect();
        let signatures = catalogue.signatures();
        let prepare = |plan: &Plan| Schedule::Layered.prepare(plan, &signatures);
        let model = LatencyModel::fit(&catalogue, GAMMA, &observed, prepare);
        let check =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found}, not {expected}: {model:#?}");
        let [chain, program] = [1, 4].map(|index: usize| &model.operators[index]);
        assert_eq!((chain.spans, chain.name.as_str(), model.operators[0].spans), (400, "GenerateCoT", 0));
        check(chain.base, 5.0);
        check(chain.per_word, 2.0);
        check(chain.first_token, 0.3);
        check(chain.per_token, 0.01);
        check(program.rounds, 1.5);
        check(program.first_token, 0.3);
        // Tokens and tool time grow together here: their sum is what counts.
        check(15.0 * program.per_token + program.tool_seconds, 0.15 + 4.0 * 0.03);
        let first = &observed[4];
        let predicted = model.predict(&first.episode.plan, &prepare(&first.episode.plan), first.asked);
        check(predicted.path.seconds, 0.3 + 0.13 + 1.5 * 0.3 + 0.15 + 0.12);
        let covered = model.accuracy(&observed, prepare).covered;
        assert!(covered.tokens >= 0.95 && covered.seconds >= 0.95, "{covered:?}");
        Ok(())
    }
}
