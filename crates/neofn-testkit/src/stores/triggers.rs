//! What brings events and what becomes of them: once each, in order where asked, back-pressure, dead letters.

use super::{AnyStore, Harness};
use crate::stores::support::*;
use bytes::Bytes;
use neofn_engine::port::{
    InvocationFilter, InvocationStore as _, KvExpect, KvStore as _, Origin, Outcome, Status, StoreError,
};
use neofn_engine::triggers::port::*;
use neofn_event::{TriggerId, TriggerKind, Triggers};
use neofn_registry::port::RegistryStore as _;
use neofn_types::{FunctionKey, Hash256, UnixMillis, Version};
use std::time::Duration;

const NET: u32 = 42;

pub fn trigger(function: &FunctionKey, name: &str) -> TriggerId {
    TriggerId::new(function.clone(), name.parse().unwrap())
}
/// Makes a function with one version, which has one trigger `t`.
pub async fn deploy(store: &impl AnyStore, key: &FunctionKey) {
    let on = serde_json::json!({"notification": [{"name": "t", "contract": "GAS", "event": "Transfer"}]});
    publish_on(store, key, on).await;
}
async fn publish_on(store: &impl AnyStore, key: &FunctionKey, on: serde_json::Value) {
    let mut publish = publish_of(key, "one", 1);
    publish.spec.on = Triggers::read(&on).unwrap();
    publish.digest = publish.spec.digest(publish.artifact.engine);
    store.publish(publish).await.unwrap();
}
async fn change(store: &impl AnyStore, id: &TriggerId, change: Change) {
    let change = TriggerChange {
        id: id.clone(),
        change,
    };
    store
        .change_triggers(vec![change], Some(NET), UnixMillis(1))
        .await
        .unwrap();
}
pub async fn register(store: &impl AnyStore, id: &TriggerId, position: u64) {
    let registered = Change::Register {
        kind: TriggerKind::Notification,
        position: Some(position),
        resume: Some(position),
        schedule: None,
    };
    change(store, id, registered).await;
}
pub fn delivery(id: &TriggerId, event: &str, height: u64) -> Delivery {
    Delivery {
        trigger: id.clone(),
        id: id_at(100),
        version: Version(1),
        origin: Origin::Block,
        event_id: event.to_owned(),
        effect: id.effect_key(event),
        event: Bytes::from(format!("{{\"id\":\"{event}\"}}")),
        height: Some(height),
        depth: 0,
        trace_id: [9; 16],
        hold: None,
    }
}
pub fn held(id: &TriggerId, event: &str, lane: &str) -> Delivery {
    let hold = Hold {
        lane: lane.to_owned(),
        ordered: true,
        debounce: None,
        batch: None,
    };
    Delivery {
        hold: Some(hold),
        ..delivery(id, event, 1)
    }
}
pub fn main_advance(from: u64, to: u64, joining: &[TriggerId], deliveries: Vec<Delivery>) -> Advance {
    Advance {
        network: NET,
        stream: Stream::Main {
            joining: joining.to_vec(),
        },
        from,
        to,
        last: Some(Hash256([7; 32])),
        deliveries,
        queue_max: 10_000,
        at: UnixMillis(100),
    }
}
pub async fn rows(store: &impl AnyStore, key: &FunctionKey) -> Vec<neofn_engine::port::InvocationRecord> {
    let filter = InvocationFilter {
        limit: 1_000,
        ..Default::default()
    };
    store.invocations(key, filter).await.unwrap()
}
async fn position(store: &impl AnyStore, id: &TriggerId) -> Option<u64> {
    let states = store.trigger_states().await.unwrap();
    states.into_iter().find(|s| s.id == *id).unwrap().position
}
pub async fn ready<H: Harness>() -> (H, H::Store, FunctionKey, TriggerId) {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let id = trigger(&f, "t");
    assert!(store.chain_networks().await.unwrap().is_empty());
    store.place_chain_cursor(placing(None, 10)).await.unwrap();
    assert_eq!(store.chain_networks().await.unwrap(), [NET]);
    register(&store, &id, 10).await;
    (harness, store, f, id)
}
fn placing(from: Option<ChainCursor>, next: u64) -> Placing {
    Placing {
        network: NET,
        from,
        next,
        previous: None,
        anew: false,
    }
}
pub fn deliver(deliveries: Vec<Delivery>) -> Deliver {
    Deliver {
        cron: None,
        deliveries,
        queue_max: 100,
        at: UnixMillis(100),
    }
}

pub async fn matches_and_cursor_move_together<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let both = vec![delivery(&id, "42:10:0:0:0", 10), delivery(&id, "42:11:0:0:0", 11)];
    let advance = main_advance(10, 12, std::slice::from_ref(&id), both);
    let done = store.advance(advance.clone()).await.unwrap();
    assert_eq!((done.delivered, done.known, done.held.len()), (2, 0, 0));
    let cursor = store.chain_cursor(NET).await.unwrap().unwrap();
    assert_eq!((cursor.next, cursor.previous), (12, Some(Hash256([7; 32]))));
    assert_eq!(position(&store, &id).await, None);
    // the same blocks again, after an answer that was never seen
    assert!(matches!(store.advance(advance).await, Err(StoreError::Fenced)));
    assert_eq!(rows(&store, &f).await.len(), 2);
    let state = &store.trigger_states().await.unwrap()[0];
    assert_eq!((state.matched, state.matched_at), (2, Some(UnixMillis(100))));
}

pub async fn an_event_has_its_effect_once<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let first = store.deliver(deliver(vec![delivery(&id, "a", 1)])).await.unwrap();
    let again = store
        .deliver(deliver(vec![delivery(&id, "a", 1), delivery(&id, "b", 1)]))
        .await
        .unwrap();
    assert!(!first[0].known && again[0].known && !again[1].known);
    assert_eq!(first[0].id, again[0].id);
    assert_eq!(rows(&store, &f).await.len(), 2);
}

pub async fn a_full_function_is_left_behind_whole<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let g = key("demo", "g");
    deploy(&store, &g).await;
    let other = trigger(&g, "t");
    register(&store, &other, 10).await;
    let all: Vec<Delivery> = (10..14)
        .flat_map(|h| {
            let one = delivery(&id, &format!("{h}:0"), h);
            let two = delivery(&id, &format!("{h}:1"), h);
            [one, two]
        })
        .chain((10..14).map(|h| delivery(&other, &format!("{h}"), h)))
        .collect();
    let mut advance = main_advance(10, 14, &[id.clone(), other.clone()], all);
    advance.queue_max = 4;
    let done = store.advance(advance).await.unwrap();
    // two blocks of two each fit; the other function is not held up
    assert_eq!(done.held, [(id.clone(), 12)]);
    assert_eq!(
        (rows(&store, &f).await.len(), rows(&store, &g).await.len()),
        (4, 4)
    );
    assert_eq!(position(&store, &id).await, Some(12));
    // it comes up to the cursor by itself
    let behind = |from, to, deliveries| Advance {
        stream: Stream::Behind(vec![id.clone()]),
        ..main_advance(from, to, &[], deliveries)
    };
    let late = vec![delivery(&id, "12:0", 12), delivery(&id, "13:0", 13)];
    assert!(matches!(
        store.advance(behind(11, 14, Vec::new())).await,
        Err(StoreError::Fenced)
    ));
    assert_eq!(store.advance(behind(12, 14, late)).await.unwrap().delivered, 2);
    assert_eq!(position(&store, &id).await, Some(14));
    // and goes on with everybody
    let next = main_advance(14, 15, std::slice::from_ref(&id), vec![delivery(&id, "14", 14)]);
    assert_eq!(store.advance(next).await.unwrap().delivered, 1);
    assert_eq!(position(&store, &id).await, None);
}

pub async fn a_paused_trigger_stands_still<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    store
        .advance(main_advance(10, 11, std::slice::from_ref(&id), Vec::new()))
        .await
        .unwrap();
    let change = |change| {
        vec![TriggerChange {
            id: id.clone(),
            change,
        }]
    };
    let pause = change(Change::Pause { reason: None });
    store
        .change_triggers(pause, Some(NET), UnixMillis(5))
        .await
        .unwrap();
    store
        .advance(main_advance(11, 13, &[], vec![delivery(&id, "11", 11)]))
        .await
        .unwrap();
    assert!(rows(&store, &f).await.is_empty());
    assert_eq!(position(&store, &id).await, Some(11));
    let resume = change(Change::Resume { from: None });
    store
        .change_triggers(resume, Some(NET), UnixMillis(6))
        .await
        .unwrap();
    let late = Advance {
        stream: Stream::Behind(vec![id.clone()]),
        ..main_advance(11, 13, &[], vec![delivery(&id, "11", 11)])
    };
    assert_eq!(store.advance(late).await.unwrap().delivered, 1);
}

pub async fn a_change_that_follows_from_another_version_changes_nothing<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let stands = async || {
        let states = store.trigger_states().await.unwrap();
        let state = states.into_iter().find(|s| s.id == id).unwrap();
        (state.status, state.kind, state.position)
    };
    let block = Change::Register {
        kind: TriggerKind::Block,
        position: Some(90),
        resume: Some(90),
        schedule: None,
    };
    let (on, off) = (TriggerStatus::Running, TriggerStatus::Off);
    let notification = TriggerKind::Notification;
    // of nodes that have read an older version
    change(&store, &id, Change::Off).await;
    change(&store, &id, block.clone()).await;
    assert_eq!(stands().await, (on, notification, Some(10)));
    publish_on(&store, &f, serde_json::json!({})).await;
    register(&store, &id, 80).await;
    assert_eq!(stands().await, (on, notification, Some(10)));
    change(&store, &id, Change::Off).await;
    register(&store, &id, 80).await;
    assert_eq!(stands().await, (off, notification, Some(10)));
    publish_on(&store, &f, serde_json::json!({"block": [{"name": "t"}]})).await;
    change(&store, &id, block).await;
    assert_eq!(stands().await, (on, TriggerKind::Block, Some(90)));
    store.set_active(&f, false, UnixMillis(5)).await.unwrap();
    change(&store, &id, Change::Off).await;
    assert_eq!(stands().await.0, off);
}

pub async fn a_lane_keeps_its_order<H: Harness>() {
    let (harness, store, f, id) = ready::<H>().await;
    let all = vec![held(&id, "a1", "a"), held(&id, "a2", "a"), held(&id, "b1", "b")];
    store.deliver(deliver(all)).await.unwrap();
    assert!(rows(&store, &f).await.is_empty());
    let now = UnixMillis(200);
    assert_eq!(store.release_due(now, 10).await.unwrap().released, 2);
    assert_eq!(store.release_due(now, 10).await.unwrap().released, 0);
    // also after a crash
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.release_due(now, 10).await.unwrap().released, 0);
    let claims = store.claim(now, LEASE, 10, &Rooms::default()).await.unwrap();
    assert_eq!(claims.len(), 2);
    for claim in &claims {
        let end = finish(claim.id, claim.fence, Outcome::Dead(failure()), 201);
        store.finish(end).await.unwrap();
    }
    assert_eq!(store.release_due(now, 10).await.unwrap().released, 1);
    let last = store.claim(now, LEASE, 10, &Rooms::default()).await.unwrap();
    assert_eq!(&last[0].event[..], b"{\"id\":\"a2\"}");
}

pub async fn batches_fill_up_or_run_out_of_time<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let one = |event: &str| {
        let mut delivery = held(&id, event, "");
        delivery.hold = Some(Hold {
            lane: String::new(),
            ordered: false,
            debounce: None,
            batch: Some(HoldBatch {
                size: 2,
                wait: Duration::from_millis(50),
            }),
        });
        delivery
    };
    let three = vec![one("1"), one("2"), one("3")];
    store.deliver(deliver(three)).await.unwrap();
    let released = store.release_due(UnixMillis(100), 10).await.unwrap();
    assert_eq!((released.released, released.next), (1, Some(UnixMillis(150))));
    assert_eq!(store.release_due(UnixMillis(149), 10).await.unwrap().released, 0);
    assert_eq!(store.release_due(UnixMillis(150), 10).await.unwrap().released, 1);
    let claims = store
        .claim(UnixMillis(200), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    let events: Vec<&[u8]> = claims.iter().map(|c| &c.event[..]).collect();
    assert_eq!(
        events,
        [&b"[{\"id\":\"1\"},{\"id\":\"2\"}]"[..], b"[{\"id\":\"3\"}]"]
    );
    assert_eq!(rows(&store, &f).await.len(), 2);
}

pub async fn a_batch_is_bounded_in_bytes<H: Harness>() {
    let (_h, store, _f, id) = ready::<H>().await;
    let one = |kib: usize| {
        let mut delivery = held(&id, &kib.to_string(), "");
        delivery.event = Bytes::from(format!("\"{}\"", "x".repeat(kib << 10)));
        delivery.hold = Some(Hold {
            lane: String::new(),
            ordered: false,
            debounce: None,
            batch: Some(HoldBatch {
                size: 4,
                wait: Duration::from_secs(86_400),
            }),
        });
        delivery
    };
    store
        .deliver(deliver(vec![one(600), one(601), one(300), one(2_000)]))
        .await
        .unwrap();
    // full by count, and what had no room in it does not wait for others
    let now = UnixMillis(100);
    let mut batches = Vec::new();
    for _ in 0..3 {
        assert_eq!(store.release_due(now, 10).await.unwrap().released, 1);
        for claim in store.claim(now, LEASE, 10, &Rooms::default()).await.unwrap() {
            let events: Vec<String> = serde_json::from_slice(&claim.event).unwrap();
            batches.push(events.iter().map(|e| e.len() >> 10).collect::<Vec<_>>());
        }
    }
    assert_eq!(batches, [vec![600], vec![601, 300], vec![2_000]]);
    let done = store.release_due(now, 10).await.unwrap();
    assert_eq!((done.released, done.next), (0, None));
}

pub async fn a_lane_that_cannot_go_holds_up_no_other<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let gone = delivery(&id, "gone", 1);
    // it would have to be an invocation that there is already
    let bad = Delivery {
        id: gone.id,
        ..held(&id, "bad", "bad")
    };
    store.deliver(deliver(vec![gone])).await.unwrap();
    store
        .deliver(deliver(vec![bad, held(&id, "good", "good")]))
        .await
        .unwrap();
    let now = UnixMillis(200);
    let done = store.release_due(now, 10).await.unwrap();
    assert_eq!(done.released, 1);
    assert!(done.next.unwrap() > now, "{done:?}");
    assert_eq!(rows(&store, &f).await.len(), 2);
    assert_eq!(store.totals().await.unwrap().queued, 2);
    // it stays, and is tried again
    let later = now.plus(LANE_PAUSE * 2);
    let done = store.release_due(later, 10).await.unwrap();
    assert_eq!(done.released, 0);
    assert!(done.next.unwrap() > later, "{done:?}");
}

pub async fn a_burst_is_its_last_event<H: Harness>() {
    let (_h, store, _f, id) = ready::<H>().await;
    let one = |event: &str| {
        let mut delivery = held(&id, event, "");
        delivery.hold = Some(Hold {
            lane: String::new(),
            ordered: false,
            debounce: Some(Duration::from_millis(30)),
            batch: None,
        });
        delivery
    };
    store.deliver(deliver(vec![one("1"), one("2")])).await.unwrap();
    let mut later = deliver(vec![one("3")]);
    later.at = UnixMillis(120);
    store.deliver(later).await.unwrap();
    assert_eq!(store.release_due(UnixMillis(149), 10).await.unwrap().released, 0);
    assert_eq!(store.release_due(UnixMillis(150), 10).await.unwrap().released, 1);
    let claims = store
        .claim(UnixMillis(200), LEASE, 10, &Rooms::default())
        .await
        .unwrap();
    assert_eq!((claims.len(), &claims[0].event[..]), (1, &b"{\"id\":\"3\"}"[..]));
}

pub async fn emitted_events_commit_with_the_result<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    store
        .deliver(deliver(vec![delivery(&id, "first", 1)]))
        .await
        .unwrap();
    let now = UnixMillis(200);
    let claim = store
        .claim(now, LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((claim.origin, claim.depth), (Origin::Block, 0));
    let mut end = finish(claim.id, claim.fence, ok(), 201);
    end.emitted = vec![Delivery {
        depth: 1,
        origin: Origin::Event,
        ..delivery(&id, "emitted", 1)
    }];
    store.finish(end.clone()).await.unwrap();
    assert!(matches!(store.finish(end).await, Err(StoreError::Fenced)));
    assert_eq!(rows(&store, &f).await.len(), 2);
    let now = UnixMillis(202);
    let claim = store
        .claim(now, LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((claim.origin, claim.depth), (Origin::Event, 1));
}

pub async fn emitted_events_need_room<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let g = key("demo", "g");
    deploy(&store, &g).await;
    let other = trigger(&g, "t");
    register(&store, &other, 10).await;
    store
        .deliver(deliver(vec![delivery(&id, "first", 1)]))
        .await
        .unwrap();
    let now = UnixMillis(200);
    let claim = store
        .claim(now, LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    let mut end = finish(claim.id, claim.fence, ok(), 201);
    end.kv = vec![put("k", "1", KvExpect::Any, None)];
    end.emitted = ["a", "b", "c"].map(|event| delivery(&other, event, 1)).to_vec();
    end.queue_max = 2;
    assert!(matches!(
        store.finish(end.clone()).await,
        Err(StoreError::QueueFull)
    ));
    // nothing of it is there, and the claim goes on
    assert!(rows(&store, &g).await.is_empty());
    assert!(store.get(&f.project, "k", now).await.unwrap().is_none());
    end.queue_max = 3;
    store.finish(end).await.unwrap();
    assert_eq!(rows(&store, &g).await.len(), 3);
    let mut plain = record(&f, 300);
    plain.finish.emitted = vec![delivery(&other, "d", 1)];
    plain.finish.queue_max = 3;
    let refused = store.record(plain.clone()).await;
    assert!(matches!(refused, Err(StoreError::QueueFull)), "{refused:?}");
    assert!(store.invocation(plain.new.id).await.unwrap().is_none());
    plain.finish.queue_max = 4;
    store.record(plain).await.unwrap();
    assert_eq!(rows(&store, &g).await.len(), 4);
}

pub async fn dead_letters_are_retried_or_dropped<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let events = (1..=3).map(|n| delivery(&id, &format!("e{n}"), n)).collect();
    store.deliver(deliver(events)).await.unwrap();
    let now = UnixMillis(200);
    for claim in store.claim(now, LEASE, 10, &Rooms::default()).await.unwrap() {
        let end = finish(claim.id, claim.fence, Outcome::Dead(failure()), 201);
        store.finish(end).await.unwrap();
    }
    let list = |dead, from, to| {
        let filter = FiredFilter {
            dead,
            from,
            to,
            limit: 10,
            ..Default::default()
        };
        let (store, project) = (&store, f.project.clone());
        async move { store.fired(&project, filter).await.unwrap() }
    };
    assert_eq!(list(true, None, None).await.len(), 3);
    let some = list(true, Some(2), Some(3)).await;
    assert_eq!(some.len(), 2);
    assert_eq!(some[0].trigger.as_deref(), Some("t"));
    store
        .redo(some[0].record.id, Redo::Retry, UnixMillis(300))
        .await
        .unwrap();
    store
        .redo(some[1].record.id, Redo::Drop, UnixMillis(300))
        .await
        .unwrap();
    assert_eq!(list(true, None, None).await.len(), 1);
    assert_eq!(list(false, None, None).await.len(), 3);
    let again = store.redo(some[1].record.id, Redo::Retry, UnixMillis(300)).await;
    assert!(matches!(again, Err(StoreError::NotFound)));
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.failed, totals.queued), (2, 1));
    let claim = store
        .claim(UnixMillis(300), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((claim.attempt.0, claim.fence.0), (1, 2));
    assert_eq!(claim.created_at, UnixMillis(300), "it has not waited for a day");
    store
        .finish(finish(claim.id, claim.fence, ok(), 301))
        .await
        .unwrap();
    let record = store.invocation(claim.id).await.unwrap().unwrap();
    assert_eq!(record.status, Status::Succeeded);
}

pub async fn cron_runs_are_handled_once<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let run = |from: i64, to: i64, event: &str| Deliver {
        cron: Some((id.clone(), UnixMillis(from), UnixMillis(to))),
        ..deliver(vec![delivery(&id, event, 1)])
    };
    store.deliver(run(1, 60, "cron:60")).await.unwrap();
    assert!(matches!(
        store.deliver(run(1, 60, "cron:60")).await,
        Err(StoreError::Fenced)
    ));
    store.deliver(run(60, 120, "cron:120")).await.unwrap();
    assert_eq!(rows(&store, &f).await.len(), 2);
}

pub async fn another_schedule_begins_now<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let deployed = async |schedule: &str| {
        let on = serde_json::json!({"cron": [{"name": "t", "schedule": schedule}]});
        publish_on(&store, &f, on).await;
    };
    let changed = async |change: Change, at: i64| {
        let change = TriggerChange {
            id: id.clone(),
            change,
        };
        let changes = store.change_triggers(vec![change], None, UnixMillis(at));
        changes.await.unwrap();
        let states = store.trigger_states().await.unwrap();
        let state = states.into_iter().find(|s| s.id == id).unwrap();
        (state.status, state.cron_at.0, state.schedule)
    };
    let to = |schedule: &str| Change::Reschedule {
        schedule: schedule.to_owned(),
    };
    let (monthly, daily) = ("0 0 1 * * UTC", "0 0 * * * UTC");
    let register = Change::Register {
        kind: TriggerKind::Cron,
        position: None,
        resume: None,
        schedule: Some(monthly.to_owned()),
    };
    let running = TriggerStatus::Running;
    deployed("0 0 1 * *").await;
    assert_eq!(changed(register, 5).await, (running, 5, Some(monthly.to_owned())));
    // of a node that has read another version
    assert_eq!(changed(to(daily), 6).await.1, 5);
    // the same one stands where it stood
    assert_eq!(changed(to(monthly), 7).await.1, 5);
    deployed("0 0 * * *").await;
    let pause = Change::Pause { reason: None };
    assert_eq!(changed(pause, 8).await.0, TriggerStatus::Paused);
    let moved = (TriggerStatus::Paused, 9, Some(daily.to_owned()));
    assert_eq!(changed(to(daily), 9).await, moved);
    let late = Deliver {
        cron: Some((id.clone(), UnixMillis(5), UnixMillis(60))),
        ..deliver(vec![delivery(&id, "cron:60", 1)])
    };
    assert!(matches!(store.deliver(late).await, Err(StoreError::Fenced)));
}

pub async fn a_chain_that_begins_anew_has_new_events<H: Harness>() {
    let (_h, store, f, id) = ready::<H>().await;
    let first = main_advance(10, 11, std::slice::from_ref(&id), vec![delivery(&id, "e", 10)]);
    store.advance(first.clone()).await.unwrap();
    let anew = Placing {
        anew: true,
        ..placing(store.chain_cursor(NET).await.unwrap(), 10)
    };
    let cursor = store.place_chain_cursor(anew).await.unwrap();
    assert_eq!(cursor.epoch, 1);
    let again = main_advance(10, 11, std::slice::from_ref(&id), vec![delivery(&id, "e", 10)]);
    assert_eq!(store.advance(again).await.unwrap().delivered, 1);
    assert_eq!(rows(&store, &f).await.len(), 2);
}

pub async fn a_cursor_is_placed_only_from_where_it_stands<H: Harness>() {
    let (_h, store, _f, _id) = ready::<H>().await;
    let seen = store.chain_cursor(NET).await.unwrap();
    store
        .advance(main_advance(10, 12, &[], Vec::new()))
        .await
        .unwrap();
    // of one who has slept meanwhile, and of one who has seen no cursor at all
    for from in [seen, None] {
        for anew in [false, true] {
            let late = Placing {
                anew,
                ..placing(from, 99)
            };
            let placed = store.place_chain_cursor(late).await;
            assert!(matches!(placed, Err(StoreError::Fenced)));
        }
    }
    let now = store.chain_cursor(NET).await.unwrap();
    assert_eq!(now.map(|c| (c.next, c.epoch)), Some((12, 0)));
    // a block that is read again has another name, though its height is the same
    let again = store.place_chain_cursor(placing(now, 12)).await.unwrap();
    assert!(matches!(
        store.place_chain_cursor(placing(now, 13)).await,
        Err(StoreError::Fenced)
    ));
    store.place_chain_cursor(placing(Some(again), 13)).await.unwrap();
}

pub async fn a_deleted_function_takes_its_triggers_along<H: Harness>() {
    let (harness, store, f, id) = ready::<H>().await;
    store
        .deliver(deliver(vec![held(&id, "a1", "a"), delivery(&id, "b", 1)]))
        .await
        .unwrap();
    store.delete_function(&f).await.unwrap();
    assert!(store.trigger_states().await.unwrap().is_empty());
    assert_eq!(store.release_due(UnixMillis(500), 10).await.unwrap().released, 0);
    harness.stop(store).await;
    let store = harness.open().await;
    deploy(&store, &f).await;
    assert!(store.trigger_states().await.unwrap().is_empty());
    assert!(rows(&store, &f).await.is_empty());
}
