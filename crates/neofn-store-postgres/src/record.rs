//! Invocations that were never queued, written down at their end in one go.

use crate::admit::{free_key, known_key, remember_key};
use crate::batch::Group;
use crate::error::Fault;
use crate::finish::commit;
use crate::queue::{Done, Op, Verdict};
use crate::rows::{Place, id};
use crate::triggers::{self, Loads};
use neofn_engine::port::{Record, StoreError};
use neofn_rows::{Encoded, SUCCEEDED, origin_number, result, status_of};
use neofn_types::{Caller, Digest, InvocationId};
use sqlx::postgres::PgConnection;
use std::collections::HashSet;

struct Row<'a> {
    at: usize,
    place: Place,
    record: &'a Record,
    encoded: &'a Encoded,
    status: i64,
    key: Option<Digest>,
}

/// Writes the records of a group.
pub(crate) async fn many<'a>(
    group: &mut Group<'a>,
    ops: &'a [Op],
    verdicts: &mut [Option<Verdict>],
) -> Result<(), Fault> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let Op::Record(op) = op else { continue };
        let Some(record) = op.all.get(op.at) else { continue };
        let verdict = match (
            group.places.get(&record.new.key).copied(),
            status_of(&record.finish),
        ) {
            (None, _) => {
                group.charges.push(&record.finish);
                Err(StoreError::NotFound)
            }
            (_, None) => Err(Fault::Misuse("a retry of a synchronous invocation").into()),
            (Some(place), Some(status)) => {
                let row = Row {
                    at,
                    place,
                    record,
                    encoded: &op.encoded,
                    status,
                    key: None,
                };
                match keyed(group.conn, row).await? {
                    Ok(row) => {
                        rows.push(row);
                        Ok(Done::Written)
                    }
                    Err(verdict) => verdict,
                }
            }
        };
        if let Some(slot) = verdicts.get_mut(at) {
            *slot = Some(verdict);
        }
    }
    let mut written = insert(group.conn, &rows).await?;
    for row in rows {
        let Record { new, finish } = row.record;
        let verdict = if !written.remove(&new.id) {
            // it has ended, unless that was an earlier try of this very command
            if group.again {
                Ok(Done::Written)
            } else {
                Err(StoreError::Fenced)
            }
        } else if let Err(refusal) = commit(group.conn, &mut Loads::default(), row.place, finish).await? {
            take_back(group.conn, &row).await?;
            Err(refusal)
        } else {
            group.charges.push(finish);
            triggers::emitted(group.conn, &mut group.counts, &finish.emitted, finish.at).await?;
            let bytes = new.event.len() + row.encoded.bytes(finish);
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            group.counts.ended(row.place, row.status == SUCCEEDED, bytes);
            Ok(Done::Written)
        };
        if let Some(slot) = verdicts.get_mut(row.at) {
            *slot = Some(verdict);
        }
    }
    Ok(())
}

/// Takes the key of a record; the inner error is its verdict when the key was known.
async fn keyed<'a>(conn: &mut PgConnection, mut row: Row<'a>) -> Result<Result<Row<'a>, Verdict>, Fault> {
    let new = &row.record.new;
    let Some(idem) = &new.idempotency else {
        return Ok(Ok(row));
    };
    let key = Digest::of(idem.key.as_bytes());
    if remember_key(conn, row.place, &key, &idem.request, new.id, new.at).await? {
        row.key = Some(key);
        return Ok(Ok(row));
    }
    let known = known_key(conn, row.place, &key)
        .await?
        .ok_or(Fault::Damaged("idempotency key"))?;
    Ok(Err(if known.request == idem.request {
        Ok(Done::Written) // committed before; at most once
    } else {
        Err(StoreError::IdempotencyMismatch)
    }))
}

async fn insert(conn: &mut PgConnection, rows: &[Row<'_>]) -> Result<HashSet<InvocationId>, Fault> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let mut numbers: [Vec<i64>; 7] = Default::default();
    let mut bytes: [Vec<&[u8]>; 5] = Default::default();
    let mut results: Vec<Option<&[u8]>> = Vec::new();
    let mut keys: Vec<Option<&[u8]>> = Vec::new();
    let mut callers: Vec<Option<&str>> = Vec::new();
    for row in rows {
        let Record { new, finish } = row.record;
        let values = [
            row.place.pid,
            row.place.fid,
            i64::from(new.version.0),
            origin_number(new.origin),
            row.status,
            new.at.0,
            finish.at.0,
        ];
        for (column, value) in numbers.iter_mut().zip(values) {
            column.push(value);
        }
        let values: [&[u8]; 5] = [
            new.id.as_bytes(),
            &new.trace_id,
            &row.encoded.detail,
            &new.event,
            &row.encoded.recording,
        ];
        for (column, value) in bytes.iter_mut().zip(values) {
            column.push(value);
        }
        results.push(result(finish));
        keys.push(row.key.as_ref().map(|k| k.0.as_slice()));
        callers.push(new.caller.as_ref().map(Caller::as_str));
    }
    let [pids, fids, versions, origins, statuses, at, finished] = numbers;
    let [ids, traces, details, events, recordings] = bytes;
    let found = sqlx::query(
        "INSERT INTO invocation SELECT pid, fid, id, version, origin, status, 1, 1, false, at, at, finished, idem, \
         trace, detail, result, event, recording, caller FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], \
         $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[], $11::bytea[], \
         $12::bytea[], $13::bytea[], $14::bytea[], $15::text[]) AS n(pid, fid, id, version, origin, status, at, finished, idem, \
         trace, detail, result, event, recording, caller) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(pids)
    .bind(fids)
    .bind(ids)
    .bind(versions)
    .bind(origins)
    .bind(statuses)
    .bind(at)
    .bind(finished)
    .bind(keys)
    .bind(traces)
    .bind(details)
    .bind(results)
    .bind(events)
    .bind(recordings)
    .bind(callers)
    .fetch_all(conn)
    .await?;
    found.iter().map(|row| id(row, 0)).collect()
}

/// Its writes were refused, so it is as if it had never been here.
async fn take_back(conn: &mut PgConnection, row: &Row<'_>) -> Result<(), Fault> {
    sqlx::query("DELETE FROM invocation WHERE pid = $1 AND fid = $2 AND id = $3")
        .bind(row.place.pid)
        .bind(row.place.fid)
        .bind(row.record.new.id.as_bytes().as_slice())
        .execute(&mut *conn)
        .await?;
    if let Some(key) = &row.key {
        free_key(conn, row.place, key).await?;
    }
    Ok(())
}
