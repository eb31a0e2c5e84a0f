//! What events bring: invocations, or deliveries that wait, each once; and with them the place that they are from.

use super::lanes;
use super::state::{RUNNING, Standing, count, cursor, fenced, move_cursor, standing};
use crate::codec::{effect_key, int};
use crate::error::Fault;
use crate::invocations::{Answer, enqueue, known_effect, remember_effect};
use crate::memory::Place;
use crate::writer::Work;
use neofn_engine::port::{NewInvocation, Start, StoreError};
use neofn_engine::triggers::port::{Advance, Advanced, Deliver, Delivered, Delivery, Stream};
use neofn_event::TriggerId;
use neofn_types::UnixMillis;
use rusqlite::params;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How full functions are, counted once a command.
#[derive(Default)]
struct Loads(HashMap<i64, u64>);

impl Loads {
    fn of(&mut self, work: &Work<'_>, place: Place) -> Result<&mut u64, Fault> {
        Ok(match self.0.entry(place.fid) {
            Entry::Occupied(load) => load.into_mut(),
            Entry::Vacant(unseen) => {
                let queued = work.memory.state(place)?.queued;
                unseen.insert(queued + lanes::waiting(work.conn, place)?)
            }
        })
    }
}

/// What became of one delivery.
enum Taken {
    New,
    Known(neofn_types::InvocationId),
}

fn take(
    work: &mut Work<'_>,
    place: Place,
    delivery: &Delivery,
    epoch: u32,
    at: UnixMillis,
) -> Result<Taken, Fault> {
    let effect = effect_key(&delivery.effect, epoch);
    if let Some(id) = known_effect(work, place, &effect)? {
        return Ok(Taken::Known(id));
    }
    remember_effect(work, place, &effect, delivery.id, at)?;
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
            enqueue(work, place, &new)?;
            super::fired::insert(
                work.conn,
                place,
                delivery.id,
                delivery.trigger.name.as_str(),
                &delivery.event_id,
                delivery.height,
                delivery.depth,
            )?;
        }
        Some(hold) => lanes::hold(work.conn, place, delivery, hold, at)?,
    }
    Ok(Taken::New)
}

/// How the triggers of an advance stand, read once each.
struct Standings<'a> {
    advance: &'a Advance,
    seen: HashMap<&'a TriggerId, Option<(Place, bool)>>,
    joining: std::collections::HashSet<&'a TriggerId>,
}

impl<'a> Standings<'a> {
    /// Where a trigger's rows are, if it takes the block of this height.
    fn takes(&mut self, work: &mut Work<'_>, delivery: &'a Delivery) -> Result<Option<Place>, Fault> {
        let id = &delivery.trigger;
        let found = match self.seen.entry(id) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unseen) => {
                let place = work.memory.find(work.conn, &id.function)?;
                let found = match place {
                    None => None,
                    Some(place) => standing(work.conn, place, id.name.as_str())?
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

pub(crate) fn advance(work: &mut Work<'_>, advance: &Advance) -> Answer<Advanced> {
    let Some(cursor) = cursor(work.conn, advance.network)? else {
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
                if !stands_at(work, id, advance.from)? {
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
    let mut counts: HashMap<&TriggerId, (Place, u64)> = HashMap::new();
    let mut done = Advanced::default();
    for delivery in &advance.deliveries {
        let height = delivery.height.unwrap_or(advance.from);
        let Some(place) = standings.takes(work, delivery)? else {
            continue;
        };
        if held.contains_key(&delivery.trigger) {
            continue;
        }
        let load = loads.of(work, place)?;
        // a block is taken whole or not at all, so that a trigger stands between two blocks
        if entered.get(&place.fid) != Some(&height) {
            if *load >= u64::from(advance.queue_max) {
                held.insert(&delivery.trigger, height);
                continue;
            }
            entered.insert(place.fid, height);
        }
        *load += 1;
        match take(work, place, delivery, cursor.epoch, advance.at)? {
            Taken::New => {
                done.delivered += 1;
                counts.entry(&delivery.trigger).or_insert((place, 0)).1 += 1;
            }
            Taken::Known(_) => done.known += 1,
        }
    }
    for (id, (place, matched)) in counts {
        count(work.conn, place, id.name.as_str(), matched, advance.at)?;
    }
    let next = match &advance.stream {
        Stream::Main { .. } => {
            move_cursor(work.conn, advance.network, advance.to, advance.last, cursor.epoch)?;
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
        move_trigger(work, id, position)?;
    }
    for (id, height) in held {
        move_trigger(work, id, Some(height))?;
        done.held.push((id.clone(), height));
    }
    Ok(Ok(done))
}

fn stands_at(work: &mut Work<'_>, id: &TriggerId, from: u64) -> Result<bool, Fault> {
    let Some(place) = work.memory.find(work.conn, &id.function)? else {
        return Ok(false);
    };
    let found = standing(work.conn, place, id.name.as_str())?;
    Ok(matches!(found, Some(Standing { status: RUNNING, position: Some(at), .. }) if at == from))
}

fn move_trigger(work: &mut Work<'_>, id: &TriggerId, position: Option<u64>) -> Result<(), Fault> {
    if let Some(place) = work.memory.find(work.conn, &id.function)? {
        work.conn
            .prepare_cached(
                "UPDATE trigger_state SET position = ?4 WHERE pid = ?1 AND fid = ?2 AND name = ?3 AND status = 0",
            )?
            .execute(params![place.pid, place.fid, id.name.as_str(), position.map(int)])?;
    }
    Ok(())
}

pub(crate) fn deliver(work: &mut Work<'_>, deliver: &Deliver) -> Answer<Vec<Delivered>> {
    let mut cron = None;
    if let Some((id, from, to)) = &deliver.cron {
        let Some(place) = work.memory.find(work.conn, &id.function)? else {
            return fenced();
        };
        let found = standing(work.conn, place, id.name.as_str())?;
        if !found.is_some_and(|s| s.status == RUNNING && s.cron_at == from.0) {
            return fenced();
        }
        cron = Some((place, id.name.as_str(), *to));
    }
    if !has_room(work, &deliver.deliveries, deliver.queue_max)? {
        return Ok(Err(StoreError::QueueFull));
    }
    let done = write(work, &deliver.deliveries, deliver.at)?;
    if let Some((place, name, to)) = cron {
        work.conn
            .prepare_cached(
                "UPDATE trigger_state SET cron_at = ?4 WHERE pid = ?1 AND fid = ?2 AND name = ?3",
            )?
            .execute(params![place.pid, place.fid, name, to.0])?;
    }
    Ok(Ok(done))
}

/// Whether every function that these reach has room for all that reach it.
pub(crate) fn has_room(work: &mut Work<'_>, deliveries: &[Delivery], queue_max: u32) -> Result<bool, Fault> {
    let mut loads = Loads::default();
    for delivery in deliveries {
        if let Some(place) = work.memory.find(work.conn, &delivery.trigger.function)? {
            let load = loads.of(work, place)?;
            if *load >= u64::from(queue_max) {
                return Ok(false);
            }
            *load += 1;
        }
    }
    Ok(true)
}

/// What a run emitted, committed with its result. That there is room was seen to before anything of its end was written.
pub(crate) fn emitted(work: &mut Work<'_>, deliveries: &[Delivery], at: UnixMillis) -> Result<(), Fault> {
    write(work, deliveries, at).map(drop)
}

fn write(work: &mut Work<'_>, deliveries: &[Delivery], at: UnixMillis) -> Result<Vec<Delivered>, Fault> {
    let mut done = Vec::new();
    for delivery in deliveries {
        let Some(place) = work.memory.find(work.conn, &delivery.trigger.function)? else {
            continue;
        };
        let name = delivery.trigger.name.as_str();
        // paused and removed triggers get nothing
        if standing(work.conn, place, name)?.is_none_or(|s| s.status != RUNNING) {
            continue;
        }
        let (id, known) = match take(work, place, delivery, 0, at)? {
            Taken::New => {
                count(work.conn, place, name, 1, at)?;
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
