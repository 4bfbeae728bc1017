//! The system calls that a program may make. To all others the kernel answers that there is no such function.
//!
//! A program cannot create processes or threads, open sockets, touch other processes, or change a file's owner, mode or time. The
//! list does not include io_uring, which could bypass it, or anything that later kernels add.

use std::collections::BTreeMap;

use anyhow::Result;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Allowed with any arguments.
#[rustfmt::skip]
const ALLOWED: &[i64] = &[
    // Files that are already open, or that Landlock permits.
    libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_write, libc::SYS_writev,
    libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_lseek, libc::SYS_close, libc::SYS_close_range, libc::SYS_dup,
    libc::SYS_dup3, libc::SYS_pipe2, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_fstatfs,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_readlinkat, libc::SYS_getcwd, libc::SYS_chdir,
    libc::SYS_fchdir, libc::SYS_getdents64, libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat2,
    libc::SYS_ftruncate, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_flock, libc::SYS_fadvise64, libc::SYS_sendfile,
    // Waiting.
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_eventfd2, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_getitimer, libc::SYS_setitimer,
    // Memory.
    libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise, libc::SYS_brk,
    // Signals to itself.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend, libc::SYS_rt_sigtimedwait, libc::SYS_sigaltstack, libc::SYS_restart_syscall,
    // This process and the machine.
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getpgid,
    libc::SYS_getsid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getresuid,
    libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrusage, libc::SYS_times,
    libc::SYS_sched_getaffinity, libc::SYS_sched_yield, libc::SYS_getcpu, libc::SYS_clock_gettime,
    libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_getrandom,
    // The C library. Landlock decides what may be executed: Python, which is already confined.
    libc::SYS_execve, libc::SYS_futex, libc::SYS_set_tid_address, libc::SYS_set_robust_list, libc::SYS_rseq,
    libc::SYS_membarrier,
    // The two ends of an event loop's pipe.
    libc::SYS_recvfrom, libc::SYS_getsockname, libc::SYS_getsockopt, libc::SYS_shutdown,
];

/// Older forms of some of these, which only this architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const LEGACY: &[i64] = &[
    libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_dup2, libc::SYS_pipe,
    libc::SYS_getdents, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_renameat, libc::SYS_poll, libc::SYS_select,
    libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_alarm, libc::SYS_pause, libc::SYS_time,
    libc::SYS_getpgrp, libc::SYS_arch_prctl,
];
#[cfg(target_arch = "aarch64")]
const LEGACY: &[i64] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const LEGACY: &[i64] = &[];

/// Commands on an open file that affect no other process; `F_SETOWN` would make the kernel send signals.
#[rustfmt::skip]
const FILE_COMMANDS: &[i32] = &[
    libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_GETLK,
    libc::F_SETLK, libc::F_SETLKW, libc::F_GETPIPE_SZ,
];

/// Device requests that only query, or that concern this process's own descriptor.
const DEVICE_REQUESTS: &[libc::Ioctl] =
    &[libc::TCGETS, libc::TIOCGWINSZ, libc::FIOCLEX, libc::FIONCLEX, libc::FIONBIO, libc::FIONREAD];

/// The list as a program for the kernel. If the scratch folder is not a separate file system, files cannot be mapped so
/// that writes to memory reach them: nobody would see them grow.
pub(super) fn filter(is_mounted: bool) -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(LEGACY).map(|&number| (number, Vec::new())).collect();
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_kill, vec![when(0, SeccompCmpOp::Eq, own)?]);
    rules.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, own)?]);
    let any_of = |values: &mut dyn Iterator<Item = u64>| values.map(|value| when(1, SeccompCmpOp::Eq, value)).collect();
    let commands: Result<_> = any_of(&mut FILE_COMMANDS.iter().map(|&command| u64::from(command.unsigned_abs())));
    rules.insert(libc::SYS_fcntl, commands?);
    // In some C libraries a request is an `int`.
    #[allow(clippy::unnecessary_cast)]
    let requests: Result<_> = any_of(&mut DEVICE_REQUESTS.iter().map(|&request| request as u64));
    rules.insert(libc::SYS_ioctl, requests?);
    let kind = |value: i32| when(3, SeccompCmpOp::MaskedEq(libc::MAP_TYPE as u64), value as u64);
    let anonymous = when(3, SeccompCmpOp::MaskedEq(libc::MAP_ANONYMOUS as u64), libc::MAP_ANONYMOUS as u64);
    // A readable mapping can later be made writable.
    let mappings = if is_mounted { Vec::new() } else { vec![kind(libc::MAP_PRIVATE)?, anonymous?] };
    rules.insert(libc::SYS_mmap, mappings);
    // Reading a limit, not setting one.
    rules.insert(libc::SYS_prlimit64, vec![null(2)?]);
    // Older Landlock versions do not notice that this empties a file.
    let reads_without_emptying = |flags| -> Result<Vec<SeccompRule>> {
        let mask = SeccompCmpOp::MaskedEq(libc::O_TRUNC as u64);
        let writes = |mode: i32| when(flags, SeccompCmpOp::MaskedEq(libc::O_ACCMODE as u64), mode as u64);
        Ok(vec![when(flags, mask, 0)?, writes(libc::O_WRONLY)?, writes(libc::O_RDWR)?])
    };
    rules.insert(libc::SYS_openat, reads_without_emptying(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, reads_without_emptying(1)?);
    rules.insert(libc::SYS_socketpair, vec![when(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64)?]);
    // Only to the other end, not to an address.
    rules.insert(libc::SYS_sendto, vec![null(4)?]);
    let no_such_function = SeccompAction::Errno(libc::ENOSYS as u32);
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, no_such_function, SeccompAction::Allow, architecture)?.try_into()?)
}

/// Allows a call if its argument compares so in the lower 32 bits, which are all that the kernel looks at here.
fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])?)
}

/// Allows a call whose argument is a null pointer.
fn null(argument: u8) -> Result<SeccompRule> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?)
}
