//! What is in `deploy/`: manifests, units and images by the linters of their fields, settings by the binary itself.

use neofn_testkit::{binary, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The files of a directory with this ending.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(deploy().join(directory)).expect("a directory");
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == ending));
    found.sort();
    assert!(!found.is_empty(), "no .{ending} in {directory}");
    found
}

fn python(args: &[&str], files: &[PathBuf]) -> Output {
    Command::new("python3")
        .args(args)
        .args(files)
        .env("PYTHONPATH", tool("linters-1").join("lib"))
        .output()
        .expect("python3 runs")
}

fn fine(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn kubernetes_takes_the_manifests() {
    let lint = ["-m", "kubernetes_validate", "--strict", "-k", "1.34"];
    let manifests = files("kubernetes", "yaml");
    fine(&python(&lint, &manifests));
    // and the linter does refuse
    let dir = tempfile::tempdir().expect("a directory");
    let bad = dir.path().join("bad.yaml");
    let text = fs::read_to_string(deploy().join("kubernetes/worker.yaml")).expect("a manifest");
    fs::write(&bad, text.replace("replicas: 3", "replica: 3")).expect("write");
    assert!(!python(&lint, &[bad]).status.success());
}

#[test]
fn compose_takes_its_file() {
    let lint = [
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
    ];
    fine(&python(&lint, &files("compose", "yaml")));
}

#[test]
fn the_image_is_linted() {
    let hadolint = tool("linters-1").join("lib/bin/hadolint");
    let output = Command::new(hadolint)
        .arg(deploy().join("docker/Dockerfile"))
        .output()
        .expect("hadolint runs");
    fine(&output);
}

#[test]
fn systemd_takes_the_units() {
    let dir = tempfile::tempdir().expect("a directory");
    for unit in files("systemd", "service") {
        let text = fs::read_to_string(&unit).expect("a unit");
        let here = dir.path().join(unit.file_name().expect("a name"));
        // systemd looks whether the program is there
        let program = binary().display().to_string();
        fs::write(&here, text.replace("/usr/local/bin/neofn", &program)).expect("write");
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&here)
            .output()
            .expect("systemd-analyze runs");
        fine(&output);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("Unknown") && !said.contains("ignoring"), "{said}");
    }
}

/// The settings that stand in a manifest are read as strictly as any; nothing of what they name is here, so the node
/// says that it reaches nobody, and not that it does not understand.
#[test]
fn the_settings_are_understood() {
    let read = "import sys, yaml\n\
        for d in yaml.safe_load_all(open(sys.argv[1])):\n    \
            if d['kind'] == 'ConfigMap': print(d['data']['cluster.toml'])";
    let map = python(&["-c", read], &[deploy().join("kubernetes/gateway.yaml")]);
    fine(&map);
    let kubernetes = String::from_utf8(map.stdout).expect("text");
    let compose = fs::read_to_string(deploy().join("compose/cluster.toml")).expect("settings");
    for text in [kubernetes, compose] {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("cluster.toml");
        fs::write(dir.path().join("postgres-password"), "secret").expect("write");
        let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
        fs::write(dir.path().join("gateway.nk"), seed).expect("write");
        let here = dir.path().display().to_string();
        let mut settings = text
            .replace("/etc/neofn/secret", &here)
            .replace("/run/secrets", &here)
            .replace("0.0.0.0:9000", "127.0.0.1:0")
            .replace("0.0.0.0:9443", "127.0.0.1:0");
        // a port that nobody listens on refuses at once
        for host in ["nats-0.nats", "nats-1.nats", "nats-2.nats", "nats"] {
            settings = settings.replace(&format!("//{host}:4222"), "//127.0.0.1:9");
        }
        let settings = settings
            .replace("@postgres.neofn.svc/", "@127.0.0.1:9/")
            .replace("@postgres/", "@127.0.0.1:9/");
        fs::write(&file, settings).expect("write");
        let output = Command::new(binary())
            .args(["up", "--config"])
            .arg(&file)
            .arg("--data")
            .arg(dir.path().join("data"))
            .output()
            .expect("neofn runs");
        assert_eq!(output.status.code(), Some(4), "{text}\n{output:?}");
    }
}
