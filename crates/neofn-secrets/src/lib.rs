//! Secrets: kept encrypted, versioned, given out by grant only, and kept out of everything that a run leaves behind.
//!
//! A root key wraps one key per project, which wraps one key per version of a secret. Knows no storage, no transport
//! and no runtime; it never logs, and no type here that holds a value can be printed.

mod envelope;
mod key;
mod model;
pub mod port;
mod root;
mod scrub;
mod value;
mod vault;

pub use envelope::{Envelope, EnvelopeError, Subject};
pub use key::{Key, WRAPPED_BYTES};
pub use model::{
    Action, Fingerprint, KekRecord, RootKind, RootRecord, Rotation, RotationPolicy, SecretId, SecretRecord,
    VersionRecord,
};
pub use root::{LocalRoot, PrivateFileError, RootSource, read_key_file, read_private};
pub use scrub::{Scrub, Scrubber};
pub use value::{SecretValue, VALUE_BYTES_MAX, VALUE_BYTES_MIN};
pub use vault::{DueRotation, Revealed, SetSecret, Settings, Upkeep, Vault, VaultLimits, VaultStatus, Which};
