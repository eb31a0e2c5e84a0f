//! Secrets: the port's promises, and the vault over a store that was stopped in between.

use super::Harness;
use crate::stores::support::Counter;
use bytes::Bytes;
use neofn_secrets::port::{Change, Changed, SecretStore, StoredValue, ValueChange};
use neofn_secrets::{
    Action, Fingerprint, KekRecord, Key, RootKind, RootRecord, RootSource, Rotation, RotationPolicy,
    SecretId, SecretRecord, SecretValue, SetSecret, Settings, Vault, VaultLimits, VersionRecord, Which,
};
use neofn_types::{Code, ProjectName, SecretName, UnixMillis};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

fn project() -> ProjectName {
    "shop".parse().unwrap()
}
fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}
fn root(generation: u32) -> RootRecord {
    RootRecord {
        generation,
        kind: RootKind::Key,
        check: vec![u8::try_from(generation).unwrap(); 72],
    }
}
fn kek(project: &str, version: u32) -> KekRecord {
    KekRecord {
        project: project.parse().unwrap(),
        id: [7; 16],
        version,
        wrapped: vec![1; 72],
        created_at: UnixMillis(5),
    }
}
fn version(version: u32) -> VersionRecord {
    VersionRecord {
        version,
        created_at: UnixMillis(5),
        by: "tester".to_owned(),
        expires_at: None,
        deleted_at: None,
        destroyed_at: None,
        fingerprint: Fingerprint([3; 16]),
    }
}
fn record(text: &str, revision: u64) -> SecretRecord {
    let n = u32::try_from(revision).unwrap();
    SecretRecord {
        project: project(),
        name: name(text),
        id: SecretId([9; 16]),
        revision,
        latest: n,
        hosts: vec!["*.example.org".parse().unwrap()],
        functions: vec!["f".parse().unwrap()],
        versions_max: 10,
        ttl_ms: Some(60_000),
        rotation: None,
        created_at: UnixMillis(1),
        updated_at: UnixMillis(2),
        versions: (1..=n).map(version).collect(),
    }
}
fn set(record: SecretRecord, expected: Option<u64>, kek: u32) -> Change {
    let version = record.latest;
    let envelope = Bytes::from(vec![u8::try_from(version).unwrap(); 200]);
    Change {
        record,
        expected,
        values: vec![ValueChange {
            version,
            envelope: Some((envelope, kek)),
        }],
        secrets_max: 3,
    }
}
/// A store with a root and a key of the project.
async fn ready<H: Harness>() -> (H, H::Store) {
    let harness = H::new();
    let store = harness.open().await;
    assert!(store.set_root(None, root(1), Vec::new()).await.unwrap());
    assert!(store.add_kek(kek("shop", 1), 1).await.unwrap());
    (harness, store)
}

pub async fn the_root_is_set_once_and_replaced_with_every_key<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(store.root().await.unwrap(), None);
    assert!(!store.add_kek(kek("shop", 1), 1).await.unwrap());
    assert!(!store.set_root(Some(1), root(2), Vec::new()).await.unwrap());
    assert!(store.set_root(None, root(1), Vec::new()).await.unwrap());
    assert!(!store.set_root(None, root(1), Vec::new()).await.unwrap());
    for (of, n) in [("shop", 1), ("shop", 2), ("other", 1)] {
        assert!(store.add_kek(kek(of, n), 1).await.unwrap());
    }
    let mut keks = store.all_keks().await.unwrap();
    assert_eq!(keks.len(), 3);
    for kek in &mut keks {
        kek.wrapped = vec![2; 72];
    }
    // a key that the caller does not know would be lost
    assert!(
        !store
            .set_root(Some(1), root(2), keks[..2].to_vec())
            .await
            .unwrap()
    );
    assert_eq!(store.root().await.unwrap(), Some(root(1)));
    assert!(store.set_root(Some(1), root(2), keks.clone()).await.unwrap());
    assert!(!store.add_kek(kek("shop", 3), 1).await.unwrap());
    harness.stop(store).await;
    let store = harness.open().await;
    assert_eq!(store.root().await.unwrap(), Some(root(2)));
    assert_eq!(store.all_keks().await.unwrap(), keks);
    harness.stop(store).await;
}

pub async fn project_keys_are_added_once_and_dropped_when_unused<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    assert!(!store.add_kek(kek("shop", 1), 1).await.unwrap());
    assert!(store.add_kek(kek("shop", 2), 1).await.unwrap());
    assert!(store.add_kek(kek("shop", 3), 1).await.unwrap());
    assert!(store.add_kek(kek("other", 1), 1).await.unwrap());
    assert_eq!(
        store.change(set(record("A", 1), None, 2)).await.unwrap(),
        Changed::Done
    );
    assert_eq!(store.drop_keks(&project(), 3).await.unwrap(), 1);
    let left: Vec<u32> = store
        .keks(&project())
        .await
        .unwrap()
        .iter()
        .map(|k| k.version)
        .collect();
    assert_eq!(left, [2, 3]);
    assert_eq!(
        store.keks(&"other".parse().unwrap()).await.unwrap(),
        [kek("other", 1)]
    );
    // a value that was sealed under a key that is gone by now opens for nobody: it is refused
    assert_eq!(
        store.change(set(record("B", 1), None, 1)).await.unwrap(),
        Changed::Conflict
    );
    assert_eq!(store.secret(&project(), &name("B")).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn a_change_is_whole_and_compares_the_revision<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    assert_eq!(
        store.change(set(record("A", 1), Some(1), 1)).await.unwrap(),
        Changed::Conflict
    );
    assert_eq!(
        store.change(set(record("A", 1), None, 1)).await.unwrap(),
        Changed::Done
    );
    assert_eq!(
        store.change(set(record("A", 1), None, 1)).await.unwrap(),
        Changed::Conflict
    );
    assert_eq!(
        store.change(set(record("A", 2), Some(1), 1)).await.unwrap(),
        Changed::Done
    );
    assert_eq!(
        store.change(set(record("A", 2), Some(1), 1)).await.unwrap(),
        Changed::Conflict
    );
    assert_eq!(
        store.secret(&project(), &name("A")).await.unwrap(),
        Some(record("A", 2))
    );
    assert_eq!(
        store.secret(&"other".parse().unwrap(), &name("A")).await.unwrap(),
        None
    );
    for (n, text) in ["B", "C"].into_iter().enumerate() {
        let mut other = record(text, 1);
        other.id = SecretId([u8::try_from(n).unwrap(); 16]);
        assert_eq!(store.change(set(other, None, 1)).await.unwrap(), Changed::Done);
    }
    let mut fourth = record("D", 1);
    fourth.id = SecretId([5; 16]);
    assert_eq!(store.change(set(fourth, None, 1)).await.unwrap(), Changed::Full);
    assert_eq!(store.secret(&project(), &name("D")).await.unwrap(), None);
    assert_eq!(
        store.change(set(record("A", 3), Some(2), 1)).await.unwrap(),
        Changed::Done
    );
    harness.stop(store).await;
}

pub async fn values_come_and_go_with_their_versions<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    store.change(set(record("A", 1), None, 1)).await.unwrap();
    let mut second = set(record("A", 2), Some(1), 1);
    second.values.push(ValueChange {
        version: 1,
        envelope: None,
    });
    assert_eq!(store.change(second).await.unwrap(), Changed::Done);
    let id = SecretId([9; 16]);
    assert_eq!(store.value(&project(), id, 1).await.unwrap(), None);
    assert_eq!(
        store.value(&project(), id, 2).await.unwrap(),
        Some(Bytes::from(vec![2; 200]))
    );
    assert_eq!(store.value(&"other".parse().unwrap(), id, 2).await.unwrap(), None);
    assert_eq!(store.value(&project(), SecretId([8; 16]), 2).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn listings_are_by_name_within_a_project<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    for (n, text) in ["b", "A", "C"].into_iter().enumerate() {
        let mut one = record(text, 1);
        one.id = SecretId([u8::try_from(n).unwrap(); 16]);
        store.change(set(one, None, 1)).await.unwrap();
    }
    let names = |found: Vec<SecretRecord>| found.iter().map(|r| r.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        names(store.secrets(&project(), None, 10).await.unwrap()),
        ["A", "C", "b"]
    );
    assert_eq!(
        names(store.secrets(&project(), None, 2).await.unwrap()),
        ["A", "C"]
    );
    assert_eq!(
        names(store.secrets(&project(), Some(&name("C")), 2).await.unwrap()),
        ["b"]
    );
    assert!(
        store
            .secrets(&"other".parse().unwrap(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    harness.stop(store).await;
}

pub async fn rewrapping_compares_the_envelope<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    store.change(set(record("A", 1), None, 1)).await.unwrap();
    store.add_kek(kek("shop", 2), 1).await.unwrap();
    let old = store.values_under(&project(), 2, 10).await.unwrap();
    assert_eq!(
        old,
        [StoredValue {
            secret: SecretId([9; 16]),
            version: 1,
            envelope: vec![1; 200].into()
        }]
    );
    let new = Bytes::from_static(b"new");
    let other = StoredValue {
        envelope: Bytes::from_static(b"other"),
        ..old[0].clone()
    };
    assert!(!store.rewrap(&project(), other, new.clone(), 2).await.unwrap());
    assert!(
        store
            .rewrap(&project(), old[0].clone(), new.clone(), 2)
            .await
            .unwrap()
    );
    assert!(
        !store
            .rewrap(&project(), old[0].clone(), new.clone(), 2)
            .await
            .unwrap()
    );
    assert_eq!(
        store.value(&project(), SecretId([9; 16]), 1).await.unwrap(),
        Some(new)
    );
    assert!(store.values_under(&project(), 2, 10).await.unwrap().is_empty());
    harness.stop(store).await;
}

pub async fn a_removed_secret_leaves_nothing<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    store.change(set(record("A", 1), None, 1)).await.unwrap();
    assert!(!store.remove(&project(), &name("A"), 7).await.unwrap());
    assert!(store.remove(&project(), &name("A"), 1).await.unwrap());
    assert!(!store.remove(&project(), &name("A"), 1).await.unwrap());
    assert_eq!(store.value(&project(), SecretId([9; 16]), 1).await.unwrap(), None);
    store.change(set(record("A", 1), None, 1)).await.unwrap();
    assert_eq!(store.remove_project(&project()).await.unwrap(), 1);
    assert_eq!(store.remove_project(&project()).await.unwrap(), 0);
    assert!(store.keks(&project()).await.unwrap().is_empty());
    assert_eq!(store.value(&project(), SecretId([9; 16]), 1).await.unwrap(), None);
    harness.stop(store).await;
}

pub async fn what_is_due_is_found_oldest_first<H: Harness>() {
    let (harness, store) = ready::<H>().await;
    let mut expiring = record("A", 1);
    expiring.versions[0].expires_at = Some(UnixMillis(50));
    let mut rotating = record("B", 1);
    rotating.id = SecretId([2; 16]);
    let policy = RotationPolicy {
        every_ms: 3_600_000,
        action: Action::Remind,
    };
    rotating.rotation = Some(Rotation {
        policy,
        due_at: UnixMillis(10),
        act_at: UnixMillis(40),
    });
    let mut gone = record("C", 1);
    gone.id = SecretId([3; 16]);
    gone.versions[0].expires_at = Some(UnixMillis(1));
    gone.versions[0].destroyed_at = Some(UnixMillis(2));
    for one in [&expiring, &rotating, &gone] {
        store.change(set(one.clone(), None, 1)).await.unwrap();
    }
    assert!(store.due(UnixMillis(39), 10).await.unwrap().is_empty());
    assert_eq!(store.due(UnixMillis(40), 10).await.unwrap(), [rotating.clone()]);
    assert_eq!(
        store.due(UnixMillis(99), 10).await.unwrap(),
        [rotating.clone(), expiring]
    );
    assert_eq!(store.due(UnixMillis(99), 1).await.unwrap(), [rotating]);
    harness.stop(store).await;
}

pub async fn the_vault_survives_a_restart<H: Harness>() {
    let harness = H::new();
    let clock = harness.clock();
    let vault = |store: &Arc<H::Store>, seed: u64| {
        let entropy = Arc::new(Counter(AtomicU64::new(seed << 40)));
        Vault::new(store.clone(), clock.clone(), entropy, VaultLimits::default())
    };
    let root = |n: u8| RootSource::Key(Key::new([n; 32]));
    let store = Arc::new(harness.open().await);
    let first = vault(&store, 1);
    first.unseal(&root(1)).await.unwrap();
    for n in 1..=3 {
        let value = SecretValue::new(format!("canary-value-{n}")).unwrap();
        let set = SetSecret {
            value,
            expected: None,
            by: "tester".to_owned(),
            settings: Settings::default(),
        };
        first.set(&project(), &name("TOKEN"), set).await.unwrap();
    }
    first.rotate_project_key(&project()).await.unwrap();
    first.rotate_root(&root(2)).await.unwrap();
    drop(first);
    harness.stop(Arc::into_inner(store).unwrap()).await;
    let store = Arc::new(harness.open().await);
    let second = vault(&store, 2);
    assert_eq!(
        second.unseal(&root(1)).await.unwrap_err().code,
        Code::SecretRootWrong
    );
    second.unseal(&root(2)).await.unwrap();
    for n in [1, 3] {
        let got = second
            .reveal(
                &project(),
                &name("TOKEN"),
                &"f".parse().unwrap(),
                Which::Version(n),
            )
            .await;
        assert_eq!(
            got.unwrap().value.expose_text(),
            Some(format!("canary-value-{n}").as_str())
        );
    }
    drop(second);
    harness.stop(Arc::into_inner(store).unwrap()).await;
}
