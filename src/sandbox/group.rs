//! The processes of a program, all in one group.

/// Kills all processes of a group.
pub(super) fn kill(leader: Option<u32>) {
    #[cfg(unix)]
    if let Some(leader) = leader.and_then(|pid| i32::try_from(pid).ok()) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL);
    }
    #[cfg(not(unix))]
    let _ = leader;
}

/// Waits until a child has ended.
pub(super) fn wait(child: Option<u32>) {
    #[cfg(target_os = "linux")]
    if let Some(pid) = child.and_then(|pid| i32::try_from(pid).ok()) {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let _ = waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = child;
}
