//! The command line as a user runs it: its own home, no colour, output captured.

use crate::{NodeProcess, binary};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A place to run commands in.
pub struct Cli {
    dir: PathBuf,
    env: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
    /// 0 ok, 1 failed, 2 usage, 3 auth, 4 unavailable, 5 limit.
    pub code: i32,
}

impl Output {
    /// Asserts the exit code.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

impl Cli {
    /// Commands in `dir` against a node.
    #[must_use]
    pub fn new(dir: &Path, node: &NodeProcess) -> Self {
        let env = vec![
            ("NEOFN_URL".to_owned(), node.url().to_owned()),
            ("NEOFN_API_KEY".to_owned(), node.key().to_owned()),
            ("NO_COLOR".to_owned(), "1".to_owned()),
        ];
        Self {
            dir: dir.to_owned(),
            env,
        }
    }
    /// Commands of somebody who has no key: what they may do comes from `neofn login`, and is kept in `dir`.
    #[must_use]
    pub fn person(dir: &Path, node: &NodeProcess) -> Self {
        let mut cli = Self::new(dir, node);
        cli.env.retain(|(name, _)| name != "NEOFN_API_KEY");
        cli.with("XDG_STATE_HOME", &dir.display().to_string())
    }
    /// With a variable of the environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The same in a directory below.
    #[must_use]
    pub fn inside(&self, dir: &str) -> Self {
        Self {
            dir: self.dir.join(dir),
            env: self.env.clone(),
        }
    }
    /// Runs `neofn ARGS`.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.fed(args, b"")
    }
    /// Runs `neofn ARGS` with this on standard input.
    #[must_use]
    pub fn fed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(binary())
            .args(args)
            .current_dir(&self.dir)
            .env_remove("RUST_BACKTRACE")
            .env_remove("NEOFN_API_KEY")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run neofn");
        // a command that wants no input may be gone before it is written
        let _ = child.stdin.take().expect("stdin").write_all(input);
        let output = child.wait_with_output().expect("wait for neofn");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}
