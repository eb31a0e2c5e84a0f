//! A program of others that must not outlive us: it gets SIGTERM when this process ends, however it ends.
//!
//! It is in a process group of its own: Ctrl-C in a terminal reaches our whole group, and while we drain we still need it.
//!
//! The kernel ties a death signal to the *thread* that started a child, so each tether keeps a thread for as long as
//! its program runs. What the program is, and whether it may be trusted, is the caller's business: this confines nothing.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;

/// A running program. Dropped: told to end, not waited for.
#[derive(Debug)]
pub struct Tether {
    pid: u32,
    // signals by descriptor reach this process or nobody, also after its number was given to another
    handle: OwnedFd,
}

impl Tether {
    /// Starts `command`. `ended` runs once, on a thread of its own, when the program has ended and is collected.
    pub fn spawn(
        mut command: Command,
        ended: impl FnOnce(io::Result<ExitStatus>) + Send + 'static,
    ) -> io::Result<Self> {
        let ours = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        command.process_group(0);
        // SAFETY: between fork and exec only prctl and getppid run; both are async-signal-safe and allocate nothing.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                // we may have died before the signal was set
                if libc::getppid() != ours {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                Ok(())
            });
        }
        let (tell, told) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("tether".into())
            .spawn(move || match start(&mut command) {
                Err(e) => drop(tell.send(Err(e))),
                Ok((mut child, handle)) => {
                    // nobody waits any more only when the caller's thread is gone; its handle then ends the program
                    drop(tell.send(Ok(Self {
                        pid: child.id(),
                        handle,
                    })));
                    ended(child.wait());
                }
            })?;
        told.recv()
            .map_err(|_| io::Error::other("the thread that starts programs ended"))?
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
    /// Asks it to end in order (SIGTERM). One that has ended already is no error.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(libc::SIGTERM)
    }
    /// Ends it at once (SIGKILL). One that has ended already is no error.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    fn signal(&self, signal: i32) -> io::Result<()> {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is ours and open; no signal information is passed.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.handle.as_raw_fd(),
                signal,
                none,
                0,
            )
        };
        match io::Error::last_os_error() {
            _ if sent == 0 => Ok(()),
            e if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            e => Err(e),
        }
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        // the thread collects it; a failure to signal leaves the death signal, which comes when we end
        drop(self.terminate());
    }
}

fn start(command: &mut Command) -> io::Result<(std::process::Child, OwnedFd)> {
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: plain numbers; the child is not collected yet, so the number is still its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        let error = io::Error::last_os_error();
        // either may fail only because it has ended already
        drop(child.kill());
        drop(child.wait());
        return Err(error);
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else knows it.
    Ok((child, unsafe { OwnedFd::from_raw_fd(fd) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::time::Duration;

    fn sleeper() -> (Tether, mpsc::Receiver<ExitStatus>) {
        let (tell, told) = mpsc::channel();
        let mut command = Command::new("sleep");
        command.arg("600");
        let tether = Tether::spawn(command, move |status| tell.send(status.unwrap()).unwrap()).unwrap();
        (tether, told)
    }

    #[test]
    fn ends_when_asked_and_when_dropped() {
        let (tether, told) = sleeper();
        tether.terminate().unwrap();
        let status = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM));
        // it is gone and collected: still no error
        tether.kill().unwrap();

        let (tether, told) = sleeper();
        drop(tether);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn ctrl_c_in_our_terminal_does_not_reach_it() {
        let (tether, told) = sleeper();
        let pid = i32::try_from(tether.pid()).unwrap();
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::getpgid(pid) }, pid);
        tether.kill().unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn lives_on_when_the_thread_that_asked_ends() {
        let (tether, told) = std::thread::spawn(sleeper).join().unwrap();
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "it ended");
        tether.kill().unwrap();
        let status = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        assert!(Tether::spawn(Command::new("/nowhere/at/all"), |_| ()).is_err());
    }
}
