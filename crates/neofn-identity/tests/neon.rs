//! Signatures that neon-js makes, in the layout of every wallet: each signs in, once, here, now, for its own account.
//!
//! Needs node and the neon-js that `make setup` puts into the cache.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use neofn_identity::challenge::ChallengeRecord;
use neofn_identity::sign_in::{Asked, Domainless, Proof, Signed};
use neofn_identity::{Identity, Principal, SignInSettings};
use neofn_types::{Code, ScriptHash};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{NOW, World, settings};

const LAYOUTS: [&str; 7] = [
    "classic",
    "without-salt",
    "ledger",
    "plain",
    "nep20-onegate",
    "nep20-neon-dapi",
    "nep20-neoline",
];

fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("NEOFN_CACHE_DIR")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("neofn")))
        .unwrap_or_else(|| from("HOME").unwrap().join(".cache/neofn"))
        .join("tools/neon-js-5.7.0")
}

fn neon(challenge: &ChallengeRecord, domain: &str, network: u32, keys: &[u8]) -> Value {
    let neon = cache();
    assert!(
        neon.join("node_modules").is_dir(),
        "{}: run `make setup`",
        neon.display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/neon/sign.cjs");
    let mut node = Command::new("node")
        .arg(script)
        .arg(neon)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let keys: Vec<String> = keys.iter().map(|n| hex::encode([*n; 32])).collect();
    let input = json!({
        "keys": keys, "message": challenge.message(), "salt": "000102030405060708090a0b0c0d0e0f",
        "domain": domain, "network": network, "nonce": challenge.nonce.to_string(),
        "timestamp": NOW / 1_000, "needed": 2,
    });
    node.stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn signed(value: &Value) -> Signed {
    let bytes = |name: &str| hex::decode(value[name].as_str().unwrap()).unwrap();
    Signed {
        public_key: bytes("pubkey").try_into().unwrap(),
        signature: bytes("signature").try_into().unwrap(),
        asked: match value["timestamp"].as_u64() {
            Some(seconds) => Asked::Nep20 {
                timestamp: u32::try_from(seconds).unwrap(),
            },
            None => Asked::Message {
                salt: value["salt"].as_str().map(str::to_owned),
            },
        },
    }
}

async fn try_in(
    identity: &Identity,
    challenge: &ChallengeRecord,
    account: ScriptHash,
    signed: &Signed,
) -> Result<String, Code> {
    let proof = Proof::Key(signed.clone());
    let tokens = identity
        .login(challenge.nonce, account, &proof, None)
        .await
        .map_err(|e| e.code)?;
    let who = identity.principal(&tokens.access).await.unwrap();
    assert_eq!(who.account(), Some(account));
    Ok(tokens.session.format)
}

#[tokio::test]
async fn each_layout_signs_in_once() {
    // that of NeoLine's NEP-20 where an operator takes it alone
    let lenient = SignInSettings {
        domainless: Domainless::Accept,
        ..settings()
    };
    let world = World::with(lenient, None).await;
    let account = support::key(1).public().account();
    for layout in LAYOUTS {
        let challenge = world.identity.challenge(account).await.unwrap();
        let made = neon(&challenge, "neofn.example", 42, &[1, 2, 3]);
        assert_eq!(made["address"], account.to_address());
        let signed = signed(&made["layouts"][layout]);
        // somebody else first: neither with this signature, nor with this challenge
        let other = support::key(2).public().account();
        assert_eq!(
            try_in(&world.identity, &challenge, other, &signed).await,
            Err(Code::SignInRefused)
        );
        let another = world.identity.challenge(account).await.unwrap();
        assert_eq!(
            try_in(&world.identity, &another, account, &signed).await,
            Err(Code::SignInRefused),
            "{layout}: another nonce"
        );
        assert_eq!(
            try_in(&world.identity, &challenge, account, &signed).await,
            Ok(layout.to_owned())
        );
        assert_eq!(
            try_in(&world.identity, &challenge, account, &signed).await,
            Err(Code::ChallengeGone),
            "{layout}: replayed"
        );
    }
}

#[tokio::test]
async fn no_layout_signs_in_late_or_from_elsewhere() {
    let world = World::new().await;
    let account = support::key(1).public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    // another site shows its own text, and its wallet writes its own domain; another network likewise
    let evil = ChallengeRecord {
        domain: "evil.example".parse().unwrap(),
        ..challenge.clone()
    };
    let mainnet = ChallengeRecord {
        network: 860_833_102,
        ..challenge.clone()
    };
    let foreign = neon(&evil, "evil.example", 42, &[1, 2, 3]);
    let network = neon(&mainnet, "neofn.example", 860_833_102, &[1, 2, 3]);
    for layout in LAYOUTS {
        for (made, what) in [(&foreign, "domain"), (&network, "network")] {
            assert_eq!(
                try_in(
                    &world.identity,
                    &challenge,
                    account,
                    &signed(&made["layouts"][layout])
                )
                .await,
                Err(Code::SignInRefused),
                "{layout}: {what}"
            );
        }
    }
    let made = neon(&challenge, "neofn.example", 42, &[1, 2, 3]);
    world.pass(300_000);
    for layout in LAYOUTS {
        assert_eq!(
            try_in(
                &world.identity,
                &challenge,
                account,
                &signed(&made["layouts"][layout])
            )
            .await,
            Err(Code::ChallengeGone),
            "{layout}: late"
        );
    }
    // a layout without a domain could be another site's, whatever is in it
    let world = World::new().await;
    let challenge = world.identity.challenge(account).await.unwrap();
    let made = neon(&challenge, "neofn.example", 42, &[1, 2, 3]);
    let strict = async |layout: &str| {
        try_in(
            &world.identity,
            &challenge,
            account,
            &signed(&made["layouts"][layout]),
        )
        .await
    };
    assert_eq!(strict("nep20-neoline").await, Err(Code::SignInRefused));
    assert_eq!(strict("nep20-onegate").await, Ok("nep20-onegate".to_owned()));
}

#[tokio::test]
async fn an_account_of_several_keys_signs_in_with_enough_of_them() {
    let world = World::new().await;
    // the address comes first: it is in the text that is signed
    let entropy = support::Seeded(1.into());
    let ttl = std::time::Duration::from_secs(300);
    let blank = ChallengeRecord::new(
        ScriptHash([0; 20]),
        (&settings().domain, 42),
        (neofn_types::UnixMillis(NOW), ttl),
        &entropy,
    );
    let account: ScriptHash = neon(&blank, "neofn.example", 42, &[1, 2, 3])["several"]["address"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let challenge = world.identity.challenge(account).await.unwrap();
    let several = neon(&challenge, "neofn.example", 42, &[1, 2, 3])["several"].take();
    let login = async |of: &[usize]| {
        let proof = Proof::Keys {
            script: hex::decode(several["script"].as_str().unwrap()).unwrap(),
            signed: of.iter().map(|n| signed(&several["signed"][*n])).collect(),
        };
        world.identity.login(challenge.nonce, account, &proof, None).await
    };
    assert_eq!(login(&[0]).await.unwrap_err().code, Code::SignInRefused);
    let tokens = login(&[0, 2]).await.unwrap();
    let who = world.identity.principal(&tokens.access).await.unwrap();
    assert_ne!(who, Principal::Anonymous);
    assert_eq!(login(&[0, 2]).await.unwrap_err().code, Code::ChallengeGone);
}
