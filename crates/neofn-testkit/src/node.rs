//! A node as a process: started on a free port, ended with the test.

use crate::{Http, WrongClock, eventually};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The `neofn` binary beside the running test.
#[must_use]
pub fn binary() -> PathBuf {
    let mut dir = std::env::current_exe().expect("the test's own path");
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    let binary = dir.join("neofn");
    assert!(
        binary.exists(),
        "{} is missing: cargo build --workspace",
        binary.display()
    );
    binary
}

/// A running `neofn up`. Dropped: killed.
pub struct NodeProcess {
    child: Child,
    url: String,
    key: String,
    data: PathBuf,
    ready: serde_json::Value,
    stderr: Arc<Mutex<String>>,
    // last, so that the directory outlives the process
    own_dir: Option<tempfile::TempDir>,
}

impl NodeProcess {
    /// A node on a data directory of its own.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut node = Self::start_in(&dir.path().join("data"), &[]);
        node.own_dir = Some(dir);
        node
    }

    /// A node on a given data directory, with more arguments.
    #[must_use]
    pub fn start_in(data: &Path, more: &[&str]) -> Self {
        Self::try_start_in(data, more)
            .unwrap_or_else(|stderr| panic!("the node did not become ready:\n{stderr}"))
    }

    /// As `start_in`; `Err` with its standard error when it ends instead of becoming ready.
    pub fn try_start_in(data: &Path, more: &[&str]) -> Result<Self, String> {
        Self::try_start_by(data, more, None)
    }

    /// As `start_in`, by a clock that the test sets.
    #[must_use]
    pub fn start_by(clock: &WrongClock, data: &Path, more: &[&str]) -> Self {
        Self::try_start_by(data, more, Some(clock))
            .unwrap_or_else(|stderr| panic!("the node did not become ready:\n{stderr}"))
    }

    /// As `start_in`, in a process group of its own, as a shell starts what it runs in a terminal. Only for tests that
    /// signal the group: whoever interrupts such a test leaves the node behind.
    #[must_use]
    pub fn start_group_in(data: &Path, more: &[&str]) -> Self {
        let child = Self::command(data, more, None)
            .process_group(0)
            .spawn()
            .expect("start neofn");
        Self::ready_in(data, child)
            .unwrap_or_else(|stderr| panic!("the node did not become ready:\n{stderr}"))
    }

    fn try_start_by(data: &Path, more: &[&str], clock: Option<&WrongClock>) -> Result<Self, String> {
        Self::ready_in(data, Self::spawn(data, more, clock))
    }

    fn ready_in(data: &Path, mut child: Child) -> Result<Self, String> {
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
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let ready: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON");
        let text = |name: &str| {
            ready
                .get(name)
                .and_then(|v| v.as_str())
                .expect("a member of the ready line")
                .to_owned()
        };
        let key = std::fs::read_to_string(text("admin_key_file"))
            .expect("read the admin key")
            .trim()
            .to_owned();
        Ok(Self {
            child,
            url: text("url"),
            key,
            ready,
            data: data.to_owned(),
            stderr,
            own_dir: None,
        })
    }

    /// Starts one and kills it after this long, ready or not.
    pub fn kill_after(data: &Path, more: &[&str], time: Duration) {
        let mut child = Self::spawn(data, more, None);
        // what it says is read by nobody
        drop((child.stdout.take(), child.stderr.take()));
        std::thread::sleep(time);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
    /// The admin key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
    /// The ready line.
    #[must_use]
    pub fn ready(&self) -> &serde_json::Value {
        &self.ready
    }
    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
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
    /// HTTP with the admin key.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.url, Some(&self.key))
    }
    /// HTTP without credentials.
    #[must_use]
    pub fn anonymous(&self) -> Http {
        Http::new(&self.url, None)
    }

    /// `kill -9`, waited for. The data directory stays when it was given from outside.
    pub fn kill_hard(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM without waiting.
    pub fn ask_to_end(&self) {
        signal(i32::try_from(self.child.id()).expect("a pid"), libc::SIGTERM);
    }
    /// Ctrl-C: SIGINT to all that is in the group of a node of `start_group_in`.
    pub fn interrupt_group(&self) {
        let group = i32::try_from(self.child.id()).expect("a pid");
        signal(-group, libc::SIGINT);
    }
    /// Whether it has ended, and with which exit code.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.child.try_wait().expect("look after the node")?;
        Some(status.code())
    }
    /// SIGTERM; answers the exit code once it has drained.
    pub fn terminate(mut self) -> Option<i32> {
        self.ask_to_end();
        let status = eventually("the node ends after SIGTERM", Duration::from_secs(60), || {
            self.child.try_wait().ok()?
        });
        status.code()
    }

    fn spawn(data: &Path, more: &[&str], clock: Option<&WrongClock>) -> Child {
        Self::command(data, more, clock).spawn().expect("start neofn")
    }

    fn command(data: &Path, more: &[&str], clock: Option<&WrongClock>) -> Command {
        let state = data.join("state-home");
        std::fs::create_dir_all(&state).expect("make the state directory");
        let mut command = Command::new(binary());
        command
            .args(["up", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .env("XDG_STATE_HOME", &state)
            .envs(clock.map(WrongClock::env).into_iter().flatten())
            .env_remove("NEOFN_URL")
            .env_remove("NEOFN_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Processes whose parent chain leads to the node.
    #[must_use]
    pub fn descendants(&self) -> Vec<u32> {
        descendants(self.pid())
    }
}

/// Processes whose parent chain leads to `pid`.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut index = 0;
    while let Some(parent) = found.get(index).copied() {
        found.extend(children_of(parent));
        index += 1;
    }
    found.remove(0);
    found
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.stderr();
            let tail: Vec<&str> = text.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!(
                    "--- the node's standard error, last lines ---\n{}\n",
                    tail.join("\n")
                )
                .as_bytes(),
            );
        }
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

pub(crate) fn collect(mut from: impl std::io::Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).into_owned();
            into.lock().expect("stderr").push_str(&text);
        }
    });
}

/// Sends a signal to a process that the test started, or to its group (a negative number).
pub(crate) fn signal(pid: i32, signal: i32) {
    // std can only kill; `kill(1)` keeps this crate free of unsafe code
    let _ = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg("--")
        .arg(pid.to_string())
        .status();
}
