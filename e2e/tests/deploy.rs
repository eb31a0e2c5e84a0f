//! What is in `deploy/`: manifests, units and images by the linters of their fields, settings by the binary itself.

use neofn_testkit::{NodeProcess, binary, eventually, nats_server_binary, tool};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

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

/// What a line of Python prints of the documents of a manifest, `docs`.
fn of_manifest(name: &str, print: &str) -> String {
    let read = format!(
        "import json, sys, yaml\n\
         docs = list(yaml.safe_load_all(open(sys.argv[1])))\n\
         pods = [d['spec']['template']['spec'] for d in docs if d['kind'] == 'StatefulSet'][0]\n\
         print({print})"
    );
    let output = python(&["-c", &read], &[deploy().join("kubernetes").join(name)]);
    fine(&output);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// kubelet gives the pod's group rights to every file of a volume that it mounts; the init container takes them back.
#[test]
fn a_gateway_starts_on_a_volume_that_was_opened_to_its_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let (secret, data) = (dir.path().join("secret"), dir.path().join("data"));
    let signer = data.join("signer");
    fs::create_dir_all(&secret).expect("a directory");
    fs::create_dir_all(&signer).expect("a directory");
    let keys = ["identity.key", "secrets.key", "audit.key"];
    for (n, name) in keys.iter().enumerate() {
        let seed = hex::encode([u8::try_from(n).expect("small"); 32]);
        fs::write(secret.join(name), format!("{seed}\n")).expect("write");
    }
    let command = of_manifest("gateway.yaml", "pods['initContainers'][0]['command'][2]")
        .replace("/etc/neofn/secret", &secret.display().to_string())
        .replace("/var/lib/neofn", &data.display().to_string());
    let init = || {
        let run = Command::new("/bin/sh").args(["-c", &command]).output();
        fine(&run.expect("a shell"));
    };
    init();
    fs::write(signer.join("secret"), "of an earlier start").expect("write");
    let files: Vec<PathBuf> = keys.iter().map(|name| data.join(name)).collect();
    let files = [files, vec![signer.join("secret")]].concat();
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for path in &files {
        set(path, 0o660);
    }
    for path in [&data, &signer] {
        set(path, 0o2775);
    }
    let refused = NodeProcess::try_start_in(&data, &[])
        .err()
        .expect("the key is refused");
    assert!(refused.contains("NF1106"), "{refused}");
    init();
    for path in files {
        let mode = fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    drop(NodeProcess::start_in(&data, &[]));
}

const PASSWORD: &str = "12e4567890abcdef";

/// A NATS server by a published configuration. Dropped: killed.
struct Nats {
    child: Child,
    monitor: u16,
    log: PathBuf,
}

impl Nats {
    fn start(home: &Path, text: &str, variables: &[(String, String)], monitor: u16) -> Self {
        fs::create_dir_all(home.join("users")).expect("a directory");
        fs::write(home.join("users/authorization.conf"), "").expect("write");
        let (config, log) = (home.join("nats.conf"), home.join("log"));
        fs::write(&config, text).expect("write");
        let child = Command::new(nats_server_binary())
            .arg("--config")
            .arg(&config)
            .envs(variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("start nats-server");
        Self { child, monitor, log }
    }
    /// The page of the monitor about routes; nothing before it listens.
    fn routes(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).ok()?;
        stream.write_all(b"GET /routez HTTP/1.0\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    }
    fn knows(&self, name: &str) -> bool {
        let routes = self.routes().unwrap_or_default();
        routes.contains(&format!("\"remote_name\": \"{name}\""))
    }
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The published configurations as a text, and the variables that they name, as JSON.
fn published_servers() -> [(String, String); 2] {
    let text = of_manifest("nats.yaml", "docs[0]['data']['nats.conf']");
    let variables = of_manifest(
        "nats.yaml",
        "json.dumps({e['name']: e['value'] for e in pods['containers'][0]['env'] if 'value' in e})",
    );
    let one = fs::read_to_string(deploy().join("nats/nats.conf")).expect("settings");
    let (above, _) = one.split_once("\nauthorization {").expect("users");
    // what is there for three servers is a comment
    let (above, block) = above.split_once("# cluster {").expect("a cluster");
    let (block, _) = block.split_once("# }").expect("its end");
    let cluster = format!(
        "{above}\ncluster {{{}}}\nhttp: \"127.0.0.1:8222\"\n",
        block.replace('#', "")
    );
    let address = |n| format!("\"nats://route:$(PASSWORD)@nats-{n}.nats:6222\"");
    let named = serde_json::json!({
        "NEOFN_ROUTE_PASSWORD": "\"$(PASSWORD)\"",
        "NEOFN_ROUTE_1": address(0), "NEOFN_ROUTE_2": address(1), "NEOFN_ROUTE_3": address(2),
    });
    let cluster = cluster.replace("server_name: n1", "server_name: $POD_NAME");
    [(text, variables), (cluster, named.to_string())]
}

/// Who has no password is no server of the cluster: a route is asked for no user's rights.
#[test]
fn a_stranger_is_no_server_of_the_cluster() {
    for (text, variables) in published_servers() {
        let dir = tempfile::tempdir().expect("a directory");
        // held together until all are known, so that no two are the same
        let listeners: Vec<TcpListener> = (0..12)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|l| l.local_addr().expect("an address").port())
            .collect();
        drop(listeners);
        let start = |n: usize, password: &str| {
            let home = dir.path().join(n.to_string());
            let data = format!("\"{}\"", home.join("data").display());
            let text = text
                .replace("0.0.0.0:4222", &format!("127.0.0.1:{}", ports[n]))
                .replace("0.0.0.0:6222", &format!("127.0.0.1:{}", ports[4 + n]))
                .replace("127.0.0.1:8222", &format!("127.0.0.1:{}", ports[8 + n]))
                .replace("\"/data\"", &data)
                .replace("\"/var/lib/nats\"", &data);
            let mut variables = variables.replace("$(PASSWORD)", password);
            for other in 0..3 {
                let here = format!("127.0.0.1:{}", ports[4 + other]);
                variables = variables.replace(&format!("nats-{other}.nats:6222"), &here);
            }
            let variables: std::collections::BTreeMap<String, String> =
                serde_json::from_str(&variables).expect("variables");
            let mut variables: Vec<(String, String)> = variables.into_iter().collect();
            variables.push(("POD_NAME".to_owned(), format!("nats-{n}")));
            Nats::start(&home, &text, &variables, ports[8 + n])
        };
        let servers: Vec<Nats> = (0..3).map(|n| start(n, PASSWORD)).collect();
        for (n, server) in servers.iter().enumerate() {
            eventually("the servers know each other", Duration::from_secs(30), || {
                let all = (0..3)
                    .filter(|m| *m != n)
                    .all(|m| server.knows(&format!("nats-{m}")));
                all.then_some(())
            });
        }
        let stranger = start(3, "guessed");
        eventually("the stranger is refused", Duration::from_secs(30), || {
            stranger.log().contains("Authorization Violation").then_some(())
        });
        assert!(!servers.iter().any(|server| server.knows("nats-3")));
        // and nobody asks the monitor from elsewhere
        assert!(text.contains("http: \"127.0.0.1:8222\""), "{text}");
    }
}
