//! The keeper of secrets: seals and opens, versions, gives out, and does what is due.
//!
//! Sealed, it holds no key and answers nothing but that. Who may ask is for the caller to decide; which function may
//! use which secret is decided here, again.

mod keys;
mod read;
mod seal;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
mod write;

pub use read::{Revealed, Which};
pub use seal::VaultStatus;
pub use upkeep::{DueRotation, Upkeep};
pub use write::{SetSecret, Settings};

use crate::envelope::EnvelopeError;
use crate::key::Key;
use crate::port::{KeyWrap, SecretStore, SecretStoreError, WrapError};
use crate::root::RootSource;
use neofn_types::{Clock, Code, Entropy, Error, ProjectName, SecretName};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct VaultLimits {
    /// Secrets of a project.
    pub secrets_max: u32,
    /// Versions of a secret, unless it says less.
    pub versions_max: u32,
    /// Hosts and functions that a secret names.
    pub names_max: usize,
}

impl Default for VaultLimits {
    fn default() -> Self {
        Self {
            secrets_max: 1_000,
            versions_max: 10,
            names_max: 32,
        }
    }
}

/// Changes that lose against others are tried again this often.
const TRIES: usize = 16;

/// Secrets of a node. Share it.
pub struct Vault {
    store: Arc<dyn SecretStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: VaultLimits,
    /// The key service that the operator configured.
    service: Option<Arc<dyn KeyWrap>>,
    open: RwLock<Option<Open>>,
}

/// What an unsealed vault holds.
#[derive(Clone)]
struct Open {
    root: Arc<dyn KeyWrap>,
    generation: u32,
    /// Project keys that were unwrapped; bounded by being few bytes each.
    keks: Arc<RwLock<HashMap<(ProjectName, u32), Kek>>>,
}

#[derive(Clone)]
struct Kek {
    id: [u8; 16],
    version: u32,
    key: Key,
}

/// Project keys kept in memory; beyond it all are forgotten and unwrapped again.
const KEKS_MAX: usize = 4_096;

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("sealed", &self.is_sealed())
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// A sealed vault.
    #[must_use]
    pub fn new(
        store: Arc<dyn SecretStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: VaultLimits,
    ) -> Self {
        Self {
            store,
            clock,
            entropy,
            limits,
            service: None,
            open: RwLock::new(None),
        }
    }
    /// With a key service that can hold the root.
    #[must_use]
    pub fn with_service(self, service: Option<Arc<dyn KeyWrap>>) -> Self {
        Self { service, ..self }
    }
    /// The root that the configured key service holds.
    pub fn service(&self) -> Result<RootSource, Error> {
        let service = self.service.clone().ok_or_else(|| {
            Error::new(Code::SecretInvalid, "no key service is configured on this node")
                .hint("Start it with `--secrets-root pkcs11:…`.")
        })?;
        Ok(RootSource::External(service))
    }
    fn opened(&self) -> Result<Open, Error> {
        self.open
            .read()
            .clone()
            .ok_or_else(|| Error::from(Code::SecretsSealed))
    }
}

fn store(error: SecretStoreError) -> Error {
    Error::new(Code::StoreFailed, "storage unavailable").because(error)
}
fn damaged(project: &ProjectName, name: &str, error: EnvelopeError) -> Error {
    Error::new(
        Code::SecretDamaged,
        format!("the stored value of {name} in project {project} does not open"),
    )
    .because(error)
}
fn wrap(error: WrapError) -> Error {
    match error {
        WrapError::Wrong => Error::new(
            Code::SecretDamaged,
            "a stored key does not open under the root key",
        ),
        WrapError::Refused(error) => *error,
        WrapError::Unavailable(source) => Error::new(
            Code::SecretsSealed,
            "the key service that holds the root key does not answer",
        )
        .hint("Try again later; an operator looks after the key service.")
        .because(source),
    }
}
fn not_found(project: &ProjectName, name: &SecretName) -> Error {
    Error::new(
        Code::SecretNotFound,
        format!("project {project} has no secret {name}"),
    )
    .hint(format!("`neofn secrets set {name}` makes one."))
}
fn busy() -> Error {
    Error::new(
        Code::SecretChanged,
        "the secret is being changed by others all the time",
    )
}
