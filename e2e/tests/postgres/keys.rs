//! Nodes of one database have the same keys, or are told so.

use crate::{config, node};
use neofn_testkit::{NodeProcess, Postgres};
use serde_json::json;
use std::path::Path;

const KEYS: [&str; 3] = ["identity.key", "audit.key", "secrets.key"];

/// Copies what an operator copies to a further node.
pub fn share_keys(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for key in KEYS {
        if from.join(key).exists() && !to.join(key).exists() {
            std::fs::copy(from.join(key), to.join(key)).unwrap();
        }
    }
}

#[test]
fn a_node_without_the_keys_is_told_so() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let a = node(dir.path(), "a", &postgres.url());
    let config = config(dir.path(), "b", &postgres.url());
    let data = dir.path().join("b");
    let refused = |why: &str| {
        let stderr = NodeProcess::try_start_in(&data, &["--config", config.to_str().unwrap()])
            .err()
            .expect("refused");
        assert!(
            (stderr.contains("NF0601") || stderr.contains("NF1106")) && stderr.contains(why),
            "{stderr}"
        );
    };
    for key in KEYS {
        refused(key);
        // it has made none itself, and one that it brings along is not taken
        assert!(!data.join(key).exists(), "{key}");
        std::fs::write(data.join(key), format!("{}\n", "5a".repeat(32))).unwrap();
        set_private(&data.join(key));
        refused(key);
        std::fs::copy(a.data().join(key), data.join(key)).unwrap();
    }
    let b = NodeProcess::start_in(&data, &["--config", config.to_str().unwrap()]);

    // a secret that one was given is the other's, too; so is the log of it
    let body = json!({"value": "hunter2-of-all-nodes", "hosts": ["api.example.org"]});
    let put = a.http().send(
        "PUT",
        "/api/v1/secrets/demo/KEY",
        body.to_string().as_bytes(),
        &[("content-type", "application/json")],
    );
    assert!(put.status < 300, "{put:?}");
    let listed = b.http().get("/api/v1/secrets/demo").expect(200);
    assert!(listed.body.contains("\"KEY\""), "{listed:?}");
    let head = |node: &NodeProcess| node.http().get("/api/v1/audit/checkpoint").expect(200).body;
    assert_eq!(head(&a), head(&b));
}

#[test]
fn of_two_first_nodes_that_start_at_once_the_second_is_told_so() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let start = |name: &str| {
        let config = config(dir.path(), name, &postgres.url());
        NodeProcess::try_start_in(&dir.path().join(name), &["--config", config.to_str().unwrap()])
    };
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| start("a"));
        (start("b"), a.join().unwrap())
    });
    let (first, stderr) = match (a, b) {
        (Ok(node), Err(stderr)) | (Err(stderr), Ok(node)) => (node, stderr),
        (Ok(_), Ok(_)) => panic!("two nodes with keys of their own are on one database"),
        (Err(a), Err(b)) => panic!("none of them came up:\n{a}\n{b}"),
    };
    // that it was later by a moment, or by so much that the first one's keys were known when it came
    let why = [
        "at the same time and was first",
        "in the data directory of this node",
    ];
    assert!(
        stderr.contains("NF0601") && why.iter().any(|why| stderr.contains(why)),
        "{stderr}"
    );
    for name in ["a", "b"] {
        let data = dir.path().join(name);
        if data != first.data() {
            for key in KEYS {
                std::fs::copy(first.data().join(key), data.join(key)).unwrap();
            }
            let again = start(name).unwrap_or_else(|stderr| panic!("{stderr}"));
            assert_eq!(again.terminate(), Some(0));
        }
    }
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
