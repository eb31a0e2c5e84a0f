//! Landlock with no rules at all: every file, every TCP port, abstract sockets and signals to others are denied.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};

/// Denies what this kernel's Landlock can deny. False when the kernel has none.
pub(crate) fn deny_all() -> Result<bool, RulesetError> {
    // Best effort by version: the file rights exist since the first; what later ones add, the filter denies as well.
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V7))?
        .handle_access(AccessNet::from_all(ABI::V7))?
        .scope(Scope::from_all(ABI::V7))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// The version of Landlock in this kernel; 0 for none. Changes nothing.
pub(crate) fn abi() -> i64 {
    const CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no pointer and only answers a number.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            CREATE_RULESET_VERSION,
        )
    };
    abi.max(0)
}
