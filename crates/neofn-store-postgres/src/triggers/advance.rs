//! What events bring: invocations, or deliveries that wait, each once; and with them the place that they are from.

use super::lanes;
use super::state::{RUNNING, Standing, fenced, hold, hold_cursor, move_cursor, standing};
use crate::admit::{Answer, insert, known_key, queued, remember_key};
use crate::batch::Counts;
use crate::error::Fault;
use crate::rows::{Place, find};
use neofn_engine::port::{NewInvocation, Start, StoreError};
use neofn_engine::triggers::port::{Advance, Advanced, ChainCursor, Deliver, Delivered, Delivery, Stream};
use neofn_event::TriggerId;
use neofn_rows::{effect_key, int};
use neofn_types::{FunctionKey, InvocationId, UnixMillis};
use sqlx::postgres::PgConnection;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// How full functions are, counted once a command.
#[derive(Default)]
pub(crate) struct Loads(HashMap<i64, u64>);

impl Loads {
    async fn of(&mut self, conn: &mut PgConnection, place: Place, max: u32) -> Result<&mut u64, Fault> {
        Ok(match self.0.entry(place.fid) {
            Entry::Occupied(load) => load.into_mut(),
            Entry::Vacant(unseen) => {
                let queued = queued(conn, place, max).await?;
                unseen.insert(queued + lanes::waiting(conn, place).await?)
            }
        })
    }
}

/// What became of one delivery.
enum Taken {
    New,
    Known(InvocationId),
}

async fn take(
    conn: &mut PgConnection,
    place: Place,
    delivery: &Delivery,
    epoch: u32,
    at: UnixMillis,
) -> Result<Taken, Fault> {
    let effect = effect_key(&delivery.effect, epoch);
    // of two nodes that bring the same event at the same moment, the second waits here for the first
    if !remember_key(conn, place, &effect, &effect, delivery.id, at).await? {
        let known = known_key(conn, place, &effect).await?;
        return Ok(Taken::Known(known.ok_or(Fault::Damaged("idempotency key"))?.id));
    }
    match &delivery.hold {
        None => {
            let new = NewInvocation {
                id: delivery.id,
                key: delivery.trigger.function.clone(),
                version: delivery.version,
                origin: delivery.origin,
                caller: Some(delivery.origin.trigger(delivery.trigger.name.as_str())),
                event: delivery.event.clone(),
                idempotency: None,
                trace_id: delivery.trace_id,
                at,
                start: Start::Queued,
                queue_max: u32::MAX,
                hold: None,
            };
            insert(conn, std::iter::once((place, &new))).await?;
            let cause = super::fired::Cause {
                name: delivery.trigger.name.as_str(),
                event_id: delivery.event_id.as_bytes(),
                height: delivery.height.map(int),
                depth: i64::from(delivery.depth),
            };
            super::fired::insert(conn, place, delivery.id, cause).await?;
        }
        Some(hold) => lanes::hold(conn, place, delivery, hold, at).await?,
    }
    Ok(Taken::New)
}

/// How the triggers of an advance stand, read once each.
struct Standings<'a> {
    advance: &'a Advance,
    seen: HashMap<&'a TriggerId, Option<(Place, bool)>>,
    joining: HashSet<&'a TriggerId>,
}

impl<'a> Standings<'a> {
    /// Where a trigger's rows are, if it takes the block of this height.
    async fn takes(
        &mut self,
        conn: &mut PgConnection,
        delivery: &'a Delivery,
    ) -> Result<Option<Place>, Fault> {
        let id = &delivery.trigger;
        let found = match self.seen.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unseen) => {
                let found = match find(conn, &id.function).await? {
                    None => None,
                    Some(place) => standing(conn, place, id.name.as_str())
                        .await?
                        .filter(|s| s.status == RUNNING)
                        // one with a position of its own goes with everybody only if it was asked to join
                        .map(|s| (place, s.position.is_none() || self.joining.contains(id))),
                };
                *unseen.insert(found)
            }
        };
        Ok(match (&self.advance.stream, found) {
            (_, None) | (Stream::Main { .. }, Some((_, false))) => None,
            (_, Some((place, _))) => Some(place),
        })
    }
}

pub(crate) async fn advance(conn: &mut PgConnection, advance: &Advance) -> Answer<Advanced> {
    let Some(cursor) = hold_cursor(conn, advance.network).await? else {
        return fenced();
    };
    let joining = match &advance.stream {
        Stream::Main { joining } => {
            if cursor.next != advance.from || advance.to <= advance.from {
                return fenced();
            }
            joining
        }
        Stream::Behind(triggers) => {
            for id in triggers {
                if !stands_at(conn, id, advance.from).await? {
                    return fenced();
                }
            }
            triggers
        }
    };
    let mut standings = Standings {
        advance,
        seen: HashMap::new(),
        joining: joining.iter().collect(),
    };
    let mut loads = Loads::default();
    // the block at which a function was last found to have room
    let mut entered: HashMap<i64, u64> = HashMap::new();
    let mut held: HashMap<&TriggerId, u64> = HashMap::new();
    let mut counts = Counts::default();
    let mut done = Advanced::default();
    for delivery in &advance.deliveries {
        let height = delivery.height.unwrap_or(advance.from);
        let Some(place) = standings.takes(conn, delivery).await? else {
            continue;
        };
        if held.contains_key(&delivery.trigger) {
            continue;
        }
        let load = loads.of(conn, place, advance.queue_max).await?;
        // a block is taken whole or not at all, so that a trigger stands between two blocks
        if entered.get(&place.fid) != Some(&height) {
            if *load >= u64::from(advance.queue_max) {
                held.insert(&delivery.trigger, height);
                continue;
            }
            entered.insert(place.fid, height);
        }
        *load += 1;
        match take(conn, place, delivery, cursor.epoch, advance.at).await? {
            Taken::New => {
                done.delivered += 1;
                counts.matched(place, delivery.trigger.name.as_str(), 1, advance.at.0);
            }
            Taken::Known(_) => done.known += 1,
        }
    }
    let next = match &advance.stream {
        Stream::Main { .. } => {
            let to = ChainCursor {
                next: advance.to,
                previous: advance.last,
                epoch: cursor.epoch,
            };
            move_cursor(conn, advance.network, to).await?;
            advance.to
        }
        Stream::Behind(_) => cursor.next,
    };
    for id in joining {
        let position = match &advance.stream {
            Stream::Main { .. } => None,
            // who has come up to the cursor joins with the next block that everybody reads
            Stream::Behind(_) => Some(advance.to.min(next)),
        };
        move_trigger(conn, id, position).await?;
    }
    for (id, height) in held {
        move_trigger(conn, id, Some(height)).await?;
        done.held.push((id.clone(), height));
    }
    counts.write(conn).await?;
    Ok(Ok(done))
}

async fn stands_at(conn: &mut PgConnection, id: &TriggerId, from: u64) -> Result<bool, Fault> {
    let Some(place) = find(conn, &id.function).await? else {
        return Ok(false);
    };
    let found = hold(conn, place, id.name.as_str()).await?;
    Ok(matches!(found, Some(Standing { status: RUNNING, position: Some(at), .. }) if at == from))
}

async fn move_trigger(conn: &mut PgConnection, id: &TriggerId, position: Option<u64>) -> Result<(), Fault> {
    if let Some(place) = find(conn, &id.function).await? {
        sqlx::query(
            "UPDATE trigger_state SET position = $4 WHERE pid = $1 AND fid = $2 AND name = $3 AND status = 0",
        )
        .bind(place.pid)
        .bind(place.fid)
        .bind(id.name.as_str())
        .bind(position.map(int))
        .execute(conn)
        .await?;
    }
    Ok(())
}

pub(crate) async fn deliver(conn: &mut PgConnection, deliver: &Deliver) -> Answer<Vec<Delivered>> {
    let mut cron = None;
    if let Some((id, from, to)) = &deliver.cron {
        let Some(place) = find(conn, &id.function).await? else {
            return fenced();
        };
        let found = hold(conn, place, id.name.as_str()).await?;
        if !found.is_some_and(|s| s.status == RUNNING && s.cron_at == from.0) {
            return fenced();
        }
        cron = Some((place, id.name.as_str(), *to));
    }
    let mut loads = Loads::default();
    if !has_room(conn, &mut loads, &deliver.deliveries, deliver.queue_max).await? {
        return Ok(Err(StoreError::QueueFull));
    }
    let mut counts = Counts::default();
    let done = write(conn, &mut counts, &deliver.deliveries, deliver.at).await?;
    counts.write(conn).await?;
    if let Some((place, name, to)) = cron {
        sqlx::query("UPDATE trigger_state SET cron_at = $4 WHERE pid = $1 AND fid = $2 AND name = $3")
            .bind(place.pid)
            .bind(place.fid)
            .bind(name)
            .bind(to.0)
            .execute(conn)
            .await?;
    }
    Ok(Ok(done))
}

/// Whether every function that these reach has room for all that reach it. If so, `loads` has them.
pub(crate) async fn has_room(
    conn: &mut PgConnection,
    loads: &mut Loads,
    deliveries: &[Delivery],
    queue_max: u32,
) -> Result<bool, Fault> {
    let mut wanted: HashMap<&FunctionKey, u64> = HashMap::new();
    for delivery in deliveries {
        *wanted.entry(&delivery.trigger.function).or_default() += 1;
    }
    let mut entering = Vec::new();
    for (function, count) in wanted {
        let Some(place) = find(conn, function).await? else {
            continue;
        };
        if *loads.of(conn, place, queue_max).await? + count > u64::from(queue_max) {
            return Ok(false);
        }
        entering.push((place, count));
    }
    for (place, count) in entering {
        *loads.of(conn, place, queue_max).await? += count;
    }
    Ok(true)
}

/// What a run emitted, committed with its result. That there is room was seen to before anything of its end was written.
pub(crate) async fn emitted(
    conn: &mut PgConnection,
    counts: &mut Counts,
    deliveries: &[Delivery],
    at: UnixMillis,
) -> Result<(), Fault> {
    write(conn, counts, deliveries, at).await.map(drop)
}

async fn write(
    conn: &mut PgConnection,
    counts: &mut Counts,
    deliveries: &[Delivery],
    at: UnixMillis,
) -> Result<Vec<Delivered>, Fault> {
    let mut done = Vec::new();
    let mut places: HashMap<&FunctionKey, Option<Place>> = HashMap::new();
    for delivery in deliveries {
        let function = &delivery.trigger.function;
        let place = match places.get(function) {
            Some(place) => *place,
            None => {
                let place = find(conn, function).await?;
                places.insert(function, place);
                place
            }
        };
        let Some(place) = place else { continue };
        let name = delivery.trigger.name.as_str();
        // paused and removed triggers get nothing
        if standing(conn, place, name)
            .await?
            .is_none_or(|s| s.status != RUNNING)
        {
            continue;
        }
        let (id, known) = match take(conn, place, delivery, 0, at).await? {
            Taken::New => {
                counts.matched(place, name, 1, at.0);
                (delivery.id, false)
            }
            Taken::Known(id) => (id, true),
        };
        done.push(Delivered {
            trigger: delivery.trigger.clone(),
            effect: delivery.effect,
            id,
            known,
        });
    }
    Ok(done)
}
