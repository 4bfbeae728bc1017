//! What a run is allowed to use. Run folders are passed on to others. So if only the folder names a server, it does not get the
//! user's key, and if only the folder names a program, it does not run with the user's rights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::host::Host;
use super::models::defined;
use super::run_file::RunFile;
use super::{Settings, Started};
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;
use crate::model::Definitions;
use crate::model::openai::{EndpointConfig, KEY_VARIABLES};
use crate::operation::{Catalogue, Program};

/// What settings ask for that a stranger must not get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Where requests go, and the key with them.
    endpoint: Option<String>,
    /// Where the keys of `[[model]]` tables go.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    models: BTreeSet<Sent>,
    python: Option<PathBuf>,
    allow_unsandboxed: bool,
    /// Programs of `command` operators.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    programs: BTreeSet<Program>,
}

/// A key and the server that it goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Sent {
    /// The environment variable that holds it.
    key_env: String,
    /// The base URL of the server that gets it.
    to: String,
}

impl Rights {
    /// What these settings ask for, with the operators of `catalogue`.
    ///
    /// # Errors
    /// The endpoint has no URL.
    pub fn of(settings: &Settings, catalogue: &Catalogue) -> Result<Self> {
        let defined = &defined(settings, catalogue);
        let programs = catalogue.programs().into_iter().map(|(_, program)| program).collect();
        let endpoint = settings.endpoint.is_used().then(|| settings.endpoint.base_url()).transpose()?;
        let models = sent(defined)?;
        let (python, allow_unsandboxed) = (settings.python.clone(), settings.allow_unsandboxed);
        Ok(Rights { endpoint, models, python, allow_unsandboxed, programs })
    }
}

/// Where the keys of models go.
fn sent(defined: &Definitions) -> Result<BTreeSet<Sent>> {
    let mut all = BTreeSet::new();
    for (name, definition) in defined {
        let Some(key_env) = &definition.key_env else { continue };
        for url in definition.servers() {
            let to = at(url).base_url().with_context(|| definition.describe(name))?;
            all.insert(Sent { key_env: key_env.clone(), to });
        }
    }
    Ok(all)
}

fn at(url: &str) -> EndpointConfig {
    EndpointConfig { url: Some(url.to_owned()), ..EndpointConfig::default() }
}

/// The settings of the run `origin`, as far as the user allows them: what the user named too, or everything in a run
/// that was made here. Other people's programs run confined or not at all. `catalogue` holds the run's operators and
/// may define models.
///
/// # Errors
/// The run names a server that would get a key, or a program. The error says what to type.
pub fn admit(mut settings: Settings, catalogue: &Catalogue, origin: &Path, host: &Host) -> Result<Settings> {
    let own = &host.own;
    let defined = defined(&settings, catalogue);
    let asks = !host.key.is_absent() && settings.endpoint.is_used() && settings.traces.is_none();
    let is_key_safe = !asks || settings.endpoint.shares_server(&own.endpoint)?;
    let astray = if settings.traces.is_none() { astray(&defined, host)? } else { None };
    let is_program_own = settings.python.is_none() || settings.python == own.python;
    let is_confined = !settings.allow_unsandboxed || own.allow_unsandboxed;
    let stranger = stranger(&settings, catalogue, own.runs_commands);
    let is_own = is_key_safe && astray.is_none() && is_program_own && is_confined && stranger.is_none();
    if is_own || is_made_here(&settings, catalogue, origin, host) {
        return Ok(settings);
    }
    let origin = origin.display();
    let unknown = "and nothing records that this run was made here";
    if !is_key_safe {
        let url = settings.endpoint.base_url()?;
        ensure!(
            is_key_safe,
            "`{origin}` names the endpoint `{url}`, {unknown}: it does not get your key; hint: if you trust that server, say \
             `--endpoint {url}`, or unset the key"
        );
    }
    if let Some((name, Sent { key_env, to })) = astray {
        bail!(
            "model `{name}` of `{origin}` would send your {key_env} to `{to}`, {unknown}: it does not get that key; hint: if \
             you trust that server, say `--send-key {key_env}={to}`, or unset {key_env}"
        );
    }
    if let Some((name, Program { words, is_trusted, .. })) = stranger {
        let words = words.join(" ");
        ensure!(
            !is_trusted,
            "operator `{name}` of `{origin}` would run `{words}` with your rights (`trusted = true`), {unknown}: only your own \
             catalogue may say so; hint: train with such a catalogue on this machine"
        );
        bail!(
            "operator `{name}` of `{origin}` would run the program `{words}`, {unknown}: it is not run; hint: \
             `--run-commands` if you trust it, and it runs confined"
        );
    }
    if let Some(python) = settings.python.as_ref().filter(|_| !is_program_own) {
        let python = python.display();
        ensure!(
            is_program_own,
            "`{origin}` names the program `{python}`, {unknown}: it is not run; hint: `--python {python}` if you trust it, \
             or `--python python3`"
        );
    }
    settings.allow_unsandboxed &= own.allow_unsandboxed;
    Ok(settings)
}

/// The first model that would send a key of this host to a server that the user did not name for it.
fn astray(defined: &Definitions, host: &Host) -> Result<Option<(String, Sent)>> {
    let mut allowed = sent(&host.own.models)?;
    let keys = host.own.keys.iter();
    allowed.extend(keys.map(|(key_env, url)| Sent { key_env: key_env.clone(), to: url.clone() }));
    // The key given by flags goes to their endpoint anyway.
    let usual = host.own.endpoint.base_url()?;
    allowed.extend(KEY_VARIABLES.map(|key_env| Sent { key_env: key_env.to_owned(), to: usual.clone() }));
    for (name, definition) in defined {
        for Sent { key_env, to } in sent(&[(name.clone(), definition.clone())].into())? {
            let server = at(&to);
            let mut is_allowed = host.key_of(&key_env).is_absent();
            for other in allowed.iter().filter(|other| other.key_env == key_env) {
                is_allowed |= at(&other.to).shares_server(&server)?;
            }
            if !is_allowed {
                return Ok(Some((name.clone(), Sent { key_env, to })));
            }
        }
    }
    Ok(None)
}

/// The first program that would run without the user's permission; programs with the user's rights come first.
fn stranger(settings: &Settings, catalogue: &Catalogue, runs_commands: bool) -> Option<(String, Program)> {
    if settings.traces.is_some() {
        return None;
    }
    let mut programs = catalogue.programs();
    programs.sort_by_key(|(_, program)| !program.is_trusted);
    let mut strangers = programs.into_iter().filter(|(_, program)| program.is_trusted || !runs_commands);
    strangers.next().map(|(name, program)| (name.to_owned(), program))
}

/// Registers that a run was made here.
///
/// # Errors
/// There is no state folder, or it cannot be written. The run then counts as somebody else's.
pub fn record(started: &Started, settings: &Settings, host: &Host) -> Result<()> {
    let Some(path) = place(&started.id, host) else { return Ok(()) };
    path.parent().map(create_folder).transpose()?;
    let catalogue = settings.catalogue(&settings.benchmark()?)?;
    write_atomic(&path, serde_json::to_string_pretty(&Rights::of(settings, &catalogue)?)?.as_bytes())
}

fn is_made_here(settings: &Settings, catalogue: &Catalogue, origin: &Path, host: &Host) -> bool {
    let recorded = || -> Option<Rights> {
        let run = RunFile::read(&RunFile::folder_of(origin)?).ok()?;
        let record = std::fs::read(place(&run.started.id, host)?).ok()?;
        serde_json::from_slice(&record).ok()
    };
    // If the id alone decided, others could change what the run asks for.
    recorded().is_some_and(|recorded| Rights::of(settings, catalogue).is_ok_and(|asked| asked == recorded))
}

/// The file that registers a run.
fn place(id: &str, host: &Host) -> Option<PathBuf> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(host.state_folder.as_ref().filter(|_| is_id)?.join("runs").join(format!("{id}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::openai::Key;
    use crate::settings::{Own, Preset};

    const STOP: &str = "[[operator]]\nname = \"Stop\"\nkind = \"stop\"\ndescription = \"Ends.\"\n";

    fn at(url: &str) -> EndpointConfig {
        EndpointConfig { url: Some(url.into()), model: Some("m".into()), ..EndpointConfig::default() }
    }

    /// A catalogue with a model `large` whose key goes to `url`.
    fn with_model(url: &str) -> Catalogue {
        let model = "[[model]]\nname = \"large\"\nmodel = \"l\"\nkey_env = \"LARGE_KEY\"\n";
        Catalogue::parse(format!("{STOP}{model}endpoint = \"{url}\"\n"), "c.toml").expect("a sound catalogue")
    }

    fn nobody() -> Catalogue {
        Catalogue::parse(STOP.into(), "c.toml").expect("a sound catalogue")
    }

    fn host(own: Own, state: &Path) -> Host {
        let key = Key::new(Some("sk-secret-secret".into()));
        let variable = |name: &str| (name == "LARGE_KEY").then(|| "sk-large-secret".to_owned());
        Host { key, own, variable: Some(variable), state_folder: Some(state.to_owned()), ..Host::default() }
    }

    #[track_caller]
    fn check(settings: &Settings, own: Own, expected: Option<&str>) {
        check_of(settings, &nobody(), own, expected);
    }

    #[track_caller]
    fn check_of(settings: &Settings, catalogue: &Catalogue, own: Own, expected: Option<&str>) {
        let nowhere = Path::new("somewhere");
        let found =
            admit(settings.clone(), catalogue, nowhere, &host(own, nowhere)).err().map(|error| error.to_string());
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) if found.contains(expected) => {}
            _ => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    #[test]
    fn a_key_goes_where_the_user_sends_it() {
        let run = |url: &str| Settings { endpoint: at(url), ..Preset::default().settings() };
        let own = |url: &str| Own { endpoint: at(url), ..Own::default() };
        check(&run("https://here.org/v1"), own("https://here.org/other"), None);
        for (named, expected) in [
            ("https://there.org/v1", "`--endpoint https://there.org/v1`"),
            ("http://here.org/v1", "`--endpoint http://here.org/v1`"),
            ("https://here.org:8443/v1", "`--endpoint https://here.org:8443/v1`"),
            ("https://here.org.there.org", "does not get your key"),
        ] {
            check(&run(named), own("https://here.org/v1"), Some(expected));
        }
        check(&Preset::default().settings(), Own::default(), None);
    }

    #[test]
    fn the_key_of_a_model_goes_where_the_user_sends_it() -> Result<()> {
        let run = Preset::default().settings();
        let to = |url: &str| Own { keys: vec![("LARGE_KEY".into(), url.into())], ..Own::default() };
        let there = with_model("https://there.org/v1");
        let hint = Some(
            "model `large` of `somewhere` would send your LARGE_KEY to `https://there.org/v1`, and nothing records",
        );
        check_of(&run, &there, Own::default(), hint);
        check_of(
            &run,
            &there,
            Own::default(),
            Some("hint: if you trust that server, say `--send-key LARGE_KEY=https://there"),
        );
        check_of(&run, &there, to("https://there.org"), None);
        for other in ["https://here.org", "http://there.org", "https://there.org:444"] {
            check_of(&run, &there, to(other), hint);
        }
        let another = Own { keys: vec![("SMALL_KEY".into(), "https://there.org".into())], ..Own::default() };
        check_of(&run, &there, another, hint);
        // The user's own settings define the same model and so name the server. A model that is only recorded is never
        // asked.
        let own = Own { models: there.models().clone(), ..Own::default() };
        check_of(&run, &there, own, None);
        let recorded = Settings { traces: Some("t.jsonl".into()), ..run.clone() };
        check_of(&recorded, &there, Own::default(), None);
        // A run's settings can define models too. A key that is not set cannot be sent.
        let run = Settings { models: there.models().clone(), ..run };
        check_of(&run, &nobody(), Own::default(), hint);
        let nowhere = Path::new("somewhere");
        let keyless = Host { variable: None, ..host(Own::default(), nowhere) };
        assert!(admit(run, &nobody(), nowhere, &keyless).is_ok());
        Ok(())
    }

    #[test]
    fn programs_of_others_run_only_where_the_user_names_them() {
        let python = || Some(PathBuf::from("/there/python"));
        let run = Settings { python: python(), ..Preset::default().settings() };
        check(&run, Own::default(), Some("`--python /there/python`"));
        check(&run, Own { python: python(), ..Own::default() }, None);
        let unconfined = Settings { allow_unsandboxed: true, ..Preset::default().settings() };
        for allowed in [false, true] {
            let own = Own { allow_unsandboxed: allowed, ..Own::default() };
            let nowhere = Path::new("somewhere");
            let admitted =
                admit(unconfined.clone(), &nobody(), nowhere, &host(own, nowhere)).map(|s| s.allow_unsandboxed);
            assert_eq!(admitted.ok(), Some(allowed));
        }
    }

    #[test]
    fn commands_of_others_run_only_where_the_user_says_so() {
        let with = |settings: &str| {
            let command = "[[operator]]\nname = \"Look\"\nkind = \"command\"\ndescription = \"Looks.\"\n";
            Catalogue::parse(format!("{STOP}{command}command = [\"look\", \"-n\"]\n{settings}"), "c.toml")
                .expect("a sound catalogue")
        };
        let run = Preset::default().settings();
        let asked = Own { runs_commands: true, ..Own::default() };
        let refused = "operator `Look` of `somewhere` would run the program `look -n`, and nothing records";
        check_of(&run, &with(""), Own::default(), Some(refused));
        check_of(&run, &with(""), Own::default(), Some("hint: `--run-commands`"));
        check_of(&run, &with(""), asked.clone(), None);
        let trusted = "would run `look -n` with your rights (`trusted = true`)";
        check_of(&run, &with("trusted = true"), Own::default(), Some(trusted));
        check_of(&run, &with("trusted = true"), asked, Some(trusted));
        let recorded = Settings { traces: Some("t.jsonl".into()), ..run };
        check_of(&recorded, &with("trusted = true"), Own::default(), None);
    }

    #[test]
    fn a_run_that_was_made_here_has_its_way_until_somebody_changes_it() -> Result<()> {
        let place = tempfile::tempdir()?;
        let [state, folder] = ["state", "run"].map(|name| place.path().join(name));
        std::fs::create_dir(&folder)?;
        let settings = Settings { endpoint: at("https://there.org/v1"), ..Preset::default().settings() };
        let started = Started::new("train", Preset::default(), vec![0]);
        RunFile { started: started.clone(), settings: settings.clone(), gone: Vec::new() }.write(&folder)?;
        let (host, inside) = (host(Own::default(), &state), folder.join("seed-0/checkpoint.safetensors"));
        assert!(admit(settings.clone(), &nobody(), &folder, &host).is_err());
        record(&started, &settings, &host)?;
        assert!(admit(settings.clone(), &nobody(), &inside, &host).is_ok());
        assert!(
            admit(settings.clone(), &with_model("https://there.org"), &inside, &host).is_err(),
            "a model of others"
        );
        assert!(admit(settings.clone(), &nobody(), place.path(), &host).is_err());
        let changed = Settings { endpoint: at("https://elsewhere.org/v1"), ..settings.clone() };
        assert!(admit(changed, &nobody(), &folder, &host).is_err());
        let elsewhere = Host { state_folder: Some(place.path().join("other")), ..host };
        assert!(admit(settings, &nobody(), &folder, &elsewhere).is_err());
        Ok(())
    }
}
