//! Both ends of a jailed role: the test that starts it, and what it does inside.

use crate::{attacks, legitimate, lifetime};
use neofn_jail::{Class, Confined, Layers, Policy, Tier, confine, confine_with};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) const ROLE: &str = "NEOFN_JAIL_TEST_ROLE";
/// Long for a loaded machine, short for a person.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What the role shall do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub task: String,
    pub namespaces: bool,
    pub landlock: bool,
    pub seccomp: bool,
    pub compiler: bool,
    pub data_bytes_max: Option<u64>,
    pub cpu_seconds_max: Option<u64>,
    pub pagemap: bool,
    pub exec_memory: bool,
    pub require: Tier,
    pub world: attacks::World,
}

impl Orders {
    pub(crate) fn new(task: &str) -> Self {
        Self {
            task: task.to_owned(),
            namespaces: true,
            landlock: true,
            seccomp: true,
            compiler: false,
            data_bytes_max: None,
            cpu_seconds_max: None,
            pagemap: true,
            exec_memory: true,
            require: Tier::None,
            world: attacks::World::default(),
        }
    }
    pub(crate) fn layers(mut self, namespaces: bool, landlock: bool, seccomp: bool) -> Self {
        (self.namespaces, self.landlock, self.seccomp) = (namespaces, landlock, seccomp);
        self
    }
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            data_bytes_max: self.data_bytes_max,
            cpu_seconds_max: self.cpu_seconds_max,
            require: self.require,
            keep_fds: vec![0, 2],
            allow_pagemap_scan: self.pagemap,
            exec_memory: self.exec_memory,
            ..Policy::strict(if self.compiler {
                Class::Compiler
            } else {
                Class::Sandbox
            })
        }
    }
    pub(crate) fn confine(&self) -> Result<Confined, neofn_jail::JailError> {
        let layers = Layers {
            namespaces: self.namespaces,
            landlock: self.landlock,
            seccomp: self.seccomp,
        };
        if self.namespaces && self.landlock && self.seccomp {
            confine(&self.policy())
        } else {
            confine_with(&self.policy(), layers)
        }
    }
}

/// A started role; killed when dropped.
pub(crate) struct Role {
    pub child: Child,
    pub socket: UnixStream,
    pub lines: BufReader<UnixStream>,
}

impl Role {
    pub(crate) fn start(orders: &Orders) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .env_clear()
            .env(ROLE, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        ours.set_read_timeout(Some(DEADLINE)).unwrap();
        let lines = BufReader::new(ours.try_clone().unwrap());
        Self {
            child,
            socket: ours,
            lines,
        }
    }
    /// The next line, or None when the other side is gone.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let got = self
            .lines
            .read_line(&mut line)
            .expect("an answer before the deadline");
        (got > 0).then(|| line.trim_end().to_owned())
    }
    /// All lines up to the end of the role.
    pub(crate) fn report(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(line) = self.line() {
            all.push(line);
        }
        all
    }
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        // The socket ends first; waiting is then short.
        while self.line().is_some() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The role's side of the socket: its standard input.
pub(crate) fn socket() -> UnixStream {
    // SAFETY: descriptor 0 is the socket that `Role::start` gave; nothing else here reads standard input.
    unsafe { UnixStream::from_raw_fd(0) }
}

pub(crate) fn say(text: &str) {
    let mut socket = std::mem::ManuallyDrop::new(socket());
    socket.write_all(format!("{text}\n").as_bytes()).unwrap();
}

pub(crate) fn main() {
    let orders: Orders = serde_json::from_str(&std::env::var(ROLE).unwrap()).unwrap();
    if orders.task == "middle" {
        return lifetime::middle(orders);
    }
    if orders.task == "threads" {
        let thread = std::thread::spawn(std::thread::park);
        let error = orders.confine().unwrap_err();
        say(&error.to_string());
        thread.thread().unpark();
        return;
    }
    if !orders.namespaces && !orders.landlock && !orders.seccomp {
        return attacks::attack(&orders);
    }
    match orders.confine() {
        Err(error) => say(&format!("error: {error}")),
        Ok(confined) => match orders.task.as_str() {
            "attack" => attacks::attack(&orders),
            "tier" => say(confined.tier.as_str()),
            "work" => legitimate::work(confined),
            "permissions" => legitimate::try_permissions(confined),
            other => lifetime::inside(other),
        },
    }
}
