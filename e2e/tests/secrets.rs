//! Secrets from outside: set on the command line's standard input, used by a handle, and found nowhere else. A canary
//! goes to a server of ours and comes back from it; then every answer, every log, and every byte on disk is searched.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use neofn_testkit::{Answer, Cli, NodeProcess};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::server::{Server, ok};

/// With characters that every encoding writes otherwise.
const CANARY: &str = "c4n&ry+v4lue/9f8e\"7d6c=5b4a%3930";

/// The canary and what it may hide behind.
fn disguises() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = CANARY.as_bytes();
    let percent = |upper: bool| {
        let letters = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
        bytes
            .iter()
            .map(|b| match (letters(b), upper) {
                (true, _) => char::from(*b).to_string(),
                (false, true) => format!("%{b:02X}"),
                (false, false) => format!("%{b:02x}"),
            })
            .collect::<String>()
    };
    let json = serde_json::to_string(CANARY).unwrap();
    let mut all = vec![
        ("itself", bytes.to_vec()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("upper hex", hex::encode_upper(bytes).into_bytes()),
        ("percent", percent(true).into_bytes()),
        ("lower percent", percent(false).into_bytes()),
        ("json", json.trim_matches('"').as_bytes().to_vec()),
        ("reversed", bytes.iter().rev().copied().collect()),
        ("upper case", CANARY.to_uppercase().into_bytes()),
        (
            "base64 twice",
            STANDARD_NO_PAD
                .encode(&STANDARD_NO_PAD.encode(bytes)[..39])
                .into_bytes(),
        ),
        ("double percent", percent(true).replace('%', "%25").into_bytes()),
    ];
    let mut nested = CANARY.to_owned();
    for _ in 0..5 {
        nested = serde_json::to_string(&nested).unwrap();
        nested = nested[1..nested.len() - 1].to_owned();
        all.push(("nested JSON", nested.clone().into_bytes()));
    }
    for form in [
        |b: &u8| format!("\\u{b:04x}"),
        |b: &u8| format!("\\x{b:02x}"),
        |b: &u8| format!("&#{b};"),
        |b: &u8| format!("{b:02x}:"),
    ] {
        let spelled: String = bytes.iter().map(form).collect();
        all.push(("spelled out", spelled.trim_end_matches(':').into()));
    }
    // wherever it stands in what is encoded: what its neighbours have no part in
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode([vec![0; before], bytes.to_vec()].concat());
        let inner = text[if before == 0 { 0 } else { 4 }..text.len() - 4].to_owned();
        all.push(("base64", inner.clone().into_bytes()));
        all.push((
            "base64url",
            inner.replace('+', "-").replace('/', "_").into_bytes(),
        ));
    }
    all
}

#[track_caller]
fn clean(what: &str, bytes: &[u8]) {
    for (disguise, needle) in disguises() {
        assert!(
            !bytes.windows(needle.len()).any(|w| w == needle),
            "{what} has the secret as {disguise}: {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)])
        );
    }
}
#[track_caller]
fn clean_answer(what: &str, answer: &Answer) {
    clean(what, format!("{answer:?}").as_bytes());
    clean(what, answer.body.as_bytes());
}
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}
fn clean_disk(data: &Path) {
    let mut found = Vec::new();
    files(data, &mut found);
    let names: Vec<_> = found.iter().filter_map(|p| p.file_name()).collect();
    assert!(names.iter().any(|n| *n == "neofn.db"), "{names:?}");
    for path in found {
        // a file of the database may come and go
        if let Ok(bytes) = std::fs::read(&path) {
            clean(&path.display().to_string(), &bytes);
        }
    }
}

/// Uses the handle alone; the server sends back what it got.
fn by_handle(port: u16) -> String {
    format!(
        r#"export async function handler(event, ctx) {{
  const handle = await ctx.secrets.get("API_KEY");
  const answer = await fetch("https://127.0.0.1:{port}/orders?q=" + handle, {{
    method: "POST",
    headers: {{ authorization: "Bearer {{{{secret:API_KEY}}}}", "content-type": "application/json" }},
    body: JSON.stringify({{ key: handle }}),
  }});
  const text = await answer.text();
  console.log("handle", handle);
  console.log("answer", text);
  if (event.fail) throw new Error("the answer was " + text);
  return {{ handle, text, status: answer.status }};
}}"#
    )
}

/// Sees the value and shows it in every way it can think of.
const IN_PLAIN: &str = r#"const hex = (text) => [...new TextEncoder().encode(text)].map((b) => b.toString(16).padStart(2, "0")).join("");
export async function handler(event, ctx) {
  const value = await ctx.secrets.get("API_KEY");
  const seen = {
    itself: value, within: "before " + value + " after", hex: hex(value), upper: hex(value).toUpperCase(),
    base64: btoa(value), shifted: btoa("x" + value), twice: btoa("xy" + value + "z"),
    url: btoa(value).replaceAll("+", "-").replaceAll("/", "_"), percent: encodeURIComponent(value),
    json: JSON.stringify(value), nested: JSON.stringify({ a: JSON.stringify({ value }) }),
    reversed: [...value].reverse().join(""), [value]: "as a name", again: btoa(btoa(value)),
    units: [...value].map((c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0")).join(""),
    escapes: [...value].map((c) => "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0")).join(""),
    entities: [...value].map((c) => "&#" + c.charCodeAt(0) + ";").join(""),
    colons: hex(value).match(/../g).join(":"), doubled: encodeURIComponent(encodeURIComponent(value)),
    upperCased: value.toUpperCase(),
  };
  console.log(value, seen);
  console.error(JSON.stringify(seen));
  if (event.kv) { await ctx.kv.put("kept", value); return "kept"; }
  if (event.fail) throw new Error(JSON.stringify(seen));
  return { length: value.length, seen };
}"#;

struct World {
    node: NodeProcess,
    server: Server,
    data: PathBuf,
    dir: tempfile::TempDir,
}

fn more(ca: &Path) -> Vec<String> {
    let ca = ca.display().to_string();
    // the log says all that it can, spans and headers of libraries included
    [
        "--egress-allow",
        "127.0.0.1/32",
        "--egress-ca",
        &ca,
        "--log",
        "trace",
    ]
    .map(str::to_owned)
    .to_vec()
}
fn start(data: &Path, more: &[String]) -> NodeProcess {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    NodeProcess::start_in(data, &more)
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::tls("127.0.0.1", ok);
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, server.authority.as_ref().unwrap()).unwrap();
    let data = dir.path().join("data");
    let node = start(&data, &more(&ca));
    World {
        node,
        server,
        data,
        dir,
    }
}

impl World {
    fn deploy(&self, name: &str, source: &str, secrets: Value) {
        let net = [
            format!("https://127.0.0.1:{}", self.server.port),
            format!("http://127.0.0.1:{}", self.server.port),
        ];
        let request = json!({
            "function_name": name, "source": source, "allow": {"net": net, "secrets": secrets, "kv": true},
        });
        let _ = self.node.http().deploy_with("demo", request).expect(201);
    }
    fn set(&self, value: &str, more: &[&str]) {
        let cli = Cli::new(self.dir.path(), &self.node);
        let args = [&["secrets", "set", "API_KEY", "--project", "demo"], more].concat();
        let done = cli.fed(&args, value.as_bytes()).expect(0);
        clean("the command line", format!("{done:?}").as_bytes());
    }
}

#[test]
fn a_canary_goes_to_its_host_and_is_found_nowhere_else() {
    let world = world();
    world.set(CANARY, &["--host", "127.0.0.1"]);
    world.deploy("hidden", &by_handle(world.server.port), json!(["API_KEY"]));
    world.deploy("open", IN_PLAIN, json!([{"name": "API_KEY", "plaintext": true}]));
    let http = world.node.http();

    let run = http.invoke("demo", "hidden", &json!({})).expect(200);
    clean_answer("the result", &run);
    assert_eq!(run.json()["result"]["handle"], "{{secret:API_KEY}}");
    assert!(
        run.json()["result"]["text"]
            .as_str()
            .unwrap()
            .contains("[secret API_KEY]")
    );
    let seen = world.server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].contains(&format!("Bearer {CANARY}")), "{seen:?}");
    assert!(
        seen[0].contains(&json!({"key": CANARY}).to_string()),
        "escaped within JSON: {seen:?}"
    );
    let failed = http.invoke("demo", "hidden", &json!({"fail": true})).expect(500);
    clean_answer("the error", &failed);
    assert!(failed.body.contains("[secret API_KEY]"), "{failed:?}");

    let run = http.invoke("demo", "open", &json!({})).expect(200);
    clean_answer("the result of one that sees it", &run);
    assert_eq!(run.json()["result"]["length"], CANARY.len());
    let failed = http.invoke("demo", "open", &json!({"fail": true})).expect(500);
    clean_answer("the error of one that sees it", &failed);
    let kept = http.invoke("demo", "open", &json!({"kv": true})).expect(500);
    assert!(
        kept.body.contains("contains the value of the secret API_KEY"),
        "{kept:?}"
    );
    clean_answer("the refusal to keep it", &kept);

    let id = run.json()["invocationId"].as_str().unwrap().to_owned();
    let replayed = http.post(&format!("/api/v1/invocations/{id}/replay"), &json!({}));
    for path in [
        "/api/v1/functions/demo/open/logs",
        "/api/v1/functions/demo/hidden/logs",
        "/api/v1/functions/demo/open/invocations",
        "/api/v1/functions/demo/hidden/invocations",
        &format!("/api/v1/invocations/{id}"),
        "/api/v1/secrets/demo",
        "/api/v1/secrets/demo/API_KEY",
        "/api/v1/secrets/demo/API_KEY/versions",
        "/api/functions/demo/open",
        "/metrics",
    ] {
        clean_answer(path, &http.get(path).expect(200));
    }
    clean_answer("a replay", &replayed);
    let cli = Cli::new(world.dir.path(), &world.node);
    for args in [
        &["secrets", "ls", "--project", "demo"][..],
        &["secrets", "versions", "API_KEY", "--project", "demo"],
        &["logs", "demo/open"],
        &["replay", &id],
    ] {
        clean("the command line", format!("{:?}", cli.run(args)).as_bytes());
    }
    let traces = world.node.stderr();
    assert!(traces.contains("trace_id="), "nothing is traced");
    clean("the node's log and traces", traces.as_bytes());
    let export = cli.run(&["audit", "export"]).expect(0).stdout;
    assert!(export.contains("secret.set"), "{export}");
    clean("the audit log", export.as_bytes());
    clean_disk(&world.data);
    clean_backup(&world, &cli);
    // what was just searched does find it where it is
    let found = std::panic::catch_unwind(|| clean("", format!("x{CANARY}").as_bytes()));
    assert!(found.is_err());
}

/// A backup as it is, what is restored of it, and what a node that runs on that shows.
fn clean_backup(world: &World, cli: &Cli) {
    let place = |name: &str| world.dir.path().join(name).display().to_string();
    let (identity, to) = (place("backup.key"), world.dir.path().join("restored"));
    let recipient = cli.run(&["backup", "keygen", &identity]).expect(0).stdout;
    let made = cli
        .run(&["backup", "create", "--recipient", recipient.trim()])
        .expect(0);
    let backup = made.stdout.lines().next().expect("a file").to_owned();
    clean("a backup", &std::fs::read(&backup).unwrap());
    let restored = to.display().to_string();
    let args = [
        "backup",
        "restore",
        &backup,
        "--identity",
        &identity,
        "--data",
        &restored,
    ];
    clean(
        "the restoring",
        format!("{:?}", cli.run(&args).expect(0)).as_bytes(),
    );
    clean_disk(&to);
    let node = start(&to, &more(&world.dir.path().join("ca.pem")));
    let listed = node.http().get("/api/v1/secrets/demo/API_KEY").expect(200);
    clean_answer("a restored node", &listed);
    let run = node.http().invoke("demo", "open", &json!({})).expect(200);
    assert_eq!(
        run.json()["result"]["length"],
        CANARY.len(),
        "it is there, sealed"
    );
    clean_answer("a run of a restored node", &run);
    clean("the log of a restored node", node.stderr().as_bytes());
}

#[test]
fn a_value_goes_only_where_it_may() {
    let world = world();
    let port = world.server.port;
    world.set(CANARY, &["--host", "api.example.org"]);
    world.deploy("hidden", &by_handle(port), json!(["API_KEY"]));
    let clear = by_handle(port).replace("https://", "http://");
    world.deploy("clear", &clear, json!(["API_KEY"]));
    world.deploy("ungranted", &by_handle(port), json!([]));
    let http = world.node.http();
    let fails = |name: &str, code: &str| {
        let answer = http.invoke("demo", name, &json!({})).expect(500);
        assert!(answer.body.contains(code), "{name}: {answer:?}");
        clean_answer(name, &answer);
    };
    fails("hidden", "may not be sent to 127.0.0.1");
    fails("ungranted", "API_KEY");
    let cli = Cli::new(world.dir.path(), &world.node);
    let configure = |args: &[&str]| {
        let all = [&["secrets", "configure", "API_KEY", "--project", "demo"], args].concat();
        let _ = cli.run(&all).expect(0);
    };
    configure(&["--host", "127.0.0.1"]);
    fails("clear", "fetch: API_KEY");
    assert_eq!(
        world.server.connections(),
        0,
        "refused before anything is connected to"
    );
    let _ = http.invoke("demo", "hidden", &json!({})).expect(200);
    configure(&["--function", "other"]);
    fails("hidden", "API_KEY");
    // nor does it reach another project's function of the same name
    let net = json!([format!("https://127.0.0.1:{port}")]);
    let request = json!({
        "function_name": "hidden", "source": by_handle(port), "allow": {"net": net, "secrets": ["API_KEY"]},
    });
    let _ = http.deploy_with("elsewhere", request).expect(201);
    let answer = http.invoke("elsewhere", "hidden", &json!({}));
    assert!(answer.body.contains("API_KEY"), "{answer:?}");
    clean_answer("another project", &answer);
    assert_eq!(world.server.connections(), 1);
}

/// Whoever deletes a project leaves nothing that opens.
#[test]
fn a_deleted_project_leaves_nothing_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let node = NodeProcess::start_in(&data, &[]);
    let owner = support::people::Person::sign_in(&node, 1);
    let _ = owner
        .http
        .post("/api/v1/projects", &json!({"name": "shop"}))
        .expect(201);
    let source = "export const handler = async (_, ctx) => ctx.kv.put('k', 1);";
    let hello = json!({"function_name": "hello", "source": source, "allow": {"kv": true}});
    let _ = owner.http.deploy_with("shop", hello).expect(201);
    let _ = owner.http.invoke("shop", "hello", &Value::Null).expect(200);
    let put = |name: &str| {
        let path = format!("/api/v1/secrets/shop/{name}");
        owner
            .http
            .send("PUT", &path, json!({"value": CANARY}).to_string().as_bytes(), &[])
            .expect(200)
    };
    let _ = (put("ONE"), put("TWO"));
    let key = json!({"name": "ci", "scopes": ["read"]});
    let key = owner.http.post("/api/v1/keys/shop", &key).expect(201).json();
    let robot = neofn_testkit::Http::new(node.url(), key["key"].as_str());
    let _ = robot.get("/api/v1/functions/shop/hello").expect(200);

    // not by a key, not while it has a function, and never the default one
    assert_eq!(robot.delete("/api/v1/projects/shop").status, 403);
    let refused = owner.http.delete("/api/v1/projects/shop").expect(409);
    assert_eq!(refused.code(), "NF0323", "{refused:?}");
    assert_eq!(node.http().delete("/api/v1/projects/default").status, 422);
    let gone = owner
        .http
        .delete("/api/v1/projects/shop?force=true")
        .expect(200)
        .json();
    assert_eq!(
        gone,
        json!({"success": true, "functions": 1, "secrets": 2, "keys_revoked": 1})
    );

    // nobody is in it, its keys are none, and it is not there for anybody
    assert_eq!(owner.http.get("/api/v1/functions/shop/hello").status, 404);
    assert_eq!(owner.http.delete("/api/v1/projects/shop").status, 404);
    assert_eq!(robot.get("/auth/whoami").status, 401);
    let listed = node.http().get("/api/v1/projects").expect(200);
    assert!(!listed.body.contains("shop"), "{listed:?}");
    assert_eq!(
        node.http().delete("/api/v1/projects/shop").expect(404).code(),
        "NF0316"
    );
    // nobody gets its name, neither by asking for it nor by deploying into it
    let other = support::people::Person::sign_in(&node, 2);
    let taken = other
        .http
        .post("/api/v1/projects", &json!({"name": "shop"}))
        .expect(409);
    assert_eq!(taken.code(), "NF0411");
    let again = node
        .http()
        .deploy("shop", "hello", "export const handler = () => 1;");
    assert_eq!(again.expect(409).code(), "NF0324");
    let acts = node.http().get("/api/v1/audit?limit=1000").expect(200).body;
    assert!(acts.contains("\"project.delete\""), "{acts}");

    // after a crash it is the same, and the envelopes and keys are gone from the database
    node.kill_hard();
    let node = NodeProcess::start_in(&data, &[]);
    assert_eq!(node.http().delete("/api/v1/projects/shop").status, 404);
    assert!(!node.http().get("/api/v1/secrets/shop").body.contains("ONE"));
    clean_disk(&data);
}

#[test]
fn versions_outlive_a_crash_and_what_is_destroyed_is_gone() {
    let world = world();
    world.set("first-value-1", &["--host", "127.0.0.1"]);
    world.set("second-value-2", &[]);
    world.deploy("hidden", &by_handle(world.server.port), json!(["API_KEY"]));
    let World {
        node,
        server,
        data,
        dir,
    } = world;
    node.kill_hard();
    let node = start(&data, &more(&dir.path().join("ca.pem")));
    let (http, cli) = (node.http(), Cli::new(dir.path(), &node));
    let last = |value: &str| {
        let _ = http.invoke("demo", "hidden", &json!({})).expect(200);
        let seen = server.seen().pop().unwrap();
        assert!(seen.contains(&format!("Bearer {value}")), "{seen}");
    };
    last("second-value-2");
    let secrets = |args: &[&str]| {
        cli.run(&[&["secrets", "--project", "demo"], args].concat())
            .expect(0)
    };
    let _ = secrets(&["rollback", "API_KEY", "1"]);
    last("first-value-1");
    let _ = secrets(&["delete", "API_KEY"]);
    let gone = http.invoke("demo", "hidden", &json!({})).expect(500);
    assert!(gone.body.contains("was deleted"), "{gone:?}");
    let _ = secrets(&["undelete", "API_KEY"]);
    last("first-value-1");
    // sealed, nothing is read, and the node's other work goes on
    let _ = secrets(&["seal"]);
    let sealed = http.invoke("demo", "hidden", &json!({}));
    assert!(sealed.body.contains("sealed"), "{sealed:?}");
    let root = std::fs::read_to_string(data.join("secrets.key")).unwrap();
    let _ = cli.fed(&["secrets", "unseal"], root.trim().as_bytes()).expect(0);
    last("first-value-1");
    let _ = secrets(&["destroy", "API_KEY", "--all"]);
    assert_eq!(http.get("/api/v1/secrets/demo/API_KEY").status, 404);
}
