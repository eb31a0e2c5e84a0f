//! The native contracts of Neo N3: their names, hashes and events. They are the same on every network.

use crate::filter::{Parameter, ParameterType};
use neofn_types::ScriptHash;

use ParameterType::{Array, Boolean, Hash160, Hash256, Integer, PublicKey, String as Text};

struct Native {
    /// The first name is the contract's own; others are what people call it.
    names: &'static [&'static str],
    /// As displayed, without `0x`.
    hash: &'static str,
    events: &'static [(&'static str, &'static [(&'static str, ParameterType)])],
}

/// Parameters of a NEP-17 transfer.
const TRANSFER: (&str, &[(&str, ParameterType)]) = (
    "Transfer",
    &[("from", Hash160), ("to", Hash160), ("amount", Integer)],
);

/// Hashes and events as a node of Neo N3 gives them in `getnativecontracts`.
const NATIVES: [Native; 9] = [
    Native {
        names: &["GasToken", "GAS"],
        hash: "d2a4cff31913016155e38e474a2c06d08be276cf",
        events: &[TRANSFER],
    },
    Native {
        names: &["NeoToken", "NEO"],
        hash: "ef4073a0f2b305a38ec4050e4d3d28bc40ea63f5",
        events: &[
            TRANSFER,
            (
                "CandidateStateChanged",
                &[("pubkey", PublicKey), ("registered", Boolean), ("votes", Integer)],
            ),
            (
                "Vote",
                &[
                    ("account", Hash160),
                    ("from", PublicKey),
                    ("to", PublicKey),
                    ("amount", Integer),
                ],
            ),
            ("CommitteeChanged", &[("old", Array), ("new", Array)]),
        ],
    },
    Native {
        names: &["ContractManagement"],
        hash: "fffdc93764dbaddd97c48f252a53ea4643faa3fd",
        events: &[
            ("Deploy", &[("Hash", Hash160)]),
            ("Update", &[("Hash", Hash160)]),
            ("Destroy", &[("Hash", Hash160)]),
        ],
    },
    Native {
        names: &["StdLib"],
        hash: "acce6fd80d44e1796aa0c2c625e9e4e0ce39efc0",
        events: &[],
    },
    Native {
        names: &["CryptoLib"],
        hash: "726cb6e0cd8628a1350a611384688911ab75f51b",
        events: &[],
    },
    Native {
        names: &["LedgerContract"],
        hash: "da65b600f7124ce6c79950c1772a36403104f2be",
        events: &[],
    },
    Native {
        names: &["PolicyContract"],
        hash: "cc5e4edd9f5f8dba8bb65734541df7a1c081c67b",
        events: &[],
    },
    Native {
        names: &["RoleManagement"],
        hash: "49cf4e5378ffcd4dec034fd98a174c5491e395e2",
        events: &[(
            "Designation",
            &[
                ("Role", Integer),
                ("BlockIndex", Integer),
                ("Old", Array),
                ("New", Array),
            ],
        )],
    },
    Native {
        names: &["OracleContract"],
        hash: "fe924b7cfe89ddd271abaf7210a80a7e11178758",
        events: &[
            (
                "OracleRequest",
                &[
                    ("Id", Integer),
                    ("RequestContract", Hash160),
                    ("Url", Text),
                    ("Filter", Text),
                ],
            ),
            ("OracleResponse", &[("Id", Integer), ("OriginalTx", Hash256)]),
        ],
    },
];

/// The native contract that is called `name`, in any case: `GAS`, `gastoken`.
#[must_use]
pub fn contract(name: &str) -> Option<ScriptHash> {
    NATIVES
        .iter()
        .find(|n| n.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .and_then(|n| n.hash.parse().ok())
}

/// The short name of a native contract: `GAS`.
#[must_use]
pub fn name(contract: ScriptHash) -> Option<&'static str> {
    let hash = contract.to_string();
    NATIVES
        .iter()
        .find(|n| hash.ends_with(n.hash))
        .and_then(|n| n.names.last().copied())
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    NATIVES.iter().flat_map(|n| n.names.iter().copied())
}

/// The parameters of a native contract's event; `None` for other contracts and for events added since.
#[must_use]
pub fn event(contract: ScriptHash, event: &str) -> Option<Vec<Parameter>> {
    let hash = contract.to_string();
    let native = NATIVES.iter().find(|n| hash.ends_with(n.hash))?;
    let (_, parameters) = native.events.iter().find(|(name, _)| *name == event)?;
    Some(
        parameters
            .iter()
            .map(|(name, ty)| Parameter {
                name: (*name).to_owned(),
                ty: *ty,
            })
            .collect(),
    )
}
