//! The queries of a report, with what their operators wrote, as values for the page.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::breakdown::{Breakdown, plan_name};
use super::number::{fixed, significant};
use super::timeline::Timeline;
use super::transcript::LETTERS;
use super::{Example, Report, drawing};
use crate::plan::{Status, Unit, Written, shortened};

/// Number of letters that a title takes from its question.
const TITLE: usize = 140;

/// Whether something went wrong; nobody looks first at what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Failed,
    Wrong,
    Right,
}

impl Verdict {
    fn of(shown: &Example) -> Self {
        match () {
            () if !shown.episode.is_complete() => Verdict::Failed,
            () if shown.episode.score < 1.0 => Verdict::Wrong,
            () => Verdict::Right,
        }
    }
}

/// Puts failures first, then wrong answers, and keeps as many queries as fit into this many letters of text. Returns
/// how many were left out.
pub fn worst_first(examples: &mut Vec<Example>, queries: usize, letters: usize) -> usize {
    examples.sort_by_key(Verdict::of);
    let total = examples.len();
    let size = |shown: &Example| {
        let wrote = shown.episode.trace.all().flat_map(|span| &span.wrote);
        shown.question.len().min(LETTERS) + wrote.map(|written| written.text.len()).sum::<usize>() + 500
    };
    let mut used = 0;
    let fitting = examples.iter().take(queries).take_while(|shown| {
        used += size(shown);
        used <= letters
    });
    let kept = fitting.count();
    examples.truncate(kept);
    total - kept
}

/// The queries, and the plans by which they can be filtered.
pub(super) fn viewer(report: &Report) -> Value {
    let Breakdown { plans, .. } = &report.breakdown;
    let places: BTreeMap<&str, usize> = plans.iter().enumerate().map(|(at, plan)| (plan.name.as_str(), at)).collect();
    let count = |wanted: fn(&Example) -> bool| report.examples.iter().filter(|shown| wanted(shown)).count();
    context! {
        queries => report.examples.iter().map(|shown| query(report, &places, shown)).collect::<Vec<_>>(),
        plans => plans.iter().map(|plan| plan.name.as_str()).collect::<Vec<_>>(),
        all => report.examples.len(),
        left_out => report.left_out,
        wrong => count(|shown| Verdict::of(shown) != Verdict::Right),
        right => count(|shown| Verdict::of(shown) == Verdict::Right),
        cancelled => count(is_cancelled),
    }
}

fn is_cancelled(shown: &Example) -> bool {
    shown.episode.trace.all().any(|span| span.outcome == Status::Cancelled)
}

fn query(report: &Report, places: &BTreeMap<&str, usize>, shown: &Example) -> Value {
    let Example { question, reference, episode } = shown;
    let unit = report.objective.unit;
    let measures = report.objective.measure(episode);
    let plan = plan_name(&episode.plan, &report.operators);
    let timeline = Timeline::new(&episode.plan, &episode.trace, &report.operators, unit);
    let of_end = |time: f64| if timeline.end > 0.0 { 100.0 * time / timeline.end } else { 0.0 };
    let operator = |(bar, span): (&super::Bar, &crate::plan::Span)| {
        context! {
            name => bar.operator, layer => bar.layer, on_path => bar.on_path, fault => bar.fault,
            left => fixed(of_end(bar.start).clamp(0.0, 99.5), 1),
            width => fixed(of_end(bar.end - bar.start).clamp(0.5, 100.0), 1),
            tokens => drawing::significant_tokens(bar.tokens), seconds => significant(bar.seconds),
            cost => significant(bar.cost), calls => bar.calls,
            wrote => span.wrote.iter().map(written).collect::<Vec<_>>(),
        }
    };
    context! {
        id => episode.problem,
        title => title(question),
        question => shortened(question, LETTERS).0,
        reference => shortened(reference, LETTERS / 4).0,
        answer => episode.answer.as_ref().map(|answer| shortened(answer, LETTERS / 4).0),
        verdict => match Verdict::of(shown) { Verdict::Failed => "failed", Verdict::Wrong => "wrong", Verdict::Right => "right" },
        score => significant(episode.score),
        confidence => episode.confidence.map(|confidence| fixed(confidence, 2)),
        cancelled => is_cancelled(shown),
        // Plans without a line of their own belong to the last one, which holds all others.
        place => places.get(plan.as_str()).copied().unwrap_or(places.len().saturating_sub(1)),
        plan,
        path => match unit {
            Unit::Tokens => drawing::significant_tokens(measures.path),
            Unit::Seconds => significant(measures.path),
        },
        seconds => significant(measures.seconds),
        cost => significant(measures.cost),
        utility => fixed(measures.utility, 3),
        operators => timeline.bars.iter().zip(episode.trace.all()).map(operator).collect::<Vec<_>>(),
    }
}

fn written(Written { text, answer, omitted }: &Written) -> Value {
    context! { text, answer, omitted }
}

/// The beginning of a question, on one line.
fn title(question: &str) -> String {
    let mut letters = question.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter });
    let title: String = letters.by_ref().take(TITLE).collect();
    if letters.next().is_some() { title + "\u{2026}" } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::Episode;
    use crate::plan::{Plan, Span, Trace};

    #[test]
    fn what_went_wrong_comes_first_and_stays_where_there_is_no_room() {
        let example = |id: &str, score: f64, outcome: Status| {
            let spans =
                vec![Span { outcome, wrote: vec![Written::new(&"x".repeat(1000), None, 4000)], ..Span::default() }];
            let trace = Trace { spans, ..Trace::default() };
            let plan = Plan::from_indices(&[&[0]]);
            let episode = Episode { problem: id.into(), plan, trace, answer: None, confidence: None, score };
            Example { question: "why".into(), reference: "so".into(), episode }
        };
        let all = || {
            vec![
                example("a", 1.0, Status::Done),
                example("b", 0.5, Status::Done),
                example("c", 0.0, Status::Failed("503".into())),
                example("d", 1.0, Status::Cancelled),
                example("e", 0.0, Status::Done),
            ]
        };
        let check = |queries, letters, expected: &[&str], left_out| {
            let mut examples = all();
            assert_eq!(worst_first(&mut examples, queries, letters), left_out);
            assert_eq!(examples.iter().map(|it| it.episode.problem.as_str()).collect::<Vec<_>>(), expected);
        };
        check(9, 1 << 20, &["c", "b", "e", "a", "d"], 0);
        check(2, 1 << 20, &["c", "b"], 3);
        check(9, 3100, &["c", "b"], 3);
        assert_eq!(title("one\ntwo"), "one two");
        assert_eq!(title(&"y".repeat(1 << 20)).chars().count(), TITLE + 1);
    }
}
