//! Addresses, script hashes, scripts, transaction ids and signatures are those of neon-js and of the node's own CLI.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop loudly and wait for the real world"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use neofn_chain::fee::multisig_script;
use neofn_chain::key::{PrivateKey, PublicKey};
use neofn_chain::script::{CallFlags, ScriptBuilder};
use neofn_chain::stack::StackItem;
use neofn_chain::tx::{Scope, Signer, Transaction, script_hash};
use neofn_chain::wallet::{ScryptParameters, nep2};
use neofn_testkit::{Neo, neo::neogo};
use neofn_types::{Datoshi, ScriptHash, parse_contract};
use num_bigint::BigInt;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// `scripts/setup.sh` brings it.
const NEON: &str = "neon-js-5.7.0";
const QUICK: ScryptParameters = ScryptParameters { n: 256, r: 1, p: 1 };

fn key(n: u32) -> PrivateKey {
    PrivateKey::from_bytes(&Sha256::digest(format!("agreement {n}"))).unwrap()
}
fn keys() -> Vec<PrivateKey> {
    (0..16).map(key).collect()
}
fn gas() -> ScriptHash {
    parse_contract("GAS").unwrap()
}

/// Accounts of several keys: how many are needed, and whose.
fn accounts() -> Vec<(usize, Vec<PublicKey>)> {
    let public: Vec<PublicKey> = keys().iter().map(PrivateKey::public).collect();
    [(1, 1), (1, 2), (2, 2), (2, 3), (3, 4), (5, 7), (11, 16)]
        .map(|(m, n)| (m, public[..n].to_vec()))
        .to_vec()
}

/// Each kind of scope, and amounts at the edges of what instructions hold.
fn transactions() -> Vec<(PrivateKey, Transaction, String)> {
    let amounts = [
        "-1",
        "0",
        "1",
        "16",
        "17",
        "127",
        "128",
        "255",
        "256",
        "32767",
        "32768",
        "65535",
        "2147483647",
        "2147483648",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "170141183460469231731687303715884105727",
        "-170141183460469231731687303715884105728",
    ];
    let scopes = [
        Scope::None,
        Scope::CalledByEntry,
        Scope::Contracts(vec![gas(), ScriptHash([7; 20])]),
        Scope::Global,
    ];
    let table = amounts.into_iter().zip(0u32..).map(|(amount, n)| {
        let payer = key(n % 16);
        let [from, to] = [payer.public().account(), key(n + 1).public().account()];
        let arguments = [
            from.into(),
            to.into(),
            StackItem::Integer(amount.parse::<BigInt>().unwrap()),
            StackItem::Null,
        ];
        let mut script = ScriptBuilder::new();
        script
            .call(gas(), "transfer", CallFlags::All, &arguments)
            .unwrap();
        let mut signers = vec![Signer {
            account: from,
            scope: scopes[usize::try_from(n).unwrap() % scopes.len()].clone(),
        }];
        if n % 3 == 0 {
            let scope = Scope::CalledByEntry;
            signers.push(Signer { account: to, scope });
        }
        let transaction = Transaction {
            nonce: n.wrapping_mul(0x9e37_79b9),
            system_fee: Datoshi(997_775 * i64::from(n)),
            network_fee: Datoshi(122_952 + (i64::from(n) << 33)),
            valid_until: 1_000 + n,
            signers,
            attributes: Vec::new(),
            script: script.into_bytes(),
            witnesses: Vec::new(),
        };
        (payer, transaction, amount.to_owned())
    });
    table.collect()
}

const NETWORK: u32 = 860_833_102;

fn neon(cases: &Value) -> Value {
    let place = neogo().parent().unwrap().join(NEON);
    assert!(place.is_dir(), "{} is missing: make setup", place.display());
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/agreement/neon.mjs");
    let mut child = Command::new("node")
        .args([script, place])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(cases.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn neon_js_says_the_same() {
    let sealed = |k: &PrivateKey| nep2::seal(k, "pässword", QUICK).unwrap();
    let cases = json!({
        "keys": keys().iter().map(|k| json!({"private_key": hex::encode(*k.to_bytes()), "nep2": sealed(k)})).collect::<Vec<_>>(),
        "accounts": accounts().iter().map(|(needed, public)| json!({
            "needed": needed, "public_keys": public.iter().map(|p| hex::encode(p.to_bytes())).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "transactions": transactions().iter().map(|(payer, t, amount)| json!({
            "contract": bare(gas()), "from": t.signers[0].account.to_address(),
            "to": key(t.valid_until - 1_000 + 1).public().account().to_address(), "amount": amount, "nonce": t.nonce,
            "system_fee": t.system_fee.0, "network_fee": t.network_fee.0, "valid_until": t.valid_until, "network": NETWORK,
            "signers": t.signers.iter().map(signer).collect::<Vec<_>>(),
            "private_key": hex::encode(*payer.to_bytes()),
            "signature": hex::encode(payer.sign(&t.message(NETWORK))),
        })).collect::<Vec<_>>(),
    });
    let said = neon(&cases);
    for (key, said) in keys().iter().zip(said["keys"].as_array().unwrap()) {
        let public = key.public();
        let ours = json!({
            "wif": *key.to_wif(), "public_key": hex::encode(public.to_bytes()), "script_hash": public.account(),
            "address": public.account().to_address(), "verification": hex::encode(public.verification_script()),
            "opened": *key.to_wif(), "sealed": nep2::seal(key, "pässword", QUICK).unwrap(),
        });
        assert_eq!(ours, *said);
        let opened = nep2::open(said["sealed"].as_str().unwrap(), "pässword", QUICK).unwrap();
        assert_eq!(opened.public(), public);
    }
    for ((needed, public), said) in accounts().iter().zip(said["accounts"].as_array().unwrap()) {
        let script = multisig_script(*needed, public).unwrap();
        let hash = script_hash(&script);
        let ours =
            json!({"verification": hex::encode(&script), "script_hash": hash, "address": hash.to_address()});
        assert_eq!(ours, *said, "{needed} of {}", public.len());
    }
    let told = said["transactions"].as_array().unwrap();
    assert_eq!(told.len(), transactions().len());
    for ((payer, transaction, amount), said) in transactions().iter().zip(told) {
        let message = transaction.message(NETWORK);
        let ours = json!({
            "script": hex::encode(&transaction.script), "unsigned": hex::encode(transaction.unsigned_bytes()),
            "hash": transaction.hash(), "signature": said["signature"], "verified": true,
        });
        assert_eq!(ours, *said, "{amount}");
        let signature: [u8; 64] = hex::decode(said["signature"].as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap();
        assert!(payer.public().verifies(&message, &signature), "{amount}");
    }
}

/// In the order in which people read it, without `0x`.
fn bare(hash: ScriptHash) -> String {
    hash.to_string().trim_start_matches("0x").to_owned()
}
fn signer(signer: &Signer) -> Value {
    let contracts = match &signer.scope {
        Scope::Contracts(contracts) => contracts.iter().map(|c| bare(*c)).collect(),
        _ => Vec::new(),
    };
    json!({"account": bare(signer.account), "scopes": signer.scope.to_string(), "allowedContracts": contracts})
}

#[test]
fn the_nodes_own_command_line_says_the_same() {
    for key in keys() {
        let account = key.public().account();
        let output = Command::new(neogo())
            .args(["util", "convert", &account.to_address()])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&bare(account)), "{account}: {said}");
        assert!(said.contains(&hex::encode(account.0)), "{account}: {said}");
    }
}

/// Transactions that the CLI made and signed, read and made again.
#[test]
fn transactions_of_the_nodes_own_command_line_are_ours() {
    let neo = Neo::start();
    let network = u32::try_from(
        neo.call("getversion", json!([]))["protocol"]["network"]
            .as_u64()
            .unwrap(),
    )
    .unwrap();
    let mut seen = 0;
    for (account, amount) in neo.accounts().iter().zip(["1", "0.00000001", "123.456"]) {
        let hash = neo.transfer(account, &key(1).public().account().to_address(), "GAS", amount);
        let raw = neo.call("getrawtransaction", json!([hash]));
        let raw = BASE64.decode(raw.as_str().unwrap()).unwrap();
        let transaction = Transaction::read(&raw).unwrap();
        assert_eq!(
            (transaction.hash().to_string(), transaction.to_bytes()),
            (hash, raw)
        );
        let key = PrivateKey::from_wif(account.wif).unwrap();
        assert_eq!(transaction.sender(), Some(key.public().account()));
        assert_eq!(key.public().account().to_address(), account.address);
        let witness = &transaction.witnesses[0];
        assert_eq!(witness.verification, key.public().verification_script());
        let message = transaction.message(network);
        let signature: [u8; 64] = witness.invocation[2..].try_into().unwrap();
        assert!(key.public().verifies(&message, &signature));
        // signatures are made without chance, so both are the same bytes
        assert_eq!(key.witness(&message), *witness);
        let arguments = [
            key.public().account().into(),
            self::key(1).public().account().into(),
            StackItem::Integer(amount.parse::<Datoshi>().unwrap().0.into()),
            StackItem::Null,
        ];
        let mut script = ScriptBuilder::new();
        script
            .call(gas(), "transfer", CallFlags::All, &arguments)
            .unwrap();
        let mut script = script.into_bytes();
        // the CLI asserts the result
        script.push(0x39);
        assert_eq!(transaction.script, script);
        seen += 1;
    }
    assert_eq!(seen, 3);
}
