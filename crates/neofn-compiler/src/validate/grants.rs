//! Grants that nobody uses. The opposite, use without a grant, is found at its place by the visitor.

use neofn_types::{Code, Diagnostic, Grants, Severity};

/// What of the services files mention by name.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mentions {
    pub(crate) kv: bool,
    pub(crate) neo: bool,
    /// `fetch`, the global or the context's.
    pub(crate) fetch: bool,
    pub(crate) secrets: bool,
    /// `.invoke` of something else than the context: `ctx.neo.invoke`, or that of a contract.
    pub(crate) sends: bool,
}

impl Mentions {
    pub(crate) fn add(&mut self, other: Self) {
        self.kv |= other.kv;
        self.neo |= other.neo;
        self.fetch |= other.fetch;
        self.secrets |= other.secrets;
        self.sends |= other.sends;
    }
}

/// A warning for each grant whose service no file mentions.
pub(crate) fn unused_grants(grants: &Grants, mentions: Mentions) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warn = |message: &str, hint: &str| {
        found.push(super::placeless(
            Code::UnusedGrant,
            Severity::Warning,
            "",
            message.to_owned(),
            hint,
        ));
    };
    if grants.kv && !mentions.kv {
        warn(
            "`kv` is granted, but no file mentions `kv`",
            "Remove `kv = true` from `allow`: what is not granted cannot be abused.",
        );
    }
    if !grants.net.is_empty() && !mentions.fetch {
        warn(
            "`net` is granted, but no file mentions `fetch`",
            "Remove `net` from `allow`: what is not granted cannot be abused.",
        );
    }
    // a handle can be written without asking for it
    if !grants.secrets.is_empty() && !mentions.secrets && !mentions.fetch {
        warn(
            "`secrets` is granted, but no file mentions `secrets` or `fetch`",
            "Remove `secrets` from `allow`: what is not granted cannot be abused.",
        );
    }
    if grants.chain.reads() && !mentions.neo {
        warn(
            "`chain` is granted, but no file mentions `neo`",
            "Remove `chain` from `allow`: what is not granted cannot be abused.",
        );
    } else if grants.chain.writes().is_some() && !mentions.sends {
        warn(
            "`chain` is granted with `write`, but no file calls `invoke` of `ctx.neo` or of a contract",
            "Write `chain = \"read\"` in `allow`: what is not granted cannot be abused.",
        );
    }
    found
}
