//! The writers: each takes whatever waits, commits it in one transaction, then answers everybody. None lingers to fill
//! a group.

use crate::conn::{Pool, Tries, transact};
use crate::error::Fault;
use crate::queue::{Done, Loads, Op, Sent, Verdict};
use crate::rows::Place;
use crate::{admit, finish, ledger, record};
use neofn_engine::port::{Finish, StoreError};
use neofn_types::FunctionKey;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

/// Commands in one transaction at the most: bounds how long the first of them waits for the last.
const GROUP_MAX: usize = 256;

/// What a transaction adds to the counters, written once at its end.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Ended, kept, bytes.
    functions: BTreeMap<Place, (i64, i64, i64)>,
    succeeded: i64,
    failed: i64,
    /// Events that matched, by trigger; the time is that of the last.
    triggers: BTreeMap<(Place, String), (u64, i64)>,
}

impl Counts {
    /// An invocation ended, with so many bytes to keep.
    pub(crate) fn ended(&mut self, place: Place, succeeded: bool, bytes: i64) {
        self.add(place, (1, 1, bytes));
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
    }
    /// One that was counted as failed goes on after all.
    pub(crate) fn resumed(&mut self, place: Place, bytes: i64) {
        self.add(place, (-1, -1, -bytes));
        self.failed -= 1;
    }
    /// History that was removed.
    pub(crate) fn removed(&mut self, place: Place, bytes: i64) {
        self.add(place, (0, -1, -bytes));
    }
    fn add(&mut self, place: Place, by: (i64, i64, i64)) {
        let sum = self.functions.entry(place).or_default();
        *sum = (sum.0 + by.0, sum.1 + by.1, sum.2 + by.2);
    }
    /// An event matched.
    pub(crate) fn matched(&mut self, place: Place, name: &str, by: u64, at: i64) {
        let sum = self.triggers.entry((place, name.to_owned())).or_default();
        *sum = (sum.0 + by, at);
    }

    /// Adds them to the rows of this connection; in order, so that two that share a row wait and never deadlock.
    pub(crate) async fn write(&self, conn: &mut PgConnection) -> Result<(), Fault> {
        if !self.triggers.is_empty() {
            let mut names: Vec<&str> = Vec::new();
            let mut numbers: [Vec<i64>; 4] = Default::default();
            for ((place, name), (by, at)) in &self.triggers {
                names.push(name);
                let row = [place.pid, place.fid, neofn_rows::int(*by), *at];
                for (column, value) in numbers.iter_mut().zip(row) {
                    column.push(value);
                }
            }
            let [pids, fids, by, at] = numbers;
            sqlx::query(
                "UPDATE trigger_state t SET matched = t.matched + n.by, matched_at = n.at \
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) \
                 AS n(pid, fid, name, by, at) WHERE t.pid = n.pid AND t.fid = n.fid AND t.name = n.name",
            )
            .bind(pids)
            .bind(fids)
            .bind(names)
            .bind(by)
            .bind(at)
            .execute(&mut *conn)
            .await?;
        }
        if !self.functions.is_empty() {
            let mut columns: [Vec<i64>; 5] = Default::default();
            for (place, (invocations, history, bytes)) in &self.functions {
                for (column, value) in
                    columns
                        .iter_mut()
                        .zip([place.pid, place.fid, *invocations, *history, *bytes])
                {
                    column.push(value);
                }
            }
            let [pids, fids, invocations, history, bytes] = columns;
            sqlx::query(
                "INSERT INTO tally AS t SELECT pid, fid, pg_backend_pid() & 63, invocations, history, bytes \
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
                 AS n(pid, fid, invocations, history, bytes) ORDER BY pid, fid \
                 ON CONFLICT (pid, fid, slot) DO UPDATE SET invocations = t.invocations + excluded.invocations, \
                 history = t.history + excluded.history, bytes = t.bytes + excluded.bytes",
            )
            .bind(pids)
            .bind(fids)
            .bind(invocations)
            .bind(history)
            .bind(bytes)
            .execute(&mut *conn)
            .await?;
        }
        if self.succeeded != 0 || self.failed != 0 {
            sqlx::query(
                "INSERT INTO totals AS t VALUES (pg_backend_pid() & 63, $1, $2) ON CONFLICT (slot) DO UPDATE \
                 SET succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed",
            )
            .bind(self.succeeded)
            .bind(self.failed)
            .execute(conn)
            .await?;
        }
        Ok(())
    }
}

/// What the commands of a group work with.
pub(crate) struct Group<'a> {
    pub conn: &'a mut PgConnection,
    pub counts: Counts,
    /// Functions of new rows, held against deletion.
    pub places: HashMap<FunctionKey, Place>,
    /// Ends whose charges are due; written at the end.
    pub charges: Vec<&'a Finish>,
    /// Whether an earlier try of the same group may have been committed.
    pub again: bool,
}

/// A writer: runs until nobody can send any more.
pub(crate) async fn run(pool: Pool, inbox: Arc<Mutex<UnboundedReceiver<Sent>>>, loads: Loads) {
    loop {
        let mut sent = Vec::new();
        if inbox.lock().await.recv_many(&mut sent, GROUP_MAX).await == 0 {
            return;
        }
        let ops: Vec<Op> = sent.iter().map(|s| s.op.clone()).collect();
        let verdicts = carry_out(&pool, &ops, &loads).await;
        for (sent, verdict) in sent.into_iter().zip(verdicts) {
            let Sent { reply, .. } = sent;
            // nobody listening is fine: the work is done either way
            let _ = reply.send(verdict);
        }
    }
}

/// A verdict for each command, in their order.
async fn carry_out(pool: &Pool, ops: &[Op], loads: &Loads) -> Vec<Verdict> {
    match together(pool, ops, loads).await {
        Ok(verdicts) => verdicts,
        // one command's own fault must not cost the others of its group
        Err(fault) if ops.len() > 1 && fault.is_the_commands_own() => {
            let mut verdicts = Vec::with_capacity(ops.len());
            for op in ops {
                let one = together(pool, std::slice::from_ref(op), loads).await;
                verdicts.push(match one {
                    Ok(mut done) => done.pop().unwrap_or(Err(Fault::Closed.into())),
                    Err(fault) => refused(&fault),
                });
            }
            verdicts
        }
        Err(fault) => ops.iter().map(|_| refused(&fault)).collect(),
    }
}

fn refused(fault: &Fault) -> Verdict {
    tracing::error!(error = %fault, "command not written");
    Err(StoreError::from(fault.clone()))
}

async fn together(pool: &Pool, ops: &[Op], loads: &Loads) -> Result<Vec<Verdict>, Fault> {
    transact!(pool, Tries::new(), |conn, again| group(conn, ops, loads, again))
}

async fn group(
    conn: &mut PgConnection,
    ops: &[Op],
    loads: &Loads,
    again: bool,
) -> Result<Vec<Verdict>, Fault> {
    if ops.iter().any(moves_money) {
        ledger::lock(conn).await?;
    }
    let keys = ops.iter().filter_map(|op| match op {
        Op::Admit(new) => Some(&new.key),
        Op::Record(op) => op.all.get(op.at).map(|r| &r.new.key),
        Op::AdmitPaid(_) | Op::Finish(_) => None,
    });
    let places = places(conn, keys).await?;
    let mut group = Group {
        conn,
        counts: Counts::default(),
        places,
        charges: Vec::new(),
        again,
    };
    let mut verdicts: Vec<Option<Verdict>> = ops.iter().map(|_| None).collect();
    admit::many(&mut group, ops, loads, &mut verdicts).await?;
    admit::paid(group.conn, ops, again, &mut verdicts).await?;
    finish::many(&mut group, ops, &mut verdicts).await?;
    record::many(&mut group, ops, &mut verdicts).await?;
    let Group {
        conn,
        counts,
        charges,
        ..
    } = group;
    for finish in charges {
        ledger::charge(conn, finish).await?;
    }
    counts.write(conn).await?;
    Ok(verdicts
        .into_iter()
        .map(|verdict| verdict.unwrap_or(Ok(Done::Written)))
        .collect())
}

/// Whether a command needs the ledger.
fn moves_money(op: &Op) -> bool {
    match op {
        Op::Admit(new) => new.hold.is_some(),
        Op::AdmitPaid(_) => true,
        Op::Finish(f) => f.0.charge.is_some(),
        Op::Record(op) => op.all.get(op.at).is_some_and(|r| r.finish.charge.is_some()),
    }
}

/// Where the rows of functions are; those that do not exist are left out.
async fn places<'a>(
    conn: &mut PgConnection,
    keys: impl Iterator<Item = &'a FunctionKey>,
) -> Result<HashMap<FunctionKey, Place>, Fault> {
    let keys: std::collections::BTreeSet<(&str, &str)> =
        keys.map(|k| (k.project.as_ref(), k.function.as_ref())).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let (projects, functions): (Vec<&str>, Vec<&str>) = keys.into_iter().unzip();
    let rows = sqlx::query(
        "SELECT p.name, f.name, f.pid, f.fid FROM unnest($1::text[], $2::text[]) AS n(project, function) \
         JOIN project p ON p.name = n.project JOIN function f ON f.pid = p.pid AND f.name = n.function \
         ORDER BY f.fid FOR KEY SHARE OF f",
    )
    .bind(projects)
    .bind(functions)
    .fetch_all(conn)
    .await?;
    let mut found = HashMap::new();
    for row in rows {
        let place = Place {
            pid: row.try_get(2)?,
            fid: row.try_get(3)?,
        };
        found.insert(crate::rows::key(&row, 0)?, place);
    }
    Ok(found)
}
