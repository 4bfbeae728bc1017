//! Reads the folder of a server: decisions, feedback, and the calls of each request.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::record::{Line, each_call};

/// A decision of a server, as far as training needs it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Decision {
    pub id: String,
    pub key: Option<String>,
    pub run: String,
    pub question: String,
    #[serde(default)]
    pub conversation: Option<String>,
    #[serde(default)]
    explore: Option<Explore>,
    #[serde(default)]
    planned: Option<Planned>,
}

#[derive(Clone, Debug, Deserialize)]
struct Explore {
    share: f64,
    drawn: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Planned {
    answer: Option<String>,
}

/// The feedback on an answer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Feedback {
    id: String,
    pub answer: Option<String>,
    pub score: Option<f64>,
}

/// A request that a plan answered and whose answer was rated.
#[derive(Clone, Debug)]
pub(super) struct Rated {
    pub decision: Decision,
    pub feedback: Feedback,
    /// The calls of its operators, explored ones included.
    pub calls: Vec<Line>,
}

/// A question, and a digest of what was said before it.
type Asks = (String, Option<String>);

/// What the folder of a server holds for one run.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// In the order in which they were answered.
    pub rated: Vec<Rated>,
    /// Requests that plans answered.
    pub answered: usize,
    pub notes: Vec<String>,
}

impl Decision {
    /// The probability with which the request was explored, if it was.
    pub fn explored(&self) -> Option<f64> {
        self.explore.as_ref().filter(|explore| explore.drawn).map(|explore| explore.share)
    }

    /// What is asked: equal for requests that ask the same.
    fn asks(&self) -> Asks {
        (self.question.clone(), self.conversation.clone())
    }

    /// The answer that was shown.
    pub fn shown(&self) -> Option<&str> {
        self.planned.as_ref()?.answer.as_deref()
    }
}

impl Kept {
    /// Reads the folder.
    ///
    /// # Errors
    /// Names the file and the line at fault.
    pub fn read(folder: &Path, run: &str) -> Result<Self> {
        let mut kept = Kept::default();
        let said: Vec<Feedback> = lines(&folder.join("feedback.jsonl"), &mut kept.notes)?;
        let mut feedback: HashMap<String, Feedback> = HashMap::new();
        for said in said {
            feedback.entry(said.id.clone()).or_insert(said);
        }
        let decisions: Vec<Decision> = lines(&folder.join("decisions.jsonl"), &mut kept.notes)?;
        let (mut others, mut asked) = (0, HashMap::new());
        for decision in decisions.into_iter().filter(|decision| decision.planned.is_some()) {
            if decision.run != run {
                others += 1;
                continue;
            }
            kept.answered += 1;
            asked.insert(decision.id.clone(), decision.asks());
            if let Some(feedback) = feedback.remove(&decision.id) {
                kept.rated.push(Rated { decision, feedback, calls: Vec::new() });
            }
        }
        if others > 0 {
            kept.notes.push(format!("{others} requests to other runs than `{run}` are passed over"));
        }
        kept.add_calls(&folder.join("record.jsonl"), &asked)?;
        Ok(kept)
    }

    /// Gives each request its calls. Of equal calls with equal outcomes the record holds only the first, which serves
    /// all requests that ask the same.
    fn add_calls(&mut self, path: &Path, asked: &HashMap<String, Asks>) -> Result<()> {
        let places: HashMap<String, usize> =
            self.rated.iter().enumerate().map(|(place, rated)| (rated.decision.id.clone(), place)).collect();
        let mut shared: HashMap<Asks, Vec<Line>> =
            self.rated.iter().map(|rated| (rated.decision.asks(), Vec::new())).collect();
        let remarks = each_call(path, |_, line| {
            if line.draw == "0" {
                let same = asked.get(&line.problem).and_then(|asks| shared.get_mut(asks));
                same.into_iter().for_each(|calls| calls.push(line.clone()));
            } else if let Some(&place) = places.get(&line.problem) {
                self.rated[place].calls.push(line);
            }
            Ok(())
        })?;
        self.notes.extend(remarks);
        for rated in &mut self.rated {
            rated.calls.extend(shared.get(&rated.decision.asks()).into_iter().flatten().cloned());
        }
        Ok(())
    }
}

/// The lines of a file; an unfinished last line is dropped, with a note.
fn lines<T: DeserializeOwned>(path: &Path, notes: &mut Vec<String>) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot read `{}`; hint: name the folder of `lamas serve --record DIR`", path.display())
    })?;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(read) => found.push(read),
            Err(_) if !line.ends_with('\n') => {
                notes.push(format!("`{}` line {number} was left unfinished, and is dropped", path.display()));
            }
            Err(error) => return Err(anyhow!("`{}` line {number}: {error}", path.display())),
        }
    }
    Ok(found)
}
