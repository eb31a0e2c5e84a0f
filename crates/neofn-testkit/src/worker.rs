//! A worker as a process: started, killed or ended with the test.

use crate::node::{collect, signal};
use crate::{WrongClock, binary, eventually};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running `neofn worker`. Dropped: killed.
pub struct WorkerProcess {
    child: Child,
    id: String,
    stderr: Arc<Mutex<String>>,
}

impl WorkerProcess {
    /// One that takes runs, with one sandbox process.
    #[must_use]
    pub fn start(nats: &str) -> Self {
        Self::start_with(nats, &["--children", "1"])
    }
    /// The same, with other arguments.
    #[must_use]
    pub fn start_with(nats: &str, more: &[&str]) -> Self {
        Self::try_start(nats, more)
            .unwrap_or_else(|stderr| panic!("the worker did not become ready:\n{stderr}"))
    }
    /// `Err` with its standard error when it ends instead of becoming ready.
    pub fn try_start(nats: &str, more: &[&str]) -> Result<Self, String> {
        Self::try_start_by(nats, more, None)
    }
    /// As [`WorkerProcess::start`], by a clock that the test sets.
    #[must_use]
    pub fn start_by(clock: &WrongClock, nats: &str) -> Self {
        Self::try_start_by(nats, &["--children", "1"], Some(clock))
            .unwrap_or_else(|stderr| panic!("the worker did not become ready:\n{stderr}"))
    }
    fn try_start_by(nats: &str, more: &[&str], clock: Option<&WrongClock>) -> Result<Self, String> {
        let mut child = Command::new(binary())
            .args(["worker", "--json", "--nats", nats])
            .args(more)
            .envs(clock.map(WrongClock::env).into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start neofn");
        let stderr = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("stderr"), Arc::clone(&stderr));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        stdout.read_line(&mut line).expect("read the ready line");
        if line.is_empty() {
            let _ = child.wait();
            std::thread::sleep(Duration::from_millis(50));
            return Err(stderr.lock().expect("stderr").clone());
        }
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let id = ready
            .get("id")
            .and_then(|v| v.as_str())
            .expect("an id")
            .to_owned();
        Ok(Self { child, id, stderr })
    }
    /// As the cluster lists it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// What it has written to standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("stderr").clone()
    }
    /// `kill -9`, waited for.
    pub fn kill_hard(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
    /// SIGTERM without waiting.
    pub fn ask_to_end(&self) {
        signal(i32::try_from(self.child.id()).expect("a pid"), libc::SIGTERM);
    }
    /// SIGTERM; answers the exit code once it has drained.
    pub fn terminate(mut self) -> Option<i32> {
        self.ask_to_end();
        let status = eventually("the worker ends after SIGTERM", Duration::from_secs(60), || {
            self.child.try_wait().ok()?
        });
        status.code()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = format!("--- a worker's standard error ---\n{}\n", self.stderr());
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}
