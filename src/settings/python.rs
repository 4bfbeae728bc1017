//! Opens the sandbox for Python if something needs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Settings;
use crate::operation::{Catalogue, Program};
use crate::sandbox::{Launch, OpenError, Options, Sandbox};
use crate::task::{Benchmark, FinishConfig};

/// What plans can be made of on this machine.
pub(super) struct Equipped {
    pub catalogue: Catalogue,
    pub sandbox: Option<Arc<Sandbox>>,
    pub remark: Option<String>,
}

/// Opens the sandbox if an operator or the grading needs it. Without Python, the operators that need it are left out,
/// and so is a finish that uses one of them; a remark says so. If the catalogue must stay as it is, that is an error
/// instead.
///
/// # Errors
/// Something that cannot be left out needs Python, programs cannot be confined and running them unconfined is not
/// allowed, or a command's program does not exist.
pub(super) async fn equip(
    settings: &Settings,
    benchmark: &mut Benchmark,
    catalogue: Catalogue,
    is_fixed: bool,
) -> Result<Equipped> {
    let equipped = with_sandbox(settings, benchmark, catalogue, is_fixed).await?;
    if settings.traces.is_none() {
        find_programs(settings, &equipped.catalogue)?;
    }
    Ok(equipped)
}

async fn with_sandbox(
    settings: &Settings,
    benchmark: &mut Benchmark,
    catalogue: Catalogue,
    is_fixed: bool,
) -> Result<Equipped> {
    // Recorded operators run nothing, and their answers may already have been graded.
    let is_recorded = settings.traces.is_some();
    let needing = if is_recorded { String::new() } else { catalogue.needs_python().join(", ") };
    if needing.is_empty() && !benchmark.needs_python() {
        return Ok(Equipped { catalogue, sandbox: None, remark: None });
    }
    match open_sandbox(settings.python.as_deref(), settings.allow_unsandboxed).await {
        Ok((sandbox, remark)) => Ok(Equipped { catalogue, sandbox: Some(Arc::new(sandbox)), remark }),
        Err(OpenError::NoPython(_)) if is_recorded => Ok(Equipped { catalogue, sandbox: None, remark: None }),
        Err(error @ OpenError::NoPython(_)) if !is_fixed && !benchmark.needs_python() => {
            let remark = Some(format!("operators left out of the catalogue: {needing} ({error})"));
            let stays = |finish: &FinishConfig| !catalogue.needs_python().contains(&finish.operator.as_str());
            benchmark.finish = benchmark.finish.take().filter(stays);
            let origin = format!("{}/{} without Python", benchmark.folder(), benchmark.catalogue);
            Ok(Equipped { catalogue: catalogue.without_python(&origin)?, sandbox: None, remark })
        }
        Err(error) if benchmark.needs_python() => {
            Err(error).with_context(|| format!("benchmark `{}` is graded by running Python", benchmark.name))
        }
        Err(error) => Err(error).with_context(|| format!("operators {needing} run Python")),
    }
}

/// Looks for the programs of all commands and for what they read, so that mistakes are reported before the first paid call.
fn find_programs(settings: &Settings, catalogue: &Catalogue) -> Result<()> {
    for (name, Program { words, read, .. }) in catalogue.programs() {
        let read: Vec<PathBuf> = read.into_iter().map(PathBuf::from).collect();
        let launch = Launch { words: &words, folder: catalogue.folder(), read: &read };
        let found = launch.check(settings.python.as_deref());
        found.with_context(|| format!("command of operator `{name}`"))?;
    }
    Ok(())
}

/// Opens a sandbox for `python` (`python3` if absent), with a warning if it confines nothing.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_sandbox(
    python: Option<&Path>,
    allow_unsandboxed: bool,
) -> Result<(Sandbox, Option<String>), OpenError> {
    let options = Options { python: python.map(Path::to_owned), helper: None, allow_unsandboxed };
    let sandbox = Sandbox::open(&options).await?;
    let warning = "warning: programs that the model writes run without a sandbox, with your rights";
    let remark = (!sandbox.is_confined()).then(|| warning.to_owned());
    Ok((sandbox, remark))
}
