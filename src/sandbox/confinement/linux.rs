//! Confinement by the Linux kernel: namespaces, Landlock, resource limits, seccomp. Each holds for an ordinary user and
//! for root, and none can be undone.

use anyhow::{Context, Result, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    make_bitflags, path_beneath_rules,
};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use super::{Confinement, syscalls};

/// Where the dynamic loader and the libraries are; folders that a machine lacks are passed over.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store"];
/// What else programs read.
const SYSTEM: [&str; 5] = ["/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/zero", "/dev/random", "/dev/urandom"];
/// Files open at once.
const OPEN_FILES: u64 = 64;

/// Restricts this process as far as a program that a model wrote must be.
pub(super) fn confine(confinement: &Confinement) -> Result<()> {
    end_with_parent(confinement.parent)?;
    // Takes root's powers away and the network; many machines do not allow it. What must hold holds without it.
    let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC);
    restrict_files(confinement).context("Landlock")?;
    let filter = syscalls::filter().context("seccomp")?;
    limit_resources(confinement).context("resource limits")?;
    seccompiler::apply_filter(&filter).context("seccomp")
}

fn end_with_parent(parent: u32) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let found = getppid().as_raw();
    ensure!(i64::from(found) == i64::from(parent), "expected process {parent} as the parent, found {found}");
    Ok(())
}

/// Reads of the Python installation and the system's libraries, files in the scratch folder, nothing else. Making folders,
/// links, devices and sockets is not among it.
fn restrict_files(confinement: &Confinement) -> Result<()> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile});
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(&confinement.readable, read))?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        // The loader is executed from there.
        .add_rules(path_beneath_rules(LIBRARIES, read | AccessFs::Execute))?
        .add_rules(path_beneath_rules([&confinement.executable], read | AccessFs::Execute))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate))?
        .add_rules(path_beneath_rules([&confinement.scratch], write))?
        .restrict_self()?;
    ensure!(status.ruleset != RulesetStatus::NotEnforced, "expected a kernel that has it switched on, found none");
    Ok(())
}

fn limit_resources(confinement: &Confinement) -> Result<()> {
    let limits = &confinement.limits;
    let seconds = limits.seconds.ceil().max(1.0) as u64;
    let settings = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_NOFILE, OPEN_FILES),
        (Resource::RLIMIT_FSIZE, limits.file_size),
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_AS, limits.memory),
    ];
    for (resource, value) in settings {
        // One second of CPU time more turns a signal that can be ignored into one that cannot.
        let hard = if resource == Resource::RLIMIT_CPU { value + 1 } else { value };
        setrlimit(resource, value, hard).with_context(|| format!("{resource:?}"))?;
    }
    Ok(())
}
