//! The rows of a data directory, for moving them elsewhere. Nobody else has the directory meanwhile.

use crate::blobs::{BlobError, Blobs};
use crate::codec::key;
use crate::error::Fault;
use crate::open::{Store, StoreOptions};
use neofn_registry::ArtifactRef;
use neofn_rows::tables::{Counted, Table, Value};
use neofn_types::{Clock, Digest, Error, FunctionKey, Version};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Rows handed over at a time.
const BATCH: usize = 512;
/// Bytes handed over at a time, or a little more: at least one row.
const BATCH_BYTES: usize = 4 << 20;

/// A version, and the artifacts that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedArtifacts {
    /// Whose.
    pub key: FunctionKey,
    /// From 1.
    pub version: Version,
    /// None when it cannot be read.
    pub artifact: Option<ArtifactRef>,
}

/// A data directory to be read from end to end.
pub struct Export {
    conn: Connection,
    blobs: Blobs,
    _lock: crate::lock::DirLock,
}

impl Export {
    /// Opens a directory as a node does, so that its layout is the newest and no claim is left; then as a reader.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let store = Store::open(StoreOptions::new(dir, clock))?;
        store.close().await?;
        drop(store);
        let lock = crate::lock::DirLock::take(dir)?;
        let conn = Connection::open_with_flags(dir.join("neofn.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(Fault::from)?;
        Ok(Self {
            conn,
            blobs: Blobs::open(dir)?,
            _lock: lock,
        })
    }

    /// Hands over every row of a table, some at a time, in no order.
    pub fn rows<E: From<Fault>>(
        &self,
        table: &Table,
        mut take: impl FnMut(Vec<Vec<Value>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        // names of ours, not of anybody who calls
        let sql = format!("SELECT \"{}\" FROM {}", names.join("\", \""), table.name);
        let mut statement = self.conn.prepare(&sql).map_err(Fault::from)?;
        let mut rows = statement.query([]).map_err(Fault::from)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(Fault::from)? {
            let mut values = Vec::with_capacity(names.len());
            for column in 0..names.len() {
                let value = value(row.get_ref(column).map_err(Fault::from)?)?;
                bytes += match &value {
                    Value::Bytes(b) => b.len(),
                    Value::Text(t) => t.len(),
                    Value::Null | Value::Int(_) => 8,
                };
                values.push(value);
            }
            batch.push(values);
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                take(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            take(batch)?;
        }
        Ok(())
    }

    /// What is counted.
    pub fn counted(&self) -> Result<Counted, Fault> {
        let (succeeded, failed) =
            self.conn
                .query_row("SELECT succeeded, failed FROM totals WHERE one = 1", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
        let mut statement = self
            .conn
            .prepare("SELECT pid, fid, invocations, history FROM function")?;
        let functions = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let mut statement = self.conn.prepare("SELECT name, seq FROM sqlite_sequence")?;
        let last = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Counted {
            succeeded,
            failed,
            functions,
            last,
        })
    }

    /// The digests of all artifacts that are on disk.
    pub fn blobs(&self) -> Result<Vec<Digest>, Fault> {
        self.blobs.all()
    }
    /// The bytes of an artifact; none when they are not what their name says.
    pub fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, Fault> {
        match self.blobs.get(digest) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BlobError::Damaged) => Ok(None),
            Err(BlobError::Fault(fault)) => Err(fault),
        }
    }

    /// The artifacts that the versions of functions name; those of deleted functions are needed no more.
    pub fn named(&self) -> Result<Vec<NamedArtifacts>, Fault> {
        let mut statement = self.conn.prepare(
            "SELECT p.name, f.name, v.version, v.artifact FROM version v \
             JOIN function f ON f.pid = v.pid AND f.fid = v.fid JOIN project p ON p.pid = v.pid \
             ORDER BY p.name, f.name, v.version",
        )?;
        let mut rows = statement.query([])?;
        let mut named = Vec::new();
        while let Some(row) = rows.next()? {
            let json: String = row.get(3)?;
            named.push(NamedArtifacts {
                key: key(row, 0)?,
                version: Version(row.get(2)?),
                artifact: serde_json::from_str(&json).ok(),
            });
        }
        Ok(named)
    }

    /// Tables of the database with their columns; `tests/export.rs` says when one is neither moved nor left for a reason.
    pub fn layout(&self) -> Result<BTreeMap<String, Vec<String>>, Fault> {
        let mut statement = self.conn.prepare(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid",
        )?;
        let mut layout: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            layout.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        Ok(layout)
    }
}

fn value(value: ValueRef<'_>) -> Result<Value, Fault> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Text(text) => {
            Value::Text(String::from_utf8(text.to_vec()).map_err(|_| Fault::Damaged("text"))?)
        }
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(Fault::Damaged("number")),
    })
}
