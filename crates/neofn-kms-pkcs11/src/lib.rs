//! The root key of secrets on a PKCS #11 token: an AES key that wraps project keys by CKM_AES_GCM and never leaves the
//! token. One of the vendors' floor: whoever uses it sees [`neofn_secrets::port::KeyWrap`] alone.
//!
//! Knows no node, no flags and no store.

mod fault;
mod module;
mod token;
mod uri;
mod wrap;

pub use uri::{Pkcs11Uri, UriError};
pub use wrap::Pkcs11Root;
