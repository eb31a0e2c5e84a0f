//! Looking: at what is kept, by those who manage it; at values, by functions.

use super::{Vault, damaged, not_found, store};
use crate::envelope::{Envelope, Subject};
use crate::model::{SecretRecord, VersionRecord};
use crate::value::SecretValue;
use neofn_types::{Code, Error, FunctionName, HostPattern, ProjectName, SecretName};

/// Most secrets of one page.
const PAGE_MAX: u32 = 200;

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Current,
    /// This one, as long as it can be read: a replay asks for what a run was given.
    Version(u32),
}

/// A value that was given out.
#[derive(Debug, Clone)]
pub struct Revealed {
    /// Of this secret.
    pub name: SecretName,
    /// Of this version.
    pub version: u32,
    /// Where it may be sent by handle.
    pub hosts: Vec<HostPattern>,
    /// The value.
    pub value: SecretValue,
}

impl Vault {
    /// What is kept of a secret, its values excepted.
    pub async fn secret(&self, project: &ProjectName, name: &SecretName) -> Result<SecretRecord, Error> {
        let found = self.store.secret(project, name).await.map_err(store)?;
        found.ok_or_else(|| not_found(project, name))
    }
    /// Secrets of a project by name.
    pub async fn secrets(
        &self,
        project: &ProjectName,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<SecretRecord>, Error> {
        self.store
            .secrets(project, after, limit.clamp(1, PAGE_MAX))
            .await
            .map_err(store)
    }
    /// The value of a secret, for a function that its manifest grants it to. A secret that names functions is given
    /// to those alone; to others it does not exist.
    pub async fn reveal(
        &self,
        project: &ProjectName,
        name: &SecretName,
        function: &FunctionName,
        which: Which,
    ) -> Result<Revealed, Error> {
        let record = self.secret(project, name).await?;
        if !record.functions.is_empty() && !record.functions.contains(function) {
            return Err(not_found(project, name).hint(format!(
                "If there is one, it may not be used by {function}: see `neofn secrets ls`."
            )));
        }
        let wanted = match which {
            Which::Current => record.latest,
            Which::Version(version) => version,
        };
        let version = readable(self, &record, wanted)?;
        let value = self.value(&record, version.version).await?;
        Ok(Revealed {
            name: name.clone(),
            version: version.version,
            hosts: record.hosts,
            value,
        })
    }
    /// Decrypts a version, whether or not it may be given out.
    pub(super) async fn value(&self, record: &SecretRecord, version: u32) -> Result<SecretValue, Error> {
        let open = self.opened()?;
        let project = &record.project;
        let stored = self
            .store
            .value(project, record.id, version)
            .await
            .map_err(store)?;
        let stored = stored.ok_or_else(|| gone(record, version))?;
        let bad = |e| damaged(project, &format!("{} version {version}", record.name), e);
        let envelope = Envelope::parse(&stored).map_err(bad)?;
        let kek = self.kek_version(&open, project, envelope.kek().1).await?;
        let subject = Subject {
            project,
            secret: record.id,
            version,
        };
        envelope.open(subject, &kek.key).map_err(bad)
    }
}

/// The version, if it may be given out.
pub(super) fn readable<'r>(
    vault: &Vault,
    record: &'r SecretRecord,
    version: u32,
) -> Result<&'r VersionRecord, Error> {
    let found = record.version(version).ok_or_else(|| gone(record, version))?;
    if found.readable(vault.clock.now()) {
        return Ok(found);
    }
    let why = if found.destroyed_at.is_some() {
        "was destroyed"
    } else if found.deleted_at.is_some() {
        "was deleted"
    } else {
        "has expired"
    };
    Err(Error::new(
        Code::SecretVersionNotFound,
        format!("version {version} of {} {why}", record.name),
    ))
}

fn gone(record: &SecretRecord, version: u32) -> Error {
    Error::new(
        Code::SecretVersionNotFound,
        format!("{} has no version {version}", record.name),
    )
}
