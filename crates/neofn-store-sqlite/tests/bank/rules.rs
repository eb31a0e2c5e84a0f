//! What the database itself refuses; the sentences of the port are those of every store.

use super::{block_on, id, open, project, transfer};
use neofn_gas::ledger::Account;
use neofn_gas::port::LedgerStore as _;

type Test = (&'static str, fn());
pub const TESTS: &[Test] = &[("transfers_cannot_be_changed", transfers_cannot_be_changed)];

fn transfers_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(dir.path());
        let first = vec![transfer(id("t", 1), Account::Treasury, project(1), 1_000)];
        store.write(first).await.unwrap();
        store.close().await.unwrap();
    });
    let db = dir.path().join("data/neofn.db");
    for sql in [
        "UPDATE ledger_transfer SET amount = 1",
        "DELETE FROM ledger_transfer",
    ] {
        let out = std::process::Command::new("python3")
            .args([
                "-c",
                "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).execute(sys.argv[2])",
            ])
            .arg(&db)
            .arg(sql)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            !out.status.success() && said.contains("a transfer is never"),
            "{said}"
        );
    }
}
