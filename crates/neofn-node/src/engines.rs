//! Which engines this binary carries. Versions record them, and run on no others.

use neofn_types::{Digest, RuntimeKind};

/// Each runtime and the identity of its engine, the same in every build from the same sources.
#[must_use]
pub fn engine_identities() -> [(RuntimeKind, Digest); 2] {
    [
        (RuntimeKind::Js, neofn_runtime::sandbox::artefact::identity()),
        (RuntimeKind::Wasm, neofn_runtime::sandbox::wasm_module::identity()),
    ]
}
