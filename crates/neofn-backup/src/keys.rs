//! Key pairs for backups.

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use zeroize::Zeroizing;

/// A new key pair: the identity as text, to be kept away from the node, and the recipient that backups are made for.
#[must_use]
pub fn generate() -> (Zeroizing<String>, String) {
    let identity = Identity::generate();
    let secret = Zeroizing::new(identity.to_string().expose_secret().to_owned());
    (secret, identity.to_public().to_string())
}
