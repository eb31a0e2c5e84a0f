//! The tables that stores of all kinds have, for moving their rows from one to another: which columns, what they hold,
//! and a digest of rows that does not depend on their order or on who keeps them.

use crate::error::RowError;
use neofn_types::Digest;
use std::collections::BTreeMap;

/// A value of a column, whatever database it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, a time, or a yes or no.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What a column holds in a database that tells more apart than [`Value`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Int,
    /// Yes or no; 1 or 0 as a value.
    Bool,
    /// Text without a zero character.
    Text,
    /// Bytes.
    Bytes,
    /// Text that callers choose freely: bytes where text cannot hold every character.
    FreeText,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
}

use Kind::{Bool, Bytes, FreeText, Int, Text};

/// In the order in which they are moved. What is counted, who does what at this moment, sign-ins that were begun, and artifacts
/// are not among them.
pub const TABLES: &[Table] = &[
    Table {
        name: "project",
        columns: &[
            ("pid", Int),
            ("name", Text),
            ("kv_revision", Int),
            ("kv_keys", Int),
            ("kv_bytes", Int),
            ("ended_at", Int),
            ("created_at", Int),
            ("created_by", Bytes),
        ],
    },
    Table {
        name: "function",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("name", Text),
            ("id", Bytes),
            ("live", Int),
            ("active", Bool),
            ("created_at", Int),
            ("updated_at", Int),
        ],
    },
    Table {
        name: "version",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("version", Int),
            ("digest", Bytes),
            ("created_at", Int),
            ("spec", Text),
            ("artifact", Text),
        ],
    },
    Table {
        name: "invocation",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("id", Bytes),
            ("version", Int),
            ("origin", Int),
            ("status", Int),
            ("attempt", Int),
            ("fence", Int),
            ("rearm", Bool),
            ("run_at", Int),
            ("created_at", Int),
            ("finished_at", Int),
            ("idem", Bytes),
            ("trace", Bytes),
            ("detail", Bytes),
            ("result", Bytes),
            ("event", Bytes),
            ("recording", Bytes),
            ("caller", Text),
        ],
    },
    Table {
        name: "queue",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("run_at", Int),
            ("id", Bytes),
            ("state", Int),
            ("attempt", Int),
            ("fence", Int),
            ("waits", Bool),
            ("lease_until", Int),
        ],
    },
    Table {
        name: "idempotency",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("key", Bytes),
            ("request", Bytes),
            ("id", Bytes),
            ("created_at", Int),
        ],
    },
    Table {
        name: "kv",
        columns: &[
            ("pid", Int),
            ("key", FreeText),
            ("revision", Int),
            ("expires_at", Int),
            ("value", Bytes),
        ],
    },
    Table {
        name: "api_key",
        columns: &[
            ("id", Bytes),
            ("hash", Bytes),
            ("scope", Text),
            ("created_at", Int),
            ("expires_at", Int),
            ("revoked_at", Int),
            ("powers", Text),
            ("name", FreeText),
            ("created_by", Bytes),
            ("parent", Bytes),
        ],
    },
    Table {
        name: "tomb",
        columns: &[("pid", Int), ("fid", Int)],
    },
    Table {
        name: "tx",
        columns: &[
            ("seq", Int),
            ("id", Bytes),
            ("project", Text),
            ("revision", Int),
            ("open", Bool),
            ("sender", Bytes),
            ("fees", Int),
            ("hash", Bytes),
            ("record", Bytes),
        ],
    },
    Table {
        name: "chain_cursor",
        columns: &[
            ("network", Int),
            ("next", Int),
            ("previous", Bytes),
            ("epoch", Int),
        ],
    },
    Table {
        name: "trigger_state",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("name", Text),
            ("kind", Text),
            ("status", Int),
            ("reason", Text),
            ("position", Int),
            ("cron_at", Int),
            ("matched", Int),
            ("skipped", Int),
            ("matched_at", Int),
            ("schedule", Text),
        ],
    },
    Table {
        name: "delivery",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("name", Text),
            ("lane", FreeText),
            ("seq", Int),
            ("id", Bytes),
            ("version", Int),
            ("origin", Int),
            ("event_id", FreeText),
            ("effect", Bytes),
            ("height", Int),
            ("depth", Int),
            ("trace", Bytes),
            ("ready_at", Int),
            ("event", Bytes),
        ],
    },
    Table {
        name: "lane",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("name", Text),
            ("lane", FreeText),
            ("ordered", Bool),
            ("size", Int),
            ("waiting", Int),
            ("ready_at", Int),
            ("running", Bytes),
        ],
    },
    Table {
        name: "fired",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("id", Bytes),
            ("name", Text),
            ("event_id", FreeText),
            ("height", Int),
            ("depth", Int),
        ],
    },
    Table {
        name: "account",
        columns: &[("account", Bytes), ("created_at", Int)],
    },
    Table {
        name: "session",
        columns: &[
            ("id", Bytes),
            ("account", Bytes),
            ("format", Text),
            ("created_at", Int),
            ("expires_at", Int),
            ("ended_at", Int),
            ("generation", Int),
        ],
    },
    Table {
        name: "refresh",
        columns: &[("session", Bytes), ("hash", Bytes), ("generation", Int)],
    },
    Table {
        name: "signing_key",
        columns: &[
            ("seq", Int),
            ("kid", Text),
            ("public", Bytes),
            ("sealed", Bytes),
            ("active_from", Int),
        ],
    },
    Table {
        name: "promise",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("id", Bytes),
            ("token", Text),
            ("ended", Bool),
            ("claimed_until", Int),
            ("again", Int),
        ],
    },
    // One without a status was being done when the old node ended. It moves too: opening the old store has set its `until` to 0,
    // so the same request may be done again at once, and another one of that name is still refused.
    Table {
        name: "reply",
        columns: &[
            ("name", Bytes),
            ("request", Bytes),
            ("begun_at", Int),
            ("until", Int),
            ("status", Int),
            ("body", Bytes),
            ("doer", Bytes),
        ],
    },
    Table {
        name: "member",
        columns: &[
            ("pid", Int),
            ("fid", Int),
            ("account", Bytes),
            ("role", Text),
            ("added_at", Int),
            ("added_by", Text),
            ("accepted", Int),
        ],
    },
    Table {
        name: "secret_root",
        columns: &[("id", Int), ("generation", Int), ("record", Text)],
    },
    Table {
        name: "secret_kek",
        columns: &[
            ("project", Text),
            ("version", Int),
            ("id", Bytes),
            ("wrapped", Bytes),
            ("created_at", Int),
        ],
    },
    Table {
        name: "secret",
        columns: &[
            ("project", Text),
            ("name", Text),
            ("id", Bytes),
            ("revision", Int),
            ("due_at", Int),
            ("record", Text),
        ],
    },
    Table {
        name: "secret_value",
        columns: &[
            ("project", Text),
            ("secret", Bytes),
            ("version", Int),
            ("kek", Int),
            ("envelope", Bytes),
        ],
    },
    Table {
        name: "ledger_account",
        columns: &[
            ("aid", Int),
            ("name", Text),
            ("floor", Int),
            ("balance", Int),
            ("held", Int),
            ("incoming", Int),
            ("opened_at", Int),
            ("granted", Int),
        ],
    },
    Table {
        name: "ledger_transfer",
        columns: &[
            ("seq", Int),
            ("id", Bytes),
            ("purpose", Int),
            ("debit", Int),
            ("credit", Int),
            ("amount", Int),
            ("hold", Bytes),
            ("at", Int),
            ("function", Text),
            ("invocation", Bytes),
            ("units", Int),
            ("price", Int),
            ("tx", Bytes),
            ("party", Bytes),
            ("note", FreeText),
            ("caller", Text),
        ],
    },
    Table {
        name: "ledger_hold",
        columns: &[
            ("id", Bytes),
            ("purpose", Int),
            ("debit", Int),
            ("credit", Int),
            ("amount", Int),
            ("left", Int),
            ("at", Int),
            ("ended_at", Int),
            ("function", Text),
            ("invocation", Bytes),
            ("units", Int),
            ("price", Int),
            ("tx", Bytes),
            ("party", Bytes),
            ("note", FreeText),
            ("caller", Text),
        ],
    },
    Table {
        name: "ledger_release",
        columns: &[("hold", Bytes), ("id", Bytes), ("amount", Int)],
    },
    Table {
        name: "ledger_usage",
        columns: &[
            ("project", Text),
            ("hour", Int),
            ("function", Text),
            ("invocations", Int),
            ("units", Int),
            ("amount", Int),
        ],
    },
    Table {
        name: "ledger_budget",
        columns: &[
            ("project", Text),
            ("function", Text),
            ("period", Int),
            ("most", Int),
            ("spent", Int),
            ("held", Int),
            ("idx", Int),
            ("alerted", Int),
        ],
    },
    Table {
        name: "ledger_alert",
        columns: &[
            ("seq", Int),
            ("project", Text),
            ("function", Text),
            ("percent", Int),
            ("most", Int),
            ("spent", Int),
            ("at", Int),
        ],
    },
    Table {
        name: "ledger_policy",
        columns: &[("project", Text), ("policy", Text)],
    },
    Table {
        name: "ledger_route",
        columns: &[("account", Bytes), ("kind", Int), ("project", Text)],
    },
    Table {
        name: "ledger_mark",
        columns: &[("network", Int), ("next", Int)],
    },
    Table {
        name: "audit_entry",
        columns: &[("seq", Int), ("project", Text), ("entry", Bytes)],
    },
    Table {
        name: "audit_node",
        columns: &[("level", Int), ("idx", Int), ("hash", Bytes)],
    },
    Table {
        name: "audit_checkpoint",
        columns: &[("size", Int), ("note", Text)],
    },
    Table {
        name: "audit_anchor",
        columns: &[
            ("size", Int),
            ("note", Text),
            ("at", Int),
            ("tx", Bytes),
            ("height", Int),
        ],
    },
];

/// Tables that number their rows; those that say how far they are in [`Counted::last`] never give a number out twice.
pub const NUMBERED: &[(&str, &str)] = &[
    ("project", "pid"),
    ("function", "fid"),
    ("tx", "seq"),
    ("ledger_account", "aid"),
    ("ledger_transfer", "seq"),
    ("ledger_alert", "seq"),
];

/// What is counted rather than kept as rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Ended with a result, ever.
    pub succeeded: i64,
    /// Ended without.
    pub failed: i64,
    /// By project and function: ended ever, and kept as history.
    pub functions: Vec<(i64, i64, i64, i64)>,
    /// The last number that a table gave out.
    pub last: BTreeMap<String, i64>,
}

/// How many rows there are, and what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// Digests of the rows, added up, so that their order does not matter.
    lanes: [u64; 4],
}

impl Sum {
    /// Adds a row.
    pub fn add(&mut self, row: &[Value]) {
        let mut bytes = Vec::new();
        for value in row {
            let (kind, content): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Int(n) => (1, &n.to_le_bytes()),
                Value::Text(text) => (2, text.as_bytes()),
                Value::Bytes(bytes) => (3, bytes),
            };
            bytes.push(kind);
            bytes.extend(u64::try_from(content.len()).unwrap_or(u64::MAX).to_le_bytes());
            bytes.extend(content);
        }
        let digest = Digest::of(&bytes);
        for (lane, chunk) in self.lanes.iter_mut().zip(digest.0.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*chunk));
        }
        self.rows += 1;
    }
    /// For people to compare.
    #[must_use]
    pub fn digest(&self) -> String {
        self.lanes.iter().map(|lane| format!("{lane:016x}")).collect()
    }
}

/// A value as the text format of PostgreSQL's COPY has it, behind what is there.
pub fn write_copy(out: &mut Vec<u8>, kind: Kind, value: &Value) -> Result<(), RowError> {
    match (kind, value) {
        (_, Value::Null) => out.extend(b"\\N"),
        (Kind::Int, Value::Int(n)) => out.extend(n.to_string().as_bytes()),
        (Kind::Bool, Value::Int(n)) => out.push(if *n == 0 { b'f' } else { b't' }),
        (Kind::Bytes, Value::Bytes(bytes)) => write_hex(out, bytes),
        (Kind::FreeText, Value::Text(text)) => write_hex(out, text.as_bytes()),
        (Kind::Text, Value::Text(text)) => {
            for byte in text.bytes() {
                match byte {
                    b'\\' => out.extend(b"\\\\"),
                    b'\n' => out.extend(b"\\n"),
                    b'\r' => out.extend(b"\\r"),
                    b'\t' => out.extend(b"\\t"),
                    0 => return Err(RowError::Misuse("a zero character in text")),
                    other => out.push(other),
                }
            }
        }
        _ => return Err(RowError::Damaged("column")),
    }
    Ok(())
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(b"\\\\x");
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(half)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let row = |n: i64, t: &str| vec![Value::Int(n), Value::Text(t.to_owned()), Value::Null];
        let sum = |rows: &[Vec<Value>]| {
            let mut sum = Sum::default();
            rows.iter().for_each(|row| sum.add(row));
            sum
        };
        let all = sum(&[row(1, "a"), row(2, "b")]);
        assert_eq!(all, sum(&[row(2, "b"), row(1, "a")]));
        assert_ne!(all, sum(&[row(1, "b"), row(2, "a")]));
        assert_ne!(all, sum(&[row(1, "a")]));
        assert_ne!(
            sum(&[vec![Value::Text("ab".into()), Value::Text("c".into())]]),
            sum(&[vec![Value::Text("a".into()), Value::Text("bc".into())]])
        );
        assert_ne!(
            sum(&[vec![Value::Text("a".into())]]),
            sum(&[vec![Value::Bytes(b"a".to_vec())]])
        );
    }

    #[test]
    fn values_are_written_as_copy_reads_them() {
        let written = |kind, value| {
            let mut out = Vec::new();
            write_copy(&mut out, kind, &value).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(written(Kind::Int, Value::Int(-5)).unwrap(), "-5");
        assert_eq!(written(Kind::Bool, Value::Int(1)).unwrap(), "t");
        assert_eq!(
            written(Kind::Text, Value::Text("a\tb\\\n".into())).unwrap(),
            "a\\tb\\\\\\n"
        );
        assert_eq!(
            written(Kind::Bytes, Value::Bytes(vec![0, 255])).unwrap(),
            "\\\\x00ff"
        );
        assert_eq!(
            written(Kind::FreeText, Value::Text("\0".into())).unwrap(),
            "\\\\x00"
        );
        assert_eq!(written(Kind::Bytes, Value::Null).unwrap(), "\\N");
        assert!(written(Kind::Text, Value::Text("\0".into())).is_err());
        assert!(written(Kind::Int, Value::Text("1".into())).is_err());
    }
}
