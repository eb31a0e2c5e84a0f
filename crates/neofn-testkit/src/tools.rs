//! What `make setup` installed for tests.

use std::path::PathBuf;

/// A directory of tools; says what to do when it is missing.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = var("NEOFN_CACHE_DIR")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("neofn")))
        .or_else(|| Some(var("HOME")?.join(".cache/neofn")))
        .expect("a home directory");
    let found = cache.join("tools").join(name);
    assert!(found.exists(), "{} is missing: make setup", found.display());
    found
}
