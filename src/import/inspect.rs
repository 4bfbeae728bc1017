//! Logs of Inspect: one JSON object, or a zip archive with one file for each sample.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::json::{self, Object, written};
use super::options::{Input, Options};
use super::source::{Sample, Source, Sources, excerpt};
use super::{archive, messages, names};

/// A log with its samples, each with its position.
struct Log {
    /// Everything except the samples.
    header: Object,
    samples: Vec<(String, Object)>,
}

/// Reads the files; each holds the outputs of one setting on one task.
pub(super) fn read(options: &Options, sources: &mut Sources) -> Result<()> {
    for input in &options.files {
        let log = open(&input.path)?;
        let source = source(input, log, options.metric.as_deref(), &mut sources.notes)?;
        sources.sources.push(source);
    }
    Ok(())
}

fn open(path: &Path) -> Result<Log> {
    let mut start = [0; 2];
    let begins = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    begins.with_context(|| format!("cannot read `{}`", path.display()))?;
    if &start == b"PK" { of_archive(path) } else { of_json(path) }
}

fn of_json(path: &Path) -> Result<Log> {
    let expected = || format!("{}: expected a log of Inspect (an object with `eval` and `samples`)", path.display());
    let mut header = json::parse(&json::text(path)?).with_context(expected)?;
    let Some(Value::Array(found)) = header.remove("samples") else {
        bail!("{}, found no `samples`; hint: a log that holds only its header has none", expected());
    };
    let mut samples = Vec::with_capacity(found.len());
    for (number, sample) in (1..).zip(found) {
        let place = format!("{}: sample {number}", path.display());
        match sample {
            Value::Object(sample) => samples.push((place, sample)),
            other => bail!("{place}: expected an object, found `{}`", excerpt(&other.to_string())),
        }
    }
    Ok(Log { header, samples })
}

fn of_archive(path: &Path) -> Result<Log> {
    const HEADERS: [&str; 2] = ["header.json", "_journal/start.json"];
    let is_sample = |name: &str| name.starts_with("samples/") && name.ends_with(".json");
    let texts = archive::texts(path, |name| HEADERS.contains(&name) || is_sample(name))?;
    let read = |(name, text): &(String, String)| {
        let place = format!("{}: {name}", path.display());
        json::parse(text).with_context(|| format!("{place}: expected an object")).map(|object| (place, object))
    };
    // A run that was cut short has no header at its end.
    let header = HEADERS.iter().find_map(|wanted| texts.iter().find(|(name, _)| name == wanted));
    let header = header.with_context(|| {
        format!("{}: expected a log of Inspect, found an archive without `header.json`", path.display())
    })?;
    let samples = texts.iter().filter(|(name, _)| is_sample(name)).map(read).collect::<Result<_>>()?;
    Ok(Log { header: read(header)?.1, samples })
}

fn source(input: &Input, log: Log, scorer: Option<&str>, notes: &mut Vec<String>) -> Result<Source> {
    let Input { operator, path } = input;
    let Log { header, samples: logged } = log;
    let eval = header.get("eval").and_then(Value::as_object);
    let eval = eval.with_context(|| format!("{}: expected a log of Inspect, found no `eval`", path.display()))?;
    let text = |field: &str| eval.get(field).and_then(Value::as_str).map(str::to_owned);
    let (model, task) = (text("model"), text("task"));
    let is_failed = |sample: &Object| sample.get("error").is_some_and(|error| !error.is_null());
    let failed = logged.iter().filter(|(_, sample)| is_failed(sample)).count();
    let mut samples = Vec::new();
    let mut scorers = BTreeSet::new();
    for (place, object) in logged.into_iter().filter(|(_, sample)| !is_failed(sample)) {
        let read = sample(object, model.as_deref(), scorer, &mut scorers).with_context(|| place.clone())?;
        samples.push(Sample { place, ..read });
    }
    if failed > 0 {
        notes.push(format!("`{}`: {failed} samples that ended in an error are left out", path.display()));
    }
    let status = header.get("status").and_then(Value::as_str).filter(|status| *status != "success");
    notes.extend(status.map(|status| format!("`{}`: the log ended with `{status}`", path.display())));
    let scored = scorers.into_iter().collect::<Vec<_>>().join("`, `");
    notes.push(match scored.is_empty() {
        true => format!("`{}`: not scored", path.display()),
        false => format!("`{}`: scored by `{scored}`", path.display()),
    });
    let generation = |field: &str| {
        let configs = [eval.get("model_generate_config"), header.get("plan").and_then(|plan| plan.get("config"))];
        configs.into_iter().flatten().find_map(|config| config.get(field)?.as_f64())
    };
    let temperature = generation("temperature");
    let settings = [
        temperature.map(|temperature| format!(", temperature {temperature}")),
        generation("max_tokens").map(|tokens| format!(", at most {tokens} tokens")),
    ];
    let mut parts: Vec<String> = model.iter().map(|model| names::last(model)).chain(task.clone()).collect();
    parts.extend(temperature.map(|temperature| format!("temperature {temperature}")));
    parts.extend(names::folders(path));
    parts.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    let [whose, what] = [&model, &task].map(|name| name.as_deref().unwrap_or("a task"));
    let settings: String = settings.into_iter().flatten().collect();
    let description = format!("Answers of {whose} to {what}{settings}.");
    let path = path.display().to_string();
    Ok(Source { operator: operator.clone(), parts, task, model, description, path, samples })
}

fn sample(object: Object, model: Option<&str>, scorer: Option<&str>, scorers: &mut BTreeSet<String>) -> Result<Sample> {
    let id = json::id(&object, "id")?;
    let part = |field: &str| resolved(object.get(field).unwrap_or(&Value::Null), object.get("attachments"));
    let (input, output, said) = (part("input"), part("output"), part("messages"));
    let said = said.as_array().map(Vec::as_slice).unwrap_or_default();
    let (answers, prompts): (Vec<&Value>, Vec<&Value>) =
        said.iter().partition(|message| message.get("role").and_then(Value::as_str) == Some("assistant"));
    let prompts: usize = prompts.into_iter().map(|message| messages::bytes(&Value::Array(vec![message.clone()]))).sum();
    let usages = object.get("model_usage").and_then(Value::as_object);
    let usage = usages.and_then(|usages| usages.get(model?)).or(output.get("usage")).and_then(Value::as_object);
    let of_usage = |field: &str| usage.map_or(Ok(None), |usage| json::count(usage, field));
    let cached = of_usage("input_tokens_cache_read")?.unwrap_or(0) + of_usage("input_tokens_cache_write")?.unwrap_or(0);
    let of_output = output.as_object().map_or(Ok(None), |output| json::amount(output, "time"))?;
    let worked = json::amount(&object, "working_time")?.or(json::amount(&object, "total_time")?);
    let (score, answer) = scored(&object, scorer, scorers)?;
    let targets = object.get("target").map(targets).unwrap_or_default();
    Ok(Sample {
        id,
        question: messages::question(&input).map(|question| format!("{question}{}", choices(&object))),
        // If several answers are right, the first is the reference; the scorer considered all of them.
        reference: targets.into_iter().find(|target| !target.trim().is_empty()),
        kind: object.get("metadata").and_then(|metadata| metadata.get("kind")?.as_str()).map(str::to_owned),
        number: Some(json::count(&object, "epoch")?.unwrap_or(1).saturating_sub(1)),
        output: completion(&output),
        answer,
        score,
        calls: u32::try_from(answers.len().max(1)).unwrap_or(u32::MAX),
        prompt_bytes: Some(if prompts > 0 { prompts } else { messages::bytes(&input) }),
        prompt_tokens: of_usage("input_tokens")?.map(|tokens| tokens + cached),
        tokens: of_usage("output_tokens")?,
        // For a single call, its own time; for several, the time of the sample without waiting.
        seconds: if answers.len() <= 1 { of_output.or(worked) } else { worked },
        cost: usage.map_or(Ok(None), |usage| json::amount(usage, "total_cost"))?,
        ..Sample::default()
    })
}

/// The last text of the model.
fn completion(output: &Value) -> Option<String> {
    let of_choice = || messages::content(output.get("choices")?.get(0)?.get("message")?.get("content")?);
    of_choice().or_else(|| output.get("completion").and_then(Value::as_str).map(str::to_owned))
}

fn targets(target: &Value) -> Vec<String> {
    match target {
        Value::Array(targets) => targets.iter().filter_map(written).collect(),
        other => written(other).into_iter().collect(),
    }
}

/// The choices below a question, with their letters.
fn choices(sample: &Object) -> String {
    let choices = sample.get("choices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lettered = ('A'..='Z').zip(choices.iter().filter_map(written));
    lettered.map(|(letter, choice)| format!("\n{letter}) {choice}")).collect()
}

/// The score of a sample by the requested scorer or the only one, and the answer that the scorer saw.
fn scored(
    sample: &Object,
    wanted: Option<&str>,
    scorers: &mut BTreeSet<String>,
) -> Result<(Option<f64>, Option<String>)> {
    let scores = sample.get("scores").and_then(Value::as_object);
    let Some(scores) = scores.filter(|scores| !scores.is_empty()) else { return Ok((None, None)) };
    let (scorer, key) = match wanted {
        Some(wanted) if !scores.contains_key(wanted) => {
            wanted.rsplit_once('/').map_or((Some(wanted), None), |(scorer, key)| (Some(scorer), Some(key)))
        }
        wanted => (wanted, None),
    };
    let found = match scorer {
        Some(scorer) => scores.get_key_value(scorer),
        None => scores.iter().next().filter(|_| scores.len() == 1),
    };
    let (name, score) = found.with_context(|| {
        let names: Vec<_> = scores.keys().map(|name| format!("`{name}`")).collect();
        let expected = scorer.map_or("one scorer".to_owned(), |scorer| format!("the scorer `{scorer}`"));
        format!("expected {expected}, found {}; hint: choose with `--metric NAME`", names.join(", "))
    })?;
    scorers.insert(wanted.unwrap_or(name).to_owned());
    let answer = score.get("answer").and_then(written).filter(|answer| !answer.trim().is_empty());
    let value = score.get("value").unwrap_or(&Value::Null);
    let value = match (key, value) {
        (Some(key), Value::Object(values)) => values.get(key).unwrap_or(&Value::Null),
        (None, Value::Object(values)) => {
            let keys: Vec<_> = values.keys().map(|key| format!("`{name}/{key}`")).collect();
            bail!("expected one score, found several; hint: choose with `--metric NAME`, one of {}", keys.join(", "))
        }
        (_, value) => value,
    };
    let score = match value {
        Value::Null => None,
        // The letters of Inspect: correct, partial, incorrect, no answer.
        Value::String(letter) => Some(match letter.as_str() {
            "C" => 1.0,
            "P" => 0.5,
            "I" | "N" => 0.0,
            other => json::score(&other.parse().map_or(Value::Null, Value::Bool), name).or_else(|error| {
                let number: Option<f64> = other.parse().ok();
                number
                    .filter(|number| (0.0..=1.0).contains(number))
                    .with_context(|| format!("{error} (`{}`)", excerpt(other)))
            })?,
        }),
        other => Some(json::score(other, name)?),
    };
    Ok((score, answer))
}

/// The value with its long texts put back in place; a log stores them separately.
fn resolved(value: &Value, attachments: Option<&Value>) -> Value {
    match value {
        Value::String(text) => {
            let stored = text.strip_prefix("attachment://").and_then(|key| attachments?.get(key)).cloned();
            stored.unwrap_or_else(|| value.clone())
        }
        Value::Array(values) => values.iter().map(|value| resolved(value, attachments)).collect(),
        Value::Object(values) => {
            let fields = values.iter().map(|(name, value)| (name.clone(), resolved(value, attachments)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}
