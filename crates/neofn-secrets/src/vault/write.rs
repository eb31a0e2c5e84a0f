//! Changing: new versions, settings, deleting and destroying. Each change is one compare-and-set of the whole record.

use super::read::readable;
use super::seal::random_id;
use super::{TRIES, Vault, busy, not_found, store};
use crate::envelope::{Envelope, Subject};
use crate::key::Key;
use crate::model::{Fingerprint, Rotation, RotationPolicy, SecretId, SecretRecord, VersionRecord};
use crate::port::{Change, Changed, ValueChange};
use crate::value::SecretValue;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use neofn_types::{Code, Error, FunctionName, HostPattern, ProjectName, SecretName, UnixMillis};
use sha2::Sha256;
use std::time::Duration;

/// Shortest and longest time to live, and between rotations.
const TTL_MS: std::ops::RangeInclusive<u64> = 60_000..=10 * 366 * 86_400_000;
const ROTATION_MS: std::ops::RangeInclusive<u64> = 3_600_000..=10 * 366 * 86_400_000;
/// Longest name of whoever sets a version.
const BY_CHARS_MAX: usize = 128;

/// What may be changed of a secret beside its value; none: stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Hosts that the value may be sent to by handle.
    pub hosts: Option<Vec<HostPattern>>,
    /// Functions that may use it; empty for all that ask.
    pub functions: Option<Vec<FunctionName>>,
    /// Versions that are kept.
    pub versions_max: Option<u32>,
    /// How long each new version may be read; `Some(None)` for ever.
    pub ttl_ms: Option<Option<u64>>,
    /// When the value is to be replaced; `Some(None)` never.
    pub rotation: Option<Option<RotationPolicy>>,
}

/// A new value.
#[derive(Debug)]
pub struct SetSecret {
    /// The value.
    pub value: SecretValue,
    /// The latest version that the caller knows, 0 for none; none: whatever there is.
    pub expected: Option<u32>,
    /// Who sets it.
    pub by: String,
    /// Settings that change with it.
    pub settings: Settings,
}

impl Vault {
    /// Sets a value: the first of a new secret, or the next version.
    pub async fn set(
        &self,
        project: &ProjectName,
        name: &SecretName,
        set: SetSecret,
    ) -> Result<SecretRecord, Error> {
        for _ in 0..TRIES {
            let found = self.store.secret(project, name).await.map_err(store)?;
            let expected = found.as_ref().map(|r| r.revision);
            let latest = found.as_ref().map_or(0, |r| r.latest);
            if set.expected.is_some_and(|e| e != latest) {
                return Err(changed(name, latest));
            }
            let now = self.clock.now();
            let mut record = match found {
                Some(record) => record,
                None => self.new_record(project, name, now),
            };
            self.apply(&mut record, &set.settings, now)?;
            let change = self
                .next_version(record, expected, &set.value, &set.by, now)
                .await?;
            let record = change.record.clone();
            match self.store.change(change).await.map_err(store)? {
                Changed::Done => return Ok(record),
                Changed::Conflict => {}
                Changed::Full => {
                    return Err(Error::new(
                        Code::SecretLimit,
                        format!("a project has at most {} secrets", self.limits.secrets_max),
                    ));
                }
            }
        }
        Err(busy())
    }

    fn new_record(&self, project: &ProjectName, name: &SecretName, now: UnixMillis) -> SecretRecord {
        SecretRecord {
            project: project.clone(),
            name: name.clone(),
            id: SecretId(random_id(self.entropy.as_ref())),
            revision: 0,
            latest: 0,
            hosts: Vec::new(),
            functions: Vec::new(),
            versions_max: self.limits.versions_max,
            ttl_ms: None,
            rotation: None,
            created_at: now,
            updated_at: now,
            versions: Vec::new(),
        }
    }

    /// The record with one more version, and the envelope.
    async fn next_version(
        &self,
        mut record: SecretRecord,
        expected: Option<u64>,
        value: &SecretValue,
        by: &str,
        now: UnixMillis,
    ) -> Result<Change, Error> {
        let open = self.opened()?;
        let kek = self.kek(&open, &record.project).await?;
        let version = record
            .latest
            .checked_add(1)
            .ok_or_else(|| Error::internal("out of version numbers"))?;
        let subject = Subject {
            project: &record.project,
            secret: record.id,
            version,
        };
        let envelope = Envelope::seal(
            self.entropy.as_ref(),
            subject,
            (kek.id, kek.version, &kek.key),
            value,
        )
        .map_err(Error::internal)?;
        record.latest = version;
        record.versions.push(VersionRecord {
            version,
            created_at: now,
            by: by.chars().take(BY_CHARS_MAX).collect(),
            expires_at: record.ttl_ms.map(|ms| now.plus(Duration::from_millis(ms))),
            deleted_at: None,
            destroyed_at: None,
            fingerprint: fingerprint(&kek.key, value)?,
        });
        let mut values = vec![ValueChange {
            version,
            envelope: Some((Bytes::copy_from_slice(envelope.as_bytes()), kek.version)),
        }];
        if let Some(rotation) = &mut record.rotation {
            rotation.due_at = now.plus(Duration::from_millis(rotation.policy.every_ms));
            rotation.act_at = rotation.due_at;
        }
        let keep = usize::try_from(record.versions_max.max(1)).unwrap_or(usize::MAX);
        let excess = record.versions.len().saturating_sub(keep);
        values.extend(record.versions.drain(..excess).map(|old| ValueChange {
            version: old.version,
            envelope: None,
        }));
        Ok(self.changing(record, expected, values, now))
    }

    pub(super) fn changing(
        &self,
        mut record: SecretRecord,
        expected: Option<u64>,
        values: Vec<ValueChange>,
        now: UnixMillis,
    ) -> Change {
        record.revision = record.revision.saturating_add(1);
        record.updated_at = now;
        Change {
            record,
            expected,
            values,
            secrets_max: self.limits.secrets_max,
        }
    }

    fn apply(&self, record: &mut SecretRecord, settings: &Settings, now: UnixMillis) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::new(Code::SecretInvalid, what));
        let names_max = self.limits.names_max;
        if let Some(hosts) = &settings.hosts {
            if hosts.len() > names_max {
                return invalid(format!("a secret names at most {names_max} hosts"));
            }
            record.hosts.clone_from(hosts);
            record.hosts.sort_unstable();
            record.hosts.dedup();
        }
        if let Some(functions) = &settings.functions {
            if functions.len() > names_max {
                return invalid(format!("a secret names at most {names_max} functions"));
            }
            record.functions.clone_from(functions);
            record.functions.sort_unstable();
            record.functions.dedup();
        }
        if let Some(versions) = settings.versions_max {
            if !(1..=self.limits.versions_max).contains(&versions) {
                return invalid(format!("1 to {} versions are kept", self.limits.versions_max));
            }
            record.versions_max = versions;
        }
        if let Some(ttl) = settings.ttl_ms {
            if ttl.is_some_and(|ms| !TTL_MS.contains(&ms)) {
                return invalid("a time to live is one minute to ten years".to_owned());
            }
            record.ttl_ms = ttl;
        }
        if let Some(policy) = &settings.rotation {
            if policy
                .as_ref()
                .is_some_and(|p| !ROTATION_MS.contains(&p.every_ms))
            {
                return invalid("a secret is rotated every hour to every ten years".to_owned());
            }
            let since = record.version(record.latest).map_or(now, |v| v.created_at);
            record.rotation = policy.clone().map(|policy| {
                let due_at = since.plus(Duration::from_millis(policy.every_ms));
                Rotation {
                    policy,
                    due_at,
                    act_at: due_at,
                }
            });
        }
        Ok(())
    }

    /// Changes what is kept beside the value.
    pub async fn configure(
        &self,
        project: &ProjectName,
        name: &SecretName,
        settings: &Settings,
    ) -> Result<SecretRecord, Error> {
        let now = self.clock.now();
        self.edit(project, name, |record| {
            self.apply(record, settings, now)?;
            let keep = usize::try_from(record.versions_max.max(1)).unwrap_or(usize::MAX);
            let excess = record.versions.len().saturating_sub(keep);
            Ok(record.versions.drain(..excess).map(|v| v.version).collect())
        })
        .await
    }
    /// Makes the value of an earlier version the newest: a new version, so that the history stays what happened.
    pub async fn rollback(
        &self,
        project: &ProjectName,
        name: &SecretName,
        version: u32,
        by: &str,
    ) -> Result<SecretRecord, Error> {
        let record = self.secret(project, name).await?;
        readable(self, &record, version)?;
        let set = SetSecret {
            value: self.value(&record, version).await?,
            expected: Some(record.latest),
            by: by.to_owned(),
            settings: Settings::default(),
        };
        self.set(project, name, set).await
    }
    /// Takes versions out of use; they can be had back. None named: the newest.
    pub async fn delete(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &[u32],
    ) -> Result<SecretRecord, Error> {
        let now = self.clock.now();
        self.mark(project, name, versions, |v| {
            v.deleted_at.get_or_insert(now);
        })
        .await
    }
    /// Puts deleted versions back into use. None named: the newest.
    pub async fn undelete(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &[u32],
    ) -> Result<SecretRecord, Error> {
        self.mark(project, name, versions, |v| v.deleted_at = None).await
    }
    async fn mark(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &[u32],
        mark: impl Fn(&mut VersionRecord) + Send + Sync,
    ) -> Result<SecretRecord, Error> {
        self.edit(project, name, |record| {
            for version in meant(record, versions)? {
                let gone = |v: &VersionRecord| v.destroyed_at.is_some();
                if record.version(version).is_some_and(gone) {
                    return Err(no_version(record, version));
                }
                if let Some(found) = record.versions.iter_mut().find(|v| v.version == version) {
                    mark(found);
                }
            }
            Ok(Vec::new())
        })
        .await
    }
    /// Erases the values of versions for good. None named: the newest.
    pub async fn destroy(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &[u32],
    ) -> Result<SecretRecord, Error> {
        let now = self.clock.now();
        self.edit(project, name, |record| {
            let versions = meant(record, versions)?;
            for found in record
                .versions
                .iter_mut()
                .filter(|v| versions.contains(&v.version))
            {
                found.destroyed_at.get_or_insert(now);
            }
            Ok(versions)
        })
        .await
    }
    /// Erases a secret with everything that is kept of it.
    pub async fn destroy_all(&self, project: &ProjectName, name: &SecretName) -> Result<(), Error> {
        for _ in 0..TRIES {
            let revision = self.secret(project, name).await?.revision;
            if self.store.remove(project, name, revision).await.map_err(store)? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Reads, changes, writes; again, when another was faster. `edit` answers the versions whose values go.
    pub(super) async fn edit(
        &self,
        project: &ProjectName,
        name: &SecretName,
        edit: impl Fn(&mut SecretRecord) -> Result<Vec<u32>, Error> + Send + Sync,
    ) -> Result<SecretRecord, Error> {
        for _ in 0..TRIES {
            let found = self.store.secret(project, name).await.map_err(store)?;
            let mut record = found.ok_or_else(|| not_found(project, name))?;
            let expected = record.revision;
            let erased = edit(&mut record)?;
            let values = erased.into_iter().map(|version| ValueChange {
                version,
                envelope: None,
            });
            let change = self.changing(record, Some(expected), values.collect(), self.clock.now());
            let record = change.record.clone();
            if self.store.change(change).await.map_err(store)? == Changed::Done {
                return Ok(record);
            }
        }
        Err(busy())
    }
}

/// The versions that a request means, which must be there.
fn meant(record: &SecretRecord, versions: &[u32]) -> Result<Vec<u32>, Error> {
    let wanted = if versions.is_empty() {
        vec![record.latest]
    } else {
        versions.to_vec()
    };
    match wanted.iter().find(|v| record.version(**v).is_none()) {
        Some(missing) => Err(no_version(record, *missing)),
        None => Ok(wanted),
    }
}
fn no_version(record: &SecretRecord, version: u32) -> Error {
    Error::new(
        Code::SecretVersionNotFound,
        format!("{} has no version {version}", record.name),
    )
}
fn changed(name: &SecretName, latest: u32) -> Error {
    let message = match latest {
        0 => format!("there is no secret {name}"),
        latest => format!("{name} is at version {latest}"),
    };
    Error::new(Code::SecretChanged, message)
}

/// The first half of HMAC-SHA256 under a key that is used for nothing else.
fn fingerprint(kek: &Key, value: &SecretValue) -> Result<Fingerprint, Error> {
    let mac = |key: &[u8], text: &[u8]| -> Result<[u8; 32], Error> {
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).map_err(Error::internal)?;
        mac.update(text);
        Ok(mac.finalize().into_bytes().into())
    };
    let key = zeroize::Zeroizing::new(mac(kek.expose(), b"neofn/secret/fingerprint/v1")?);
    let whole = mac(key.as_slice(), value.expose())?;
    let mut half = [0; 16];
    half.copy_from_slice(whole.split_at(16).0);
    Ok(Fingerprint(half))
}
