//! Warns if a run is used with something that it was not trained with.

use std::path::Path;

use super::Settings;
use super::models::defined;
use crate::model::Definition;
use crate::operation::{Catalogue, Operation, Operator};
use crate::task::Benchmark;

/// A warning for each thing that is another than the run, `origin`, was trained with: the benchmark, the model, the
/// operators of the benchmark's folder. `catalogue` are those of the run, which it keeps.
pub fn drift(
    run: &Settings,
    now: &Settings,
    catalogue: &Catalogue,
    benchmark: &Benchmark,
    origin: &Path,
) -> Vec<String> {
    let trained = format!("warning: `{}` was trained", origin.display());
    let (mut found, is_same) = (Vec::new(), same_benchmark(run, now));
    if !is_same {
        found.push(format!("{trained} on {}, and is used on {}", benchmark_of(run), benchmark_of(now)));
    }
    let models = [run, now].map(|settings| model_of(settings, catalogue));
    if models[0] != models[1] {
        found.push(format!("{trained} with {}, and is used with {}", models[0], models[1]));
    }
    let differ = if is_same { edited(catalogue, now, benchmark) } else { Ok(Vec::new()) };
    match differ {
        Ok(differ) if differ.is_empty() => {}
        Ok(differ) => found.push(format!(
            "{trained} with other operators than `{}` has now: {}; it keeps its own",
            benchmark.folder(),
            differ.join(", ")
        )),
        Err(error) => found.push(format!("{trained} with operators of its own; the catalogue now: {error:#}")),
    }
    found
}

/// Whether both are on one benchmark, however it is spelled.
pub fn same_benchmark(run: &Settings, now: &Settings) -> bool {
    let place = |settings: &Settings| settings.benchmark.as_ref().and_then(|path| path.canonicalize().ok());
    run.benchmark == now.benchmark || place(run).is_some() && place(run) == place(now)
}

fn benchmark_of(settings: &Settings) -> String {
    settings.benchmark.as_ref().map_or("the built-in workload".to_owned(), |path| format!("`{}`", path.display()))
}

fn model_of(settings: &Settings, catalogue: &Catalogue) -> String {
    let (endpoint, defined) = (&settings.endpoint, defined(settings, catalogue));
    match (&settings.traces, settings.local_model()) {
        (Some(traces), _) => format!("the outputs recorded in `{}`", traces.display()),
        (None, _) if endpoint.is_used() => {
            let url = endpoint.base_url().unwrap_or_default();
            format!("model `{}` at `{url}`", endpoint.model.as_deref().unwrap_or_default())
        }
        (None, Some(model)) => format!("the model `{}`", model.display()),
        (None, None) if defined.is_empty() => "the built-in model".to_owned(),
        (None, None) => {
            let shown = |(name, model): (&String, &Definition)| format!("`{name}` ({})", model.place());
            defined.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Operators that are not what they were, each with what became of it. Those that need Python may have been left out.
fn edited(catalogue: &Catalogue, now: &Settings, benchmark: &Benchmark) -> anyhow::Result<Vec<String>> {
    let now = now.catalogue(benchmark)?;
    let named = |operators: &[Operator], name: &str| operators.iter().position(|operator| operator.name == name);
    let mut found = Vec::new();
    for was in described(catalogue) {
        let name = &was.0.name;
        match named(now.operators(), name).and_then(|at| described(&now).nth(at)) {
            Some(same) if same == was => {}
            Some(other) => found.push(format!("`{name}` ({})", changes(was, other).join(", "))),
            None => found.push(format!("`{name}` (gone)")),
        }
    }
    let needs_python = now.needs_python();
    let new = now.operators().iter().map(|operator| operator.name.as_str());
    let new = new.filter(|name| named(catalogue.operators(), name).is_none() && !needs_python.contains(name));
    found.extend(new.map(|name| format!("`{name}` (new)")));
    Ok(found)
}

fn described(catalogue: &Catalogue) -> impl Iterator<Item = (&Operator, &Operation)> {
    catalogue.operators().iter().zip(catalogue.operations())
}

fn changes(was: (&Operator, &Operation), now: (&Operator, &Operation)) -> Vec<&'static str> {
    let settings = was.1 != now.1;
    let (was, now) = (was.0, now.0);
    let differ = [
        ("kind", was.kind != now.kind),
        ("prompt", was.prompt != now.prompt),
        ("description", was.description != now.description),
        ("model", was.model != now.model),
        ("hedge", (was.hedge, &was.hedge_with) != (now.hedge, &now.hedge_with)),
        ("settings", was.kind == now.kind && settings),
        ("temperature", was.temperature != now.temperature),
        ("max_tokens", was.max_tokens != now.max_tokens),
    ];
    let named: Vec<&str> = differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    if named.is_empty() { vec!["sampling or tools"] } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::openai::EndpointConfig;
    use crate::settings::Preset;

    #[test]
    fn what_is_another_is_named() -> anyhow::Result<()> {
        let benchmark = Benchmark::open(None)?;
        let text = Catalogue::load(benchmark.folder(), &benchmark.catalogue)?.text().to_owned();
        let check = |change: fn(&mut Settings), edit: fn(String) -> String, expected: &[&str]| -> anyhow::Result<()> {
            let run = Preset::default().settings();
            let mut now = run.clone();
            change(&mut now);
            let catalogue = Catalogue::parse(edit(text.clone()), "the run")?;
            let found = drift(&run, &now, &catalogue, &benchmark, Path::new("runs/a"));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with("warning: `runs/a` was trained") && found.contains(expected), "{found}");
            }
            Ok(())
        };
        check(|_| (), |text| text, &[])?;
        check(
            |now| now.benchmark = Some("gsm8k".into()),
            |text| text,
            &["the built-in workload, and is used on `gsm8k`"],
        )?;
        check(
            |now| now.model = Some("m.gguf".into()),
            |text| text,
            &["the built-in model, and is used with the model `m.gguf`"],
        )?;
        check(
            |now| now.endpoint = EndpointConfig { model: Some("m".into()), ..EndpointConfig::default() },
            |text| text,
            &["is used with model `m` at `"],
        )?;
        check(|_| (), |text| text.replacen("prompt = \"", "prompt = \"Now: ", 1), &["(prompt)"])?;
        check(|_| (), |text| text.replacen("samples = 3", "samples = 4", 1), &["`MultiGenerateCoT` (settings)"])?;
        check(
            |_| (),
            |text| text.replacen("name = \"Generate\"", "name = \"Guess\"", 1),
            &["`Guess` (gone), `Generate` (new)"],
        )
    }
}
