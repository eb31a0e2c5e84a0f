//! Secrets and the vault.

use crate::Error;
use crate::api::{escape, json};
use crate::transport::{Call, Client};
use neofn_types::{ProjectName, SecretName};
use neofn_wire::{
    RootKeyRequest, SecretDone, SecretList, SecretPut, SecretRollback, SecretVersionList, SecretVersions,
    SecretView, SecretsRewrapped, VaultView,
};
use zeroize::Zeroizing;

fn path(project: &ProjectName, name: &SecretName, rest: &str) -> String {
    format!("/api/v1/secrets/{project}/{name}{rest}")
}

impl Client {
    /// Sets a value, or settings alone.
    pub fn put_secret(
        &self,
        project: &ProjectName,
        name: &SecretName,
        request: &SecretPut,
    ) -> Result<SecretView, Error> {
        let body = Zeroizing::new(json(request)?);
        self.call(&Call::send("PUT", path(project, name, ""), &body))
    }
    /// The secrets of a project by name.
    pub fn secrets(&self, project: &ProjectName, cursor: Option<&str>) -> Result<SecretList, Error> {
        let query = cursor
            .map(|c| format!("?cursor={}", escape(c)))
            .unwrap_or_default();
        self.call(&Call::get(format!("/api/v1/secrets/{project}{query}")))
    }
    /// The versions of a secret, newest first.
    pub fn secret_versions(
        &self,
        project: &ProjectName,
        name: &SecretName,
    ) -> Result<SecretVersionList, Error> {
        self.call(&Call::get(path(project, name, "/versions")))
    }
    /// Makes the value of an earlier version the newest.
    pub fn rollback_secret(
        &self,
        project: &ProjectName,
        name: &SecretName,
        version: u32,
    ) -> Result<SecretView, Error> {
        let body = json(&SecretRollback { version })?;
        self.call(&Call::send("POST", path(project, name, "/rollback"), &body))
    }
    /// Takes a secret out of use.
    pub fn delete_secret(&self, project: &ProjectName, name: &SecretName) -> Result<SecretView, Error> {
        self.call(&Call::delete(path(project, name, "")))
    }
    /// Puts deleted versions back into use.
    pub fn undelete_secret(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &SecretVersions,
    ) -> Result<SecretView, Error> {
        let body = json(versions)?;
        self.call(&Call::send("POST", path(project, name, "/undelete"), &body))
    }
    /// Erases versions, or the whole secret.
    pub fn destroy_secret(
        &self,
        project: &ProjectName,
        name: &SecretName,
        versions: &SecretVersions,
    ) -> Result<SecretDone, Error> {
        let body = json(versions)?;
        self.call(&Call::send("POST", path(project, name, "/destroy"), &body))
    }
    /// Begins the rotation that the secret's policy says.
    pub fn rotate_secret(&self, project: &ProjectName, name: &SecretName) -> Result<SecretDone, Error> {
        self.call(&Call::send("POST", path(project, name, "/rotate"), b""))
    }
    /// Puts the values of a project under a new key.
    pub fn rewrap_secrets(&self, project: &ProjectName) -> Result<SecretsRewrapped, Error> {
        let path = format!("/api/v1/projects/{project}/rewrap");
        self.call(&Call::send("POST", path, b""))
    }
    /// How the vault is doing.
    pub fn vault(&self) -> Result<VaultView, Error> {
        self.call(&Call::get("/api/v1/vault".to_owned()))
    }
    /// Makes the vault forget every key.
    pub fn seal_vault(&self) -> Result<VaultView, Error> {
        self.call(&Call::send("POST", "/api/v1/vault/seal".to_owned(), b""))
    }
    /// Gives the vault its root key.
    pub fn unseal_vault(&self, request: &RootKeyRequest) -> Result<VaultView, Error> {
        let body = Zeroizing::new(json(request)?);
        self.call(&Call::send("POST", "/api/v1/vault/unseal".to_owned(), &body))
    }
    /// Puts every project's key under a new root key.
    pub fn rotate_vault(&self, request: &RootKeyRequest) -> Result<VaultView, Error> {
        let body = Zeroizing::new(json(request)?);
        self.call(&Call::send("POST", "/api/v1/vault/rotate".to_owned(), &body))
    }
}
