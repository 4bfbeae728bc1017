//! What a run may make use of. The user's key goes to no server, and no program runs with the user's rights, that nobody but
//! a folder names: folders are passed on.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::host::Host;
use super::run_file::RunFile;
use super::{Settings, Started};
use crate::checkpoint::write_atomic;
use crate::disk::create_folder;

/// What settings ask for that a stranger must not get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Where requests go, with the key.
    endpoint: Option<String>,
    python: Option<PathBuf>,
    allow_unsandboxed: bool,
}

impl Rights {
    /// What these settings ask for.
    ///
    /// # Errors
    /// The endpoint has no URL.
    pub fn of(settings: &Settings) -> Result<Self> {
        let endpoint = settings.endpoint.is_used().then(|| settings.endpoint.base_url()).transpose()?;
        Ok(Rights { endpoint, python: settings.python.clone(), allow_unsandboxed: settings.allow_unsandboxed })
    }
}

/// The settings of a run, `origin`, as far as the user lets it have its way: what the user named as well, or all of a run
/// that was made here. Programs of others run confined or not at all.
///
/// # Errors
/// The run names an endpoint that would get the key, or a program; what to type is said.
pub fn admit(mut settings: Settings, origin: &Path, host: &Host) -> Result<Settings> {
    let own = &host.own;
    let asks = !host.key.is_absent() && settings.endpoint.is_used() && settings.traces.is_none();
    let is_key_safe = !asks || settings.endpoint.shares_server(&own.endpoint)?;
    let is_program_own = settings.python.is_none() || settings.python == own.python;
    let is_confined = !settings.allow_unsandboxed || own.allow_unsandboxed;
    if is_key_safe && is_program_own && is_confined || is_made_here(&settings, origin, host) {
        return Ok(settings);
    }
    let origin = origin.display();
    let unknown = "and no record of yours says that it was made here";
    if !is_key_safe {
        let url = settings.endpoint.base_url()?;
        ensure!(
            is_key_safe,
            "`{origin}` names the endpoint `{url}`, {unknown}: it does not get your key; hint: if you trust that server, say \
             `--endpoint {url}`, or unset the key"
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

/// Takes note that a run was made here.
///
/// # Errors
/// There is no state folder, or it cannot be written: the run is then taken for somebody else's.
pub fn record(started: &Started, settings: &Settings, host: &Host) -> Result<()> {
    let Some(path) = place(&started.id, host) else { return Ok(()) };
    path.parent().map(create_folder).transpose()?;
    write_atomic(&path, serde_json::to_string_pretty(&Rights::of(settings)?)?.as_bytes())
}

fn is_made_here(settings: &Settings, origin: &Path, host: &Host) -> bool {
    let recorded = || -> Option<Rights> {
        let run = RunFile::read(&RunFile::folder_of(origin)?).ok()?;
        let record = std::fs::read(place(&run.started.id, host)?).ok()?;
        serde_json::from_slice(&record).ok()
    };
    // The id alone would let others change what the run asks for.
    recorded().is_some_and(|recorded| Rights::of(settings).is_ok_and(|asked| asked == recorded))
}

/// Where a run is recorded.
fn place(id: &str, host: &Host) -> Option<PathBuf> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(host.state_folder.as_ref().filter(|_| is_id)?.join("runs").join(format!("{id}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::openai::{EndpointConfig, Key};
    use crate::settings::{Own, Preset};

    fn at(url: &str) -> EndpointConfig {
        EndpointConfig { url: Some(url.into()), model: Some("m".into()), ..EndpointConfig::default() }
    }

    fn host(own: Own, state: &Path) -> Host {
        let key = Key::new(Some("sk-secret-secret".into()));
        Host { key, own, state_folder: Some(state.to_owned()), ..Host::default() }
    }

    #[track_caller]
    fn check(settings: &Settings, own: Own, expected: Option<&str>) {
        let nowhere = Path::new("somewhere");
        let found = admit(settings.clone(), nowhere, &host(own, nowhere)).err().map(|error| error.to_string());
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
    fn programs_of_others_run_only_where_the_user_names_them() {
        let python = || Some(PathBuf::from("/there/python"));
        let run = Settings { python: python(), ..Preset::default().settings() };
        check(&run, Own::default(), Some("`--python /there/python`"));
        check(&run, Own { python: python(), ..Own::default() }, None);
        let unconfined = Settings { allow_unsandboxed: true, ..Preset::default().settings() };
        for allowed in [false, true] {
            let own = Own { allow_unsandboxed: allowed, ..Own::default() };
            let nowhere = Path::new("somewhere");
            let admitted = admit(unconfined.clone(), nowhere, &host(own, nowhere)).map(|s| s.allow_unsandboxed);
            assert_eq!(admitted.ok(), Some(allowed));
        }
    }

    #[test]
    fn a_run_that_was_made_here_has_its_way_until_somebody_changes_it() -> Result<()> {
        let place = tempfile::tempdir()?;
        let [state, folder] = ["state", "run"].map(|name| place.path().join(name));
        std::fs::create_dir(&folder)?;
        let settings = Settings { endpoint: at("https://there.org/v1"), ..Preset::default().settings() };
        let started = Started::new("train", Preset::default(), vec![0]);
        RunFile { started: started.clone(), settings: settings.clone(), gone: Vec::new() }.write(&folder)?;
        let host = host(Own::default(), &state);
        assert!(admit(settings.clone(), &folder, &host).is_err());
        record(&started, &settings, &host)?;
        assert!(admit(settings.clone(), &folder.join("seed-0/checkpoint.safetensors"), &host).is_ok());
        assert!(admit(settings.clone(), place.path(), &host).is_err());
        let changed = Settings { endpoint: at("https://elsewhere.org/v1"), ..settings.clone() };
        assert!(admit(changed, &folder, &host).is_err());
        let elsewhere = Host { state_folder: Some(place.path().join("other")), ..host };
        assert!(admit(settings, &folder, &elsewhere).is_err());
        Ok(())
    }
}
