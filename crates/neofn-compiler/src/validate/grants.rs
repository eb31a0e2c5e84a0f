//! Grants that nobody uses. The opposite, use without a grant, is found at its place by the visitor.

use neofn_types::{Code, Diagnostic, Grants, Severity};

/// A warning for each grant whose service no file mentions.
pub(crate) fn unused_grants(grants: &Grants, mentions_kv: bool) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if grants.kv && !mentions_kv {
        let message = "`kv` is granted, but no file mentions `kv`".to_owned();
        let hint = "Remove `kv = true` from `allow`: what is not granted cannot be abused.";
        found.push(super::placeless(
            Code::UnusedGrant,
            Severity::Warning,
            "",
            message,
            hint,
        ));
    }
    found
}
