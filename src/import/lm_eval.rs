//! Per-sample logs of lm-evaluation-harness: one line for each document and filter.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::json::{self, Object, written};
use super::options::{Input, Options};
use super::source::{Sample, Source, Sources, excerpt};
use super::{messages, names};

/// Fields of a document that may hold the question, the most likely first.
const QUESTIONS: [&str; 7] = ["question", "problem", "query", "prompt", "input", "text", "ctx"];

/// Fields of a document that may hold the kind of problem.
const KINDS: [&str; 4] = ["kind", "category", "subject", "type"];

/// A file with its lines.
struct Logged<'a> {
    input: &'a Input,
    lines: Vec<(String, Object)>,
    /// The filters that its outputs passed through.
    filters: BTreeSet<String>,
}

/// Reads the files; each holds the outputs of one setting on one task.
pub(super) fn read(options: &Options, sources: &mut Sources) -> Result<()> {
    let mut files = Vec::new();
    for input in &options.files {
        let lines =
            json::lines(&input.path, "a sample of lm-evaluation-harness (`samples_*.jsonl` of `--log_samples`)")?;
        let filters = lines.iter().map(|(_, line)| filter(line)).collect();
        files.push(Logged { input, lines, filters });
    }
    let all: BTreeSet<&str> = files.iter().flat_map(|file| &file.filters).map(String::as_str).collect();
    for file in &files {
        let chosen = choose_filter(file, options.filter.as_deref(), &all)?;
        let source = source(file, &chosen, options, &mut sources.notes)?;
        sources.sources.push(source);
    }
    Ok(())
}

fn filter(line: &Object) -> String {
    line.get("filter").and_then(Value::as_str).unwrap_or("none").to_owned()
}

/// The filter whose lines are used: the requested one, or the only one.
fn choose_filter(file: &Logged<'_>, wanted: Option<&str>, all: &BTreeSet<&str>) -> Result<String> {
    let Logged { input, filters, .. } = file;
    let named =
        |names: &mut dyn Iterator<Item = &str>| names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (wanted.and_then(|wanted| filters.get(wanted)), filters.len()) {
        (Some(found), _) => Ok(found.clone()),
        (None, 1) => Ok(filters.first().cloned().unwrap_or_default()),
        (None, _) => bail!(
            "{}: expected {}, found the filters {}; hint: choose with `--filter NAME`; in all files there are {}",
            input.path.display(),
            wanted.map_or("one filter".to_owned(), |wanted| format!("the filter `{wanted}`")),
            named(&mut filters.iter().map(String::as_str)),
            named(&mut all.iter().copied()),
        ),
    }
}

fn source(file: &Logged<'_>, filter: &str, options: &Options, notes: &mut Vec<String>) -> Result<Source> {
    let Input { operator, path } = file.input;
    let lines: Vec<&(String, Object)> = file.lines.iter().filter(|(_, line)| self::filter(line) == filter).collect();
    let metrics: BTreeSet<String> = lines.iter().flat_map(|(_, line)| metrics(line)).collect();
    let metric = choose_metric(&metrics, options.metric.as_deref())
        .with_context(|| format!("{}: filter `{filter}`", path.display()))?;
    let others =
        (metrics.len() > 1).then(|| format!(" (of {})", metrics.iter().cloned().collect::<Vec<_>>().join(", ")));
    notes.push(format!(
        "`{}`: filter `{filter}`, scored by {}{}",
        path.display(),
        metric.as_ref().map_or("nothing".to_owned(), |metric| format!("`{metric}`")),
        others.unwrap_or_default()
    ));
    let sample = |(place, line): &&(String, Object)| {
        sample(line, metric.as_deref(), options.question.as_deref())
            .map(|sample| Sample { place: place.clone(), ..sample })
            .with_context(|| place.clone())
    };
    let samples = lines.iter().map(sample).collect::<Result<_>>()?;
    let (task, time) = task_and_time(path);
    let model = names::folders(path).first().map(|folder| folder.trim_start_matches('_').replace("__", "/"));
    let mut parts: Vec<String> = model.iter().map(|model| names::last(model)).collect();
    parts.push(task.clone());
    parts.extend(names::folders(path).into_iter().skip(1));
    parts.extend(time);
    let generation = lines.first().and_then(|(_, line)| argument(line, 0, 1)).map(settings).unwrap_or_default();
    let description = format!("Answers of {} to {task}{generation}.", model.as_deref().unwrap_or("a model"));
    let path = path.display().to_string();
    Ok(Source { operator: operator.clone(), parts, task: Some(task), model, description, path, samples })
}

/// The names of the scores on a line; older logs do not list them.
fn metrics(line: &Object) -> Vec<String> {
    const KNOWN: [&str; 7] = ["exact_match", "acc", "acc_norm", "em", "f1", "pass@1", "pass_at_1"];
    match line.get("metrics") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => KNOWN.into_iter().filter(|name| line.contains_key(*name)).map(str::to_owned).collect(),
    }
}

fn choose_metric(found: &BTreeSet<String>, wanted: Option<&str>) -> Result<Option<String>> {
    let listed = || found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let usual = || ["exact_match", "acc"].into_iter().find_map(|name| found.get(name));
    match (wanted, found.len()) {
        (Some(wanted), _) => {
            let found = found.get(wanted);
            found
                .map(|found| Some(found.clone()))
                .with_context(|| format!("expected the score `{wanted}`, found {}", listed()))
        }
        (None, 0) => Ok(None),
        (None, 1) => Ok(found.first().cloned()),
        (None, _) => usual()
            .map(|name| Some(name.clone()))
            .with_context(|| format!("expected one score, found {}; hint: choose with `--metric NAME`", listed())),
    }
}

fn sample(line: &Object, metric: Option<&str>, question: Option<&str>) -> Result<Sample> {
    let id = json::id(line, "doc_id")?;
    let prompt = argument(line, 0, 0).cloned().map(chat);
    let doc = line.get("doc").and_then(Value::as_object);
    let of_doc = |fields: &[&str]| {
        let mut values = fields.iter().filter_map(|field| doc?.get(*field));
        values.find_map(|value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned))
    };
    let asked = match question {
        Some(field) => Some(of_doc(&[field]).with_context(|| {
            let fields: Vec<_> = doc.into_iter().flat_map(|doc| doc.keys()).map(|key| format!("`{key}`")).collect();
            format!("expected text in the field `{field}` of `doc`, found the fields {}", fields.join(", "))
        })?),
        None => of_doc(&QUESTIONS).or_else(|| messages::question(prompt.as_ref()?)),
    };
    let score = match metric.and_then(|metric| Some((metric, line.get(metric)?))) {
        None | Some((_, Value::Null)) => None,
        Some((metric, value)) => Some(json::score(value, metric)?),
    };
    let answered = answered(line)?;
    let target = line.get("target").and_then(written).filter(|target| !target.trim().is_empty());
    Ok(Sample {
        id,
        question: asked,
        reference: match answered.is_choice {
            true => target.map(|target| choice(line, &target).unwrap_or(target)),
            false => target,
        },
        kind: of_doc(&KINDS),
        output: Some(answered.text),
        answer: answered.answer,
        score,
        calls: answered.calls,
        prompt_bytes: prompt.as_ref().map(messages::bytes),
        ..Sample::default()
    })
}

/// What a model gave for a document.
struct Answered {
    text: String,
    /// What the filter extracted from it.
    answer: Option<String>,
    calls: u32,
    /// Whether the text is one of several candidates that were compared.
    is_choice: bool,
}

fn answered(line: &Object) -> Result<Answered> {
    let list = |field: &str| {
        let found = line.get(field).with_context(|| format!("expected a field `{field}`, found none"))?;
        found.as_array().filter(|list| !list.is_empty()).with_context(|| {
            format!("expected a list of outputs in `{field}`, found `{}`", excerpt(&found.to_string()))
        })
    };
    let (outputs, filtered) = (list("resps")?, list("filtered_resps")?);
    if let Some(weights) = filtered.iter().map(log_likelihood).collect::<Option<Vec<f64>>>() {
        let best = (0..weights.len()).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap_or_default();
        let text = argument(line, best, 1)
            .and_then(Value::as_str)
            .with_context(|| format!("expected the text of choice {best} in `arguments`, found none"))?;
        let text = text.trim().to_owned();
        let calls = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        return Ok(Answered { answer: Some(text.clone()), text, calls, is_choice: true });
    }
    let repeats = outputs[0].as_array().map_or(&outputs[..], Vec::as_slice);
    let texts: Vec<&str> = repeats.iter().filter_map(Value::as_str).collect();
    ensure!(
        outputs.len() == 1 && !texts.is_empty() && texts.len() == repeats.len(),
        "expected generated text, or choices with their likelihoods, in `resps`, found `{}`",
        excerpt(&line.get("resps").map(Value::to_string).unwrap_or_default())
    );
    let taken = filtered[0].as_str().or_else(|| filtered[0].as_array()?.first()?.as_str());
    // If a filter found nothing, the log counted the answer as wrong; the whole output is then the answer.
    let is_found = |answer: &&str| !answer.trim().is_empty() && *answer != "[invalid]";
    let answer = match taken.filter(is_found) {
        Some(taken) => (taken != texts[0]).then(|| taken.to_owned()),
        None => Some(texts[0].trim().to_owned()),
    };
    let calls = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    // The filter made one answer from several outputs; it stands for all of them.
    let text = match (texts.len(), &answer) {
        (1, _) | (_, None) => texts[0].to_owned(),
        (_, Some(answer)) => answer.clone(),
    };
    Ok(Answered { text, answer, calls, is_choice: false })
}

/// The log-likelihood of a choice, from a pair that also says whether it is the likeliest text.
fn log_likelihood(output: &Value) -> Option<f64> {
    let pair = output.as_array()?;
    let [first, second] = [pair.first()?, pair.get(1)?];
    let number = first.as_f64().or_else(|| first.as_str()?.parse().ok())?;
    let is_truth = second.is_boolean() || matches!(second.as_str(), Some("True" | "False" | "true" | "false"));
    is_truth.then_some(number)
}

/// The text of the choice with the target's number.
fn choice(line: &Object, target: &str) -> Option<String> {
    argument(line, target.trim().parse().ok()?, 1)?.as_str().map(|text| text.trim().to_owned())
}

/// An argument of a request, in the form `{"gen_args_0": {"arg_0": ...}}` or as a list of lists.
fn argument(line: &Object, request: usize, place: usize) -> Option<&Value> {
    match line.get("arguments")? {
        Value::Object(requests) => requests.get(&format!("gen_args_{request}"))?.get(format!("arg_{place}")),
        Value::Array(requests) => requests.get(request)?.get(place),
        _ => None,
    }
}

/// Parses a chat prompt, which the log contains as text.
fn chat(prompt: Value) -> Value {
    let parsed = prompt.as_str().filter(|text| text.starts_with("[{")).and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or(prompt)
}

/// A description of how the outputs were sampled.
fn settings(generation: &Value) -> String {
    let number = |field: &str| generation.get(field).and_then(Value::as_f64);
    let temperature = number("temperature").filter(|_| generation.get("do_sample") != Some(&Value::Bool(false)));
    let temperature = temperature.map(|temperature| format!(", temperature {temperature}"));
    let longest = number("max_gen_toks").map(|tokens| format!(", at most {tokens} tokens"));
    [temperature, longest].into_iter().flatten().collect()
}

/// What the file name says: `samples_TASK_TIME.jsonl`.
fn task_and_time(path: &Path) -> (String, Option<String>) {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = stem.strip_prefix("samples_").unwrap_or(&stem);
    let is_time = |time: &str| time.starts_with(|letter: char| letter.is_ascii_digit()) && time.contains('T');
    match name.rsplit_once('_').filter(|(task, time)| !task.is_empty() && is_time(time)) {
        Some((task, time)) => (task.to_owned(), Some(time.to_owned())),
        None => (name.to_owned(), None),
    }
}
