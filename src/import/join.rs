//! Joins samples by the ids of their problems, and finds contradictions among them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::names::{Named, Samples};
use super::options::Precedence;
use super::references::References;
use super::source::{Sample, excerpt, listed};

/// A problem with its outputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub id: String,
    pub question: Option<Said>,
    pub reference: Option<Said>,
    pub split: Option<Said>,
    pub kind: Option<String>,
    /// By operator and number.
    pub outputs: BTreeMap<(usize, Option<u64>), Given>,
    /// Where it is first mentioned.
    pub place: String,
}

/// An output, and the names of its estimated fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub sample: Sample,
    pub estimated: Vec<&'static str>,
}

/// What a line says about a problem.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub text: String,
    pub place: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Joined {
    pub operators: Vec<Named>,
    /// In the order in which they are first mentioned.
    pub problems: Vec<Asked>,
    pub notes: Vec<String>,
}

/// Joins the samples. What the references say about a question or an answer takes precedence over the samples.
///
/// # Errors
/// Lists the contradictions, if neither side counts.
pub(super) fn join(samples: Samples, references: &References, precedence: Precedence) -> Result<Joined> {
    let Samples { operators, samples, mut notes } = samples;
    let mut joining = Joining { precedence, conflicts: Vec::new(), repeated: 0 };
    let mut problems: Vec<Asked> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (operator, sample) in samples {
        let place = *places.entry(sample.id.clone()).or_insert_with(|| {
            problems.push(Asked::new(&sample, references));
            problems.len() - 1
        });
        joining.add(&mut problems[place], operator, &operators[operator].name, sample, references);
    }
    let Joining { conflicts, repeated, .. } = joining;
    if precedence == Precedence::Neither && !conflicts.is_empty() {
        bail!(
            "expected lines that agree, found {} that contradict others:{}\nhint: `--on-conflict first` or `last` says which \
             of two counts",
            conflicts.len(),
            listed(&conflicts)
        );
    }
    if !conflicts.is_empty() {
        let counts = if precedence == Precedence::First { "first" } else { "last" };
        notes.push(format!(
            "{} lines contradict others: the {counts} of two counts:{}",
            conflicts.len(),
            listed(&conflicts)
        ));
    }
    if repeated > 0 {
        notes.push(format!("{repeated} lines repeat others word for word and count once"));
    }
    let unused = references.keys().filter(|id| !places.contains_key(*id)).count();
    if unused > 0 {
        notes.push(format!("references of {unused} problems are not used: no output has such an id"));
    }
    Ok(Joined { operators, problems, notes })
}

struct Joining {
    precedence: Precedence,
    conflicts: Vec<String>,
    repeated: usize,
}

impl Asked {
    /// Whether there is an output of this operator.
    pub fn has(&self, operator: usize) -> bool {
        self.outputs.keys().any(|(of, _)| *of == operator)
    }

    /// Whether there is an output of each of this many operators.
    pub fn is_complete(&self, operators: usize) -> bool {
        (0..operators).all(|operator| self.has(operator))
    }

    fn new(sample: &Sample, references: &References) -> Self {
        let Sample { id, kind, place, .. } = sample;
        let mut asked = Asked { id: id.clone(), kind: kind.clone(), place: place.clone(), ..Asked::default() };
        if let Some(reference) = references.get(id) {
            let said = |text: &Option<String>| Some(Said { text: text.clone()?, place: reference.place.clone() });
            asked.question = said(&reference.question);
            asked.reference = said(&reference.answer);
            asked.split = said(&reference.split);
        }
        asked
    }
}

impl Joining {
    fn add(&mut self, asked: &mut Asked, operator: usize, name: &str, mut sample: Sample, references: &References) {
        let known = references.get(&sample.id);
        let (id, place) = (sample.id.clone(), sample.place.clone());
        let [question, reference, split] = [sample.question.take(), sample.reference.take(), sample.split.take()];
        if known.is_none_or(|known| known.question.is_none()) {
            self.settle("question", &id, &mut asked.question, question, &place);
        }
        if known.is_none_or(|known| known.answer.is_none()) {
            self.settle("answer", &id, &mut asked.reference, reference, &place);
        }
        if known.is_none_or(|known| known.split.is_none()) {
            self.settle("split", &id, &mut asked.split, split, &place);
        }
        let key = (operator, sample.number);
        let Some(earlier) = asked.outputs.get_mut(&key) else {
            asked.outputs.insert(key, Given { sample, estimated: Vec::new() });
            return;
        };
        let unplaced = |sample: &Sample| Sample { place: String::new(), kind: None, ..sample.clone() };
        if unplaced(&earlier.sample) == unplaced(&sample) {
            self.repeated += 1;
            return;
        }
        self.conflicts.push(format!(
            "{place}: problem `{id}`, operator `{name}`: {}, {} in {}",
            shown(&sample),
            shown(&earlier.sample),
            earlier.sample.place
        ));
        if self.precedence == Precedence::Last {
            earlier.sample = sample;
        }
    }

    /// Takes over what a line says about a problem, unless another line contradicts it.
    fn settle(&mut self, what: &str, id: &str, known: &mut Option<Said>, said: Option<String>, place: &str) {
        let Some(text) = said else { return };
        let said = Said { text, place: place.to_owned() };
        match known {
            None => *known = Some(said),
            Some(known) if known.text.split_whitespace().eq(said.text.split_whitespace()) => {}
            Some(known) => {
                self.conflicts.push(format!(
                    "{place}: problem `{id}`: {what} `{}`, `{}` in {}",
                    excerpt(&said.text),
                    excerpt(&known.text),
                    known.place
                ));
                if self.precedence == Precedence::Last {
                    *known = said;
                }
            }
        }
    }
}

/// A few words that tell one output from another.
fn shown(sample: &Sample) -> String {
    let score = sample.score.map_or(String::new(), |score| format!(" (score {score})"));
    let output = sample.output.as_deref().map_or("no output".to_owned(), |text| format!("`{}`", excerpt(text)));
    format!("{output}{score}")
}
