//! The progress of a command as one line of at most 80 columns: plain data and text.

use std::time::Duration;

/// Width of a line in columns.
const WIDTH: usize = 79;
/// Width of a step's name in columns.
const LABEL: usize = 20;

/// The steps of a command.
#[derive(Debug, Default)]
pub struct Course {
    /// The planned steps, each with its amount of work.
    planned: Vec<(String, f64)>,
    /// The position of the current or last step among the planned ones; unchanged by a step that was not planned.
    at: Option<usize>,
    label: String,
    is_under_way: bool,
    /// When it began, measured from the start of the command.
    since: Duration,
    /// The largest share of it that was done so far. If its end moves away, the display stands still.
    peak: f64,
    pub part: Part,
    /// Dollars that all steps are expected to cost.
    pub expected: Option<f64>,
}

/// How far a step has come.
#[derive(Debug, Default)]
pub struct Part {
    /// What is counted, as a plural.
    pub unit: &'static str,
    pub done: u64,
    pub total: u64,
    pub message: String,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub dollars: f64,
    /// The amount that is expected or allowed.
    pub of: Option<f64>,
}

impl Course {
    pub fn plan(&mut self, steps: Vec<(String, f64)>) {
        (self.planned, self.at) = (steps, None);
    }

    /// Begins the next planned step of this name. A step that was not planned does not count.
    pub fn begin(&mut self, label: &str, part: Part, now: Duration) {
        let next = self.at.map_or(0, |at| at + 1);
        let found = self.planned.iter().skip(next).position(|(name, _)| name == label);
        self.at = found.map(|found| next + found).or(self.at);
        (self.label, self.is_under_way, self.since, self.part) = (label.to_owned(), true, now, part);
        self.peak = 0.0;
    }

    pub fn end(&mut self) {
        self.is_under_way = false;
    }

    /// The share of the work of all planned steps that is done; `None` if the current step was not planned.
    fn share(&self) -> Option<f64> {
        let at = self.at.filter(|&at| self.planned.get(at).is_some_and(|(name, _)| *name == self.label))?;
        let all: f64 = self.planned.iter().map(|(_, work)| work).sum();
        let before: f64 = self.planned.iter().take(at).map(|(_, work)| work).sum();
        let of_step = self.planned.get(at).map_or(0.0, |(_, work)| work * self.of_step());
        (all > 0.0).then(|| (before + of_step) / all)
    }

    fn of_step(&self) -> f64 {
        let share = if self.part.total == 0 { 0.0 } else { self.part.done as f64 / self.part.total as f64 };
        share.min(1.0).max(self.peak)
    }

    /// The line at `now`, measured from the start of the command; `None` if there is no current step.
    pub fn line(&mut self, now: Duration, spent: Spent) -> Option<String> {
        if !self.is_under_way {
            return None;
        }
        self.peak = self.of_step();
        let number = match (self.share(), self.at) {
            (Some(_), Some(at)) => format!("step {} of {}: ", at + 1, self.planned.len()),
            _ => String::new(),
        };
        let label: String = self.label.chars().take(LABEL).collect();
        // The total is not always known.
        let done = if self.part.total > 0 { format!(" {:>3.0} %", 100.0 * self.of_step()) } else { String::new() };
        let mut line = format!("{number}{label}{done}");
        let mut add = |part: Option<String>| {
            // What does not fit is left out, so the more important parts come first.
            if let Some(part) = part.filter(|part| line.chars().count() + 2 + part.chars().count() <= WIDTH) {
                line.push_str(", ");
                line.push_str(&part);
            }
        };
        let in_step = now.saturating_sub(self.since).as_secs_f64();
        let left = match self.share() {
            Some(share) => remaining(now.as_secs_f64(), share),
            None => remaining(in_step, self.of_step()),
        };
        add(left.map(|seconds| format!("{} left", rough(seconds))));
        let is_paid = spent.dollars > 0.0 || spent.of.is_some_and(|of| of > 0.0);
        add(is_paid.then(|| match spent.of {
            Some(of) => format!("${} of {}", money(spent.dollars), money(of)),
            None => format!("${}", money(spent.dollars)),
        }));
        add(rate(self.part.done as f64 / in_step.max(1e-9), self.part.unit).filter(|_| in_step >= 1.0));
        add(Some(self.part.message.clone()).filter(|message| !message.is_empty()));
        Some(line)
    }
}

/// The seconds left if `share` took `elapsed`; `None` if too little is done to tell.
fn remaining(elapsed: f64, share: f64) -> Option<f64> {
    (elapsed >= 1.0 && share >= 0.01).then(|| elapsed * (1.0 - share) / share)
}

/// A rough duration: nobody needs seconds when hours are left.
fn rough(seconds: f64) -> String {
    match seconds.round() as u64 {
        whole @ 0..90 => format!("{whole} s"),
        whole @ 90..5400 => format!("{} min", (whole + 30) / 60),
        whole @ 5400..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        whole => format!("{} days", whole / 86_400),
    }
}

/// Two digits, in a suitable unit of time.
fn rate(per_second: f64, unit: &str) -> Option<String> {
    let round = |value: f64| match value {
        _ if value >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        _ if value >= 1000.0 => format!("{:.1}k", value / 1000.0),
        _ if value >= 10.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    };
    (per_second > 0.0).then(|| match per_second {
        _ if per_second >= 1.0 => format!("{} {unit}/s", round(per_second)),
        _ => format!("{} {unit}/min", round(60.0 * per_second)),
    })
}

/// Two decimals, or four for amounts below a cent.
pub fn money(dollars: f64) -> String {
    match dollars {
        _ if dollars >= 0.01 || dollars <= 0.0 => format!("{dollars:.2}"),
        _ => format!("{dollars:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(unit: &'static str, done: u64, total: u64, message: &str) -> Part {
        Part { unit, done, total, message: message.into() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_says_which_step_how_far_and_how_long_all_takes() {
        let mut course = Course::default();
        let free = Spent::default();
        assert_eq!(course.line(seconds(1), free), None);
        course.plan(vec![("survey".into(), 60.0), ("halting head".into(), 20.0), ("evaluation".into(), 20.0)]);
        course.begin("survey", part("plans", 310, 620, ""), seconds(0));
        let line = |course: &mut Course, at, spent| course.line(seconds(at), spent).unwrap_or_default();
        assert_eq!(
            line(&mut course, 60, free),
            "step 1 of 3: survey  50 %, 140 s left".replace("140 s", "2 min") + ", 5.2 plans/s"
        );
        course.end();
        assert_eq!(course.line(seconds(100), free), None);
        course.begin("evaluation", part("questions", 3, 6, "score 0.912, path 23.4"), seconds(100));
        let spent = Spent { dollars: 0.0512, of: Some(0.5) };
        assert_eq!(
            line(&mut course, 200, spent),
            "step 3 of 3: evaluation  50 %, 22 s left, $0.05 of 0.50, 1.8 questions/min"
        );
        course.part.total = 60;
        assert!(line(&mut course, 200, spent).contains("evaluation  50 %"), "what was done is not undone");
        course.begin("evaluation", part("questions", 0, 6, "score 0.912, path 23.4"), seconds(100));
        assert_eq!(
            line(&mut course, 200, spent),
            "step 3 of 3: evaluation   0 %, 50 s left, $0.05 of 0.50, score 0.912, path 23.4"
        );
        course.begin("something else", part("calls", 5, 0, ""), seconds(200));
        assert_eq!(line(&mut course, 202, free), "something else, 2.5 calls/s");
    }

    #[test]
    fn no_line_is_longer_than_a_terminal() {
        let mut course = Course::default();
        let name = "a step whose name nobody could fit anywhere";
        course.plan(vec![(name.into(), 1.0); 100]);
        for _ in 0..100 {
            course.begin(name, part("questions", 1, 3, &"score 0.123 ".repeat(9)), seconds(1));
            let spent = Spent { dollars: 123.456, of: Some(1e9) };
            let line = course.line(seconds(90_000), spent).unwrap_or_default();
            assert!(line.chars().count() < 80, "{line}");
        }
    }

    #[test]
    fn figures_are_round_and_have_units() {
        let check = |per_second: f64, expected: &str| assert_eq!(rate(per_second, "calls").as_deref(), Some(expected));
        check(12_345.6, "12k calls/s");
        check(1234.5, "1.2k calls/s");
        check(41.2345, "41 calls/s");
        check(3.2345, "3.2 calls/s");
        check(0.5, "30 calls/min");
        assert_eq!(rate(0.0, "calls"), None);
        let times =
            [(12.2, "12 s"), (119.0, "2 min"), (3700.0, "62 min"), (7300.0, "2 h 1 min"), (200_000.0, "2 days")];
        times.iter().for_each(|&(seconds, expected)| assert_eq!(rough(seconds), expected));
        let sums = [(0.0, "0.00"), (0.0512, "0.05"), (0.00123, "0.0012"), (12.3, "12.30")];
        sums.iter().for_each(|&(dollars, expected)| assert_eq!(money(dollars), expected));
    }
}
