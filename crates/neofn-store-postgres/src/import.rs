//! Rows of another store into an empty database: all of them in one transaction, or none.

use crate::error::Fault;
use crate::open::StoreOptions;
use crate::rows::with_bytes;
use crate::{blobs, migrate};
use futures_util::TryStreamExt as _;
use neofn_rows::RowError;
use neofn_rows::tables::{Counted, Kind, NUMBERED, Sum, TABLES, Table, Value, write_copy};
use neofn_types::{Code, Digest, Error, UnixMillis};
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};

/// Tables that are not moved row by row: three are filled otherwise; in the others only a node can have written.
const FURTHER: [&str; 6] = ["tally", "totals", "blob", "challenge", "lease", "node_key"];

/// A database that is being filled. Dropped before [`Import::commit`]: nothing was.
pub struct Import {
    tx: Transaction<'static, Postgres>,
    pool: PgPool,
}

impl Import {
    /// Begins; refuses a database that holds anything but empty tables. Nobody else reads or writes them until the end.
    pub async fn begin(options: &StoreOptions) -> Result<Self, Error> {
        let pool = options.pool()?;
        migrate::run(&pool).await?;
        let pool = pool.unbounded().clone();
        let mut tx = pool.begin().await.map_err(Fault::from)?;
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).chain(FURTHER).collect();
        prepare(&mut tx, &names).await?;
        for name in names {
            // names of ours
            let any = format!("SELECT EXISTS (SELECT 1 FROM {name})");
            let any: bool = sqlx::query_scalar(AssertSqlSafe(any))
                .fetch_one(&mut *tx)
                .await
                .map_err(Fault::from)?;
            if any {
                return Err(Error::new(
                    Code::ConfigInvalid,
                    format!("the database is not empty: table {name} has rows"),
                ));
            }
        }
        Ok(Self { tx, pool })
    }

    /// Adds rows to a table.
    pub async fn rows(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), Error> {
        let mut text = Vec::new();
        for row in rows {
            for (n, ((column, kind), value)) in table.columns.iter().zip(row).enumerate() {
                if n > 0 {
                    text.push(b'\t');
                }
                write_copy(&mut text, *kind, value).map_err(|error| unfit(table.name, column, error))?;
            }
            text.push(b'\n');
        }
        self.copy(table, text).await?;
        Ok(())
    }

    async fn copy(&mut self, table: &Table, text: Vec<u8>) -> Result<(), Fault> {
        let sql = format!("COPY {} (\"{}\") FROM STDIN", table.name, names(table));
        let conn: &mut PgConnection = &mut self.tx;
        let mut copy = conn.copy_in_raw(&sql).await?;
        copy.send(text).await?;
        copy.finish().await?;
        Ok(())
    }

    /// Adds an artifact.
    pub async fn blob(&mut self, bytes: &[u8], now: UnixMillis) -> Result<Digest, Fault> {
        blobs::put(&mut self.tx, bytes, now).await
    }

    /// Sets what is counted, and goes on with the numbers that were given out.
    pub async fn counted(&mut self, counted: &Counted) -> Result<(), Fault> {
        let conn: &mut PgConnection = &mut self.tx;
        sqlx::query("INSERT INTO totals VALUES (0, $1, $2)")
            .bind(counted.succeeded)
            .bind(counted.failed)
            .execute(&mut *conn)
            .await?;
        for (pid, fid, invocations, history) in &counted.functions {
            sqlx::query(with_bytes!(
                "INSERT INTO tally SELECT $1, $2, 0, $3, $4, coalesce(sum(",
                ")::bigint, 0) FROM invocation WHERE pid = $1 AND fid = $2 AND status >= 2"
            ))
            .bind(pid)
            .bind(fid)
            .bind(invocations)
            .bind(history)
            .execute(&mut *conn)
            .await?;
        }
        for (table, column) in NUMBERED {
            // names of ours; what was given out to rows that are gone is not given out again
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence($1, $2), greatest(m.last, 1), m.last > 0) \
                 FROM (SELECT greatest(coalesce(max({column}), 0), $3) AS last FROM {table}) m"
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(*table)
                .bind(*column)
                .bind(counted.last.get(*table).copied().unwrap_or(0))
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }

    /// What is in a table now, as the database says.
    pub async fn sum(&mut self, table: &Table) -> Result<Sum, Fault> {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|(name, kind)| read(name, *kind))
            .collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), table.name);
        let mut sum = Sum::default();
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *self.tx);
        while let Some(row) = rows.try_next().await? {
            let mut values = Vec::with_capacity(table.columns.len());
            for (n, (_, kind)) in table.columns.iter().enumerate() {
                values.push(value(&row, n, *kind)?);
            }
            sum.add(&values);
        }
        Ok(sum)
    }

    /// Makes it all visible, or nothing.
    pub async fn commit(self) -> Result<(), Fault> {
        self.tx.commit().await?;
        if let Err(error) = analyze(&self.pool).await {
            // everything is there, and autovacuum does the same in a while
            tracing::warn!(%error, "everything was moved, but ANALYZE failed: run it, or queries are slow for a while");
        }
        self.pool.close().await;
        Ok(())
    }
}

/// What was not there a moment ago is planned for as if it still were not.
async fn analyze(pool: &PgPool) -> Result<(), Fault> {
    let mut conn = pool.acquire().await?;
    let conn: &mut PgConnection = &mut conn;
    // large tables take their time; a statement of its own, because it does not count for the one that it is part of
    sqlx::raw_sql("SET statement_timeout = 0")
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql("ANALYZE").execute(conn).await?;
    Ok(())
}

/// Which value cannot be written, and what to do.
fn unfit(table: &str, column: &str, error: RowError) -> Error {
    let message = format!("table {table}, column {column}: {error}; nothing was moved");
    let hint = match error {
        RowError::Misuse(_) => format!(
            "PostgreSQL's text holds every character but that one. Copy the data directory, cut the text off before it, and migrate \
             again: sqlite3 neofn.db \"UPDATE {table} SET {column} = substr({column}, 1, instr({column}, char(0)) - 1) \
             WHERE instr({column}, char(0)) > 0\"."
        ),
        RowError::Damaged(_) => {
            "The database of the data directory is damaged: migrate from a backup of it (`neofn backup`)."
                .to_owned()
        }
    };
    Error::new(Code::StoreFailed, message).hint(hint).because(error)
}

async fn prepare(conn: &mut PgConnection, names: &[&str]) -> Result<(), Fault> {
    // a large table takes its time
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .execute(&mut *conn)
        .await?;
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(conn).await?;
    Ok(())
}

fn names(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    names.join("\", \"")
}

/// A column as it is read back: numbers in one size, however small they are kept.
fn read(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Int => format!("\"{column}\"::bigint"),
        _ => format!("\"{column}\""),
    }
}

fn value(row: &PgRow, column: usize, kind: Kind) -> Result<Value, Fault> {
    Ok(match kind {
        Kind::Int => row.try_get::<Option<i64>, _>(column)?.map(Value::Int),
        Kind::Bool => row
            .try_get::<Option<bool>, _>(column)?
            .map(|b| Value::Int(i64::from(b))),
        Kind::Text => row.try_get::<Option<String>, _>(column)?.map(Value::Text),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(column)?.map(Value::Bytes),
        Kind::FreeText => row
            .try_get::<Option<Vec<u8>>, _>(column)?
            .map(|bytes| String::from_utf8(bytes).map(Value::Text))
            .transpose()
            .map_err(|_| Fault::Damaged("text"))?,
    }
    .unwrap_or(Value::Null))
}
