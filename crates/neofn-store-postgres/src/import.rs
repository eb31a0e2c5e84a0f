//! Rows of another store into an empty database: all of them in one transaction, or none.

use crate::error::Fault;
use crate::open::StoreOptions;
use crate::rows::with_bytes;
use crate::{blobs, migrate};
use futures_util::TryStreamExt as _;
use neofn_rows::tables::{Counted, Kind, NUMBERED, Sum, TABLES, Table, Value, write_copy};
use neofn_types::{Code, Digest, Error, UnixMillis};
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};

/// Tables that are filled but not moved row by row.
const FURTHER: [&str; 3] = ["tally", "totals", "blob"];

/// A database that is being filled. Dropped before [`Import::commit`]: nothing was.
pub struct Import {
    tx: Transaction<'static, Postgres>,
    pool: PgPool,
}

impl Import {
    /// Begins; refuses a database that holds anything. Nobody else reads or writes it until the end.
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
    pub async fn rows(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), Fault> {
        let mut text = Vec::new();
        for row in rows {
            for (n, ((_, kind), value)) in table.columns.iter().zip(row).enumerate() {
                if n > 0 {
                    text.push(b'\t');
                }
                write_copy(&mut text, *kind, value)?;
            }
            text.push(b'\n');
        }
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
        let sql = format!("SELECT \"{}\" FROM {}", names(table), table.name);
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
        // what was not there a moment ago is planned for as if it still were not
        sqlx::raw_sql("ANALYZE").execute(&self.pool).await?;
        self.pool.close().await;
        Ok(())
    }
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
