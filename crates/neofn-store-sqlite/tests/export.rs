//! What leaves a data directory for another store: every column, or a reason why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use bytes::Bytes;
use neofn_engine::port::{Begun, NamedRequest, Reply, ReplyStore as _};
use neofn_rows::tables::{TABLES, Table, Value};
use neofn_store_sqlite::{Export, Fault, Store, StoreOptions};
use neofn_testkit::stores::support::TestClock;
use neofn_types::{Digest, UnixMillis};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Tables and columns that stay behind.
const LEFT: [(&str, &str); 8] = [
    ("lease", "who does what at this moment: nobody does by then"),
    ("challenge", "a sign-in that was begun is begun anew"),
    ("challenges", "counts those"),
    ("totals", "counted, and handed over by `Export::counted`"),
    (
        "function.invocations",
        "counted, and handed over by `Export::counted`",
    ),
    (
        "function.history",
        "counted, and handed over by `Export::counted`",
    ),
    ("function.queued", "counts rows of `queue`, which move"),
    (
        "function.running",
        "counts rows of `queue`, which move; none runs by then",
    ),
];

async fn export(dir: &Path) -> Export {
    Export::open(dir, Arc::new(TestClock::default())).await.unwrap()
}

/// `table.column` belongs to a name that is a table or a column.
fn is_of(column: &str, name: &str) -> bool {
    column == name || column.split_once('.').is_some_and(|(table, _)| table == name)
}

#[tokio::test]
async fn every_column_moves_or_stays_for_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let layout = export(dir.path()).await.layout().unwrap();
    let mut there = BTreeSet::new();
    for (table, columns) in &layout {
        there.extend(columns.iter().map(|column| format!("{table}.{column}")));
    }
    let mut moved = BTreeSet::new();
    for table in TABLES {
        for (column, _) in table.columns {
            let name = format!("{}.{column}", table.name);
            assert!(moved.insert(name.clone()), "{name} is moved twice");
        }
    }
    let left = |column: &String| LEFT.iter().any(|(name, _)| is_of(column, name));
    let forgotten: Vec<&String> = there.difference(&moved).filter(|column| !left(column)).collect();
    assert!(
        forgotten.is_empty(),
        "neither in neofn_rows::tables nor left for a reason: {forgotten:?}"
    );
    let absent: Vec<&String> = moved.difference(&there).collect();
    assert!(absent.is_empty(), "moved, and not there: {absent:?}");
    let both: Vec<&String> = moved.iter().filter(|column| left(column)).collect();
    assert!(both.is_empty(), "moved, and said to stay: {both:?}");
    for (name, reason) in LEFT {
        assert!(
            there.iter().any(|column| is_of(column, name)),
            "{name} is not there any more ({reason})"
        );
    }
}

fn rows(export: &Export, name: &str) -> (Vec<&'static str>, Vec<Vec<Value>>) {
    let table: &Table = TABLES.iter().find(|table| table.name == name).unwrap();
    let mut all = Vec::new();
    let taken: Result<(), Fault> = export.rows(table, |batch| {
        all.extend(batch);
        Ok(())
    });
    taken.unwrap();
    (table.columns.iter().map(|(name, _)| *name).collect(), all)
}

/// What was done keeps its answer; what was under way may be done again at once, as after a restart.
#[tokio::test]
async fn named_requests_move_with_their_answers() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::default());
    let store = Store::open(StoreOptions::new(dir.path(), clock)).unwrap();
    let named = |name: &[u8]| NamedRequest {
        name: Digest::of(name),
        request: Digest::of(b"request"),
        doer: [7; 16],
    };
    for name in [&b"done"[..], b"under way"] {
        let begun = store.begin_reply(named(name), UnixMillis(5), UnixMillis(120_005), UnixMillis(0));
        assert_eq!(begun.await.unwrap(), Begun::Fresh);
    }
    let reply = Reply {
        status: 201,
        body: Bytes::from_static(b"made"),
    };
    store.end_reply(named(b"done"), Some(reply)).await.unwrap();
    store.close().await.unwrap();
    drop(store);

    let (columns, rows) = rows(&export(dir.path()).await, "reply");
    assert_eq!(rows.len(), 2);
    let row = |name: &[u8]| {
        let name = Value::Bytes(Digest::of(name).0.to_vec());
        rows.iter().find(|row| row[0] == name).unwrap()
    };
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    assert_eq!(row(b"done")[column("status")], Value::Int(201));
    assert_eq!(row(b"done")[column("body")], Value::Bytes(b"made".to_vec()));
    assert_eq!(row(b"under way")[column("status")], Value::Null);
    assert_eq!(row(b"under way")[column("until")], Value::Int(0));
}
