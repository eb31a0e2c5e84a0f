//! nats-py as a process: commands in, answers out.

use neofn_testkit::NatsServer;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The version that `make setup` installs.
const VERSION: &str = "2.16.0";

pub struct Client {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    pub fn connect(nats: &NatsServer) -> Self {
        Self::connect_to(&nats.url())
    }
    /// By addresses, separated by commas.
    pub fn connect_to(url: &str) -> Self {
        Self::connect_as(url, "_INBOX")
    }
    /// With an inbox of its own.
    pub fn connect_as(url: &str, inbox: &str) -> Self {
        let library = neofn_testkit::neo::tools().join(format!("nats-py-{VERSION}"));
        assert!(library.is_dir(), "{} is missing: make setup", library.display());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/nats_client.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args([url, inbox])
            .env("PYTHONPATH", library)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }
    pub fn send(&mut self, command: Value) -> Value {
        writeln!(self.stdin, "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }
    pub fn request(&mut self, subject: &str, data: &str, headers: Value) -> Value {
        self.send(json!({"do": "request", "subject": subject, "data": data, "headers": headers}))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
