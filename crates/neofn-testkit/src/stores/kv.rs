//! The key-value namespace: what commits, when it does not, and what reads see.

use super::Harness;
use crate::stores::support::*;
use bytes::Bytes;
use neofn_engine::port::{
    COUNTER_MAX, InvocationStore, KvEntry, KvExpect, KvQuota, KvStore, KvWrite, Outcome, Status, StoreError,
};
use neofn_types::{FunctionKey, UnixMillis};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// Commits writes as an invocation that was admitted, claimed and finished.
async fn commit(
    store: &impl InvocationStore,
    f: &FunctionKey,
    kv: Vec<KvWrite>,
    quota: KvQuota,
    at: i64,
) -> Result<(), StoreError> {
    let new = queued(f, at);
    let id = new.id;
    store.admit(new).await.unwrap();
    let c = store
        .claim(UnixMillis(i64::MAX), LEASE, 1, &Rooms::default())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(c.id, id);
    let mut end = finish(id, c.fence, ok(), at);
    end.kv = kv;
    end.kv_quota = quota;
    let done = store.finish(end).await;
    let found = store.invocation(id).await.unwrap().unwrap();
    if done.is_ok() {
        assert_eq!(found.status, Status::Succeeded);
    } else {
        // nothing was written: the claim is as it was, and may still end another way
        assert_eq!((found.status, found.result), (Status::Running, None));
        let end = finish(id, c.fence, Outcome::Failed(failure()), at);
        store.finish(end).await.unwrap();
    }
    done
}

async fn value(store: &impl KvStore, f: &FunctionKey, key: &str, now: i64) -> Option<String> {
    let entry = store.get(&f.project, key, UnixMillis(now)).await.unwrap()?;
    assert_eq!(entry.key, key);
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}

pub async fn writes_commit_with_the_result<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let writes = vec![
        put("a", "1", KvExpect::Any, None),
        put("b", "\"two\"", KvExpect::Absent, Some(100)),
        put("a", "3", KvExpect::Any, None),
        put("c", "4", KvExpect::Any, None),
        delete("c", KvExpect::Any),
    ];
    commit(&store, &f, writes.clone(), quota(), 10).await.unwrap();
    assert_eq!(value(&store, &f, "a", 10).await.as_deref(), Some("3"));
    assert_eq!(value(&store, &f, "b", 10).await.as_deref(), Some("\"two\""));
    assert_eq!(value(&store, &f, "c", 10).await, None);
    // a recorded call commits its writes just the same
    let mut call = record(&f, 20);
    call.finish.kv = vec![add("a", 4)];
    store.record(call).await.unwrap();
    assert_eq!(value(&store, &f, "a", 20).await.as_deref(), Some("7"));
    // and an attempt that failed has none
    let mut call = record(&f, 21);
    call.finish.kv = writes;
    call.finish.outcome = Outcome::Failed(failure());
    let id = call.new.id;
    assert!(store.record(call).await.is_err());
    assert_eq!(store.invocation(id).await.unwrap(), None);
    assert_eq!(value(&store, &f, "a", 20).await.as_deref(), Some("7"));
    harness.stop(store).await;
}

pub async fn a_failed_compare_writes_nothing_at_all<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    commit(&store, &f, vec![put("a", "1", KvExpect::Any, None)], quota(), 1)
        .await
        .unwrap();
    let before = store.get(&f.project, "a", UnixMillis(1)).await.unwrap();
    for bad in [
        put("a", "2", KvExpect::Absent, None),
        put(
            "a",
            "2",
            KvExpect::Revision(before.clone().unwrap().revision + 1),
            None,
        ),
        put("new", "2", KvExpect::Revision(1), None),
        delete("a", KvExpect::Absent),
        delete("new", KvExpect::Revision(1)),
    ] {
        let (KvWrite::Put { key: culprit, .. } | KvWrite::Delete { key: culprit, .. }) = &bad else {
            unreachable!()
        };
        let culprit = culprit.clone();
        let writes = vec![
            put("first", "1", KvExpect::Any, None),
            add("n", 1),
            bad,
            put("last", "1", KvExpect::Any, None),
        ];
        match commit(&store, &f, writes.clone(), quota(), 2).await {
            Err(StoreError::KvConflict(key)) => assert_eq!(key, culprit),
            other => panic!("expected a conflict, got {other:?}"),
        }
        let mut call = record(&f, 3);
        call.finish.kv = writes;
        let id = call.new.id;
        assert!(matches!(store.record(call).await, Err(StoreError::KvConflict(_))));
        assert_eq!(store.invocation(id).await.unwrap(), None);
        for key in ["first", "n", "last", "new"] {
            assert_eq!(value(&store, &f, key, 3).await, None, "{key}");
        }
        assert_eq!(store.get(&f.project, "a", UnixMillis(3)).await.unwrap(), before);
    }
    harness.stop(store).await;
}

pub async fn absent_and_revision_hold_at_the_commit<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    commit(
        &store,
        &f,
        vec![put("a", "1", KvExpect::Absent, None)],
        quota(),
        1,
    )
    .await
    .unwrap();
    let seen = store
        .get(&f.project, "a", UnixMillis(1))
        .await
        .unwrap()
        .unwrap()
        .revision;
    // two invocations saw the same revision: one commits, the other does not
    let write = |v| vec![put("a", v, KvExpect::Revision(seen), None)];
    commit(&store, &f, write("2"), quota(), 2).await.unwrap();
    assert!(matches!(
        commit(&store, &f, write("3"), quota(), 3).await,
        Err(StoreError::KvConflict(_))
    ));
    assert_eq!(value(&store, &f, "a", 3).await.as_deref(), Some("2"));
    let seen = store
        .get(&f.project, "a", UnixMillis(3))
        .await
        .unwrap()
        .unwrap()
        .revision;
    commit(
        &store,
        &f,
        vec![delete("a", KvExpect::Revision(seen))],
        quota(),
        4,
    )
    .await
    .unwrap();
    assert_eq!(value(&store, &f, "a", 4).await, None);
    // a key that comes back does not come back with an old revision
    commit(
        &store,
        &f,
        vec![put("a", "9", KvExpect::Absent, None)],
        quota(),
        5,
    )
    .await
    .unwrap();
    let back = store.get(&f.project, "a", UnixMillis(5)).await.unwrap().unwrap();
    assert!(back.revision > seen);
    harness.stop(store).await;
}

pub async fn counters_add_and_never_conflict<H: Harness>() {
    let harness = H::new();
    let store = std::sync::Arc::new(harness.open().await);
    let f = key("demo", "f");
    deploy(&*store, &f).await;
    let mut tasks = Vec::new();
    for n in 0..64 {
        let (store, f) = (std::sync::Arc::clone(&store), f.clone());
        tasks.push(tokio::spawn(async move {
            let mut call = record(&f, n);
            call.finish.kv = vec![add("n", n), add("m", -1), add("n", 1)];
            store.record(call).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        value(&*store, &f, "n", 99).await,
        Some((64 * 63 / 2 + 64).to_string())
    );
    assert_eq!(value(&*store, &f, "m", 99).await.as_deref(), Some("-64"));
    let store = std::sync::Arc::into_inner(store).unwrap();
    harness.stop(store).await;
}

pub async fn what_is_no_counter_is_refused<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let writes = vec![
        put("text", "\"1\"", KvExpect::Any, None),
        put("real", "1.5", KvExpect::Any, None),
        put("most", &i64::MAX.to_string(), KvExpect::Any, None),
        put("five", "5", KvExpect::Any, None),
    ];
    commit(&store, &f, writes, quota(), 1).await.unwrap();
    for bad in ["text", "real", "most"] {
        match commit(&store, &f, vec![add("five", 1), add(bad, 1)], quota(), 2).await {
            Err(StoreError::KvNotCounter(key)) => assert_eq!(key, bad),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
    assert_eq!(value(&store, &f, "five", 2).await.as_deref(), Some("5"));
    commit(&store, &f, vec![add("five", -7)], quota(), 3)
        .await
        .unwrap();
    assert_eq!(value(&store, &f, "five", 3).await.as_deref(), Some("-2"));
    harness.stop(store).await;
}

pub async fn quotas_are_checked_against_the_sum<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let small = KvQuota {
        keys_max: 3,
        bytes_max: 30,
    };
    let put = |key: &str, value: &str| put(key, value, KvExpect::Any, None);
    commit(&store, &f, vec![put("a", "12345678"), put("b", "1")], small, 1)
        .await
        .unwrap(); // 11 bytes
    assert!(matches!(
        commit(&store, &f, vec![put("c", "1"), put("d", "1")], small, 2).await,
        Err(StoreError::KvQuota)
    ));
    assert!(matches!(
        commit(&store, &f, vec![put("c", "1234567890123456789")], small, 3).await, // 31 bytes
        Err(StoreError::KvQuota)
    ));
    assert_eq!(value(&store, &f, "c", 3).await, None);
    // what goes in the same commit makes room; replacing counts the difference
    commit(
        &store,
        &f,
        vec![put("c", "1"), delete("b", KvExpect::Any), put("d", "1")],
        small,
        4,
    )
    .await
    .unwrap();
    commit(&store, &f, vec![put("a", "123456789012345678901234")], small, 5)
        .await
        .unwrap(); // 29 bytes
    assert!(matches!(
        commit(&store, &f, vec![put("a", "12345678901234567890123456")], small, 6).await,
        Err(StoreError::KvQuota)
    ));
    // a namespace over a lowered quota may shrink
    let smaller = KvQuota {
        keys_max: 1,
        bytes_max: 1,
    };
    commit(&store, &f, vec![put("a", "1")], smaller, 7).await.unwrap();
    commit(&store, &f, vec![delete("a", KvExpect::Any)], smaller, 8)
        .await
        .unwrap();
    // the count survives a restart
    harness.stop(store).await;
    let store = harness.open().await;
    commit(&store, &f, vec![put("x", "1")], small, 9).await.unwrap();
    assert!(matches!(
        commit(&store, &f, vec![put("y", "1")], small, 10).await,
        Err(StoreError::KvQuota)
    ));
    harness.stop(store).await;
}

pub async fn expired_entries_are_not_there<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let small = KvQuota {
        keys_max: 2,
        bytes_max: 1000,
    };
    let writes = vec![
        put("a", "1", KvExpect::Any, Some(100)),
        put("b", "2", KvExpect::Any, Some(200)),
    ];
    commit(&store, &f, writes, small, 1).await.unwrap();
    assert_eq!(value(&store, &f, "a", 99).await.as_deref(), Some("1"));
    assert_eq!(value(&store, &f, "a", 100).await, None);
    let keys = |entries: Vec<KvEntry>| entries.into_iter().map(|e| e.key).collect::<Vec<_>>();
    let listed = store
        .list(&f.project, "", None, 10, UnixMillis(150))
        .await
        .unwrap();
    assert_eq!(keys(listed), ["b"]);
    // it is absent for compares, starts a counter anew, and does not count against the quota
    commit(&store, &f, vec![add("a", 5)], small, 150).await.unwrap();
    assert_eq!(value(&store, &f, "a", 1_000).await.as_deref(), Some("5"));
    commit(
        &store,
        &f,
        vec![put("c", "1", KvExpect::Absent, Some(300))],
        small,
        250,
    )
    .await
    .unwrap();
    commit(
        &store,
        &f,
        vec![put("c", "2", KvExpect::Absent, Some(400))],
        small,
        350,
    )
    .await
    .unwrap();
    // a counter keeps its end
    commit(
        &store,
        &f,
        vec![
            delete("a", KvExpect::Any),
            put("n", "1", KvExpect::Any, Some(500)),
            add("n", 1),
        ],
        small,
        360,
    )
    .await
    .unwrap();
    assert_eq!(value(&store, &f, "n", 499).await.as_deref(), Some("2"));
    assert_eq!(value(&store, &f, "n", 500).await, None);
    assert_eq!(store.sweep(UnixMillis(399), 10).await.unwrap(), 0);
    assert_eq!(store.sweep(UnixMillis(1000), 1).await.unwrap(), 1);
    assert_eq!(store.sweep(UnixMillis(1000), 10).await.unwrap(), 1);
    assert_eq!(store.sweep(UnixMillis(1000), 10).await.unwrap(), 0);
    harness.stop(store).await;
}

pub async fn listing_is_by_prefix_in_byte_order<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut all = [
        "",
        "a",
        "a/",
        "a/1",
        "a/10",
        "a/2",
        "a0",
        "b",
        "ä",
        "Z",
        "0",
        "a/\u{10ffff}",
        "\u{10ffff}",
    ];
    let writes = all.iter().map(|k| put(k, "1", KvExpect::Any, None)).collect();
    commit(&store, &f, writes, quota(), 1).await.unwrap();
    all.sort_unstable();
    for prefix in ["", "a", "a/", "b", "none", "\u{10ffff}"] {
        for after in [None, Some(""), Some("a/1"), Some("a"), Some("zz"), Some("0")] {
            for limit in [0, 1, 3, 100] {
                let listed = store
                    .list(&f.project, prefix, after, limit, UnixMillis(2))
                    .await
                    .unwrap();
                let expected: Vec<_> = all
                    .iter()
                    .filter(|k| k.starts_with(prefix) && after.is_none_or(|a| **k > a))
                    .take(usize::try_from(limit).unwrap())
                    .map(|k| (*k).to_owned())
                    .collect();
                let keys: Vec<_> = listed.into_iter().map(|e| e.key).collect();
                assert_eq!(keys, expected, "prefix {prefix:?} after {after:?} limit {limit}");
            }
        }
    }
    harness.stop(store).await;
}

pub async fn namespaces_are_apart<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (f, sibling, other) = (key("demo", "f"), key("demo", "g"), key("other", "f"));
    for f in [&f, &sibling, &other] {
        deploy(&store, f).await;
    }
    commit(&store, &f, vec![put("a", "1", KvExpect::Any, None)], quota(), 1)
        .await
        .unwrap();
    assert_eq!(value(&store, &sibling, "a", 2).await.as_deref(), Some("1"));
    assert_eq!(value(&store, &other, "a", 2).await, None);
    let unknown = key("unknown", "f");
    assert_eq!(value(&store, &unknown, "a", 2).await, None);
    assert!(
        store
            .list(&unknown.project, "", None, 9, UnixMillis(2))
            .await
            .unwrap()
            .is_empty()
    );
    harness.stop(store).await;
}

pub async fn revisions_grow_over_the_namespace<H: Harness>() {
    let harness = H::new();
    let mut store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut last = 0;
    for (n, k) in ["a", "b", "a", "c", "b"].into_iter().enumerate() {
        let at = i64::try_from(n).unwrap();
        commit(&store, &f, vec![put(k, "1", KvExpect::Any, None)], quota(), at)
            .await
            .unwrap();
        let revision = store
            .get(&f.project, k, UnixMillis(at))
            .await
            .unwrap()
            .unwrap()
            .revision;
        assert!(revision > last);
        last = revision;
        harness.stop(store).await;
        store = harness.open().await;
    }
    harness.stop(store).await;
}

fn write() -> impl Strategy<Value = KvWrite> {
    let k = || prop::sample::select(vec!["a", "b", "c"]);
    let expect = prop_oneof![
        3 => Just(KvExpect::Any),
        1 => Just(KvExpect::Absent),
        2 => (1u64..12).prop_map(KvExpect::Revision),
    ];
    let v = prop::sample::select(vec!["1", "-3", "\"text\"", "9223372036854775807"]);
    prop_oneof![
        (k(), v, expect.clone(), prop::option::of(0i64..40)).prop_map(|(k, v, e, t)| put(k, v, e, t)),
        (k(), expect).prop_map(|(k, e)| delete(k, e)),
        (k(), -5i64..5).prop_map(|(k, by)| add(k, by)),
    ]
}

/// The namespace as the port describes it, with nothing clever.
#[derive(Default, Clone)]
struct Model {
    entries: BTreeMap<String, KvEntry>,
    revision: u64,
}

impl Model {
    fn apply(&self, writes: &[KvWrite], quota: KvQuota, now: UnixMillis) -> Result<Self, &'static str> {
        let mut next = self.clone();
        next.entries
            .retain(|_, e| e.expires_at.is_none_or(|end| now < end));
        let before = next.size();
        for write in writes {
            next.one(write)?;
        }
        let after = next.size();
        let over = |now: u64, then: u64, max: u64| now > max && now > then;
        if over(after.0, before.0, quota.keys_max) || over(after.1, before.1, quota.bytes_max) {
            return Err("quota");
        }
        Ok(next)
    }
    fn size(&self) -> (u64, u64) {
        let bytes: usize = self.entries.iter().map(|(k, e)| k.len() + e.value.len()).sum();
        (self.entries.len().try_into().unwrap(), bytes.try_into().unwrap())
    }
    fn one(&mut self, write: &KvWrite) -> Result<(), &'static str> {
        let (KvWrite::Put { key, .. } | KvWrite::Delete { key, .. } | KvWrite::Add { key, .. }) = write;
        let now = self.entries.get(key).cloned();
        if let KvWrite::Put { expect, .. } | KvWrite::Delete { expect, .. } = write {
            let holds = match expect {
                KvExpect::Any => true,
                KvExpect::Absent => now.is_none(),
                KvExpect::Revision(r) => now.as_ref().is_some_and(|e| e.revision == *r),
            };
            if !holds {
                return Err("conflict");
            }
        }
        let (value, expires_at) = match write {
            KvWrite::Delete { .. } => {
                if self.entries.remove(key).is_some() {
                    self.revision += 1;
                }
                return Ok(());
            }
            KvWrite::Put {
                value, expires_at, ..
            } => (value.clone(), *expires_at),
            KvWrite::Add { by, .. } => {
                let old: i64 = match &now {
                    None => 0,
                    Some(e) => serde_json::from_slice(&e.value).map_err(|_| "counter")?,
                };
                let sum = old
                    .checked_add(*by)
                    .filter(|n| (-COUNTER_MAX..=COUNTER_MAX).contains(n))
                    .ok_or("counter")?;
                (Bytes::from(sum.to_string()), now.and_then(|e| e.expires_at))
            }
        };
        self.revision += 1;
        let entry = KvEntry {
            key: key.clone(),
            value,
            revision: self.revision,
            expires_at,
        };
        self.entries.insert(key.clone(), entry);
        Ok(())
    }
}

pub async fn counters_never_leave_the_range_of_exact_numbers<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    // each saw a value with room for its own; together they would leave the range
    let mut ends = Vec::new();
    for n in 0..3 {
        let mut call = record(&f, n);
        call.finish.kv = vec![KvWrite::Add {
            key: "n".into(),
            by: COUNTER_MAX / 4 * 3,
        }];
        ends.push(store.record(call).await.is_ok());
    }
    assert_eq!(ends, [true, false, false]);
    let mut back = record(&f, 9);
    back.finish.kv = vec![KvWrite::Add {
        key: "n".into(),
        by: -1,
    }];
    store.record(back).await.unwrap();
    harness.stop(store).await;
}

pub async fn commits_agree_with_a_model<H: Harness>() {
    // what places stand on is there once for all cases
    let _stays = H::new();
    let runtime = tokio::runtime::Handle::current();
    let commits = prop::collection::vec((prop::collection::vec(write(), 1..5), 1u64..4, 1u64..60), 1..20);
    tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config::with_cases(H::cases(40)));
        runner
            .run(&commits, |commits| {
                runtime.block_on(agree::<H>(commits));
                Ok(())
            })
            .unwrap();
    })
    .await
    .unwrap();
}

async fn agree<H: Harness>(commits: Vec<(Vec<KvWrite>, u64, u64)>) {
    let harness = H::new();
    let store = harness.open().await;
    let f = key("demo", "f");
    deploy(&store, &f).await;
    let mut model = Model::default();
    for (n, (writes, keys_max, bytes_max)) in commits.into_iter().enumerate() {
        let now = UnixMillis(3 * i64::try_from(n).unwrap());
        let quota = KvQuota { keys_max, bytes_max };
        let mut call = record(&f, now.0);
        call.finish.kv = writes.clone();
        call.finish.kv_quota = quota;
        let (did, should) = (store.record(call).await, model.apply(&writes, quota, now));
        match (&did, should) {
            (Ok(()), Ok(next)) => model = next,
            (Err(StoreError::KvConflict(_)), Err("conflict"))
            | (Err(StoreError::KvNotCounter(_)), Err("counter"))
            | (Err(StoreError::KvQuota), Err("quota")) => {}
            (did, should) => panic!("store {did:?}, model {:?}", should.map(drop)),
        }
        let live = |e: &&KvEntry| e.expires_at.is_none_or(|end| now < end);
        let expected: Vec<_> = model.entries.values().filter(live).cloned().collect();
        assert_eq!(
            store.list(&f.project, "", None, 100, now).await.unwrap(),
            expected
        );
    }
    harness.stop(store).await;
}
