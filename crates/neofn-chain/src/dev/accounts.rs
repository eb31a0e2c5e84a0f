//! The accounts of development chains. Everybody knows their keys: they are worth nothing anywhere else.

use neofn_types::ScriptHash;
use std::str::FromStr as _;

/// An account that a development chain funds.
#[derive(Debug, Clone, Copy)]
pub struct DevAccount {
    /// Where it is.
    pub address: &'static str,
    /// Its public key, compressed, in hex.
    pub public_key: &'static str,
    /// Its private key in wallet import format; the whole world has it.
    pub wif: &'static str,
    /// What it holds at the start, in whole GAS.
    pub gas: u32,
    /// What it holds at the start, in NEO.
    pub neo: u32,
    nep2: &'static str,
    script: &'static str,
}
impl DevAccount {
    /// Its script hash.
    #[must_use]
    pub fn script_hash(&self) -> ScriptHash {
        // a constant of ours that a test parses
        ScriptHash::from_str(self.address).unwrap_or(ScriptHash([0; 20]))
    }
}

/// The password of the published wallet file.
pub const DEV_PASSWORD: &str = "neofn";

/// The funded accounts; keys are the hashes of `neofn development account 1` and so on.
pub const DEV_ACCOUNTS: [DevAccount; 3] = [
    DevAccount {
        address: "NdSdkHf91ZtibedUtVVH1of5uokwN7G2hJ",
        public_key: "032fe4f66892401b8e84791eecf0b303dd117b8092f478d8e13cce590283259996",
        wif: "Kx5T8KsRL1VYmEZe7ZRmu44K3CZ9oizFRH7Bo8mvCZnmaVc4QtgM",
        gas: 1_000_000,
        neo: 100_000,
        nep2: "6PYKUvp6w3Fv2t4pLhsxWEwLR63fZabqKdMsDtB5sqQ4jYQaPMp1Rubzuj",
        script: "DCEDL+T2aJJAG46EeR7s8LMD3RF7gJL0eNjhPM5ZAoMlmZZBVuezJw==",
    },
    DevAccount {
        address: "NbgrjPmpvCPo6pYCMn52LdAX2kVffgMceW",
        public_key: "03cff96997959692b2f354cfe8284d5c14f2bb7d774845ebde7996b4e8558b4165",
        wif: "Kx9ScqhQb4mst5wyEwbuynorkokc9qnG2mhAmJLBW9UESbQ3kxXY",
        gas: 1_000_000,
        neo: 100_000,
        nep2: "6PYKnjV66duFrURpCotCoCsFt3pEx7ZrnudSngwhTJXv1KFoRLUXMLsU9B",
        script: "DCEDz/lpl5WWkrLzVM/oKE1cFPK7fXdIReveeZa06FWLQWVBVuezJw==",
    },
    DevAccount {
        address: "NdkZLF1zQBPt7qoWanSqMh4nGfyAzv8DGe",
        public_key: "037086fc67e36e05e30dcc561448dc01f8973e4f995e17abeea2accf5076ee5b5c",
        wif: "L1L3goLeSQ82BJzDoTZDqvw5fN6kb6tERdbWZgSRbHAWqME6z8Hi",
        gas: 1_000_000,
        neo: 100_000,
        nep2: "6PYWV9KY8QMMjGrCitBbvYGqswdVt7L5RyReJhusC4rSsVU8RKxWdLj6Xk",
        script: "DCEDcIb8Z+NuBeMNzFYUSNwB+Jc+T5leF6vuoqzPUHbuW1xBVuezJw==",
    },
];

/// Makes the blocks, and owns all tokens at the start: the hash of `neofn development validator`.
pub(super) const VALIDATOR_KEY: &str = "03164c7b77815f94c599a7f4f82dbc6e42e0c0a1ef70b35eb34aeeabab0707efc3";
pub(super) const VALIDATOR_MULTISIG: &str = "NhnuR1QsE9qFGWLx9AHnDb3ZcHog4XSsFm";
const VALIDATOR_ADDRESS: &str = "NNocTnve2KFzLg2S35i8RMrwCZsZh3F9Ss";
const VALIDATOR_NEP2: &str = "6PYX64ksS5eQfN151hus16QkjWn2ui7SNFDY5d6vCAibJuEV7khvYKCTj5";

fn account(label: &str, address: &str, nep2: &str, script: &str, default: bool) -> serde_json::Value {
    serde_json::json!({
        "address": address, "key": nep2, "label": label, "isDefault": default, "lock": false, "extra": null,
        "contract": {"script": script, "deployed": false,
            "parameters": [{"name": "signature", "type": "Signature"}]},
    })
}
fn wallet(name: &str, scrypt: [u32; 3], accounts: &[serde_json::Value]) -> String {
    let [n, r, p] = scrypt;
    let document = serde_json::json!({
        "name": name, "version": "1.0", "scrypt": {"n": n, "r": r, "p": p}, "accounts": accounts, "extra": null,
    });
    format!("{document:#}\n")
}

/// The wallet file that users open (NEP-6), its keys encrypted with the standard's own parameters.
pub(super) fn published_wallet() -> String {
    let accounts: Vec<_> = DEV_ACCOUNTS
        .iter()
        .zip(1..)
        .map(|(a, n)| {
            account(
                &format!("DEVELOPMENT ONLY {n}"),
                a.address,
                a.nep2,
                a.script,
                n == 1,
            )
        })
        .collect();
    wallet(
        "neofn development, keys known to everybody",
        [16_384, 8, 8],
        &accounts,
    )
}
/// The wallet file of the node: both forms of the one validator. Quick to open, since there is nothing to protect.
pub(super) fn validator_wallet() -> String {
    let multisig = "EQwhAxZMe3eBX5TFmaf0+C28bkLgwKHvcLNes0ruq6sHB+/DEUGe0Nw6";
    let single = "DCEDFkx7d4FflMWZp/T4LbxuQuDAoe9ws16zSu6rqwcH78NBVuezJw==";
    wallet(
        "validator",
        [2, 1, 1],
        &[
            account("validator", VALIDATOR_MULTISIG, VALIDATOR_NEP2, multisig, true),
            account("key", VALIDATOR_ADDRESS, VALIDATOR_NEP2, single, false),
        ],
    )
}
