//! `lamas doctor`: checks whether everything that a run needs works on this machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use super::config::Common;
use super::output::{message, say, say_json_lines};
use super::session::{host, runtime};
use crate::model::openai::{EndpointConfig, Key, OpenAi, is_of_key};
use crate::model::{LanguageModel, Message, Mode, Prices, Request, Role, Sampling, Store};
use crate::operation::Catalogue;
use crate::printable::printable;
use crate::sandbox::OpenError;
use crate::settings::{Host, Parts, Preset, Settings, database, defined, open_sandbox, prices};
use crate::task::Benchmark;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON instead of text lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// The state of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Works,
    /// Nothing that these settings name needs it.
    NotNeeded,
    Fails,
    /// Not tried, because something before it fails.
    Untried,
}

/// What was found out about a part.
#[derive(Debug, Serialize)]
struct Finding {
    part: String,
    state: State,
    says: String,
}

impl Finding {
    fn new(part: impl Into<String>, state: State, says: impl Into<String>) -> Self {
        Finding { part: part.into(), state, says: says.into() }
    }

    fn of(part: impl Into<String>, tried: Result<String>) -> Self {
        match tried {
            Ok(says) => Finding::new(part, State::Works, says),
            Err(error) => Finding::new(part, State::Fails, message(&error)),
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    let settings = args.common.resolve(Preset::default())?;
    let benchmark = settings.benchmark()?;
    let catalogue = settings.catalogue(&benchmark)?;
    let host = host();
    let runtime = runtime()?;
    let models = match settings.traces {
        None => runtime.block_on(models(&settings, &catalogue, &host)),
        Some(_) => Vec::new(),
    };
    let mut found = match settings.endpoint.is_used() && settings.traces.is_none() {
        true => runtime.block_on(endpoint(&settings, &host)),
        // Where each model has a finding of its own, only what goes wrong beside them is worth one.
        false if !models.is_empty() => {
            let fails = |finding: &Finding| finding.state == State::Fails;
            let is_told = models.iter().any(fails);
            [runtime.block_on(local(&settings, &host))].into_iter().filter(|it| fails(it) && !is_told).collect()
        }
        false => vec![runtime.block_on(local(&settings, &host))],
    };
    found.extend(models);
    found.extend(runtime.block_on(python(&settings, &benchmark, &catalogue)));
    found.push(device(&settings));
    found.push(cache(&settings, &host));
    found.push(Finding::of("disk", disk(host.cache_folder.as_deref())));
    if args.json {
        say_json_lines(&found)?;
    } else {
        let width = found.iter().map(|finding| finding.part.chars().count()).max().unwrap_or_default().max(9);
        for Finding { part, state, says } in &found {
            let state = match state {
                State::Works => "works",
                State::NotNeeded => "not needed",
                State::Fails => "FAILS",
                State::Untried => "not tried",
            };
            say(format_args!("{:<width$} {state:<11} {}", printable(part), printable(says)))?;
        }
    }
    let failing: Vec<&str> =
        found.iter().filter(|finding| finding.state == State::Fails).map(|finding| finding.part.as_str()).collect();
    ensure!(
        failing.is_empty(),
        "expected everything that is needed to work, found that this does not: {}",
        failing.join(", ")
    );
    Ok(())
}

/// Checks the endpoint, the key, the model and its price with one short question.
async fn endpoint(settings: &Settings, host: &Host) -> Vec<Finding> {
    let price = prices(settings.prices.as_deref()).and_then(|prices| price(&settings.endpoint, &prices));
    // The question is asked even if the price is unknown.
    let config = EndpointConfig { attempts: 1, price: Some(0.0), ..settings.endpoint.clone() };
    let asked = ask(config, &host.key).await;
    let key = if host.key.is_absent() { "none, and none is needed" } else { "accepted" };
    let (url, name) = (settings.endpoint.base_url().unwrap_or_default(), settings.endpoint.model.as_deref());
    let untried = |part| Finding::new(part, State::Untried, "");
    let is_there = || Finding::new("endpoint", State::Works, format!("`{url}`"));
    let mut found = match asked {
        Ok(seconds) => vec![
            is_there(),
            Finding::new("key", State::Works, key),
            Finding::new("model", State::Works, format!("`{}`, {seconds:.2} s", name.unwrap_or_default())),
        ],
        Err(Fault { part: "endpoint", error }) => {
            vec![Finding::of("endpoint", Err(error)), untried("key"), untried("model")]
        }
        Err(Fault { part: "key", error }) => vec![is_there(), Finding::of("key", Err(error)), untried("model")],
        Err(Fault { part, error }) => vec![is_there(), untried("key"), Finding::of(part, Err(error))],
    };
    found.push(Finding::of("price", price));
    found
}

/// Checks the models that operators may name, each server with one short question.
async fn models(settings: &Settings, catalogue: &Catalogue, host: &Host) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, model) in defined(settings, catalogue) {
        let key = model.key_env.as_deref().map(|variable| (variable, host.key_of(variable)));
        for url in model.servers() {
            let answer = match &key {
                Some((variable, key)) if key.is_absent() => {
                    Err(anyhow!("expected its key in {variable}, found none; hint: `export {variable}=KEY`"))
                }
                key => {
                    let base = settings.endpoint.clone();
                    let config = EndpointConfig { attempts: 1, price: Some(0.0), ..model.config(&base, url) };
                    let key = key.as_ref().map_or_else(Key::default, |(_, key)| key.clone());
                    ask(config, &key).await.map_err(|Fault { part, error }| error.context(format!("its {part}")))
                }
            };
            let line = answer.map(|seconds| format!("{url}, {seconds:.2} s"));
            found.push(Finding::of(format!("model {name}"), line.with_context(|| url.to_owned())));
        }
    }
    found
}

fn price(config: &EndpointConfig, prices: &Prices) -> Result<String> {
    if let Some(price) = config.price {
        return Ok(format!("{price} $ per million tokens, as set"));
    }
    let price = prices.of(config.model.as_deref().context("expected the name of a model, found none")?)?;
    Ok(format!("{} $ per million tokens read, {} $ written", price.prompt, price.completion))
}

/// Why a question could not be answered.
struct Fault {
    part: &'static str,
    error: anyhow::Error,
}

/// Asks one question; returns the seconds until it was answered.
async fn ask(config: EndpointConfig, key: &Key) -> Result<f64, Fault> {
    let fault = |part| move |error| Fault { part, error };
    let client = OpenAi::new(config, key.clone(), &Prices::default()).map_err(fault("model"))?;
    client.reach().await.map_err(|error| fault("endpoint")(error.into()))?;
    let content = "Reply with the number alone: what is 6 times 7?".to_owned();
    let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_tokens: 16, stop: Vec::new() };
    let messages = vec![Message { role: Role::User, content }];
    let request = Request { model: String::new(), messages, sampling, sample: 0 };
    let started = Instant::now();
    match client.complete(&request).await {
        Ok(_) => Ok(started.elapsed().as_secs_f64()),
        Err(error) if is_of_key(&error) => Err(fault("key")(error.into())),
        Err(error) if error.is_outside() => Err(fault("endpoint")(error.into())),
        Err(error) => Err(fault("model")(error.into())),
    }
}

/// Opens the model of this process, or what replaces it, with everything that it needs.
async fn local(settings: &Settings, host: &Host) -> Finding {
    // Python has findings of its own.
    let settings = Settings { allow_unsandboxed: true, cache_mode: Some(Mode::Off), ..settings.clone() };
    let opened = Parts::open(&settings, host).await;
    if opened.as_ref().is_err_and(|error| error.is::<OpenError>()) {
        return Finding::new("model", State::Untried, "");
    }
    Finding::of(
        "model",
        opened.map(|parts| match &settings.traces {
            None => {
                let ids = parts.recordings.iter().map(|recording| format!("`{}`", recording.id()));
                ids.collect::<Vec<_>>().join(", ")
            }
            Some(traces) => format!("outputs recorded in `{}`", traces.display()),
        }),
    )
}

/// Python and the sandbox that it runs in.
async fn python(settings: &Settings, benchmark: &Benchmark, catalogue: &Catalogue) -> [Finding; 2] {
    let operators = if settings.traces.is_some() { String::new() } else { catalogue.needs_python().join(", ") };
    let lacking = |says: String| match benchmark.needs_python() {
        true => (State::Fails, format!("{says}; the benchmark needs it for grading")),
        false if operators.is_empty() => (State::NotNeeded, says),
        false => (State::Fails, format!("{says}; operators that need it: {operators}")),
    };
    match open_sandbox(settings.python.as_deref(), settings.allow_unsandboxed).await {
        Ok((sandbox, warning)) => {
            let confined = if sandbox.mounts() { "with their own file system" } else { "watched files" };
            let says = warning.unwrap_or_else(|| format!("programs are confined, {confined}"));
            let python = settings.python.clone().unwrap_or_else(|| PathBuf::from("python3"));
            [
                Finding::new("python", State::Works, format!("`{}`", python.display())),
                Finding::new("sandbox", State::Works, says),
            ]
        }
        Err(error @ OpenError::NoPython(_)) => {
            let (state, says) = lacking(error.to_string());
            [Finding::new("python", state, says), Finding::new("sandbox", State::Untried, "")]
        }
        Err(error @ OpenError::Unconfined(_)) => {
            let (state, says) = lacking(error.to_string());
            [Finding::new("python", State::Works, ""), Finding::new("sandbox", state, says)]
        }
    }
}

fn device(settings: &Settings) -> Finding {
    let opened = settings.device().and_then(|device| Ok((device, device.open()?)));
    Finding::of("device", opened.map(|(device, (_, found))| found.unwrap_or_else(|| format!("device: {device}"))))
}

/// Where completions are recorded.
fn cache(settings: &Settings, host: &Host) -> Finding {
    let is_built_in = settings.local_model().is_none() && !settings.endpoint.is_used();
    let is_off = settings.cache_mode == Some(Mode::Off) || is_built_in && settings.cache.is_none();
    if is_off || settings.traces.is_some() {
        return Finding::new("cache", State::NotNeeded, "completions are not recorded");
    }
    let open = || -> Result<String> {
        let path = database(settings.cache.as_deref(), host.cache_folder.as_deref())?;
        match settings.cache_mode {
            Some(Mode::Replay) => Store::open_existing(&path)?,
            _ => Store::open(&path)?,
        };
        Ok(format!("`{}`", path.display()))
    };
    Finding::of("cache", open())
}

/// Writes to the folders where runs, programs and data are kept.
fn disk(cache_folder: Option<&Path>) -> Result<String> {
    const SIZE: usize = 1 << 20;
    let (here, scratch) = (PathBuf::from("."), std::env::temp_dir());
    for folder in [Some(here.as_path()), Some(scratch.as_path()), cache_folder].into_iter().flatten() {
        let write = || -> Result<()> {
            // A cache folder is created by the first command that needs it.
            let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
            let mut file = tempfile::tempfile_in(there)?;
            file.write_all(&vec![1; SIZE])?;
            Ok(file.sync_all()?)
        };
        write().with_context(|| format!("cannot write a megabyte in `{}`", folder.display()))?;
    }
    Ok("this folder, the scratch folder and the cache folder are writable".to_owned())
}
