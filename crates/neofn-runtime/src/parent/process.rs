//! Starts child processes and collects them.
//!
//! All from one thread that lives as long as the pool: the kernel sends a child's death signal when the *thread* that
//! started it ends.

use crate::child;
use crate::parent::PoolOptions;
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The thread. It ends, and its children with it, when the last handle is gone.
#[derive(Clone)]
pub(super) struct Spawner(mpsc::Sender<Work>);

/// A child process. Dropping it kills and collects it.
pub(super) struct Process {
    child: Mutex<Option<Child>>,
    pub(super) pid: u32,
    spawner: Spawner,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let (send, receive) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                while let Ok(work) = receive.recv() {
                    work();
                }
            })?;
        Ok(Self(send))
    }
    /// Starts a role with its descriptors, which are closed here afterwards.
    pub(super) async fn spawn(
        &self,
        options: &PoolOptions,
        role: &str,
        fds: Vec<OwnedFd>,
    ) -> io::Result<Process> {
        let mut command = Command::new(&options.exe);
        command.args(&options.args).arg(role);
        for fd in &fds {
            command.arg(fd.as_raw_fd().to_string());
        }
        if options.insecure_no_jail {
            command.arg(child::INSECURE);
        }
        command
            .env_clear()
            // Ctrl-C in a terminal reaches the node's whole group, and what runs here may end first
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        // SAFETY: between fork and exec only fcntl runs, on descriptors that `fds` keeps open until the spawn is over.
        unsafe {
            command.pre_exec(move || {
                for fd in &raw {
                    if libc::fcntl(*fd, libc::F_SETFD, 0) < 0 {
                        return Err(io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move || {
            let child = command.spawn();
            drop(fds);
            if let Err(Ok(mut unwanted)) = tell.send(child) {
                end(&mut unwanted);
            }
        });
        let gone = || io::Error::other("the spawner has ended");
        self.0.send(work).map_err(|_| gone())?;
        let child = told.await.map_err(|_| gone())??;
        Ok(Process {
            pid: child.id(),
            child: Mutex::new(Some(child)),
            spawner: self.clone(),
        })
    }
}

impl Process {
    /// Ends it at once; it is collected when nobody needs it any more.
    pub(super) fn kill(&self) {
        if let Some(child) = self.child.lock().as_mut() {
            // it may have ended already
            let _ = child.kill();
        }
    }
}

fn end(child: &mut Child) {
    // either may fail only because it has ended already
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut child) = self.child.get_mut().take() {
            let _ = self.spawner.0.send(Box::new(move || end(&mut child)));
        }
    }
}
