//! The command line as a user runs it: its own home, no colour, output captured.

use crate::{NodeProcess, binary};
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
        let output = Command::new(binary())
            .args(args)
            .current_dir(&self.dir)
            .env_remove("RUST_BACKTRACE")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .output()
            .expect("run neofn");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}
