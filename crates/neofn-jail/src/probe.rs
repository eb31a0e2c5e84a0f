//! What this machine allows, found without changing the node: a fork rehearses the namespaces and is thrown away.

use crate::namespaces::{Plan, Step};
use crate::{Tier, paths, shim};
use neofn_types::{Code, Error};
use serde::Serialize;
use std::io;

/// One thing that was looked at, for `neofn doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `user namespaces`.
    pub name: &'static str,
    /// Whether it is there.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do; empty when there is nothing to do.
    pub cure: &'static str,
}

/// What this machine allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The tier that a role will reach.
    pub tier: Tier,
    /// Each part.
    pub findings: Vec<Finding>,
}

/// Looks at the machine. Costs about a millisecond.
#[must_use]
pub fn probe() -> Probe {
    let seccomp = seccomp();
    let landlock = landlock();
    let namespaces = namespaces();
    let tier = match (seccomp.ok, landlock.ok, namespaces.ok) {
        (true, true, true) => Tier::Namespaces,
        (true, true, false) => Tier::Landlock,
        (true, false, _) => Tier::Seccomp,
        (false, _, _) => Tier::None,
    };
    Probe {
        tier,
        findings: vec![seccomp, landlock, namespaces],
    }
}

/// The tier to run at, or the error to stop with.
pub fn require(probe: &Probe, tier: Tier, insecure: bool) -> Result<Tier, Error> {
    if probe.tier >= tier || insecure {
        return Ok(probe.tier);
    }
    let missing = probe.findings.iter().filter(|f| !f.ok);
    let missing: Vec<_> = missing.map(|f| format!("{}: {}", f.name, f.detail)).collect();
    let why = missing.join("; ");
    Err(Error::new(
        Code::JailTooWeak,
        format!(
            "this machine allows jail tier {}, {tier} is needed ({why})",
            probe.tier
        ),
    ))
}

fn seccomp() -> Finding {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call reads one number and changes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    Finding {
        name: "seccomp",
        ok: answer == 0,
        detail: if answer == 0 {
            "system call filters are available".to_owned()
        } else {
            io::Error::last_os_error().to_string()
        },
        cure: if answer == 0 {
            ""
        } else {
            "Use a kernel built with CONFIG_SECCOMP_FILTER."
        },
    }
}

fn landlock() -> Finding {
    let abi = paths::abi();
    Finding {
        name: "landlock",
        ok: abi > 0,
        detail: if abi > 0 {
            format!("version {abi}")
        } else {
            "not in this kernel, or not switched on".to_owned()
        },
        cure: if abi > 0 {
            ""
        } else {
            "Use Linux 5.13 or newer with `landlock` in the kernel's `lsm=` list; in a container, let the runtime's seccomp profile pass the landlock calls."
        },
    }
}

fn namespaces() -> Finding {
    let failed = match rehearse() {
        Ok(None) => None,
        Ok(Some((step, errno))) => {
            let what = Step::from_u8(step).map_or("rehearsing", Step::what);
            Some(format!("{what}: {}", io::Error::from_raw_os_error(errno)))
        }
        Err(error) => Some(format!("rehearsing: {error}")),
    };
    Finding {
        name: "user namespaces",
        ok: failed.is_none(),
        cure: if failed.is_none() {
            ""
        } else {
            "Allow unprivileged user namespaces: `sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000` (on Ubuntu also `kernel.apparmor_restrict_unprivileged_userns=0`); in a container, a seccomp profile that passes unshare and mount."
        },
        detail: failed.unwrap_or_else(|| "created, with an empty root".to_owned()),
    }
}

/// The first step that fails and its errno.
fn rehearse() -> io::Result<Option<(u8, i32)>> {
    let plan = Plan::new();
    let mut pipe = [-1; 2];
    // SAFETY: `pipe` has room for two. Between fork and `_exit` the child makes system calls only: other threads of
    // this process may hold any lock. Both ends are closed on every way out.
    unsafe {
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error());
        }
        let [read_end, write_end] = pipe;
        let child = libc::fork();
        if child == 0 {
            let (step, errno) = match plan.rehearse() {
                Ok(()) => (0u8, 0),
                Err(failed) => (failed.step as u8, failed.errno),
            };
            let mut record = [step, 0, 0, 0, 0];
            for (to, from) in record.iter_mut().skip(1).zip(errno.to_le_bytes()) {
                *to = from;
            }
            libc::write(write_end, record.as_ptr().cast(), record.len());
            libc::_exit(0);
        }
        let error = io::Error::last_os_error();
        libc::close(write_end);
        if child < 0 {
            libc::close(read_end);
            return Err(error);
        }
        let mut record = [0u8; 5];
        let mut got = libc::read(read_end, record.as_mut_ptr().cast(), record.len());
        while got < 0 && crate::sys::errno() == libc::EINTR {
            got = libc::read(read_end, record.as_mut_ptr().cast(), record.len());
        }
        libc::close(read_end);
        shim::wait_for(child);
        let [step, a, b, c, d] = record;
        if got != 5 {
            return Err(io::Error::other("the rehearsal ended early"));
        }
        Ok((step != 0).then_some((step, i32::from_le_bytes([a, b, c, d]))))
    }
}
