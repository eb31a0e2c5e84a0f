//! The README's commands, run in an empty directory as a newcomer would.

use neofn_testkit::{binary, eventually};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Background(Child);
impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg("-TERM")
            .arg(self.0.id().to_string())
            .status();
        let _ = self.0.wait();
    }
}

/// Fenced blocks of a language tag, in order.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(tag) = line.strip_prefix("```").filter(|t| !t.is_empty()) {
            let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            found.push((tag.to_owned(), body.join("\n")));
        } else if line == "```" {
            // a block without a tag is not for running
            let _ = lines.by_ref().take_while(|l| *l != "```").count();
        }
    }
    found
}

#[test]
fn the_tour_works_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let path = format!(
        "{}:{}",
        binary().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(dir.path())
            .env("PATH", &path);
        command
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command.env_remove("NEOFN_URL").env_remove("NEOFN_API_KEY");
        command
    };
    // the README's own port may be taken on this machine
    let local = |text: &str| text.replace("127.0.0.1:9000", &address);
    let all = blocks(&readme);
    let background = all
        .iter()
        .find(|(tag, _)| tag == "sh background")
        .expect("the README starts a node");
    let child = shell(&format!("exec {}", local(&background.1)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _node = Background(child);
    eventually("the node listens", Duration::from_secs(60), || {
        std::net::TcpStream::connect(&address).ok()
    });
    eventually("the node left its address", Duration::from_secs(10), || {
        dir.path().join("data/runtime.json").exists().then_some(())
    });

    let tour: Vec<String> = all
        .iter()
        .filter(|(tag, _)| tag == "sh")
        .map(|(_, body)| local(body))
        .collect();
    assert!(tour.len() >= 5, "{tour:?}");
    let output = shell(&tour.join("\n")).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(
        stdout.contains("Hello, Neo") && stdout.contains("Hello, World"),
        "{stdout}\n{stderr}"
    );
    assert!(stdout.contains("NF0207"), "{stdout}");

    // the answer that the README shows is a real one, but for what each call has of its own
    let shown = &all.iter().find(|(tag, _)| tag == "json").unwrap().1;
    let real = stdout
        .lines()
        .find(|l| l.starts_with("{\"success\""))
        .expect("curl's answer");
    let read = |text: &str| -> serde_json::Value {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        for own in ["duration", "invocationId"] {
            assert!(value.as_object_mut().unwrap().remove(own).is_some(), "{text}");
        }
        // what it costs changes with the engine
        for units in value["units"].as_object_mut().unwrap().values_mut() {
            *units = units.is_number().into();
        }
        value
    };
    assert_eq!(read(shown), read(real));
}
