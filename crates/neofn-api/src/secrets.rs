//! Use cases about secrets and the vault. A value passes through on its way in, in memory that is wiped; nothing here
//! can answer one.

use crate::api::Api;
use crate::error::ApiError;
use crate::functions::{Page, bad_cursor};
use crate::policy::{Action, Target};
use base64::Engine as _;
use neofn_identity::Principal;
use neofn_identity::audit::AuditEntry;
use neofn_secrets::{
    Action as RotationAction, Key, RootSource, RotationPolicy, SecretRecord, SecretValue, SetSecret,
    Settings, Vault, VaultStatus, VersionRecord,
};
use neofn_types::{Code, Error, ProjectName, SecretName, UnixMillis, parse_duration_ms};
use neofn_wire::{
    RootKeyRequest, RotationView, SecretDone, SecretList, SecretPut, SecretVersionList, SecretVersionView,
    SecretVersions, SecretView, SecretsRewrapped, VaultView,
};
use std::str::FromStr;
use zeroize::Zeroizing;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::SecretInvalid, message)
}

/// A name from a path.
pub fn secret_name(text: &str) -> Result<SecretName, Error> {
    text.parse()
        .map_err(|e: neofn_types::NameError| Error::new(Code::InvalidName, e.to_string()))
}

impl Api {
    fn vault(&self) -> Result<&Vault, Error> {
        let none = || Error::new(Code::SecretsSealed, "this node keeps no secrets");
        self.inner.vault.as_deref().ok_or_else(none)
    }

    /// Writes an act down before it is done: what a crash or a refusal leaves is an act too many, never one too few.
    async fn note(
        &self,
        who: &Principal,
        action: &str,
        on: Option<(&ProjectName, &SecretName)>,
        detail: &str,
    ) -> Result<(), Error> {
        let target = on.map_or("vault", |(_, name)| name.as_str());
        let mut entry = AuditEntry::new(self.inner.clock.now(), who.actor(), action, target).detail(detail);
        if let Some((project, _)) = on {
            entry = entry.within(project);
        }
        self.log(entry).await
    }

    /// Sets a value, or settings alone.
    pub async fn put_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
        request: SecretPut,
    ) -> Result<SecretView, ApiError> {
        self.authorise_project(who, Action::WriteSecret, project)?;
        let vault = self.vault()?;
        let settings = settings(&request)?;
        let value = value(&request)?;
        let action = if value.is_some() {
            "secret.set"
        } else {
            "secret.configure"
        };
        self.note(who, action, Some((project, name)), "").await?;
        let record = match value {
            None => vault.configure(project, name, &settings).await?,
            Some(value) => {
                let set = SetSecret {
                    value,
                    expected: request.if_version,
                    by: who.actor(),
                    settings,
                };
                vault.set(project, name, set).await?
            }
        };
        Ok(self.secret_view(&record))
    }
    /// A secret without its value.
    pub async fn secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<SecretView, ApiError> {
        self.authorise_project(who, Action::ReadSecret, project)?;
        Ok(self.secret_view(&self.vault()?.secret(project, name).await?))
    }
    /// The secrets of a project by name.
    pub async fn secrets(
        &self,
        who: &Principal,
        project: &ProjectName,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<SecretList, ApiError> {
        self.authorise_project(who, Action::ReadSecret, project)?;
        let after = cursor.map(SecretName::from_str).transpose();
        let after = after.map_err(|_| bad_cursor())?;
        let limit = Page::of(limit)?.limit;
        let found = self
            .vault()?
            .secrets(project, after.as_ref(), limit.saturating_add(1))
            .await?;
        let count = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > count;
        let secrets: Vec<_> = found.iter().take(count).map(|r| self.secret_view(r)).collect();
        let last = secrets.last().map(|s| s.name.clone());
        Ok(SecretList {
            next: last.filter(|_| more),
            secrets,
        })
    }
    /// The versions of a secret, newest first.
    pub async fn secret_versions(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<SecretVersionList, ApiError> {
        self.authorise_project(who, Action::ReadSecret, project)?;
        let record = self.vault()?.secret(project, name).await?;
        let now = self.inner.clock.now();
        let versions = record.versions.iter().rev();
        Ok(SecretVersionList {
            versions: versions.map(|v| version_view(v, record.latest, now)).collect(),
        })
    }
    /// Makes the value of an earlier version the newest.
    pub async fn rollback_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
        version: u32,
    ) -> Result<SecretView, ApiError> {
        self.authorise_project(who, Action::WriteSecret, project)?;
        let vault = self.vault()?;
        let detail = format!("to version {version}");
        self.note(who, "secret.rollback", Some((project, name)), &detail)
            .await?;
        let record = vault.rollback(project, name, version, &who.actor()).await?;
        Ok(self.secret_view(&record))
    }
    /// Takes every version out of use; they can be had back.
    pub async fn delete_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<SecretView, ApiError> {
        self.authorise_project(who, Action::WriteSecret, project)?;
        let vault = self.vault()?;
        let there = vault.secret(project, name).await?;
        let living = there.versions.iter().filter(|v| v.destroyed_at.is_none());
        let versions: Vec<u32> = living.map(|v| v.version).collect();
        self.note(who, "secret.delete", Some((project, name)), "").await?;
        let record = vault.delete(project, name, &versions).await?;
        Ok(self.secret_view(&record))
    }
    /// Puts deleted versions back into use.
    pub async fn undelete_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
        request: &SecretVersions,
    ) -> Result<SecretView, ApiError> {
        self.authorise_project(who, Action::WriteSecret, project)?;
        let vault = self.vault()?;
        let detail = numbers(&request.versions);
        self.note(who, "secret.undelete", Some((project, name)), &detail)
            .await?;
        let record = vault.undelete(project, name, &request.versions).await?;
        Ok(self.secret_view(&record))
    }
    /// Erases versions, or the whole secret, for good.
    pub async fn destroy_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
        request: &SecretVersions,
    ) -> Result<SecretDone, ApiError> {
        self.authorise_project(who, Action::DestroySecret, project)?;
        let vault = self.vault()?;
        let detail = if request.all {
            "all".to_owned()
        } else {
            numbers(&request.versions)
        };
        self.note(who, "secret.destroy", Some((project, name)), &detail)
            .await?;
        match (request.all, request.versions.as_slice()) {
            (true, []) => vault.destroy_all(project, name).await?,
            (true, _) => return Err(invalid("either `all` or `versions`").into()),
            (false, versions) => drop(vault.destroy(project, name, versions).await?),
        }
        Ok(SecretDone { success: true })
    }
    /// Begins the rotation that the secret's policy says.
    pub async fn rotate_secret(
        &self,
        who: &Principal,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<SecretDone, ApiError> {
        self.authorise_project(who, Action::WriteSecret, project)?;
        let vault = self.vault()?;
        self.note(who, "secret.rotate", Some((project, name)), "").await?;
        vault.rotate_now(project, name).await?;
        Ok(SecretDone { success: true })
    }

    /// Gives a project a new key, and puts every value that is kept under it. After a failure it can be asked again.
    pub async fn rewrap_secrets(
        &self,
        who: &Principal,
        project: &ProjectName,
    ) -> Result<SecretsRewrapped, ApiError> {
        self.authorise_project(who, Action::DestroySecret, project)?;
        let vault = self.vault()?;
        let act = AuditEntry::new(
            self.inner.clock.now(),
            who.actor(),
            "secret.rewrap",
            project.to_string(),
        );
        self.log(act.within(project)).await?;
        Ok(SecretsRewrapped {
            success: true,
            values: vault.rotate_project_key(project).await?,
        })
    }

    /// May they seal and unseal? Also for an edge that wants to know before it reads a body.
    pub fn authorise_vault(&self, who: &Principal) -> Result<(), Error> {
        self.authorise(who, Action::ManageVault, Target::Node { loopback: false })
    }
    /// How the vault is doing.
    pub async fn vault_status(&self, who: &Principal) -> Result<VaultView, ApiError> {
        self.authorise_vault(who)?;
        Ok(vault_view(&self.vault()?.status().await?))
    }
    /// Forgets every key.
    pub async fn seal_vault(&self, who: &Principal) -> Result<VaultView, ApiError> {
        self.authorise_vault(who)?;
        let vault = self.vault()?;
        self.note(who, "vault.seal", None, "").await?;
        vault.seal();
        Ok(vault_view(&vault.status().await?))
    }
    /// Takes the root key.
    pub async fn unseal_vault(
        &self,
        who: &Principal,
        request: &RootKeyRequest,
    ) -> Result<VaultView, ApiError> {
        self.authorise_vault(who)?;
        let vault = self.vault()?;
        let root = root(vault, request)?;
        self.note(who, "vault.unseal", None, "").await?;
        Ok(vault_view(&vault.unseal(&root).await?))
    }
    /// Puts everything under a new root key.
    pub async fn rotate_vault(
        &self,
        who: &Principal,
        request: &RootKeyRequest,
    ) -> Result<VaultView, ApiError> {
        self.authorise_vault(who)?;
        let vault = self.vault()?;
        let root = root(vault, request)?;
        self.note(who, "vault.rotate", None, "").await?;
        Ok(vault_view(&vault.rotate_root(&root).await?))
    }

    fn secret_view(&self, record: &SecretRecord) -> SecretView {
        SecretView {
            project: record.project.to_string(),
            name: record.name.to_string(),
            version: record.latest,
            readable: record.current(self.inner.clock.now()).is_some(),
            hosts: record.hosts.iter().map(ToString::to_string).collect(),
            functions: record.functions.iter().map(ToString::to_string).collect(),
            versions_max: record.versions_max,
            ttl_ms: record.ttl_ms,
            rotation: record.rotation.as_ref().map(|r| RotationView {
                every_ms: r.policy.every_ms,
                due_at: r.due_at.to_iso8601(),
                function: match &r.policy.action {
                    RotationAction::Remind => None,
                    RotationAction::Function(name) => Some(name.to_string()),
                },
            }),
            created_at: record.created_at.to_iso8601(),
            updated_at: record.updated_at.to_iso8601(),
        }
    }
}

/// The versions that were named; nothing when the newest is meant.
fn numbers(versions: &[u32]) -> String {
    let all: Vec<String> = versions.iter().take(64).map(u32::to_string).collect();
    all.join(", ")
}

fn vault_view(status: &VaultStatus) -> VaultView {
    VaultView {
        initialised: status.initialised,
        sealed: status.sealed,
        root: status.root.map(str::to_owned),
        generation: status.generation,
    }
}

fn version_view(version: &VersionRecord, latest: u32, now: UnixMillis) -> SecretVersionView {
    let state = if version.destroyed_at.is_some() {
        "destroyed"
    } else if version.deleted_at.is_some() {
        "deleted"
    } else if !version.readable(now) {
        "expired"
    } else if version.version == latest {
        "current"
    } else {
        "kept"
    };
    SecretVersionView {
        version: version.version,
        state: state.to_owned(),
        by: version.by.clone(),
        fingerprint: hex::encode(version.fingerprint.0),
        created_at: version.created_at.to_iso8601(),
        expires_at: version.expires_at.map(UnixMillis::to_iso8601),
    }
}

fn value(request: &SecretPut) -> Result<Option<SecretValue>, Error> {
    match (&request.value, &request.value_base64) {
        (None, None) => Ok(None),
        (Some(text), None) => SecretValue::new(text.0.as_bytes()).map(Some),
        (None, Some(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text.0.as_bytes());
            // what the decoder would say may have a part of the value in it
            let bytes = bytes.map_err(|_| invalid("`value_base64` is not base64"))?;
            SecretValue::new(bytes).map(Some)
        }
        (Some(_), Some(_)) => Err(invalid("either `value` or `value_base64`")),
    }
}

fn list<T: FromStr>(name: &str, texts: Option<&Vec<String>>) -> Result<Option<Vec<T>>, Error>
where
    T::Err: std::fmt::Display,
{
    let read = |text: &String| text.parse::<T>().map_err(|e| invalid(format!("`{name}`: {e}")));
    texts.map(|texts| texts.iter().map(read).collect()).transpose()
}

/// `90d`, or `never`.
fn span(name: &str, text: Option<&String>) -> Result<Option<Option<u64>>, Error> {
    match text.map(String::as_str) {
        None => Ok(None),
        Some("never") => Ok(Some(None)),
        Some(text) => match parse_duration_ms(text) {
            Ok(ms) => Ok(Some(Some(ms))),
            Err(e) => Err(invalid(format!("`{name}`: {e}, or `never`"))),
        },
    }
}

fn settings(request: &SecretPut) -> Result<Settings, Error> {
    let every = span("rotate_every", request.rotate_every.as_ref())?;
    let action = match &request.rotate_by {
        None => RotationAction::Remind,
        Some(name) => {
            RotationAction::Function(name.parse().map_err(|e| invalid(format!("`rotate_by`: {e}")))?)
        }
    };
    if request.rotate_by.is_some() && !matches!(every, Some(Some(_))) {
        return Err(invalid("`rotate_by` needs `rotate_every`"));
    }
    Ok(Settings {
        hosts: list("hosts", request.hosts.as_ref())?,
        functions: list("functions", request.functions.as_ref())?,
        versions_max: request.versions_max,
        ttl_ms: span("ttl", request.ttl.as_ref())?,
        rotation: every.map(|every| {
            every.map(|every_ms| RotationPolicy {
                every_ms,
                action: action.clone(),
            })
        }),
    })
}

fn root(vault: &Vault, request: &RootKeyRequest) -> Result<RootSource, Error> {
    match (&request.passphrase, &request.key) {
        (None, None) if request.configured => vault.service(),
        _ if request.configured => Err(invalid("`configured` stands alone")),
        (Some(text), None) => Ok(RootSource::Passphrase(text.0.clone())),
        (None, Some(text)) => {
            let mut key = Zeroizing::new([0u8; 32]);
            hex::decode_to_slice(text.0.trim(), key.as_mut_slice())
                .map_err(|_| invalid("`key` has 64 hexadecimal digits"))?;
            Ok(RootSource::Key(Key::new(*key)))
        }
        _ => Err(invalid("one of `passphrase`, `key` and `configured`")),
    }
}
