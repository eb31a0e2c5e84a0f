//! What a signed-in person carries: a short access token that is checked without the store, and an opaque refresh
//! token that is exchanged once.

mod access;
mod keyring;
mod refresh;
mod seal;

pub use access::{AccessClaims, Issuer, TokenRefused};
pub use keyring::{Jwk, Jwks, Keyring, Plan, Rotation, SigningKeyRecord, plan};
pub use refresh::{RefreshParseError, RefreshToken, SessionId};
pub use seal::{FileSeal, SealError, SeedSeal};
