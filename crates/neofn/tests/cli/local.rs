//! Commands that need no node.

use crate::run::Place;
use insta::assert_snapshot;

#[test]
fn help_of_every_command() {
    let place = Place::new();
    let mut all = place.see(&["--help"]);
    let commands: Vec<String> = all
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| l.starts_with("  "))
        .filter_map(|l| Some(l.split_whitespace().next()?.to_owned()))
        .collect();
    assert!(commands.len() >= 15, "{commands:?}");
    for command in &commands {
        all.push_str(&format!("\n==== {command}\n{}", place.see(&[command, "--help"])));
    }
    for (command, below) in [
        ("gas", &["estimate"][..]),
        (
            "chain",
            &[
                "height",
                "block",
                "tx",
                "notifications",
                "balance",
                "call",
                "decode",
                "invoke",
                "transfer",
                "deploy",
                "update",
            ],
        ),
        ("triggers", &["test", "backtest", "pause", "resume"]),
        ("deadletters", &["retry", "drop"]),
        ("signer", &["import", "policy", "signatures"]),
    ] {
        for sub in below {
            let help = place.see(&[command, sub, "--help"]);
            all.push_str(&format!("\n==== {command} {sub}\n{help}"));
        }
    }
    assert_snapshot!(all);
}

#[test]
fn a_configuration_is_read_strictly() {
    let place = Place::new();
    for (name, text) in [
        (
            "unknown",
            "listen = \"127.0.0.1:0\"\n\n[nats]\nurl = \"nats://127.0.0.1\"\nnkey = \"x\"\n",
        ),
        ("value", "listen = \"127.0.0.1:0\"\nmax_memory = \"1GiB\"\n"),
        ("login", "[nats]\nurl = \"nats://127.0.0.1\"\nuser = \"x\"\n"),
        (
            "chain",
            "[chain]\ndev = \"memory\"\nurl = \"http://127.0.0.1:1\"\n",
        ),
        (
            "wallet",
            "[chain]\nwallet = \"w\"\nwallet_password_file = \"p\"\n",
        ),
    ] {
        place.file("c.toml", text);
        assert_snapshot!(
            format!("configuration_{name}"),
            place.see(&["up", "--config", "c.toml"])
        );
    }
    assert_snapshot!(
        "configuration_absent",
        place.see(&["up", "--config", "none.toml"])
    );
}

#[test]
fn usage_errors() {
    let place = Place::new();
    for (name, args) in [
        ("nothing", &[][..]),
        ("unknown", &["inovke"]),
        ("missing", &["invoke"]),
        ("json", &["invoke", "--json"]),
        ("project", &["functions", "--project", "Bad Name"]),
        ("version", &["rollback", "hello", "0"]),
        ("id", &["replay", "not-an-id"]),
        ("template", &["init", "hello", "--template", "cobol"]),
    ] {
        assert_snapshot!(format!("usage_{name}"), place.see(args));
    }
}

#[test]
fn explain() {
    let place = Place::new();
    assert_snapshot!("explain_one", place.see(&["explain", "nf0207"]));
    assert_snapshot!("explain_unknown", place.see(&["explain", "NF020"]));
    assert_snapshot!("explain_json", place.see(&["explain", "NF0207", "--json"]));
    let list = place.see(&["explain"]);
    assert!(list.contains("NF0101") && list.contains("NF0902"), "{list}");
}

#[test]
fn init_makes_a_project_and_refuses_to_touch_another() {
    let place = Place::new();
    assert_snapshot!("init", place.see(&["init", "hello"]));
    assert_snapshot!("init_again", place.see(&["init", "hello"]));
    assert_snapshot!("init_bad_name", place.see(&["init", "../up"]));
    assert_snapshot!(
        "init_json",
        place.see(&[
            "init",
            "sum",
            "--template",
            "wasm-c",
            "--project",
            "shop",
            "--json"
        ])
    );
    let manifest = std::fs::read_to_string(place.path().join("sum/neofn.toml")).expect("is there");
    assert!(
        manifest.contains("project = \"shop\"") && manifest.contains("[function.sum]"),
        "{manifest}"
    );
    let schema =
        std::fs::read_to_string(place.path().join("hello/.neofn/manifest.schema.json")).expect("is there");
    assert_eq!(schema, neofn_manifest::json_schema());
    place.file("file", "");
    assert_snapshot!("init_file", place.see(&["init", "file"]));
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = place.run(&["completions", shell]);
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("rollback"),
            "{shell}"
        );
    }
}

#[test]
fn no_node_and_no_project() {
    let place = Place::new();
    assert_snapshot!("no_node", place.see(&["invoke", "hello"]));
    assert_snapshot!("no_node_json", place.see(&["invoke", "hello", "--json"]));
    assert_snapshot!("no_project", place.see(&["deploy"]));
    assert_snapshot!("bad_function_name", place.see(&["invoke", "Hello"]));
    assert_snapshot!(
        "bad_url",
        place.see(&["functions", "--url", "http://10.0.0.1:9000"])
    );
    assert_snapshot!("bad_event", place.see(&["invoke", "hello", "{name:1}"]));
    assert_snapshot!("bad_event_file", place.see(&["invoke", "hello", "@absent.json"]));
}

#[test]
fn a_manifest_with_mistakes_shows_them_all() {
    let place = Place::new();
    place.file(
        "neofn.toml",
        "projekt = \"demo\"\n[function.hello]\nmian = \"src/index.ts\"\nallow = { net = [\"*\"] }\n",
    );
    assert_snapshot!("bad_manifest", place.see(&["deploy"]));
    let output = place.run(&["deploy", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["error"]["code"], "NF0123");
    assert_eq!(document["error"]["diagnostics"].as_array().map(Vec::len), Some(4));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_does_nothing_for_a_command_is_neither_shown_nor_taken() {
    let place = Place::with_node("http://127.0.0.1:1");
    for command in ["up", "worker", "migrate", "explain", "completions"] {
        let help = place.see(&[command, "--help"]);
        for option in [
            "--project",
            "--url",
            "--ca ",
            "--client-cert",
            "--client-key",
            "--api-key-file",
        ] {
            assert!(!help.contains(option), "{command}: {option}\n{help}");
        }
    }
    // wherever it stands
    for args in [
        &[
            "worker",
            "--nats",
            "nats://127.0.0.1:1",
            "--url",
            "http://127.0.0.1:9000",
        ][..],
        &["--project", "demo", "explain", "NF0207"],
    ] {
        let output = place.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("asks no node"), "{said}");
    }
    // the environment is that of every command
    let output = place.run(&["explain", "NF0207"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(place.see(&["functions", "--help"]).contains("--url"));
}

#[test]
fn doctor_finds_and_mends() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.file("data/admin.key", "nfk_x");
    place.file(
        "data/runtime.json",
        r#"{"url":"http://127.0.0.1:1","admin_key_file":"x","pid":4294967295}"#,
    );
    let mode = |path: &str, mode| {
        std::fs::set_permissions(place.path().join(path), std::fs::Permissions::from_mode(mode))
            .expect("mode");
    };
    mode("data", 0o755);
    mode("data/admin.key", 0o644);
    let find = |output: &std::process::Output, name: &str| {
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
        let findings = document["findings"].as_array().expect("findings").clone();
        findings
            .iter()
            .find(|f| f["name"] == name)
            .map_or(String::new(), |f| f["state"].as_str().unwrap_or("").to_owned())
    };
    let found = place.run(&["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    for (name, state) in [
        ("data directory", "bad"),
        ("admin key", "bad"),
        ("runtime.json", "warn"),
        ("node", "info"),
    ] {
        assert_eq!(find(&found, name), state, "{name}");
    }
    let mended = place.run(&["doctor", "--fix", "--json"]);
    for name in ["data directory", "admin key", "runtime.json"] {
        assert_eq!(find(&mended, name), "fixed", "{name}");
    }
    assert!(!place.path().join("data/runtime.json").exists());
    let again = place.run(&["doctor", "--json"]);
    assert_eq!(find(&again, "admin key"), "good");
    let human = String::from_utf8_lossy(&place.run(&["doctor"]).stderr).into_owned();
    assert!(human.contains("jail"), "{human}");
}

#[test]
fn the_version_names_the_engines() {
    let place = Place::new();
    let text = place.see(&["--version"]);
    assert!(
        text.contains("neofn 0.") && text.contains("engine js") && text.contains("engine wasm"),
        "{text}"
    );
    let output = place.run(&["--version", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["engines"]["js"].as_str().map(str::len), Some(64));
}
