//! `neofn up` and `neofn dev` with a real node: ready lines, redeployment, logs, signals.

use crate::run::Place;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Unoptimised builds compile the engine for many seconds when the cache is cold.
const PATIENCE: Duration = Duration::from_secs(240);

/// A process that ends with the test.
struct Running {
    child: Child,
    url: String,
    key_file: String,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    fn start(place: &Place, sub: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_neofn"))
            .args(args)
            .current_dir(place.path().join(sub))
            .env_remove("NEOFN_URL")
            .env_remove("NEOFN_API_KEY")
            .env("XDG_STATE_HOME", place.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut from, to) = (child.stderr.take().expect("stderr"), stderr.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = from.read(&mut buffer) {
                if n == 0 {
                    return;
                }
                to.lock()
                    .expect("lock")
                    .push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut line)
            .expect("reads");
        let text = || stderr.lock().expect("lock").clone();
        let ready: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}\n{}", text()));
        let member = |name: &str| ready[name].as_str().expect(name).to_owned();
        Self {
            url: member("url"),
            key_file: member("admin_key_file"),
            child,
            stderr,
        }
    }
    fn said(&self) -> String {
        self.stderr.lock().expect("lock").clone()
    }
    /// Waits until standard error holds `text` at or after byte `from`; answers where it ends.
    fn wait_for(&self, text: &str, from: usize) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said();
            if let Some(at) = said.get(from..).and_then(|s| s.find(text)) {
                return from + at + text.len();
            }
            assert!(Instant::now() < deadline, "no {text:?} in:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }
    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn invoke(place: &Place, node: &Running, args: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["--url", &node.url, "--api-key-file", &node.key_file];
    all.extend(args);
    let output = place.run_in("hello", &all, "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn up_serves_a_tour_and_drains() {
    let place = Place::new();
    // the file says where the data lies; what it says of the address loses against the flag
    place.file(
        "etc/node.toml",
        "data = \"../data\"\nlisten = \"192.0.2.1:1\"\nretention_rows = 500\n",
    );
    let mut node = Running::start(
        &place,
        ".",
        &[
            "up",
            "--json",
            "--config",
            "etc/node.toml",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    assert!(place.path().join("data/neofn.db").is_file());
    assert!(place.run(&["init", "hello"]).status.success());
    let (code, out, err) = invoke(&place, &node, &["deploy"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        out,
        format!("demo/hello version 1 {}/api/v1/functions/demo/hello\n", node.url)
    );
    let (code, out, err) = invoke(&place, &node, &["invoke", "hello", "{\"name\":\"Neo\"}"]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "{\"greeting\":\"Hello, Neo\",\"version\":1}\n"),
        "{err}"
    );
    assert!(
        err.contains("[LOG] greeting Neo") && err.contains(" units (base 10 000,"),
        "{err}"
    );
    let id = err.trim().rsplit(' ').next().expect("an id").to_owned();

    place.file(
        "hello/src/index.ts",
        "export const handler = (e: { name: string }) => ({ greeting: `Hi, ${e.name}` });\n",
    );
    let (code, _, err) = invoke(&place, &node, &["deploy"]);
    assert!(
        code == Some(1) && err.contains("NF0121"),
        "the smoke test wants Hello: {err}"
    );
    place.file(
        "hello/neofn.toml",
        "project = \"demo\"\n[function.hello]\nmain = \"src/index.ts\"\n",
    );
    let (code, out, err) = invoke(&place, &node, &["deploy"]);
    assert!(
        code == Some(0) && out.contains("version 2") && err.contains("~ src/index.ts"),
        "{out}{err}"
    );
    let (code, out, err) = invoke(&place, &node, &["replay", &id, "--version", "2"]);
    assert!(
        code == Some(0) && out.contains("-   \"greeting\": \"Hello, Neo\""),
        "{out}{err}"
    );
    let (code, out, err) = invoke(&place, &node, &["replay", &id]);
    assert!(code == Some(0) && out.starts_with("identical"), "{out}{err}");
    for (args, code, text) in [
        (&["versions", "hello"][..], 0, "2        live"),
        (&["functions"], 0, "hello"),
        (&["logs", "hello"], 0, "[LOG] greeting Neo"),
        (&["invocations", "hello", "--status", "succeeded"], 0, &id),
        (&["gas", "estimate", "hello", "{\"name\":\"x\"}"], 0, "compute"),
        (&["rollback", "hello"], 0, ""),
        (&["disable", "hello"], 0, ""),
        (&["invoke", "hello"], 1, ""),
        (&["enable", "hello"], 0, ""),
        (&["invoke", "hello", "{\"name\":\"again\"}"], 0, "Hello, again"),
        (&["delete", "hello"], 0, ""),
        (&["invoke", "hello"], 2, ""),
    ] {
        let (got, out, err) = invoke(&place, &node, args);
        assert!(
            got == Some(code) && out.contains(text),
            "{args:?} {got:?}\n{out}\n{err}"
        );
    }
    node.signal("-TERM");
    assert_eq!(node.end().code(), Some(0), "{}", node.said());
    assert!(!place.path().join("data/runtime.json").exists());
}

#[test]
fn dev_redeploys_what_changes_and_shows_mistakes() {
    let place = Place::new();
    assert!(place.run(&["init", "hello"]).status.success());
    let mut node = Running::start(&place, "hello", &["dev", "--json", "--listen", "127.0.0.1:0"]);
    let at = node.wait_for("demo/hello version 1 in ", 0);
    let (code, out, err) = invoke(&place, &node, &["invoke", "hello", "{\"name\":\"Neo\"}"]);
    assert!(code == Some(0) && out.contains("Hello, Neo"), "{out}{err}");
    let at = node.wait_for("[LOG] greeting Neo", at);

    let good = std::fs::read_to_string(place.path().join("hello/src/index.ts")).expect("source");
    place.file("hello/src/index.ts", &good.replace("return {", "return {{"));
    let at = node.wait_for("error[NF0101]", at);
    node.wait_for("^", at);
    place.file(
        "hello/src/greet.ts",
        "export const log = (x: string) => console.warn('new', x);\n",
    );
    let changed = good.replace("console.log(\"greeting\", name)", "log(name)");
    place.file(
        "hello/src/index.ts",
        &format!("import {{ log }} from './greet';\n{changed}"),
    );
    let at = node.wait_for("demo/hello version 2 in ", at);
    let at = node.wait_for("+ src/greet.ts", at);
    invoke(&place, &node, &["invoke", "hello"]);
    let at = node.wait_for("[WARN] new World", at);
    // A new directory is watched as well.
    place.file("hello/src/deep/word.ts", "export const word = 'one';\n");
    place.file(
        "hello/src/greet.ts",
        "import { word } from './deep/word';\nexport const log = (x: string) => console.warn(word, x);\n",
    );
    let at = node.wait_for("demo/hello version 3 in ", at);
    place.file("hello/src/deep/word.ts", "export const word = 'two';\n");
    node.wait_for("demo/hello version 4 in ", at);
    node.signal("-INT");
    assert_eq!(node.end().code(), Some(0), "{}", node.said());
}
