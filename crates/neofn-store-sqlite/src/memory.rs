//! What the writer keeps in memory, so that no command counts or searches: which functions exist, how many
//! invocations of each wait and run, who holds which claim, and when the next one is due.
//!
//! It mirrors the database as of the running transaction: after a rollback it is thrown away and read again.

use crate::codec::{id, int, key, nat};
use crate::error::Fault;
use neofn_engine::port::Totals;
use neofn_rows::kv::Space;
use neofn_types::{Fence, FunctionKey, InvocationId, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeSet, HashMap};

/// A function's place in every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub pid: i64,
    pub fid: i64,
}

/// Counters of a function. `head` is its queued invocation that is due first.
#[derive(Debug)]
pub(crate) struct FnState {
    pub place: Place,
    pub key: FunctionKey,
    pub invocations: u64,
    pub queued: u64,
    pub running: u64,
    pub history: u64,
    pub head: Option<(i64, InvocationId)>,
    dirty: bool,
}

/// A claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub place: Place,
    pub run_at: i64,
    pub attempt: u32,
    pub fence: Fence,
    pub lease_until: i64,
    pub waits: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    ids: HashMap<FunctionKey, i64>,
    functions: HashMap<i64, FnState>,
    heads: BTreeSet<(i64, InvocationId, i64)>,
    spaces: HashMap<i64, (Space, bool)>,
    dirty: Vec<i64>,
    dirty_spaces: Vec<i64>,
    totals_dirty: bool,
    pub running: HashMap<InvocationId, Running>,
    pub totals: Totals,
    /// Deleted functions whose rows remain.
    pub tombs: Vec<Place>,
}

const FUNCTION: &str = "SELECT f.pid, f.fid, p.name, f.name, f.invocations, f.queued, f.running, f.history \
     FROM function f JOIN project p ON p.pid = f.pid";

impl Memory {
    /// Reads what must be known before the first command: totals, and functions with something waiting or running.
    pub(crate) fn load(conn: &Connection) -> Result<Self, Fault> {
        let mut memory = Self::default();
        let (succeeded, failed): (i64, i64) = conn
            .prepare_cached("SELECT succeeded, failed FROM totals WHERE one = 1")?
            .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        memory.totals.succeeded = nat(succeeded);
        memory.totals.failed = nat(failed);
        memory.totals.total = memory.totals.succeeded + memory.totals.failed;
        let mut statement = conn.prepare(&format!("{FUNCTION} WHERE f.queued > 0 OR f.running > 0"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let state = FnState::read(row)?;
            memory.totals.queued += state.queued;
            memory.totals.running += state.running;
            memory.load_claims(conn, &state)?;
            memory.insert(conn, state)?;
        }
        let mut statement = conn.prepare("SELECT pid, fid FROM tomb")?;
        let tombs = statement.query_map([], |r| {
            Ok(Place {
                pid: r.get(0)?,
                fid: r.get(1)?,
            })
        })?;
        memory.tombs = tombs.collect::<Result<_, _>>()?;
        Ok(memory)
    }

    fn load_claims(&mut self, conn: &Connection, state: &FnState) -> Result<(), Fault> {
        if state.running == 0 {
            return Ok(());
        }
        let mut statement = conn.prepare_cached(
            "SELECT id, run_at, attempt, fence, lease_until, waits FROM queue \
             WHERE pid = ?1 AND fid = ?2 AND state = 1",
        )?;
        let mut rows = statement.query(params![state.place.pid, state.place.fid])?;
        while let Some(row) = rows.next()? {
            let claim = Running {
                place: state.place,
                run_at: row.get(1)?,
                attempt: row.get(2)?,
                fence: Fence(nat(row.get(3)?)),
                lease_until: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
                waits: row.get(5)?,
            };
            self.running.insert(id(row, 0)?, claim);
        }
        Ok(())
    }

    fn insert(&mut self, conn: &Connection, mut state: FnState) -> Result<(), Fault> {
        let fid = state.place.fid;
        if state.queued > 0 {
            state.head = next_head(conn, state.place, None)?;
            if let Some((at, id)) = state.head {
                self.heads.insert((at, id, fid));
            }
        }
        self.ids.insert(state.key.clone(), fid);
        self.functions.insert(fid, state);
        Ok(())
    }

    /// A function that exists.
    pub(crate) fn find(&mut self, conn: &Connection, key: &FunctionKey) -> Result<Option<Place>, Fault> {
        if let Some(state) = self.ids.get(key).and_then(|fid| self.functions.get(fid)) {
            return Ok(Some(state.place));
        }
        let mut statement = conn.prepare_cached(&format!("{FUNCTION} WHERE p.name = ?1 AND f.name = ?2"))?;
        let mut rows = statement.query([key.project.as_ref(), key.function.as_ref()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let state = FnState::read(row)?;
        let place = state.place;
        self.insert(conn, state)?;
        Ok(Some(place))
    }
    /// Makes sure that the counters of a function are here; false when it was deleted.
    pub(crate) fn ensure(&mut self, conn: &Connection, place: Place) -> Result<bool, Fault> {
        if self.functions.contains_key(&place.fid) {
            return Ok(true);
        }
        let mut statement = conn.prepare_cached(&format!("{FUNCTION} WHERE f.fid = ?1"))?;
        let mut rows = statement.query([place.fid])?;
        let Some(row) = rows.next()? else {
            return Ok(false);
        };
        let state = FnState::read(row)?;
        self.insert(conn, state)?;
        Ok(true)
    }
    /// The counters of a function that `find` has found in this transaction.
    pub(crate) fn state(&self, place: Place) -> Result<&FnState, Fault> {
        self.functions
            .get(&place.fid)
            .ok_or(Fault::Misuse("counters of an unknown function"))
    }
    /// As `state`, to be changed; written at the end of the transaction.
    pub(crate) fn change(&mut self, place: Place) -> Result<&mut FnState, Fault> {
        let state = self
            .functions
            .get_mut(&place.fid)
            .ok_or(Fault::Misuse("counters of an unknown function"))?;
        if !state.dirty {
            state.dirty = true;
            self.dirty.push(place.fid);
        }
        Ok(state)
    }
    /// Forgets a function that was deleted; answers nothing of it again.
    pub(crate) fn forget(&mut self, place: Place) {
        if let Some(state) = self.functions.remove(&place.fid) {
            self.ids.remove(&state.key);
            self.totals.queued = self.totals.queued.saturating_sub(state.queued);
            self.totals.running = self.totals.running.saturating_sub(state.running);
            if let Some((at, id)) = state.head {
                self.heads.remove(&(at, id, place.fid));
            }
        }
        self.running.retain(|_, claim| claim.place != place);
        self.tombs.push(place);
    }

    /// An invocation began to wait.
    pub(crate) fn queued(&mut self, place: Place, run_at: i64, id: InvocationId) -> Result<(), Fault> {
        self.totals.queued += 1;
        let state = self.change(place)?;
        state.queued += 1;
        if state.head.is_none_or(|head| (run_at, id) < head) {
            let old = state.head.replace((run_at, id));
            if let Some((at, id)) = old {
                self.heads.remove(&(at, id, place.fid));
            }
            self.heads.insert((run_at, id, place.fid));
        }
        Ok(())
    }
    /// The head of a function's queue was claimed; the next one takes its place.
    pub(crate) fn unqueued_head(&mut self, conn: &Connection, place: Place) -> Result<(), Fault> {
        self.totals.queued = self.totals.queued.saturating_sub(1);
        let state = self.change(place)?;
        state.queued = state.queued.saturating_sub(1);
        let (waiting, head) = (state.queued, state.head.take());
        if let Some((at, id)) = head {
            self.heads.remove(&(at, id, place.fid));
        }
        if waiting > 0 {
            let next = next_head(conn, place, head)?;
            if let Some((at, id)) = next {
                self.heads.insert((at, id, place.fid));
            }
            self.change(place)?.head = next;
        }
        Ok(())
    }
    /// A claim began.
    pub(crate) fn claimed(&mut self, id: InvocationId, claim: Running) -> Result<(), Fault> {
        self.totals.running += 1;
        self.change(claim.place)?.running += 1;
        self.running.insert(id, claim);
        Ok(())
    }
    /// A claim ended, whatever way.
    pub(crate) fn unclaimed(&mut self, id: InvocationId) -> Result<(), Fault> {
        if let Some(claim) = self.running.remove(&id) {
            self.totals.running = self.totals.running.saturating_sub(1);
            let state = self.change(claim.place)?;
            state.running = state.running.saturating_sub(1);
        }
        Ok(())
    }
    /// An invocation ended.
    pub(crate) fn ended(&mut self, place: Place, succeeded: bool) -> Result<(), Fault> {
        let totals = &mut self.totals;
        totals.total += 1;
        if succeeded {
            totals.succeeded += 1;
        } else {
            totals.failed += 1;
        }
        self.totals_dirty = true;
        let state = self.change(place)?;
        state.invocations += 1;
        state.history += 1;
        Ok(())
    }
    /// An interrupted invocation, counted as failed, goes on after all.
    pub(crate) fn resumed(&mut self, place: Place) -> Result<(), Fault> {
        let totals = &mut self.totals;
        totals.total = totals.total.saturating_sub(1);
        totals.failed = totals.failed.saturating_sub(1);
        self.totals_dirty = true;
        let state = self.change(place)?;
        state.invocations = state.invocations.saturating_sub(1);
        state.history = state.history.saturating_sub(1);
        Ok(())
    }
    /// Functions with something due, in the order in which it is.
    pub(crate) fn due(&self, now: UnixMillis) -> Vec<&FnState> {
        let due = self.heads.iter().take_while(|(at, _, _)| *at <= now.0);
        due.filter_map(|(_, _, fid)| self.functions.get(fid)).collect()
    }
    /// When the next waiting invocation is due.
    pub(crate) fn next_due(&self) -> Option<UnixMillis> {
        self.heads.first().map(|(at, _, _)| UnixMillis(*at))
    }

    /// The counters of a namespace.
    pub(crate) fn space(&mut self, conn: &Connection, pid: i64) -> Result<Space, Fault> {
        if let Some((space, _)) = self.spaces.get(&pid) {
            return Ok(*space);
        }
        let row: Option<(i64, i64, i64)> = conn
            .prepare_cached("SELECT kv_revision, kv_keys, kv_bytes FROM project WHERE pid = ?1")?
            .query_row([pid], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()?;
        let (revision, keys, bytes) = row.ok_or(Fault::Damaged("project"))?;
        let space = Space {
            revision: nat(revision),
            keys: nat(keys),
            bytes: nat(bytes),
        };
        self.spaces.insert(pid, (space, false));
        Ok(space)
    }
    /// Replaces the counters of a namespace.
    pub(crate) fn set_space(&mut self, pid: i64, space: Space) {
        let before = self.spaces.insert(pid, (space, true));
        if !before.is_some_and(|(_, dirty)| dirty) {
            self.dirty_spaces.push(pid);
        }
    }

    /// Writes every counter that changed, once a transaction however many commands touched it.
    pub(crate) fn flush(&mut self, conn: &Connection) -> Result<(), Fault> {
        if !self.dirty.is_empty() {
            let mut statement = conn.prepare_cached(
                "UPDATE function SET invocations = ?3, queued = ?4, running = ?5, history = ?6 \
                 WHERE fid = ?2 AND pid = ?1",
            )?;
            for fid in self.dirty.drain(..) {
                let Some(state) = self.functions.get_mut(&fid) else {
                    continue; // deleted in this very transaction
                };
                state.dirty = false;
                statement.execute(params![
                    state.place.pid,
                    fid,
                    int(state.invocations),
                    int(state.queued),
                    int(state.running),
                    int(state.history)
                ])?;
            }
        }
        for pid in self.dirty_spaces.drain(..) {
            let Some((space, dirty)) = self.spaces.get_mut(&pid) else {
                continue;
            };
            *dirty = false;
            conn.prepare_cached(
                "UPDATE project SET kv_revision = ?2, kv_keys = ?3, kv_bytes = ?4 WHERE pid = ?1",
            )?
            .execute(params![
                pid,
                int(space.revision),
                int(space.keys),
                int(space.bytes)
            ])?;
        }
        if std::mem::take(&mut self.totals_dirty) {
            conn.prepare_cached("UPDATE totals SET succeeded = ?1, failed = ?2 WHERE one = 1")?
                .execute([int(self.totals.succeeded), int(self.totals.failed)])?;
        }
        Ok(())
    }
}

/// The queued invocation of a function that is due first, after `after`.
fn next_head(
    conn: &Connection,
    place: Place,
    after: Option<(i64, InvocationId)>,
) -> Result<Option<(i64, InvocationId)>, Fault> {
    let (at, last) = match &after {
        Some((at, id)) => (*at, id.as_bytes().as_slice()),
        None => (i64::MIN, [].as_slice()),
    };
    let mut statement = conn.prepare_cached(
        "SELECT run_at, id FROM queue WHERE pid = ?1 AND fid = ?2 AND (run_at, id) > (?3, ?4) AND state = 0 \
         ORDER BY run_at, id LIMIT 1",
    )?;
    let mut rows = statement.query(params![place.pid, place.fid, at, last])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, id(row, 1)?))),
        None => Ok(None),
    }
}

impl FnState {
    fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            place: Place {
                pid: row.get(0)?,
                fid: row.get(1)?,
            },
            key: key(row, 2)?,
            invocations: nat(row.get(4)?),
            queued: nat(row.get(5)?),
            running: nat(row.get(6)?),
            history: nat(row.get(7)?),
            head: None,
            dirty: false,
        })
    }
}
