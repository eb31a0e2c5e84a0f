//! Limits, ends and deaths: who dies with whom, and what the node sees of it.

use crate::role::{DEADLINE, Orders, ROLE, Role, say};
use neofn_jail::{Tier, probe};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Inside: the small tasks.
pub(crate) fn inside(task: &str) {
    match task {
        "idle" => {
            say("ready");
            loop {
                std::thread::park();
            }
        }
        "exit" => std::process::exit(7),
        // SAFETY: a write to no memory at all, on purpose.
        "crash" => unsafe { std::ptr::null_mut::<u8>().wrapping_add(1).write_volatile(1) },
        "burn" => {
            let mut n = 0u64;
            loop {
                n = std::hint::black_box(n.wrapping_add(1));
            }
        }
        "allocate" => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            for mebibytes in 0.. {
                let mut block = Vec::new();
                if block.try_reserve_exact(1 << 20).is_err() {
                    say(&mebibytes.to_string());
                    return;
                }
                block.resize(1 << 20, 1u8);
                held.push(block);
            }
        }
        "threads_max" => {
            let mut threads = Vec::new();
            while let Ok(thread) = std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(std::thread::park)
            {
                threads.push(thread);
                assert!(threads.len() < 10_000, "no limit");
            }
            say(&threads.len().to_string());
            threads.iter().for_each(|t| t.thread().unpark());
        }
        other => say(&format!("no such task: {other}")),
    }
}

/// A parent that starts a role and dies at once.
pub(crate) fn middle(mut orders: Orders) {
    orders.task = "idle".to_owned();
    // The role inherits standard input, which is the socket to the test.
    let role = Command::new(std::env::current_exe().unwrap())
        .env_clear()
        .env(ROLE, serde_json::to_string(&orders).unwrap())
        .spawn()
        .unwrap();
    let mut byte = [0u8];
    // SAFETY: the buffer is one byte; standard input is the socket. Waits for the test's word to die.
    unsafe { libc::read(0, byte.as_mut_ptr().cast(), 1) };
    drop(role);
}

pub(crate) fn compiler_limits() {
    let mut orders = Orders::new("burn");
    (orders.compiler, orders.cpu_seconds_max) = (true, Some(1));
    assert_eq!(Role::start(&orders).wait().signal(), Some(libc::SIGKILL));

    let mut orders = Orders::new("allocate");
    (orders.compiler, orders.data_bytes_max) = (true, Some(64 << 20));
    let got: u64 = Role::start(&orders).report().concat().parse().unwrap();
    assert!((32..64).contains(&got), "{got} MiB");

    if probe().tier == Tier::Namespaces {
        let got: u64 = Role::start(&Orders::new("threads_max"))
            .report()
            .concat()
            .parse()
            .unwrap();
        assert!((64..128).contains(&got), "{got} threads");
    }
}

pub(crate) fn forwarded() {
    for namespaces in [true, false] {
        let run = |task| Role::start(&Orders::new(task).layers(namespaces, true, true)).wait();
        assert_eq!(run("exit").code(), Some(7));
        assert_eq!(run("crash").signal(), Some(libc::SIGSEGV));
    }
}

fn child_of(pid: u32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("children of the shim: {children:?}"))
}

fn idle() -> Option<Role> {
    if probe().tier < Tier::Namespaces {
        eprintln!("this machine has no user namespaces: there is no shim");
        return None;
    }
    let mut role = Role::start(&Orders::new("idle"));
    assert_eq!(role.line().as_deref(), Some("ready"));
    Some(role)
}

pub(crate) fn kill_the_shim() {
    let Some(mut role) = idle() else { return };
    let inner = child_of(role.child.id());
    assert!(neofn_jail::resident_bytes(role.child.id()).unwrap() > 1 << 20);
    role.child.kill().unwrap();
    // The socket's other end is held by the inner process alone.
    assert_eq!(role.line(), None);
    gone(inner);
    assert_eq!(role.wait().signal(), Some(libc::SIGKILL));
}

pub(crate) fn kill_the_child() {
    let Some(mut role) = idle() else { return };
    // SAFETY: a child of our child, alive since it just spoke.
    unsafe { libc::kill(child_of(role.child.id()), libc::SIGKILL) };
    assert_eq!(role.wait().signal(), Some(libc::SIGKILL));
}

pub(crate) fn parent_dies() {
    for namespaces in [true, false] {
        let mut role = Role::start(&Orders::new("middle").layers(namespaces, true, true));
        assert_eq!(role.line().as_deref(), Some("ready"));
        std::io::Write::write_all(&mut role.socket, b"x").unwrap();
        // Only the orphans still hold the socket: its end is their end.
        assert_eq!(role.line(), None);
    }
}

/// Waits until a process has left the process table (or is a zombie that somebody else reaps).
fn gone(pid: i32) {
    let began = std::time::Instant::now();
    loop {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => assert!(began.elapsed() < DEADLINE, "{pid} lives: {stat}"),
            _ => return,
        }
        std::thread::yield_now();
    }
}

pub(crate) fn fails_closed() {
    let mut orders = Orders::new("tier").layers(false, false, true);
    orders.require = Tier::Landlock;
    let report = Role::start(&orders).report().concat();
    assert!(
        report.starts_with("error: the jail reaches tier seccomp, landlock is required"),
        "{report}"
    );
    let mut orders = Orders::new("tier").layers(false, true, true);
    orders.require = Tier::Namespaces;
    let report = Role::start(&orders).report().concat();
    assert!(
        report.contains("reaches tier landlock, namespaces is required"),
        "{report}"
    );
    orders.require = Tier::Landlock;
    assert_eq!(Role::start(&orders).report(), ["landlock"]);

    let mut weak = probe();
    weak.tier = Tier::Seccomp;
    let error = neofn_jail::require(&weak, Tier::Landlock, false).unwrap_err();
    assert_eq!(error.code, neofn_types::Code::JailTooWeak);
    assert_eq!(
        neofn_jail::require(&weak, Tier::Landlock, true).unwrap(),
        Tier::Seccomp
    );
}

pub(crate) fn refuses_threads() {
    let report = Role::start(&Orders::new("threads")).report();
    assert_eq!(
        report,
        ["confine while 2 threads run: it has to come first in main"]
    );
}

pub(crate) fn probe_is_harmless() {
    let status = || {
        let all = std::fs::read_to_string("/proc/self/status").unwrap();
        let kept = ["Uid", "Gid", "CapEff", "NoNewPrivs", "Seccomp", "Threads"];
        let kept = all
            .lines()
            .filter(|l| kept.iter().any(|k| l.starts_with(k)))
            .map(str::to_owned);
        let ns = std::fs::read_link("/proc/self/ns/user").unwrap();
        (
            kept.collect::<Vec<_>>(),
            ns,
            std::fs::read_dir("/proc/self/fd").unwrap().count(),
        )
    };
    let before = status();
    let probe = probe();
    assert_eq!(status(), before);
    assert_eq!(probe.findings.len(), 3);
    assert!(probe.tier >= Tier::Landlock, "{probe:#?}");
    // What the probe says is what a role then reaches.
    assert_eq!(Role::start(&Orders::new("tier")).report(), [probe.tier.as_str()]);
}
