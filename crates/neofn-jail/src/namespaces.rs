//! Own user, mount, process, network, IPC, host name and cgroup namespaces, over an empty read-only root.
//!
//! Allocates nothing after `Plan::new`: the probe runs the same steps in a fork of a process with many threads.

use crate::sys::{check, errno, write_file};
use std::ffi::{CStr, CString};

/// Which step failed, with its errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub step: Step,
    pub errno: i32,
}

/// The steps, in order. The numbers go through the probe's pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Unshare = 1,
    UserMap = 2,
    Fork = 3,
    Mount = 4,
    Pivot = 5,
}

impl Step {
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Unshare => "creating namespaces",
            Self::UserMap => "mapping the user into its namespace",
            Self::Fork => "entering the process namespace",
            Self::Mount => "mounting an empty root",
            Self::Pivot => "changing to the empty root",
        }
    }
    pub(crate) const fn from_u8(step: u8) -> Option<Self> {
        Some(match step {
            1 => Self::Unshare,
            2 => Self::UserMap,
            3 => Self::Fork,
            4 => Self::Mount,
            5 => Self::Pivot,
            _ => return None,
        })
    }
}

fn at<T>(step: Step, result: Result<T, i32>) -> Result<T, Failed> {
    result.map_err(|errno| Failed { step, errno })
}

/// Who we are inside: any id but 0, so that nothing there looks like root.
const INSIDE_ID: u32 = 1000;
/// Root becomes this before anything else; `nobody` on every distribution.
const NOBODY: u32 = 65_534;

/// Everything that needs memory, made before the first fork.
pub(crate) struct Plan {
    uid_map: CString,
    gid_map: CString,
    nobody_map: CString,
}

/// Whether root became nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    Nobody,
    AsBefore,
}

impl Plan {
    pub(crate) fn new() -> Self {
        // SAFETY: these calls cannot fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let line = |id: u32| CString::new(format!("{INSIDE_ID} {id} 1")).unwrap_or_default();
        Self {
            uid_map: line(uid),
            gid_map: line(gid),
            nobody_map: line(NOBODY),
        }
    }

    /// Root first becomes nobody, for good: a jailed process must own nothing outside either. In a container that
    /// maps root alone there is no nobody to become; that root owns nothing outside.
    pub(crate) fn leave_root() -> Result<Now, i32> {
        // SAFETY: plain numbers; setgroups with length 0 reads no list.
        unsafe {
            if libc::geteuid() != 0 {
                return Ok(Now::AsBefore);
            }
            if check(libc::setresgid(NOBODY, NOBODY, NOBODY)) == Err(libc::EINVAL) {
                return Ok(Now::AsBefore);
            }
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
            // Changing ids made /proc/self root's; the maps are written there. Taken away again at the end.
            check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        }
        Ok(Now::Nobody)
    }

    /// New namespaces for this process, and for its next child the process namespace.
    pub(crate) fn unshare(&self, now: Now) -> Result<(), Failed> {
        let flags = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        // SAFETY: plain numbers.
        at(Step::Unshare, check(unsafe { libc::unshare(flags) }))?;
        let map = |path: &CStr, text: &CStr| at(Step::UserMap, write_file(path, text.to_bytes()));
        map(c"/proc/self/setgroups", c"deny")?;
        let (uid_map, gid_map) = match now {
            Now::Nobody => (&self.nobody_map, &self.nobody_map),
            Now::AsBefore => (&self.uid_map, &self.gid_map),
        };
        map(c"/proc/self/uid_map", uid_map)?;
        map(c"/proc/self/gid_map", gid_map)
    }

    /// Puts an empty, read-only file system in the place of everything. Only in the child of `unshare`.
    pub(crate) fn empty_root() -> Result<(), Failed> {
        let locked = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        let none = c"none".as_ptr();
        // SAFETY: all strings are C literals. /proc exists, since the maps were written there.
        unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            at(
                Step::Mount,
                check(libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null())),
            )?;
            let options = c"size=4k,nr_inodes=2,mode=555";
            at(
                Step::Mount,
                check(libc::mount(
                    none,
                    c"/proc".as_ptr(),
                    c"tmpfs".as_ptr(),
                    locked,
                    options.as_ptr().cast(),
                )),
            )?;
            at(Step::Pivot, check(libc::chdir(c"/proc".as_ptr())))?;
            // The old root ends up stacked below the new one, and is detached with all its mounts.
            let here = c".".as_ptr();
            at(
                Step::Pivot,
                check(libc::syscall(libc::SYS_pivot_root, here, here)),
            )?;
            at(Step::Pivot, check(libc::umount2(here, libc::MNT_DETACH)))?;
            at(Step::Pivot, check(libc::chdir(c"/".as_ptr())))?;
            let read_only = locked | libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
            at(
                Step::Mount,
                check(libc::mount(
                    none,
                    c"/".as_ptr(),
                    none,
                    read_only,
                    std::ptr::null(),
                )),
            )?;
            // Cosmetic: the host's name is nobody's business inside. A refusal changes nothing.
            libc::sethostname(c"neofn".as_ptr(), 5);
        }
        Ok(())
    }

    /// All of it in a process that is thrown away; for the probe.
    pub(crate) fn rehearse(&self) -> Result<(), Failed> {
        let now = at(Step::Unshare, Self::leave_root())?;
        self.unshare(now)?;
        // SAFETY: the child allocates nothing and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        match child {
            -1 => Err(Failed {
                step: Step::Fork,
                errno: errno(),
            }),
            0 => {
                let status = match Self::empty_root() {
                    Ok(()) => 0,
                    // An exit status has room for the step alone; its cause is nearly always a permission.
                    Err(failed) => failed.step as i32,
                };
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(status) }
            }
            child => {
                let status = crate::shim::wait_for(child);
                match u8::try_from(libc::WEXITSTATUS(status))
                    .ok()
                    .and_then(Step::from_u8)
                {
                    _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => Ok(()),
                    Some(step) if libc::WIFEXITED(status) => Err(Failed {
                        step,
                        errno: libc::EPERM,
                    }),
                    _ => Err(Failed {
                        step: Step::Fork,
                        errno: libc::ECHILD,
                    }),
                }
            }
        }
    }
}
