//! Sessions against the executor, and reports that do not fit.

use super::*;
use crate::agent::plans;
use crate::execute::Transcript;
use crate::record::each_call;
use crate::settings::{Host, Parts, Preset};

async fn agent() -> Result<Arc<Agent>> {
    let settings = Preset::default().settings();
    let parts = Parts::open(&settings, &Host::default()).await?;
    Ok(Arc::new(Agent::new(parts, &settings, None, None)))
}

const QUESTION: &str = "a hall has 432 rows of 6 seats . how many seats are in the hall ?";

fn session(agent: &Arc<Agent>, plan: &str, record: Option<Arc<Record>>) -> Result<Session> {
    let plan = plans::parse(plan, agent.solver().catalogue())?;
    let ask = Ask { plan: Some(&plan), called: "p1", ..Ask::default() };
    Session::new(agent.clone(), QUESTION, &ask, record)
}

fn told(text: &str) -> Told {
    Told { text: text.into(), used: Used { tokens: 3, ..Used::default() }, ..Told::default() }
}

fn ended(choice: usize, texts: &[&str]) -> Report {
    let solutions = texts.iter().map(|text| told(text)).collect();
    let what = What::Ended { solutions, marks: Vec::new(), context: None, used: Used::default() };
    Report { choice, what, at: Some(1.0) }
}

/// The action in one word, with the numbers of what starts.
fn shown(step: &Step) -> (&'static str, Vec<usize>) {
    let action = match step.action {
        Action::Commit { .. } => "commit",
        Action::Wait => "wait",
        Action::Drop { .. } => "drop",
        Action::End(_) => "end",
    };
    (action, step.start.iter().map(|start| start.choice).collect())
}

#[tokio::test]
async fn a_plan_is_started_as_its_inputs_exist_and_ends_with_its_vote() -> Result<()> {
    let agent = agent().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("record.jsonl");
    let record = Arc::new(Record::open(&path)?.only_written());
    let mut session = session(&agent, "Generate,GenerateCoT;SelfRefine;ScEnsemble", Some(record))?;
    assert_eq!(shown(&session.next(Vec::new())?), ("commit", vec![0, 1]));
    assert_eq!(shown(&session.next(Vec::new())?), ("wait", vec![]));
    assert_eq!(shown(&session.next(vec![ended(0, &["it is 7"])])?), ("wait", vec![]));
    let step = session.next(vec![ended(1, &["it is 8"])])?;
    assert_eq!(shown(&step), ("wait", vec![2]));
    assert_eq!(step.start[0].solutions, ["it is 7", "it is 8"]);
    let step = session.next(vec![ended(2, &["no, it is 7"])])?;
    let Action::End(ending) = step.action else { bail!("expected the end, found {step:?}") };
    assert_eq!((ending.answer.as_deref(), ending.text.as_deref()), (Some("7"), Some("no, it is 7")));
    assert_eq!((ending.took, ending.cancel.len()), (Latency { tokens: 6.0, seconds: 1.0 }, 0));
    let mut lines = Vec::new();
    each_call(&path, |_, line| {
        lines.push((
            line.problem,
            line.operator,
            line.read.is_some(),
            line.solutions[0].answer.clone(),
            line.calls.len(),
        ));
        Ok(())
    })?;
    let line = |operator: &str, reads, answer: &str| ("p1".into(), operator.into(), reads, Some(answer.into()), 1);
    let expected = [line("Generate", false, "7"), line("GenerateCoT", false, "8"), line("SelfRefine", true, "7")];
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
async fn what_can_no_longer_change_the_answer_is_cancelled() -> Result<()> {
    let agent = agent().await?;
    let mut session = session(&agent, "Generate,MultiGenerateCoT", None)?;
    assert_eq!(shown(&session.next(Vec::new())?), ("commit", vec![0, 1]));
    let arrived = |text: &str| Report { choice: 1, what: What::Arrived(told(text)), at: None };
    let step = session.next(vec![ended(0, &["7"]), arrived("7")])?;
    assert_eq!(shown(&step), ("wait", vec![]));
    let step = session.next(vec![arrived("7")])?;
    let Action::End(ending) = step.action else { bail!("expected the end, found {step:?}") };
    assert_eq!((ending.answer.as_deref(), ending.cancel), (Some("7"), vec![1]));
    assert!(session.next(Vec::new()).is_err_and(|error| error.to_string().contains("has ended")));
    Ok(())
}

#[tokio::test]
async fn reports_that_do_not_fit_are_named_and_change_nothing() -> Result<()> {
    let agent = agent().await?;
    let mut session = session(&agent, "Generate,GenerateCoT;SelfRefine", None)?;
    session.next(Vec::new())?;
    let marked = What::Ended { solutions: vec![], marks: vec![Some(0.5)], context: None, used: Used::default() };
    let informed = What::Ended { solutions: vec![], marks: vec![], context: Some("c".into()), used: Used::default() };
    let scored = What::Arrived(Told { score: Some(1.5), ..Told::default() });
    let paid = What::Arrived(Told { used: Used { cost: Some(-1.0), ..Used::default() }, ..Told::default() });
    let of = |choice: usize, what: What| Report { choice, what, at: None };
    let cases = [
        (vec![ended(2, &["7"])], "to be started, found 2"),
        (vec![ended(9, &["7"])], "to be started, found 9"),
        (vec![ended(0, &["7"]), ended(0, &["7"])], "choice 0: expected one under way"),
        (vec![of(0, marked)], "choice 0 (Generate): expected no marks"),
        (vec![of(0, informed)], "choice 0 (Generate): expected no context"),
        (vec![of(1, scored)], "choice 1 (GenerateCoT): expected a score from 0 to 1"),
        (vec![of(1, paid)], "seconds and dollars of at least 0"),
        (vec![Report { choice: 1, at: Some(f64::NAN), what: What::Started }], "expected `at` in seconds"),
    ];
    for (reports, expected) in cases {
        let error = session.next(reports.clone()).map_or_else(|error| format!("{error:#}"), |step| format!("{step:?}"));
        assert!(error.contains(expected), "{reports:?}: {error}");
    }
    assert_eq!(shown(&session.next(vec![ended(0, &["7"]), of(1, What::Failed("down".into()))])?), ("wait", vec![2]));
    Ok(())
}

#[tokio::test]
async fn a_session_that_hears_what_a_run_did_comes_to_its_answer() -> Result<()> {
    let agent = agent().await?;
    let plans =
        ["Generate", "GenerateCoT,Programmer;Test", "MultiGenerateCoT,Generate;ScEnsemble", "Generate;EarlyStop"];
    for (text, draw) in plans.iter().flat_map(|plan| (0..3).map(move |draw| (plan, draw))) {
        let plan = plans::parse(text, agent.solver().catalogue())?;
        let transcript = Transcript::default();
        let ask = Ask { plan: Some(&plan), draw, observer: Some(&transcript), ..Ask::default() };
        let answered = agent.answer(QUESTION, ask).await?;
        let mut session = Session::new(agent.clone(), QUESTION, &Ask { observer: None, ..ask }, None)?;
        let (mut named, mut waiting) = (BTreeSet::new(), transcript.lines().into_iter());
        let mut reports = Vec::new();
        let ending = loop {
            let step = session.next(std::mem::take(&mut reports))?;
            named.extend(step.start.iter().map(|start| start.choice));
            if let Action::End(ending) = step.action {
                break ending;
            }
            if step.action == Action::Wait {
                let line = waiting.next().context("expected an end with the run, found none")?;
                let event: serde_json::Value = serde_json::from_str(&line)?;
                let choice = event["choice"].as_u64().unwrap_or_default() as usize;
                let what = match event["event"].as_str() {
                    Some("arrived") => {
                        What::Arrived(Told { answer: event["answer"].as_str().map(str::to_owned), ..Told::default() })
                    }
                    Some("ended") => {
                        What::Ended { solutions: Vec::new(), marks: Vec::new(), context: None, used: Used::default() }
                    }
                    _ => continue,
                };
                reports.extend(named.contains(&choice).then_some(Report { choice, what, at: None }));
            }
        };
        assert_eq!(ending.answer, answered.answer, "{text}, draw {draw}");
    }
    Ok(())
}
