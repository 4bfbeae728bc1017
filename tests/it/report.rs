//! The report on synthetic episodes: complete, self-contained, and harmless whatever texts it shows.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lamas::evaluate::{Evaluation, compare};
use lamas::execute::Episode;
use lamas::objective::Objective;
use lamas::plan::{Dependencies, Latency, OperatorId, Plan, Schedule, Span, Status, Trace, Unit, Usage, Written};
use lamas::random;
use lamas::report::format::Format;
use lamas::report::{
    Breakdown, Curve, Example, Line, Panel, Probabilities, Provenance, Report, Timeline, drawing, html, plot, table,
    worst_first,
};
use lamas::task::Problem;
use rand::Rng;
use sha2::{Digest, Sha256};

const OPERATORS: [&str; 7] =
    ["Generate", "GenerateCoT", "MultiGenerateCoT", "ScEnsemble", "Programmer", "SelfRefine", "EarlyStop"];
const TYPICAL_TOKENS: [f64; 7] = [3.0, 34.0, 48.0, 0.0, 18.0, 30.0, 0.0];
const HOSTILE: &str = "<script>alert('1')</script> & \"2\" \u{1f600} {{ 7 * 7 }}";
/// What a model may write.
const WRITTEN: &str =
    "\"><img src=x onerror=alert(1)> </pre></script> javascript:alert(2) \u{1b}[2J\u{9b}31m\u{202e}txt\u{200b}";
const OBJECTIVE: Objective = Objective { latency_weight: 0.0025, cost_weight: 20.0, unit: Unit::Tokens };

fn names() -> Vec<String> {
    OPERATORS.map(String::from).to_vec()
}

/// A made-up run of a plan that is right with probability `skill`.
fn episode(seed: u64, problem: usize, layers: &[&[u16]], skill: f64) -> Episode {
    let plan = Plan::from_indices(layers);
    let mut rng = random::stream(seed, &[&"synthetic", &problem, &format!("{layers:?}")]);
    let (mut started, mut layer_end, mut last_layer) = (0.0, 0.0_f64, 0);
    let mut span = |(layer, operator): (usize, OperatorId)| {
        if layer != last_layer {
            (started, last_layer) = (layer_end, layer);
        }
        let tokens = (TYPICAL_TOKENS[operator.index()] * rng.random_range(0.5..1.8_f64)).round();
        let seconds = tokens * 0.0021 + 0.003;
        layer_end = layer_end.max(started + seconds);
        Span {
            layer,
            operator,
            calls: if operator.0 == 2 { 3 } else { u32::from(tokens > 0.0) },
            usage: Usage { prompt_tokens: 30, completion_tokens: tokens as u64, ..Usage::default() },
            cost: 1e-5 * tokens,
            tool_seconds: 0.0,
            latency: Latency { tokens, seconds },
            started,
            outcome: Status::Done,
            ..Span::default()
        }
    };
    let dependencies = Schedule::Layered.dependencies(&plan, &[]);
    let trace = Trace { spans: plan.choices().map(&mut span).collect(), dependencies, finish: None };
    let score = f64::from(rng.random_bool(skill));
    Episode { problem: format!("test-{problem:04}"), plan, trace, answer: Some("42".into()), confidence: None, score }
}

fn evaluation(name: &str, seed: u64, layers: &[&[u16]], skill: f64) -> Evaluation {
    let episodes = (0..150).map(|problem| episode(seed, problem, layers, skill)).collect();
    Evaluation { name: name.into(), episodes, failed: 0 }
}

fn learning_curve(seed: u64, start: f64, end: f64) -> Curve {
    let mut rng = random::stream(seed, &[&"curve", &end]);
    let value = |epoch: f64| end + (start - end) * (-epoch / 5.0).exp();
    Curve(
        (0..=16)
            .map(|epoch| (f64::from(epoch), value(epoch.into()) + (end - start) * rng.random_range(-0.06..0.06)))
            .collect(),
    )
}

fn panel(title: &str, lines: &[(&str, f64, f64)]) -> Panel {
    let line = |&(name, start, end): &(&str, f64, f64)| Line {
        name: name.into(),
        seeds: (0..3).map(|seed| learning_curve(seed, start, end)).collect(),
    };
    Panel { title: title.into(), axis: "epochs".into(), lines: lines.iter().map(line).collect() }
}

fn report() -> Report {
    let baselines: [(&str, &[&[u16]], f64); 7] = [
        ("Generate", &[&[0]], 0.36),
        ("GenerateCoT", &[&[1]], 0.72),
        ("CoT x 5, vote", &[&[2]], 0.80),
        ("program + chains", &[&[4, 2]], 0.92),
        ("every operator", &[&[0, 1, 2, 4], &[5], &[3]], 0.90),
        ("random controller", &[&[1, 4], &[5, 0, 2], &[3, 1]], 0.78),
        ("length-only router", &[&[4, 1]], 0.88),
    ];
    let methods: Vec<Vec<Evaluation>> =
        baselines.iter().map(|(name, layers, skill)| vec![evaluation(name, 7, layers, *skill)]).collect();
    let plans: [&[&[u16]]; 3] = [&[&[4, 1], &[6]], &[&[4], &[6]], &[&[4, 2]]];
    let trained: Vec<Evaluation> =
        plans.iter().zip(0..).map(|(plan, seed)| evaluation("trained controller", seed, plan, 0.95)).collect();
    let all: Vec<Episode> = trained.iter().flat_map(|run| run.episodes.clone()).collect();
    let example = |problem: usize, layers: &[&[u16]], question: &str| Example {
        question: question.into(),
        reference: "42".into(),
        episode: episode(3, problem, layers, 0.9),
    };
    let mut broken = example(9, &[&[0, 4], &[3]], HOSTILE);
    broken.episode.trace.spans[1].outcome = Status::Failed(HOSTILE.into());
    broken.episode.trace.spans[0].wrote = vec![Written::new(WRITTEN, Some(WRITTEN), 4000)];
    broken.episode.answer = None;
    let mut endless = example(10, &[&[0]], &"no space in it ".replace(' ', "").repeat(80_000));
    endless.episode.trace.spans[0].wrote = vec![Written::new(&"x".repeat(1 << 20), None, 4000)];
    (endless.episode.score, endless.episode.answer) = (0.0, Some("7".repeat(1 << 20)));
    endless.episode.trace.spans[0].outcome = Status::Cancelled;
    let problem = |problem: usize| Problem {
        id: format!("test-{problem:04}"),
        question: "How many apples are left?".into(),
        answer: "42".into(),
        kind: Some(if problem.is_multiple_of(3) { "sum".into() } else { HOSTILE.into() }),
        steps: Some(problem as u32 % 4),
        tests: None,
    };
    let problems: Vec<Problem> = (0..150).map(problem).collect();
    let breakdown = Breakdown::new(&trained, &problems, &names(), &OBJECTIVE);
    Report {
        title: "A controller trained on synthetic episodes".into(),
        curves: "Learning curves".into(),
        provenance: Provenance {
            command: format!("lamas train --seeds 3 --out {HOSTILE}"),
            version: "0.1.0".into(),
            machine: "2 cores, 4 GB, cpu".into(),
            seeds: vec![0, 1, 2],
            date: "Sat, 28 Nov 2026 06:00:00 GMT".into(),
            seconds: Some(184.0),
            training: "1200 operator calls, 48000 tokens, 0.0123 $".into(),
        },
        objective: OBJECTIVE,
        schedule: Schedule::Layered,
        rows: compare(&methods, &trained, &OBJECTIVE),
        panels: vec![
            panel("score", &[("training", 0.62, 0.93), ("validation", 0.60, 0.91)]),
            panel("critical path, tokens", &[("training", 160.0, 41.0)]),
            panel("cost, dollars per query", &[("training", 0.0021, 0.0006)]),
            panel("entropy, nats", &[("training", 1.9, 0.6)]),
        ],
        probabilities: Probabilities::chosen(&names(), 4, &all),
        operators: names(),
        examples: vec![
            example(1, &[&[4, 2]], "Sam has 12 boxes of 5 apples and eats 18 of them. How many apples are left?"),
            example(2, &[&[0, 1, 2, 4], &[5], &[3]], "Anna counts 6 spiders. How many legs do they have together?"),
            broken,
            endless,
        ],
        breakdown,
        left_out: 7,
        config: serde_json::json!({ "training": { "epochs": 16, "learning_rate": 0.01 }, "note": HOSTILE }),
    }
}

fn assert_well_formed(svg: &str) {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let numbers = document.descendants().flat_map(|node| node.attributes()).map(|attribute| attribute.value());
    assert!(numbers.into_iter().all(|value| !value.contains("NaN") && !value.contains("inf")), "{svg}");
}

/// The text of all SVG elements of a page.
fn drawings(page: &str) -> Vec<&str> {
    page.split("<svg").skip(1).filter_map(|rest| rest.split_once("</svg>")).map(|(inside, _)| inside).collect()
}

#[test]
fn the_page_is_complete_and_refers_to_nothing_outside() {
    let report = report();
    let page = html::html(&report).expect("a page");
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), &page).expect("a writable folder");
    assert_eq!(page, html::html(&report).expect("a page"));
    let local = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("src=x onerror=alert(1)", "");
    for outside in ["http:", "https:", "src=", "href", "url(", "@import", "<link", "<iframe", "{{"] {
        let found = local.replace("{{ 7 * 7 }}", "");
        assert!(!found.contains(outside), "`{outside}`");
    }
    for row in &report.rows {
        assert!(page.contains(&format!("<td>{}</td>", row.summary.name)), "{}", row.summary.name);
    }
    assert!(page.contains("&lt;script&gt;alert(&#x27;1&#x27;)&lt;&#x2f;script&gt; &amp; &quot;2&quot;"));
    assert!(page.contains("learning_rate"));
    let drawings = drawings(&page);
    assert_eq!(drawings.len(), 2 + report.panels.len());
    drawings.iter().for_each(|inside| assert_well_formed(&format!("<svg{inside}</svg>")));
}

#[test]
fn what_a_model_wrote_does_no_harm() {
    let page = html::html(&report()).expect("a page");
    assert!(page.len() < 400_000, "{} bytes", page.len());
    // Only the page's own script may run, and nothing may be fetched.
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = policy.expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"), "{policy}");
    let script = page.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>")).expect("a script").0;
    let hash = STANDARD.encode(Sha256::digest(script));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (1, 1));
    for active in ["<img", "onerror=alert(1)>", " </pre></script>", "\u{1b}", "\u{9b}", "\u{202e}", "\u{200b}"] {
        assert!(!page.contains(active), "{active:?}");
    }
    let shown = "&quot;&gt;&lt;img src=x onerror=alert(1)&gt; &lt;&#x2f;pre&gt;&lt;&#x2f;script&gt; javascript:alert(2) \
                 \\u{1b}[2J\\u{9b}31m\\u{202e}txt\\u{200b}";
    assert_eq!(page.matches(&format!("<pre class=\"wrote\">{shown}</pre>")).count(), 1);
    assert!(page.contains("1044576 letters left out"));
}

#[test]
fn a_wrong_answer_is_three_clicks_away() {
    let mut report = report();
    report.left_out = worst_first(&mut report.examples, 3, 1 << 20);
    let page = html::html(&report).expect("a page");
    let verdicts: Vec<&str> = page.split("data-verdict=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    // The failed query comes first and is open; the filters for wrong answers and for plans have entries.
    assert_eq!(verdicts, ["failed", "wrong", "right"]);
    assert!(page.contains("<option value=\"wrong\">wrong or failed (2)</option>"));
    assert!(page.contains("with a cancelled operator (1)"));
    for (place, plan) in report.breakdown.plans.iter().enumerate() {
        assert!(page.contains(&format!("<option value=\"{place}\">{}</option>", plan.name)), "{}", plan.name);
        assert!(page.contains(&format!("data-plan=\"{place}\">{}</button>", plan.name)), "{}", plan.name);
    }
    assert!(page.contains("1 more, most of them right"));
}

#[test]
fn the_page_says_what_to_use_and_what_it_took() {
    let report = report();
    let page = html::html(&report).expect("a page");
    let facts = ["Use ", "Sat, 28 Nov 2026 06:00:00 GMT", "took 3 min 4 s", "0.0123 $", "lamas train --seeds 3"];
    for fact in facts {
        assert!(page.contains(fact), "{fact}");
    }
    for sorted in ["<th>kind</th>", "<th>steps</th>"] {
        assert!(page.contains(sorted), "{sorted}");
    }
    for row in report.rows.iter().filter(|row| row.gain.is_some()) {
        assert!(page.contains(&format!("<span class=\"name\">{}</span>", row.summary.name)), "{}", row.summary.name);
    }
}

#[test]
fn plots_of_nothing_are_plots() {
    assert_well_formed(&plot::curves(&Panel::default()).expect("a plot"));
    let lonely = Line { name: HOSTILE.into(), seeds: vec![Curve(vec![(0.0, f64::NAN), (1.0, 2.0)])] };
    assert_well_formed(
        &plot::curves(&Panel { title: HOSTILE.into(), lines: vec![lonely], ..Default::default() }).expect("a plot"),
    );
    assert_well_formed(&plot::scores(&[], "seconds").expect("a plot"));
    let hostile = plot::Point { name: HOSTILE.into(), ours: true, ..Default::default() };
    assert_well_formed(&plot::scores(&[hostile], HOSTILE).expect("a plot"));
    assert!(html::html(&Report::default()).is_ok());
}

#[test]
fn a_report_survives_its_json() {
    let report = report();
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<Report>(&text).expect("the report again"), report);
}

#[test]
fn the_table_of_a_real_report_fits_the_terminal() {
    let rows = report().rows;
    let text = table::table(&rows, false, Format::Text);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert_eq!(
        text.lines().filter(|line| rows.iter().any(|row| line.starts_with(&row.summary.name))).count(),
        rows.len()
    );
}

#[test]
fn plans_and_timelines_are_drawn_in_characters() {
    let plan = |layers: &[&[u16]]| drawing::plan(&Plan::from_indices(layers), &Trace::default(), &names());
    insta::assert_snapshot!(plan(&[&[0, 1, 2, 4], &[5], &[3, 6]]), @r"
    query ┬─ Generate ─────────┬── SelfRefine ──┬─ ScEnsemble ─┬─ answer
          ├─ GenerateCoT ──────┤                └─ EarlyStop ──┘
          ├─ MultiGenerateCoT ─┤
          └─ Programmer ───────┘
    ");
    insta::assert_snapshot!(plan(&[&[1], &[9]]), @"query ── GenerateCoT ──── operator 9 ─── answer");
    insta::assert_snapshot!(plan(&[]), @"query ─ answer");
    // Operators that read only the question start with the first layer, and those left out are marked.
    let committed = Plan::from_indices(&[&[1], &[4, 5], &[3]]);
    let span = |layer, outcome| Span { layer, outcome, ..Span::default() };
    let spans = vec![
        span(0, Status::Done),
        span(1, Status::Cancelled),
        span(1, Status::Skipped),
        span(2, Status::Failed("503".into())),
    ];
    let trace = Trace { spans, dependencies: Dependencies(vec![vec![], vec![], vec![0], vec![0, 1, 2]]), finish: None };
    insta::assert_snapshot!(drawing::plan(&committed, &trace, &names()), @r"
    query ┬─ GenerateCoT ────────────┬── SelfRefine (skipped) ──── ScEnsemble (failed) ─── answer
          └─ Programmer (cancelled) ─┘
    ");
    let timeline = |unit| {
        let mut shown = episode(3, 2, &[&[1, 2, 4], &[5], &[3]], 0.9);
        shown.trace.spans[2].outcome = Status::Cancelled;
        drawing::timeline(&Timeline::new(&shown.plan, &shown.trace, &names(), unit), 30)
    };
    insta::assert_snapshot!(timeline(Unit::Tokens), @r"
    1 * GenerateCoT       █████████████████                  53 tokens   0.114 s   0.00053 $  1 call
    1   MultiGenerateCoT  ░░░░░░░░░░░░░░░                    47 tokens   0.102 s   0.00047 $  3 calls
    1   Programmer        ░░░░                               11 tokens   0.026 s   0.00011 $  1 call  cancelled
    2 * SelfRefine                         █████████████     40 tokens   0.087 s   0.00040 $  1 call
    3 * ScEnsemble                                     █      0 tokens  0.0030 s         0 $  0 calls
    * critical path: 93 tokens; cost: 0.0015 $
    ");
    insta::assert_snapshot!(timeline(Unit::Seconds), @r"
    1 * GenerateCoT       █████████████████                  53 tokens   0.114 s   0.00053 $  1 call
    1   MultiGenerateCoT  ░░░░░░░░░░░░░░░                    47 tokens   0.102 s   0.00047 $  3 calls
    1   Programmer        ░░░░                               11 tokens   0.026 s   0.00011 $  1 call  cancelled
    2 * SelfRefine                         █████████████     40 tokens   0.087 s   0.00040 $  1 call
    3 * ScEnsemble                                     █      0 tokens  0.0030 s         0 $  0 calls
    * critical path: 0.204 s; cost: 0.0015 $
    ");
}
