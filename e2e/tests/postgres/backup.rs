//! The backup of a cluster is its database's, with the keys of a node: dumped while a node runs, restored elsewhere.

use crate::keys::share_keys;
use crate::{SOON, config, deploy, ended, enqueue, exactly_once, node};
use neofn_testkit::{NodeProcess, Postgres, binary};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

/// A digest of each table's rows, but of the table that running nodes write all the time.
fn digests(postgres: &Postgres, database: &str) -> BTreeMap<String, String> {
    let tables = postgres.sql(
        database,
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'lease'",
    );
    let digest = |table: &str| {
        let all = format!(
            "SELECT count(*) || ' ' || md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')) FROM \"{table}\" t"
        );
        postgres.sql(database, &all)
    };
    tables.lines().map(|t| (t.to_owned(), digest(t))).collect()
}

#[test]
fn a_dump_and_the_keys_are_a_backup() {
    let (postgres, dir) = (Postgres::start(), tempfile::tempdir().unwrap());
    let a = node(dir.path(), "a", &postgres.url());
    deploy(&a.http());
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let ids: Vec<String> = names
        .iter()
        .map(|name| enqueue(&a.http(), name, 0).expect("accepted"))
        .collect();
    for id in &ids {
        ended(&a.http(), id, SOON);
    }
    let secret = json!({"value": "kept over the restore", "hosts": ["api.example.org"]}).to_string();
    let put = a
        .http()
        .send("PUT", "/api/v1/secrets/demo/KEY", secret.as_bytes(), &[]);
    assert!(put.status < 300, "{put:?}");
    let versions = |node: &NodeProcess| {
        let path = "/api/v1/functions/demo/count/versions";
        node.http().get(path).expect(200).json()["versions"].clone()
    };
    let head = |node: &NodeProcess| node.http().get("/api/v1/audit/checkpoint").expect(200).json();

    // the node's own command says where to go, and does nothing
    let entries = head(&a);
    let out = Command::new(binary())
        .args([
            "backup",
            "create",
            "--json",
            "--recipient",
            "age1whoever",
            "--url",
            a.url(),
        ])
        .env("NEOFN_API_KEY", a.key())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[out.stdout.as_slice(), &out.stderr].concat()).into_owned();
    assert_ne!(out.status.code(), Some(0));
    assert!(said.contains("NF1406") && said.contains("pg_dump"), "{said}");
    assert_eq!(head(&a), entries, "nothing was done, so nothing is written down");

    // while it runs
    let dump = postgres.dump("postgres");
    let (before, known) = (digests(&postgres, "postgres"), versions(&a));
    let url = postgres.restore(&dump, "restored");
    assert_eq!(digests(&postgres, "restored"), before);
    let has = |table: &str| !before[table].starts_with("0 ");
    assert!(has("invocation") && has("kv") && has("function"), "{before:?}");
    assert_eq!(a.terminate(), Some(0));

    // a node on other machines: the keys came along, and they are needed
    let data = dir.path().join("b");
    let settings = config(dir.path(), "b", &url);
    let flags = ["--config", settings.to_str().unwrap()];
    let refused = NodeProcess::try_start_in(&data, &flags).err();
    assert!(
        refused.is_some_and(|said| said.contains("NF0601")),
        "without the keys"
    );
    share_keys(&dir.path().join("a"), &data);
    let b = NodeProcess::start_in(&data, &flags);
    assert_eq!(versions(&b), known);
    assert_ne!(known, Value::Null);
    for id in &ids {
        ended(&b.http(), id, SOON);
    }
    exactly_once(&b.http(), &names);
    let listed = b.http().get("/api/v1/secrets/demo").expect(200);
    assert!(listed.body.contains("\"KEY\""), "{listed:?}");
    let id = enqueue(&b.http(), "after", 0).expect("accepted");
    ended(&b.http(), &id, SOON);
    assert_eq!(b.terminate(), Some(0));
}
