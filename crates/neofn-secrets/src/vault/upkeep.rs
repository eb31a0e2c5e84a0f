//! What is due: values that have expired are erased, rotations are announced until they are done.

use super::{Vault, store};
use crate::model::{Action, SecretId};
use crate::port::Changed;
use neofn_types::{Error, ProjectName, SecretName, UnixMillis};
use std::time::Duration;

/// Secrets that one activation looks at.
const STEP: u32 = 256;
/// Whoever is told to rotate is told again after this long.
const AGAIN: Duration = Duration::from_secs(86_400);

/// A secret whose value is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRotation {
    /// The tenant.
    pub project: ProjectName,
    /// The secret.
    pub name: SecretName,
    /// The same, for good.
    pub id: SecretId,
    /// Its version now.
    pub version: u32,
    /// Since when.
    pub due_at: UnixMillis,
    /// The time of this telling; one telling has one effect, however often it is made.
    pub act_at: UnixMillis,
    /// What is to happen.
    pub action: Action,
}

/// What an activation found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Values that were erased because they had expired.
    pub expired: u32,
    /// Rotations to be brought about; call [`Vault::told`] after each.
    pub due: Vec<DueRotation>,
}

impl Vault {
    /// Looks at what is due. Takes no input and may be called at any time, also on a sealed vault.
    pub async fn activate(&self) -> Result<Upkeep, Error> {
        let now = self.clock.now();
        let mut upkeep = Upkeep::default();
        for record in self.store.due(now, STEP).await.map_err(store)? {
            if let Some(rotation) = record.rotation.as_ref().filter(|r| r.act_at <= now) {
                upkeep.due.push(DueRotation {
                    project: record.project.clone(),
                    name: record.name.clone(),
                    id: record.id,
                    version: record.latest,
                    due_at: rotation.due_at,
                    act_at: rotation.act_at,
                    action: rotation.policy.action.clone(),
                });
            }
            upkeep.expired = upkeep.expired.saturating_add(self.expire(&record, now).await?);
        }
        Ok(upkeep)
    }

    async fn expire(&self, record: &crate::model::SecretRecord, now: UnixMillis) -> Result<u32, Error> {
        let mut next = record.clone();
        let mut values = Vec::new();
        for version in &mut next.versions {
            if version.destroyed_at.is_none() && version.expires_at.is_some_and(|at| at <= now) {
                version.destroyed_at = Some(now);
                values.push(crate::port::ValueChange {
                    version: version.version,
                    envelope: None,
                });
            }
        }
        if values.is_empty() {
            return Ok(0);
        }
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let change = self.changing(next, Some(record.revision), values, now);
        // lost against another change: the next activation finds what is left
        Ok(match self.store.change(change).await.map_err(store)? {
            Changed::Done => count,
            Changed::Conflict | Changed::Full => 0,
        })
    }

    /// Notes that somebody was told of a rotation, so that they are told again only after a day. Call it after the
    /// telling is durable: a crash in between tells twice under the same `act_at`.
    pub async fn told(&self, due: &DueRotation) -> Result<(), Error> {
        let now = self.clock.now();
        let edited = self.edit(&due.project, &due.name, |record| {
            if record.id == due.id
                && let Some(rotation) = &mut record.rotation
                && rotation.act_at == due.act_at
            {
                rotation.act_at = now.plus(AGAIN);
            }
            Ok(Vec::new())
        });
        match edited.await {
            Err(e) if e.code != neofn_types::Code::SecretNotFound => Err(e),
            _ => Ok(()),
        }
    }
    /// Makes a rotation due at once.
    pub async fn rotate_now(&self, project: &ProjectName, name: &SecretName) -> Result<(), Error> {
        let now = self.clock.now();
        self.edit(project, name, |record| {
            match &mut record.rotation {
                Some(rotation) => {
                    rotation.due_at = rotation.due_at.min(now);
                    rotation.act_at = now;
                }
                None => {
                    return Err(Error::new(
                        neofn_types::Code::SecretInvalid,
                        format!("{name} has no rotation policy"),
                    )
                    .hint("Set a new value instead, or give it a policy first."));
                }
            }
            Ok(Vec::new())
        })
        .await
        .map(drop)
    }
}
