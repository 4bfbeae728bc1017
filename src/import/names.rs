//! Names of operators, and which tasks ask the same problems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use anyhow::{Result, ensure};

use super::source::{Sample, Source, Sources};

/// An operator, with what is known of its setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Named {
    pub name: String,
    /// The model whose price applies.
    pub model: Option<String>,
    pub description: String,
}

/// All samples, each with the index of its operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    pub operators: Vec<Named>,
    pub samples: Vec<(usize, Sample)>,
    pub notes: Vec<String>,
}

/// Names the operators: by the given names, otherwise by the parts that distinguish their settings. If tasks ask
/// different problems under the same ids, the task becomes part of the ids.
pub(super) fn assign(sources: Sources) -> Result<Samples> {
    let Sources { mut sources, mut notes } = sources;
    sources.retain(|source| !source.samples.is_empty());
    ensure!(!sources.is_empty(), "expected at least one output, found none");
    let tasks: BTreeSet<&str> = sources.iter().filter_map(|source| source.task.as_deref()).collect();
    let is_several = tasks.len() > 1;
    let overlap = if is_several { overlap(&sources) } else { Overlap::Same };
    for source in &mut sources {
        if overlap == Overlap::Same {
            continue;
        }
        let Some(task) = source.task.clone() else { continue };
        source.parts.retain(|part| *part != task);
        for sample in &mut source.samples {
            if overlap == Overlap::Clash {
                sample.id = format!("{task}/{}", sample.id);
            }
            sample.kind = Some(task.clone());
        }
    }
    if overlap == Overlap::Clash {
        notes.push("tasks use the same ids for different problems: ids now begin with their task".to_owned());
    }
    let names = names(&sources, overlap == Overlap::Same);
    let mut operators: Vec<Named> = Vec::new();
    let mut samples = Vec::new();
    for (name, Source { model, description, samples: of_source, .. }) in names.into_iter().zip(sources) {
        let known = operators.iter().position(|operator| operator.name == name);
        let place = known.unwrap_or_else(|| {
            operators.push(Named { name, model, description });
            operators.len() - 1
        });
        samples.extend(of_source.into_iter().map(|sample| (place, sample)));
    }
    Ok(Samples { operators, samples, notes })
}

/// How the problems of several tasks relate to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overlap {
    /// The same questions under the same ids: variants of one task.
    Same,
    /// Different questions under the same ids.
    Clash,
    /// No ids in common.
    Apart,
}

fn overlap(sources: &[Source]) -> Overlap {
    let mut questions: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for source in sources {
        for Sample { id, question, .. } in &source.samples {
            let task = source.task.as_deref().unwrap_or_default();
            questions.entry(id).or_default().entry(task).or_insert(question.as_deref().unwrap_or_default());
        }
    }
    let shared: Vec<_> = questions.values().filter(|by_task| by_task.len() > 1).collect();
    let is_one = |by_task: &&&BTreeMap<&str, &str>| {
        let mut texts = by_task.values().map(|question| question.split_whitespace());
        let first = texts.next();
        texts.all(|text| first.clone().is_some_and(|first| first.eq(text)))
    };
    match (shared.iter().filter(is_one).count(), shared.len()) {
        (_, 0) => Overlap::Apart,
        // A few differing questions are conflicts, which are listed.
        (same, shared) if 2 * same >= shared => Overlap::Same,
        _ => Overlap::Clash,
    }
}

/// A name for each source; the same name means the same operator.
fn names(sources: &[Source], is_across_tasks: bool) -> Vec<String> {
    let group = |source: &Source| if is_across_tasks { None } else { source.task.clone() };
    let longest = sources.iter().map(|source| source.parts.len()).max().unwrap_or_default();
    let mut depth = vec![1; sources.len()];
    let name = |source: &Source, depth: usize| {
        let parts = source.parts.iter().take(depth).map(|part| clean(part)).filter(|part| !part.is_empty());
        source.operator.clone().unwrap_or_else(|| parts.collect::<Vec<_>>().join("_"))
    };
    for _ in 1..longest {
        let mut alike: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        for (source, &depth) in sources.iter().zip(&depth).filter(|(source, _)| source.operator.is_none()) {
            alike.entry((name(source, depth), group(source))).or_default().insert(&source.path);
        }
        let crowded: BTreeSet<String> =
            alike.into_iter().filter(|(_, paths)| paths.len() > 1).map(|((name, _), _)| name).collect();
        for (source, depth) in sources.iter().zip(&mut depth) {
            *depth += usize::from(crowded.contains(&name(source, *depth)));
        }
    }
    let mut taken: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
    let of = |(source, &depth): (&Source, &usize)| {
        let plain = Some(name(source, depth)).filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned());
        if source.operator.is_some() {
            return plain;
        }
        let this = (source.path.clone(), group(source));
        let numbered = (1..).map(|number| if number == 1 { plain.clone() } else { format!("{plain}-{number}") });
        let mut free = numbered.filter(|name| {
            taken.get(name).is_none_or(|(path, task)| *path == this.0 || !is_across_tasks && *task != this.1)
        });
        let name = free.next().unwrap_or(plain.clone());
        taken.entry(name.clone()).or_insert(this);
        name
    };
    sources.iter().zip(&depth).map(of).collect()
}

/// The folders above a file, the nearest first.
pub(super) fn folders(path: &Path) -> Vec<String> {
    let parts = path.parent().into_iter().flat_map(Path::components);
    let mut folders: Vec<String> = parts
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    folders.reverse();
    folders
}

/// The part of a model's name after the last slash.
pub(super) fn last(model: &str) -> String {
    model.trim_end_matches('/').rsplit('/').next().unwrap_or(model).to_owned()
}

/// Keeps letters, digits, points and hyphens; anything between becomes an underscore.
fn clean(text: &str) -> String {
    let is_kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '.');
    text.split(|letter: char| !is_kept(letter)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources written as `parts | task | questions` (with ids 0, 1, ...).
    #[track_caller]
    fn check(sources: &[&str], operators: &[&str], ids: &[&str]) {
        let source = |(number, text): (usize, &&str)| {
            let fields: Vec<&str> = text.split('|').map(str::trim).collect();
            let sample = |(id, question): (usize, &str)| Sample {
                id: id.to_string(),
                question: Some(question.to_owned()),
                ..Sample::default()
            };
            Source {
                parts: fields[0].split(' ').map(str::to_owned).collect(),
                task: Some(fields[1].to_owned()),
                path: number.to_string(),
                samples: fields[2].split(' ').enumerate().map(sample).collect(),
                ..Source::default()
            }
        };
        let sources = sources.iter().enumerate().map(source).collect();
        let Samples { operators: found, samples, .. } = assign(Sources { sources, notes: vec![] }).expect("samples");
        let found: Vec<&str> = found.iter().map(|operator| operator.name.as_str()).collect();
        let all: BTreeSet<&str> = samples.iter().map(|(_, sample)| sample.id.as_str()).collect();
        assert_eq!((found, all.into_iter().collect::<Vec<_>>()), (operators.to_vec(), ids.to_vec()));
    }

    #[test]
    fn operators_are_named_by_what_tells_them_apart() {
        check(&["a t x | t | p q", "b t x | t | p q"], &["a", "b"], &["0", "1"]);
        check(&["a t x | t | p q", "a u x | u | p q"], &["a_t", "a_u"], &["0", "1"]);
        check(&["a t x | t | p q", "a t y | t | p q"], &["a_t_x", "a_t_y"], &["0", "1"]);
        check(&["a t x | t | p q", "a t x | t | p q"], &["a_t_x", "a_t_x-2"], &["0", "1"]);
        check(&["a t | t | p q", "a u | u | r s"], &["a"], &["t/0", "t/1", "u/0", "u/1"]);
        check(&["a t | t | p q", "a u | u | r s", "b t | t | p q"], &["a", "b"], &["t/0", "t/1", "u/0", "u/1"]);
    }
}
