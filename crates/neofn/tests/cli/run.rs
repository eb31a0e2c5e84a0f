//! Runs the binary in a directory of its own with a bare environment.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A place to run in.
pub struct Place {
    pub directory: TempDir,
    url: Option<String>,
}

impl Place {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("tempdir"),
            url: None,
        }
    }
    pub fn with_node(url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..Self::new()
        }
    }
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
    pub fn file(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        std::fs::write(path, text).expect("file");
    }
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_in(".", args, "")
    }
    pub fn run_in(&self, sub: &str, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neofn"));
        command.args(args).current_dir(self.path().join(sub)).env_clear();
        command
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(url) = &self.url {
            command.env("NEOFN_URL", url).env("NEOFN_API_KEY", "nfk_test");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(input.as_bytes())
            .expect("writes");
        child.wait_with_output().expect("ends")
    }
    /// Everything a person sees, with this place's own names taken out.
    pub fn seen(&self, output: &Output) -> String {
        let text = format!(
            "exit: {}\n---- stdout\n{}---- stderr\n{}",
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let text = text.replace(&*self.path().to_string_lossy(), "[dir]");
        match &self.url {
            Some(url) => text.replace(url, "[url]"),
            None => text,
        }
    }
    pub fn see(&self, args: &[&str]) -> String {
        self.seen(&self.run(args))
    }
}
