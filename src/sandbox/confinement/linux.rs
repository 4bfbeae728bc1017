//! Confinement by the Linux kernel: namespaces, Landlock, resource limits, seccomp. Each works for ordinary users and
//! for root, and none can be undone.

use std::fs;

use anyhow::{Context, Result, ensure};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    make_bitflags, path_beneath_rules,
};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getegid, geteuid, getppid};

use super::{Confinement, syscalls};

/// Where the dynamic loader and the libraries are. Folders that do not exist on a machine are skipped.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store"];
/// Other files that programs read.
const SYSTEM: [&str; 5] = ["/etc/ld.so.cache", "/usr/share/zoneinfo", "/dev/zero", "/dev/random", "/dev/urandom"];
/// A user and a group without rights.
const NOBODY: u32 = 65534;
/// Maximum number of open files.
const OPEN_FILES: u64 = 64;

/// Restricts this process as much as a model-written program must be restricted.
pub(super) fn confine(confinement: &Confinement) -> Result<()> {
    end_with_parent(confinement.parent)?;
    // Takes away root's powers and the network. Many machines do not allow this; the guarantees do not depend on it.
    let (user, group) = (geteuid(), getegid());
    let is_nobody = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC).is_ok();
    if confinement.mounts {
        if is_nobody {
            name_user(user, group).context("user namespace")?;
        }
        mount_scratch(confinement).context("mount namespace")?;
    }
    restrict_files(confinement).context("Landlock")?;
    let filter = syscalls::filter(confinement.mounts).context("seccomp")?;
    limit_resources(confinement).context("resource limits")?;
    seccompiler::apply_filter(&filter).context("seccomp")
}

fn end_with_parent(parent: u32) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let found = getppid().as_raw();
    ensure!(i64::from(found) == i64::from(parent), "expected process {parent} as the parent, found {found}");
    Ok(())
}

/// Gives the user an identity in the new namespace, since no file can be created there without one. It is not root's,
/// so what is executed has no powers in the namespace.
fn name_user(user: Uid, group: Gid) -> Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{NOBODY} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{NOBODY} {group} 1"))?;
    Ok(())
}

/// Mounts a file system of the limits' size on the scratch folder, for this process alone, and moves the folder's files
/// into it.
fn mount_scratch(confinement: &Confinement) -> Result<()> {
    let Confinement { scratch, limits, .. } = confinement;
    let mut files = Vec::new();
    for entry in fs::read_dir(scratch)? {
        let path = entry?.path();
        files.push((fs::read(&path)?, path));
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // One more for the folder itself.
    let options = format!("size={},nr_inodes={},mode=700", limits.disk, limits.files + 1);
    mount(Some("tmpfs"), scratch.as_path(), Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(&*options))?;
    for (text, path) in files {
        fs::write(path, text)?;
    }
    // The old folder lies under the mount.
    std::env::set_current_dir(scratch)?;
    Ok(())
}

/// Allows reading the Python installation and the system's libraries, and using files and folders in the scratch
/// folder, nothing else. Making links, devices and sockets is not allowed.
fn restrict_files(confinement: &Confinement) -> Result<()> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | MakeDir | RemoveDir | Refer});
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
        // Exceeding a CPU limit sends a signal that can be ignored; one second later the kernel sends one that cannot.
        let hard = if resource == Resource::RLIMIT_CPU { value + 1 } else { value };
        setrlimit(resource, value, hard).with_context(|| format!("{resource:?}"))?;
    }
    Ok(())
}
