//! What arrives from another store: every column, in an empty database, or nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply, ReplyStore as _};
use neofn_rows::tables::{Counted, Kind, NUMBERED, Sum, TABLES, Table, Value};
use neofn_store_postgres::{Import, PostgresStore, StoreOptions, TimeOf};
use neofn_testkit::Postgres;
use neofn_testkit::stores::support::TestClock;
use neofn_types::{Code, Digest, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Tables that are not moved row by row.
const LEFT: [(&str, &str); 7] = [
    ("tally", "counted, and written by `Import::counted`"),
    ("totals", "counted, and written by `Import::counted`"),
    ("blob", "artifacts, written by `Import::blob`"),
    ("lease", "who does what at this moment: nobody does by then"),
    ("challenge", "a sign-in that was begun is begun anew"),
    (
        "node_key",
        "which keys nodes of this database have: the first of them says so",
    ),
    ("neofn_migration", "the layout, which is each database's own"),
];

fn options(url: &str) -> StoreOptions {
    StoreOptions {
        time_of: TimeOf::Asker,
        ..StoreOptions::new(url, Arc::new(TestClock::default()))
    }
}

fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_is_filled_or_left_for_a_reason() {
    let postgres = Postgres::start();
    drop(Import::begin(&options(&postgres.url())).await.unwrap());
    let said = postgres.sql(
        "postgres",
        "SELECT table_name, column_name, data_type, is_identity FROM information_schema.columns WHERE table_schema = 'public'",
    );
    let mut there: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut numbered = BTreeSet::new();
    for line in said.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let (table, column) = (parts[0], parts[1]);
        there.insert((table, column), parts[2]);
        if parts[3] == "YES" {
            numbered.insert((table, column));
        }
    }
    // what is read back as what was sent has these types and no others
    let mut moved = BTreeMap::new();
    for table in TABLES {
        for (column, kind) in table.columns {
            let stored: &[&str] = match kind {
                Kind::Int => &["bigint", "integer"],
                Kind::Bool => &["boolean"],
                Kind::Text => &["text"],
                Kind::Bytes | Kind::FreeText => &["bytea"],
            };
            moved.insert((table.name, *column), stored);
        }
    }
    for (column, stored) in &moved {
        let found = there.get(column);
        assert!(
            found.is_some_and(|found| stored.contains(found)),
            "{column:?} is {found:?}"
        );
    }
    let left: BTreeSet<&str> = LEFT.iter().map(|(name, _)| *name).collect();
    let forgotten: Vec<_> = there
        .keys()
        .filter(|column| !moved.contains_key(*column) && !left.contains(column.0))
        .collect();
    assert!(
        forgotten.is_empty(),
        "neither in neofn_rows::tables nor left for a reason: {forgotten:?}"
    );
    for (name, reason) in LEFT {
        assert!(
            there.keys().any(|(table, _)| *table == name),
            "{name} is not there any more ({reason})"
        );
        assert!(moved.keys().all(|(table, _)| *table != name), "{name} is moved");
    }
    // the next number is none that was given out before
    let given_out: BTreeSet<(&str, &str)> = NUMBERED.iter().copied().collect();
    assert_eq!(numbered, given_out);
}

/// Also of tables that are not moved: what a node has written there is of another life.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_anything_is_refused() {
    let postgres = Postgres::start();
    let url = postgres.url();
    drop(Import::begin(&options(&url)).await.unwrap());
    for (name, row) in [
        ("lease", "('leader', 'somebody', 1, 5)"),
        ("node_key", "('identity.key', 'digest')"),
        ("challenge", "(1, 'account', 'domain', 1, 5, 10)"),
        ("reply", "('name', 'request', 1, 2, NULL, NULL, NULL)"),
        ("account", "('account', 1)"),
        ("totals", "(0, 1, 1)"),
    ] {
        let _ = postgres.sql("postgres", &format!("INSERT INTO {name} VALUES {row}"));
        let refused = Import::begin(&options(&url))
            .await
            .err()
            .expect("it is not empty");
        assert_eq!(refused.code, Code::ConfigInvalid);
        assert_eq!(
            refused.message,
            format!("the database is not empty: table {name} has rows")
        );
        let _ = postgres.sql("postgres", &format!("DELETE FROM {name}"));
    }
    drop(Import::begin(&options(&url)).await.unwrap());
}

/// An answer stays one; what was under way in a process that is gone may be done again at once, and is no other request.
#[tokio::test(flavor = "multi_thread")]
async fn named_requests_arrive_with_their_answers() {
    let postgres = Postgres::start();
    let (now, digest) = (1_800_000_000_000, |text: &[u8]| Digest::of(text).0.to_vec());
    let row = |name: &[u8], until: i64, status: Value, body: Value| {
        vec![
            Value::Bytes(digest(name)),
            Value::Bytes(digest(b"request")),
            Value::Int(now),
            Value::Int(until),
            status,
            body,
            Value::Bytes(vec![7; 16]),
        ]
    };
    let rows = [
        row(
            b"done",
            now + 120_000,
            Value::Int(201),
            Value::Bytes(b"made".to_vec()),
        ),
        row(b"under way", 0, Value::Null, Value::Null),
        row(b"another", 0, Value::Null, Value::Null),
    ];
    let mut import = Import::begin(&options(&postgres.url())).await.unwrap();
    import.rows(table("reply"), &rows).await.unwrap();
    let mut sent = Sum::default();
    rows.iter().for_each(|row| sent.add(row));
    assert_eq!(import.sum(table("reply")).await.unwrap(), sent);
    import.counted(&Counted::default()).await.unwrap();
    import.commit().await.unwrap();

    let store = PostgresStore::open(options(&postgres.url())).await.unwrap();
    let begin = async |name: &[u8], request: &[u8]| {
        let named = NamedRequest {
            name: Digest::of(name),
            request: Digest::of(request),
            doer: [8; 16],
        };
        let (now, until) = (UnixMillis(now + 10), UnixMillis(now + 120_010));
        let begun = store.begin_reply(named, now, until, UnixMillis(0));
        begun.await.unwrap()
    };
    let reply = Reply {
        status: 201,
        body: Bytes::from_static(b"made"),
    };
    assert_eq!(begin(b"done", b"request").await, Begun::Done(reply));
    assert_eq!(begin(b"done", b"other").await, Begun::Other);
    assert_eq!(begin(b"under way", b"request").await, Begun::Fresh);
    assert_eq!(begin(b"another", b"other").await, Begun::Other);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_postgresql_cannot_hold_is_named_with_the_cure() {
    let postgres = Postgres::start();
    let mut import = Import::begin(&options(&postgres.url())).await.unwrap();
    let row = vec![
        Value::Int(1),
        Value::Int(0),
        Value::Bytes(vec![1; 20]),
        Value::Text("owner".to_owned()),
        Value::Int(1),
        Value::Text("key:a\0b".to_owned()),
        Value::Int(1),
    ];
    let refused = import.rows(table("member"), &[row]).await.unwrap_err();
    assert!(
        refused
            .message
            .contains("table member, column added_by: not allowed: a zero character in text"),
        "{refused}"
    );
    assert!(
        refused.cure().contains("UPDATE member SET added_by"),
        "{}",
        refused.cure()
    );
}
