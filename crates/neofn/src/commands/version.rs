//! `neofn --version`.

/// The version of the binary.
#[must_use]
pub fn long() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
