//! The vault over a store in memory that keeps the port's promises; the real store has the same suite.

use super::*;
use crate::model::{Action, KekRecord, RootRecord, RotationPolicy, SecretId, SecretRecord};
use crate::port::{Change, Changed, StoredValue};
use crate::root::RootSource;
use crate::value::SecretValue;
use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{FunctionName, UnixMillis};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes that never repeat; no real randomness.
pub(crate) struct Dice(AtomicU64);
impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed << 32))
    }
}
impl Entropy for Dice {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

#[derive(Default)]
struct Hand(AtomicI64);
impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }
}

#[derive(Default)]
struct Rows {
    root: Option<RootRecord>,
    keks: Vec<KekRecord>,
    secrets: BTreeMap<(ProjectName, SecretName), SecretRecord>,
    values: BTreeMap<(ProjectName, SecretId, u32), (Bytes, u32)>,
}
#[derive(Default)]
struct Memory(Mutex<Rows>);
type Answer<T> = Result<T, SecretStoreError>;

#[async_trait]
impl SecretStore for Memory {
    async fn root(&self) -> Answer<Option<RootRecord>> {
        Ok(self.0.lock().root.clone())
    }
    async fn set_root(&self, expected: Option<u32>, root: RootRecord, keks: Vec<KekRecord>) -> Answer<bool> {
        let mut rows = self.0.lock();
        if rows.root.as_ref().map(|r| r.generation) != expected || rows.keks.len() != keks.len() {
            return Ok(false);
        }
        rows.root = Some(root);
        rows.keks = keks;
        Ok(true)
    }
    async fn all_keks(&self) -> Answer<Vec<KekRecord>> {
        Ok(self.0.lock().keks.clone())
    }
    async fn keks(&self, project: &ProjectName) -> Answer<Vec<KekRecord>> {
        let rows = self.0.lock();
        let mut found: Vec<_> = rows
            .keks
            .iter()
            .filter(|k| k.project == *project)
            .cloned()
            .collect();
        found.sort_by_key(|k| k.version);
        Ok(found)
    }
    async fn add_kek(&self, kek: KekRecord, generation: u32) -> Answer<bool> {
        let mut rows = self.0.lock();
        let there = rows
            .keks
            .iter()
            .any(|k| k.project == kek.project && k.version == kek.version);
        if there || rows.root.as_ref().map(|r| r.generation) != Some(generation) {
            return Ok(false);
        }
        rows.keks.push(kek);
        Ok(true)
    }
    async fn drop_keks(&self, project: &ProjectName, before: u32) -> Answer<u32> {
        let mut rows = self.0.lock();
        let Rows { keks, values, .. } = &mut *rows;
        let count = keks.len();
        keks.retain(|k| {
            k.project != *project
                || k.version >= before
                || values
                    .iter()
                    .any(|((p, ..), (_, v))| p == project && *v == k.version)
        });
        Ok(u32::try_from(count - keks.len()).unwrap())
    }
    async fn secret(&self, project: &ProjectName, name: &SecretName) -> Answer<Option<SecretRecord>> {
        Ok(self
            .0
            .lock()
            .secrets
            .get(&(project.clone(), name.clone()))
            .cloned())
    }
    async fn secrets(
        &self,
        project: &ProjectName,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Answer<Vec<SecretRecord>> {
        let rows = self.0.lock();
        let of = rows.secrets.values().filter(|r| r.project == *project);
        let from = of.filter(|r| after.is_none_or(|a| r.name > *a));
        Ok(from.take(limit as usize).cloned().collect())
    }
    async fn value(&self, project: &ProjectName, secret: SecretId, version: u32) -> Answer<Option<Bytes>> {
        let rows = self.0.lock();
        Ok(rows
            .values
            .get(&(project.clone(), secret, version))
            .map(|v| v.0.clone()))
    }
    async fn values_under(&self, project: &ProjectName, kek: u32, limit: u32) -> Answer<Vec<StoredValue>> {
        let rows = self.0.lock();
        let old = rows
            .values
            .iter()
            .filter(|((p, ..), (_, v))| p == project && *v < kek);
        Ok(old
            .take(limit as usize)
            .map(|((_, secret, version), (envelope, _))| StoredValue {
                secret: *secret,
                version: *version,
                envelope: envelope.clone(),
            })
            .collect())
    }
    async fn rewrap(&self, project: &ProjectName, old: StoredValue, new: Bytes, kek: u32) -> Answer<bool> {
        let mut rows = self.0.lock();
        match rows.values.get_mut(&(project.clone(), old.secret, old.version)) {
            Some(value) if value.0 == old.envelope => {
                *value = (new, kek);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
    async fn change(&self, change: Change) -> Answer<Changed> {
        let mut rows = self.0.lock();
        let place = (change.record.project.clone(), change.record.name.clone());
        if rows.secrets.get(&place).map(|r| r.revision) != change.expected {
            return Ok(Changed::Conflict);
        }
        let count = rows.secrets.keys().filter(|(p, _)| *p == place.0).count();
        if change.expected.is_none() && count >= change.secrets_max as usize {
            return Ok(Changed::Full);
        }
        for value in change.values {
            let at = (place.0.clone(), change.record.id, value.version);
            match value.envelope {
                Some(envelope) => rows.values.insert(at, envelope),
                None => rows.values.remove(&at),
            };
        }
        rows.secrets.insert(place, change.record);
        Ok(Changed::Done)
    }
    async fn remove(&self, project: &ProjectName, name: &SecretName, revision: u64) -> Answer<bool> {
        let mut rows = self.0.lock();
        let place = (project.clone(), name.clone());
        let Some(found) = rows
            .secrets
            .get(&place)
            .filter(|r| r.revision == revision)
            .cloned()
        else {
            return Ok(false);
        };
        rows.secrets.remove(&place);
        rows.values
            .retain(|(p, id, _), _| p != project || *id != found.id);
        Ok(true)
    }
    async fn remove_project(&self, project: &ProjectName) -> Answer<u32> {
        let mut rows = self.0.lock();
        let count = rows.secrets.len();
        rows.secrets.retain(|(p, _), _| p != project);
        rows.values.retain(|(p, ..), _| p != project);
        rows.keks.retain(|k| k.project != *project);
        Ok(u32::try_from(count - rows.secrets.len()).unwrap())
    }
    async fn due(&self, now: UnixMillis, limit: u32) -> Answer<Vec<SecretRecord>> {
        let rows = self.0.lock();
        let due = rows.secrets.values().filter(|r| {
            r.rotation.as_ref().is_some_and(|x| x.act_at <= now)
                || r.versions
                    .iter()
                    .any(|v| v.destroyed_at.is_none() && v.expires_at.is_some_and(|at| at <= now))
        });
        Ok(due.take(limit as usize).cloned().collect())
    }
}

struct World {
    store: Arc<Memory>,
    clock: Arc<Hand>,
    vault: Vault,
}
fn vault(store: &Arc<Memory>, clock: &Arc<Hand>) -> Vault {
    static SEED: AtomicU64 = AtomicU64::new(100);
    let dice = Arc::new(Dice::new(SEED.fetch_add(1, Ordering::SeqCst)));
    let limits = VaultLimits {
        secrets_max: 3,
        ..VaultLimits::default()
    };
    Vault::new(store.clone(), clock.clone(), dice, limits)
}
fn world_sealed() -> World {
    let (store, clock) = (Arc::<Memory>::default(), Arc::<Hand>::default());
    clock.0.store(1_000, Ordering::SeqCst);
    let vault = vault(&store, &clock);
    World { store, clock, vault }
}
async fn world() -> World {
    let world = world_sealed();
    world.vault.unseal(&root(1)).await.unwrap();
    world
}
fn root(n: u8) -> RootSource {
    RootSource::Key(Key::new([n; 32]))
}
fn shop() -> ProjectName {
    "shop".parse().unwrap()
}
fn token() -> SecretName {
    "TOKEN".parse().unwrap()
}
fn function() -> FunctionName {
    "f".parse().unwrap()
}
fn set(value: &str) -> SetSecret {
    SetSecret {
        value: SecretValue::new(value).unwrap(),
        expected: None,
        by: "tester".to_owned(),
        settings: Settings::default(),
    }
}
async fn read(vault: &Vault, which: Which) -> Result<String, Code> {
    let revealed = vault
        .reveal(&shop(), &token(), &function(), which)
        .await
        .map_err(|e| e.code)?;
    Ok(revealed.value.expose_text().unwrap().to_owned())
}

#[tokio::test]
async fn a_sealed_vault_gives_and_takes_nothing() {
    let w = world().await;
    w.vault.set(&shop(), &token(), set("value-one")).await.unwrap();
    w.vault.seal();
    assert_eq!(read(&w.vault, Which::Current).await, Err(Code::SecretsSealed));
    let refused = w
        .vault
        .set(&shop(), &token(), set("value-two"))
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::SecretsSealed);
    assert_eq!(
        w.vault.unseal(&root(2)).await.unwrap_err().code,
        Code::SecretRootWrong
    );
    let phrase = RootSource::Passphrase(Zeroizing::new("a long passphrase".to_owned()));
    assert_eq!(
        w.vault.unseal(&phrase).await.unwrap_err().code,
        Code::SecretRootWrong
    );
    assert!(w.vault.is_sealed());
    let status = w.vault.unseal(&root(1)).await.unwrap();
    assert_eq!(
        (status.sealed, status.root, status.generation),
        (false, Some("key"), 1)
    );
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-one");
}

#[tokio::test]
async fn versions_grow_compare_and_roll_back() {
    let w = world().await;
    for n in 1..=12u32 {
        let value = SetSecret {
            expected: Some(n - 1),
            ..set(&format!("value-{n:02}"))
        };
        assert_eq!(w.vault.set(&shop(), &token(), value).await.unwrap().latest, n);
    }
    let stale = SetSecret {
        expected: Some(11),
        ..set("value-xx")
    };
    assert_eq!(
        w.vault.set(&shop(), &token(), stale).await.unwrap_err().code,
        Code::SecretChanged
    );
    let record = w.vault.secret(&shop(), &token()).await.unwrap();
    let kept: Vec<u32> = record.versions.iter().map(|v| v.version).collect();
    assert_eq!(kept, (3..=12).collect::<Vec<_>>());
    assert_eq!(w.store.0.lock().values.len(), 10);
    assert_eq!(
        read(&w.vault, Which::Version(2)).await,
        Err(Code::SecretVersionNotFound)
    );
    assert_eq!(read(&w.vault, Which::Version(7)).await.unwrap(), "value-07");
    let back = w.vault.rollback(&shop(), &token(), 7, "tester").await.unwrap();
    assert_eq!(back.latest, 13);
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-07");
    let of = |n| back.version(n).unwrap().fingerprint;
    assert_eq!(of(7), of(13));
    assert_ne!(of(8), of(13));
}

#[tokio::test]
async fn concurrent_sets_all_get_a_version_of_their_own() {
    let w = Arc::new(world().await);
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let w = Arc::clone(&w);
            tokio::spawn(async move {
                w.vault
                    .set(&shop(), &token(), set(&format!("value-{n:02}")))
                    .await
                    .unwrap()
                    .latest
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn deleting_can_be_undone_and_destroying_cannot() {
    let w = world().await;
    w.vault.set(&shop(), &token(), set("value-one")).await.unwrap();
    w.vault.set(&shop(), &token(), set("value-two")).await.unwrap();
    w.vault.delete(&shop(), &token(), &[]).await.unwrap();
    assert_eq!(
        read(&w.vault, Which::Current).await,
        Err(Code::SecretVersionNotFound)
    );
    assert_eq!(read(&w.vault, Which::Version(1)).await.unwrap(), "value-one");
    w.vault.undelete(&shop(), &token(), &[2]).await.unwrap();
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-two");
    w.vault.destroy(&shop(), &token(), &[1]).await.unwrap();
    assert_eq!(
        read(&w.vault, Which::Version(1)).await,
        Err(Code::SecretVersionNotFound)
    );
    let undone = w.vault.undelete(&shop(), &token(), &[1]).await.unwrap_err();
    assert_eq!(undone.code, Code::SecretVersionNotFound);
    assert_eq!(w.store.0.lock().values.len(), 1);
    assert_eq!(
        w.vault.destroy(&shop(), &token(), &[9]).await.unwrap_err().code,
        Code::SecretVersionNotFound
    );
    w.vault.destroy_all(&shop(), &token()).await.unwrap();
    assert_eq!(
        w.vault.secret(&shop(), &token()).await.unwrap_err().code,
        Code::SecretNotFound
    );
    assert!(w.store.0.lock().values.is_empty());
}

#[tokio::test]
async fn a_value_expires_and_is_erased() {
    let w = world().await;
    let brief = Settings {
        ttl_ms: Some(Some(60_000)),
        ..Settings::default()
    };
    let value = SetSecret {
        settings: brief,
        ..set("value-one")
    };
    w.vault.set(&shop(), &token(), value).await.unwrap();
    w.clock.0.store(60_999, Ordering::SeqCst);
    assert_eq!(w.vault.activate().await.unwrap(), Upkeep::default());
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-one");
    w.clock.0.store(61_000, Ordering::SeqCst);
    assert_eq!(
        read(&w.vault, Which::Current).await,
        Err(Code::SecretVersionNotFound)
    );
    assert_eq!(w.vault.activate().await.unwrap().expired, 1);
    assert_eq!(w.vault.activate().await.unwrap().expired, 0);
    assert!(w.store.0.lock().values.is_empty());
}

#[tokio::test]
async fn rotations_are_told_until_they_are_done() {
    let w = world().await;
    let policy = RotationPolicy {
        every_ms: 3_600_000,
        action: Action::Function(function()),
    };
    let settings = Settings {
        rotation: Some(Some(policy)),
        ..Settings::default()
    };
    w.vault
        .set(
            &shop(),
            &token(),
            SetSecret {
                settings,
                ..set("value-one")
            },
        )
        .await
        .unwrap();
    assert!(w.vault.activate().await.unwrap().due.is_empty());
    w.clock.0.store(3_601_000, Ordering::SeqCst);
    let due = w.vault.activate().await.unwrap().due;
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].version, due[0].due_at), (1, UnixMillis(3_601_000)));
    assert_eq!(due[0].action, Action::Function(function()));
    // a crash before it was noted tells the same once more
    assert_eq!(w.vault.activate().await.unwrap().due, due);
    w.vault.told(&due[0]).await.unwrap();
    w.vault.told(&due[0]).await.unwrap();
    assert!(w.vault.activate().await.unwrap().due.is_empty());
    w.clock.0.store(3_601_000 + 86_400_000, Ordering::SeqCst);
    assert_eq!(w.vault.activate().await.unwrap().due.len(), 1);
    w.vault.set(&shop(), &token(), set("value-two")).await.unwrap();
    assert!(w.vault.activate().await.unwrap().due.is_empty());
    w.vault.rotate_now(&shop(), &token()).await.unwrap();
    assert_eq!(w.vault.activate().await.unwrap().due.len(), 1);
}

#[tokio::test]
async fn a_new_root_touches_no_value_and_shuts_out_the_old_one() {
    let w = world().await;
    w.vault.set(&shop(), &token(), set("value-one")).await.unwrap();
    let before: Vec<_> = w.store.0.lock().values.values().cloned().collect();
    let phrase = || RootSource::Passphrase(Zeroizing::new("a long passphrase".to_owned()));
    let status = w.vault.rotate_root(&phrase()).await.unwrap();
    assert_eq!((status.root, status.generation), (Some("passphrase"), 2));
    assert_eq!(
        w.store.0.lock().values.values().cloned().collect::<Vec<_>>(),
        before
    );
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-one");
    let later = vault(&w.store, &w.clock);
    assert_eq!(
        later.unseal(&root(1)).await.unwrap_err().code,
        Code::SecretRootWrong
    );
    later.unseal(&phrase()).await.unwrap();
    assert_eq!(read(&later, Which::Current).await.unwrap(), "value-one");
}

#[tokio::test]
async fn a_new_project_key_moves_every_value_and_forgets_the_old_key() {
    let w = world().await;
    w.vault.set(&shop(), &token(), set("value-one")).await.unwrap();
    w.vault.set(&shop(), &token(), set("value-two")).await.unwrap();
    assert_eq!(w.vault.rotate_project_key(&shop()).await.unwrap(), 2);
    assert_eq!(
        w.store
            .0
            .lock()
            .keks
            .iter()
            .map(|k| k.version)
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(read(&w.vault, Which::Version(1)).await.unwrap(), "value-one");
    let later = vault(&w.store, &w.clock);
    later.unseal(&root(1)).await.unwrap();
    assert_eq!(read(&later, Which::Current).await.unwrap(), "value-two");
    assert_eq!(later.rewrap(&shop()).await.unwrap(), 0);
}

#[tokio::test]
async fn projects_are_apart_and_shredded_alone() {
    let w = world().await;
    let other: ProjectName = "other".parse().unwrap();
    w.vault.set(&shop(), &token(), set("value-one")).await.unwrap();
    w.vault.set(&other, &token(), set("value-two")).await.unwrap();
    // an envelope carried over to another tenant opens nowhere
    {
        let mut rows = w.store.0.lock();
        let stolen = rows
            .values
            .iter()
            .find(|((p, ..), _)| *p == other)
            .unwrap()
            .1
            .clone();
        let mine = rows.values.keys().find(|(p, ..)| *p == shop()).unwrap().clone();
        rows.values.insert(mine, stolen);
    }
    assert_eq!(read(&w.vault, Which::Current).await, Err(Code::SecretDamaged));
    assert_eq!(w.vault.destroy_project(&other).await.unwrap(), 1);
    assert!(w.store.0.lock().keks.iter().all(|k| k.project == shop()));
    assert_eq!(w.vault.secrets(&other, None, 10).await.unwrap(), []);
    assert_eq!(w.vault.secrets(&shop(), None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_secret_may_be_for_certain_functions() {
    let w = world().await;
    let functions = Some(vec!["g".parse().unwrap()]);
    let settings = Settings {
        functions,
        ..Settings::default()
    };
    w.vault
        .set(
            &shop(),
            &token(),
            SetSecret {
                settings,
                ..set("value-one")
            },
        )
        .await
        .unwrap();
    assert_eq!(read(&w.vault, Which::Current).await, Err(Code::SecretNotFound));
    let settings = Settings {
        functions: Some(Vec::new()),
        ..Settings::default()
    };
    w.vault.configure(&shop(), &token(), &settings).await.unwrap();
    assert_eq!(read(&w.vault, Which::Current).await.unwrap(), "value-one");
}

#[tokio::test]
async fn limits_hold() {
    let w = world().await;
    for name in ["A", "B", "C"] {
        w.vault
            .set(&shop(), &name.parse().unwrap(), set("value-one"))
            .await
            .unwrap();
    }
    let full = w
        .vault
        .set(&shop(), &token(), set("value-one"))
        .await
        .unwrap_err();
    assert_eq!(full.code, Code::SecretLimit);
    w.vault
        .set(&shop(), &"A".parse().unwrap(), set("value-two"))
        .await
        .unwrap();
    for settings in [
        Settings {
            versions_max: Some(0),
            ..Settings::default()
        },
        Settings {
            versions_max: Some(11),
            ..Settings::default()
        },
        Settings {
            ttl_ms: Some(Some(1)),
            ..Settings::default()
        },
        Settings {
            hosts: Some(vec!["*".parse().unwrap(); 33]),
            ..Settings::default()
        },
        Settings {
            rotation: Some(Some(RotationPolicy {
                every_ms: 1,
                action: Action::Remind,
            })),
            ..Settings::default()
        },
    ] {
        let refused = w
            .vault
            .configure(&shop(), &"A".parse().unwrap(), &settings)
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::SecretInvalid, "{settings:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_stored_or_shown_holds_the_value() {
    let w = world().await;
    let record = w.vault.set(&shop(), &token(), set("canary-8d1f")).await.unwrap();
    let revealed = w
        .vault
        .reveal(&shop(), &token(), &function(), Which::Current)
        .await
        .unwrap();
    let rows = w.store.0.lock();
    let shown = format!(
        "{record:?} {} {revealed:?} {:?} {:?} {:?} {:?} {:?}",
        serde_json::to_string(&record).unwrap(),
        w.vault,
        rows.root,
        rows.keks,
        rows.secrets,
        rows.values
    );
    let scrubber = crate::Scrubber::new([(&token(), &revealed.value)]).unwrap();
    assert_eq!(scrubber.find(shown.as_bytes()), None);
    let stored: Vec<u8> = rows.values.values().flat_map(|v| v.0.to_vec()).collect();
    assert_eq!(scrubber.find(&stored), None);
}
