//! The system call filter: a short list of what a role needs, everything else is refused with EPERM.
//!
//! No socket, no file is ever opened: both come over the socket that the role was started with.

use crate::error::JailError;
use crate::{Class, Policy};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;

/// `_IOWR('f', 16, struct pm_scan_arg)`: lists the pages of this process in given states.
const PAGEMAP_SCAN: u64 = 0xC060_6610;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> JailError {
    JailError::Step {
        step: "build the system call filter",
        source: io::Error::other(source),
    }
}

fn is(argument: u8, len: Len, op: Op, value: u64) -> Result<SeccompCondition, JailError> {
    SeccompCondition::new(argument, len, op, value).map_err(broken)
}

fn all_of(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, JailError> {
    SeccompRule::new(conditions).map_err(broken)
}

/// One rule for each value that an argument may have.
fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, JailError> {
    values
        .iter()
        .map(|value| all_of(vec![is(argument, Len::Dword, Op::Eq, *value)?]))
        .collect()
}

fn number(value: i32) -> u64 {
    u64::from(value.unsigned_abs())
}

fn compile(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<BpfProgram, JailError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(broken)?;
    SeccompFilter::new(rules, otherwise, listed, arch)
        .and_then(TryInto::try_into)
        .map_err(broken)
}

fn errno(value: i32) -> SeccompAction {
    SeccompAction::Errno(value.unsigned_abs())
}

/// Calls that need no look at their arguments: they act on this process and on descriptors it already has.
const PLAIN: &[i64] = &[
    // descriptors it has
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // memory
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // threads
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // signals: the engine turns traps into errors
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // time and chance
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // about itself; the directory is always /
    libc::SYS_getrusage,
    libc::SYS_getcwd,
    libc::SYS_getpriority,
];

#[cfg(target_arch = "x86_64")]
const PLAIN_OF_ARCH: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_dup2,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const PLAIN_OF_ARCH: &[i64] = &[];

/// Which processes a number can name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// Its own threads alone: it has a process namespace.
    Own,
    /// Others too.
    All,
}

/// The filters of a role, to be installed in this order.
pub(crate) fn role(policy: &Policy, processes: Processes) -> Result<[BpfProgram; 2], JailError> {
    // clone3 hides its flags behind a pointer. ENOSYS makes the C library fall back to clone.
    let absent: Rules = [(libc::SYS_clone3, vec![])].into();
    let absent = compile(absent, SeccompAction::Allow, errno(libc::ENOSYS))?;

    let mut rules: Rules = PLAIN
        .iter()
        .chain(PLAIN_OF_ARCH)
        .map(|nr| (*nr, vec![]))
        .collect();
    rules.insert(libc::SYS_clone3, vec![]);
    rules.insert(libc::SYS_clone, threads_only()?);
    rules.insert(libc::SYS_mmap, mappings(policy.exec_memory)?);
    rules.insert(
        libc::SYS_mprotect,
        if policy.exec_memory {
            vec![]
        } else {
            vec![all_of(vec![not_executable()?])?]
        },
    );
    // A signal to itself: abort.
    rules.insert(libc::SYS_tgkill, one_of(0, &[u64::from(std::process::id())])?);
    // Only its own limits, and only to read them.
    let read_only = vec![is(0, Len::Dword, Op::Eq, 0)?, is(2, Len::Qword, Op::Eq, 0)?];
    rules.insert(libc::SYS_prlimit64, vec![all_of(read_only)?]);
    rules.insert(
        libc::SYS_prctl,
        one_of(0, &[number(libc::PR_SET_NAME), number(libc::PR_SET_VMA)])?,
    );
    rules.insert(
        libc::SYS_fcntl,
        one_of(
            1,
            &[
                libc::F_DUPFD,
                libc::F_DUPFD_CLOEXEC,
                libc::F_GETFD,
                libc::F_SETFD,
                libc::F_GETFL,
                libc::F_SETFL,
                libc::F_GET_SEALS,
            ]
            .map(number),
        )?,
    );
    let mut ioctls = vec![libc::FIOCLEX, libc::FIONCLEX, libc::FIONBIO];
    if policy.allow_pagemap_scan {
        ioctls.push(PAGEMAP_SCAN);
    }
    rules.insert(libc::SYS_ioctl, one_of(1, &ioctls)?);
    // A connected pair within the process, for the event loop to wake itself.
    rules.insert(libc::SYS_socketpair, one_of(0, &[number(libc::AF_UNIX)])?);
    if policy.class == Class::Sandbox {
        // The priority of threads with long calls is lowered, by another thread where that can hit no other process.
        let mut lowered = vec![is(0, Len::Dword, Op::Eq, 0)?];
        if processes == Processes::All {
            lowered.push(is(1, Len::Dword, Op::Eq, 0)?);
        }
        rules.insert(libc::SYS_setpriority, vec![all_of(lowered)?]);
    }
    if policy.class == Class::Signer {
        // Its journal is on disk before a signature leaves, and a torn end of it is cut off.
        rules.insert(libc::SYS_fdatasync, vec![]);
        rules.insert(libc::SYS_ftruncate, vec![]);
    }
    // The size of a file that it has: how the standard library and the engine ask for it. With a path beside the flag it
    // could ask for another file; an empty root has none, and elsewhere it learns that the file is there, not what is in it.
    let described = number(libc::AT_EMPTY_PATH);
    rules.insert(libc::SYS_statx, one_of(2, &[described])?);
    rules.insert(libc::SYS_newfstatat, one_of(3, &[described])?);
    let list = compile(rules, errno(libc::EPERM), SeccompAction::Allow)?;
    Ok([absent, list])
}

/// The shim only waits and ends.
pub(crate) fn shim() -> Result<BpfProgram, JailError> {
    let rules = [
        libc::SYS_wait4,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigreturn,
        libc::SYS_getpid,
        libc::SYS_exit_group,
        libc::SYS_restart_syscall,
    ]
    .map(|nr| (nr, vec![]));
    let mut rules: Rules = rules.into();
    rules.insert(libc::SYS_kill, one_of(0, &[u64::from(std::process::id())])?);
    compile(rules, errno(libc::EPERM), SeccompAction::Allow)
}

/// `clone` makes threads of this process and nothing else: no process, no namespace.
fn threads_only() -> Result<Vec<SeccompRule>, JailError> {
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_PTRACE,
        libc::CLONE_VFORK,
    ]
    .map(number)
    .iter()
    .fold(0, |all, flag| all | flag);
    let thread = [libc::CLONE_THREAD, libc::CLONE_VM, libc::CLONE_SIGHAND]
        .map(number)
        .iter()
        .fold(0, |all, flag| all | flag);
    let mask = Op::MaskedEq(namespaces | thread);
    Ok(vec![all_of(vec![is(0, Len::Qword, mask, thread)?])?])
}

fn not_executable() -> Result<SeccompCondition, JailError> {
    is(2, Len::Dword, Op::MaskedEq(number(libc::PROT_EXEC)), 0)
}

/// Private memory, and read-only views of descriptors that came over the socket. Shared anonymous memory is not
/// counted by RLIMIT_DATA, and a shared writable view would reach what others see.
fn mappings(exec_memory: bool) -> Result<Vec<SeccompRule>, JailError> {
    let shared = number(libc::MAP_SHARED);
    let anonymous = number(libc::MAP_ANONYMOUS);
    let kind = |value| is(3, Len::Dword, Op::MaskedEq(shared | anonymous), value);
    let mut rules = Vec::new();
    for private in [0, anonymous] {
        let mut conditions = vec![kind(private)?];
        if !exec_memory {
            conditions.push(not_executable()?);
        }
        rules.push(all_of(conditions)?);
    }
    let read_only = Op::MaskedEq(number(libc::PROT_WRITE | libc::PROT_EXEC));
    rules.push(all_of(vec![kind(shared)?, is(2, Len::Dword, read_only, 0)?])?);
    Ok(rules)
}
