//! Settings for a trained run: its own, overridden by the settings file and the flags.

use std::path::Path;

use anyhow::{Context, Result};

use super::config::Common;
use super::session::host;
use crate::checkpoint::Checkpoint;
use crate::model::local::Variables;
use crate::model::openai::EndpointConfig;
use crate::operation::Catalogue;
use crate::settings::{Host, Own, Settings, admit, drift, of_checkpoint, same_benchmark};
use crate::task::Benchmark;

/// A run with everything needed to use it.
pub struct OfRun {
    pub settings: Settings,
    pub host: Host,
    /// The operators that it was trained for.
    pub catalogue: Catalogue,
}

impl OfRun {
    /// A checkpoint with its run's settings, unless others are given. Differences from training are reported on
    /// standard error.
    ///
    /// # Errors
    /// The settings are invalid, or the run names something that the user must name: see [`admit`].
    pub fn new(common: &Common, checkpoint: &Checkpoint, origin: &Path) -> Result<Self> {
        let (run, gone) = of_checkpoint(checkpoint).with_context(|| format!("settings of `{}`", origin.display()))?;
        gone.iter().for_each(|gone| eprintln!("{gone}"));
        let own = common.own()?;
        let base = under(&run, &own);
        let mut settings = common.resolve_over(&base)?;
        let is_told = checkpoint.provenance.configuration.get("training").is_some();
        if !is_told || !same_benchmark(&run, &settings) {
            // The objective comes from the benchmark, except for what is given explicitly.
            let mut base = base;
            base.training.objective = benchmark(&settings, origin)?.reward.objective();
            settings = common.resolve_over(&base)?;
        }
        let host = host_of(&own, common);
        let text = checkpoint.provenance.catalogue.clone();
        let catalogue = Catalogue::parse(text, &format!("{} (catalogue)", origin.display()))?;
        let settings = admit(settings, &catalogue, origin, &host)?;
        if is_told {
            let warnings = drift(&run, &settings, &catalogue, &benchmark(&settings, origin)?, origin);
            warnings.iter().for_each(|warning| eprintln!("{warning}"));
        }
        Ok(OfRun { settings, host, catalogue })
    }
}

/// The benchmark of a run. The run may name it by a path relative to where it was started.
fn benchmark(settings: &Settings, origin: &Path) -> Result<Benchmark> {
    settings.benchmark().with_context(|| {
        let named = settings.benchmark.as_deref().unwrap_or(Path::new("")).display();
        format!(
            "`{}` is used on the benchmark `{named}`; hint: name its folder with `--benchmark DIR`",
            origin.display()
        )
    })
}

/// The host for a run that is resumed or used, with what the user asks for in `own`.
pub fn host_of(own: &Settings, common: &Common) -> Host {
    let Settings { endpoint, models, python, allow_unsandboxed, .. } = own.clone();
    Host {
        own: Own {
            endpoint,
            models,
            keys: common.keys().to_vec(),
            python,
            allow_unsandboxed,
            runs_commands: common.runs_commands(),
        },
        ..host()
    }
}

/// A run's settings for another process, which may name a different model than the run does.
fn under(run: &Settings, own: &Settings) -> Settings {
    let mut base = run.clone();
    // A limit on what training may spend does not apply to this process.
    (base.endpoint.max_cost, base.endpoint.max_tokens) = (None, None);
    if own.model.is_some() || own.endpoint.is_used() || !own.models.is_empty() {
        base.traces = None;
    }
    if own.endpoint.is_used() {
        (base.model, base.template, base.dtype, base.context) = (None, Variables::new(), None, None);
        if own.endpoint.model.is_some() && own.endpoint.model != base.endpoint.model {
            base.endpoint.price = None;
        }
    } else if own.model.is_some() {
        base.endpoint = EndpointConfig::default();
        if own.model != base.model {
            (base.template, base.dtype, base.context) = (Variables::new(), None, None);
        }
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Preset;

    #[test]
    fn another_model_takes_the_place_of_all_that_the_run_says_of_its_own() {
        let none = Preset::default().settings();
        let at = |model: &str, price| EndpointConfig {
            url: Some("http://a".into()),
            model: Some(model.into()),
            price,
            max_cost: Some(1.0),
            ..EndpointConfig::default()
        };
        let remote = Settings { endpoint: at("m", Some(2.0)), ..none.clone() };
        let local = Settings { model: Some("a.gguf".into()), traces: Some("a.jsonl".into()), ..none.clone() };
        let check = |run: &Settings, own: &Settings, expected: (Option<&str>, Option<&str>, Option<f64>, bool)| {
            let found = under(run, own);
            let model = found.model.as_deref().and_then(Path::to_str);
            let EndpointConfig { model: remote, price, max_cost, .. } = &found.endpoint;
            assert_eq!((model, remote.as_deref(), *price, found.traces.is_some()), expected);
            assert_eq!(*max_cost, None);
        };
        check(&remote, &none, (None, Some("m"), Some(2.0), false));
        check(&remote, &local, (None, None, None, false));
        check(&remote, &Settings { endpoint: at("n", None), ..none.clone() }, (None, Some("m"), None, false));
        check(&remote, &Settings { endpoint: at("m", None), ..none.clone() }, (None, Some("m"), Some(2.0), false));
        check(&local, &none, (Some("a.gguf"), None, None, true));
        check(&local, &remote, (None, None, None, false));
    }
}
