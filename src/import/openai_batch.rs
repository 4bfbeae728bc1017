//! Files of the OpenAI batch API: requests and responses, joined by `custom_id`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::json::{self, Object};
use super::options::{Input, Options};
use super::source::{Sample, Source, Sources};
use super::{messages, names};

type Lines = Vec<(String, Object)>;

/// A file of requests.
struct Requests<'a> {
    input: &'a Input,
    /// By `custom_id`, with their positions.
    by_id: BTreeMap<String, (String, Object)>,
}

/// Reads the files. Each file of responses belongs to the file of requests at the same position among those, or to the
/// only one.
pub(super) fn read(options: &Options, sources: &mut Sources) -> Result<()> {
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    for input in &options.files {
        let lines = json::lines(&input.path, "a request or a response of the batch API")?;
        let place = || lines.first().map_or(String::new(), |(place, _)| place.clone());
        let has = |field: &str| lines.iter().any(|(_, line)| line.contains_key(field));
        match (has("body"), has("response")) {
            (true, false) => requests.push((input, lines)),
            (false, true) => responses.push((input, lines)),
            _ => bail!("{}: expected requests (with `body`) or responses (with `response`)", place()),
        }
    }
    ensure!(!responses.is_empty(), "expected a file of responses (an output file of the batch API), found none");
    ensure!(
        requests.len() <= 1 || requests.len() == responses.len(),
        "expected one file of requests, or one for each of {} files of responses, found {}; hint: give them in the same order",
        responses.len(),
        requests.len()
    );
    let requests: Vec<Requests<'_>> = requests
        .into_iter()
        .map(|(input, lines)| Ok(Requests { input, by_id: by_id(input, lines)? }))
        .collect::<Result<_>>()?;
    for (place, (input, lines)) in responses.into_iter().enumerate() {
        let asked = requests.get(place.min(requests.len().saturating_sub(1)));
        let source = source(input, lines, asked, &mut sources.notes)?;
        sources.sources.push(source);
    }
    Ok(())
}

fn by_id(input: &Input, lines: Lines) -> Result<BTreeMap<String, (String, Object)>> {
    let mut requests = BTreeMap::new();
    for (place, line) in lines {
        let id = json::id(&line, "custom_id").with_context(|| place.clone())?;
        if let Some((first, _)) = requests.insert(id.clone(), (place.clone(), line)) {
            bail!(
                "{place}: expected a unique `custom_id` in `{}`, found `{id}` of {first} again",
                input.path.display()
            );
        }
    }
    Ok(requests)
}

fn source(input: &Input, lines: Lines, requests: Option<&Requests<'_>>, notes: &mut Vec<String>) -> Result<Source> {
    let path = &input.path;
    let (mut samples, mut model, mut failed, mut orphans) = (Vec::new(), None, 0, 0);
    for (place, line) in lines {
        let read = || -> Result<_> {
            let id = json::id(&line, "custom_id")?;
            let request = requests.and_then(|requests| requests.by_id.get(&id)).map(|(_, request)| request);
            let Some(body) = answered(&line)? else { return Ok((None, None, request.is_some())) };
            let asked = request.and_then(|request| request.get("body"));
            let named = |body: Option<&Value>| body?.get("model")?.as_str().map(str::to_owned);
            let model = named(asked).or_else(|| named(Some(body)));
            Ok((Some(sample(id, body, asked)?), model, request.is_some()))
        };
        let (sample, named, is_known) = read().with_context(|| place.clone())?;
        orphans += usize::from(requests.is_some() && !is_known);
        failed += usize::from(sample.is_none());
        model = model.or(named);
        samples.extend(sample.map(|sample| Sample { place, ..sample }));
    }
    if failed > 0 {
        notes.push(format!("`{}`: {failed} requests that failed are left out", path.display()));
    }
    if orphans > 0 {
        let asked = requests.context("responses without requests")?.input;
        notes.push(format!("`{}`: {orphans} responses have no request in `{}`", path.display(), asked.path.display()));
    }
    let mut parts: Vec<String> = model.iter().map(|model| names::last(model)).collect();
    parts.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    parts.extend(names::folders(path));
    let operator = input.operator.clone().or_else(|| requests.and_then(|requests| requests.input.operator.clone()));
    let description = format!("Answers of {}.", model.as_deref().unwrap_or("a model"));
    Ok(Source { operator, parts, task: None, model, description, path: path.display().to_string(), samples })
}

/// The body of a response; `None` if the request failed.
fn answered(line: &Object) -> Result<Option<&Value>> {
    if line.get("error").is_some_and(|error| !error.is_null()) {
        return Ok(None);
    }
    let response = line.get("response").filter(|response| response.is_object());
    let response = response.context("expected an object in `response`, found none")?;
    let is_done = response.get("status_code").and_then(Value::as_u64).is_none_or(|status| status == 200);
    let body = response.get("body").filter(|body| body.is_object());
    if !is_done {
        return Ok(None);
    }
    body.map(Some).context("expected an object in `body` of `response`, found none")
}

fn sample(id: String, body: &Value, asked: Option<&Value>) -> Result<Sample> {
    let prompt = asked.and_then(|asked| ["messages", "input", "prompt"].into_iter().find_map(|field| asked.get(field)));
    let usage = body.get("usage").and_then(Value::as_object);
    // The names in chat completions, then those in responses.
    let tokens = |names: [&str; 2]| -> Result<Option<u64>> {
        let Some(usage) = usage else { return Ok(None) };
        Ok(json::count(usage, names[0])?.or(json::count(usage, names[1])?))
    };
    let output = output(body);
    ensure!(
        output.is_some() || body.get("choices").is_some() || body.get("output").is_some(),
        "expected the body of a chat completion, a completion or a response, found neither `choices` nor `output`"
    );
    let instructions = asked.and_then(|asked| asked.get("instructions")).map_or(0, messages::bytes);
    Ok(Sample {
        id,
        question: prompt.and_then(messages::question),
        output,
        calls: 1,
        prompt_bytes: prompt.map(|prompt| messages::bytes(prompt) + instructions),
        prompt_tokens: tokens(["prompt_tokens", "input_tokens"])?,
        tokens: tokens(["completion_tokens", "output_tokens"])?,
        ..Sample::default()
    })
}

/// The text of the answer.
fn output(body: &Value) -> Option<String> {
    if let Some(choice) = body.get("choices").and_then(|choices| choices.get(0)) {
        let text = || choice.get("text").and_then(Value::as_str).map(str::to_owned);
        return choice.get("message").and_then(|message| messages::content(message.get("content")?)).or_else(text);
    }
    let items = body.get("output")?.as_array()?;
    let texts: Vec<String> = items.iter().filter_map(|item| messages::content(item.get("content")?)).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}
