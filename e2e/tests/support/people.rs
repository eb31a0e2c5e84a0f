//! People who sign in: signatures are made by neon-js, nothing of ours signs.
//!
//! Needs node and the neon-js that `make setup` puts into the cache.

use neofn_testkit::{Http, NodeProcess};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Neo N3's main network: what wallets sign for on a node that follows no chain.
pub const NETWORK: u32 = 860_833_102;
pub const SALT: &str = "000102030405060708090a0b0c0d0e0f";

/// A private key for each number.
pub fn key(n: u8) -> String {
    hex::encode([n; 32])
}

fn neon_js() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let dir = from("NEOFN_CACHE_DIR")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("neofn")))
        .unwrap_or_else(|| from("HOME").unwrap().join(".cache/neofn"))
        .join("tools/neon-js-5.7.0");
    assert!(
        dir.join("node_modules").is_dir(),
        "{}: run `make setup`",
        dir.display()
    );
    dir
}

fn run(script: &Path, input: &Value) -> Value {
    let mut node = Command::new("node")
        .arg(script)
        .arg(neon_js())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = node.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The script that signs in every wallet's layout.
pub fn sign(input: &Value) -> Value {
    run(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/neofn-identity/tests/neon/sign.cjs"),
        input,
    )
}

/// A NEP-6 wallet with one key, as neon-js writes it.
pub fn wallet(n: u8, password: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wallet.cjs");
    run(&script, &json!({"key": key(n), "password": password}))
}

/// The seconds that a clock on the wall shows.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a wallet is asked to sign.
pub struct Ask {
    pub key: u8,
    pub message: String,
    pub domain: String,
    pub network: u32,
    pub nonce: String,
    pub timestamp: u64,
}

impl Ask {
    /// As a node's challenge wants it, now.
    pub fn of(challenge: &Value, n: u8) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            key: n,
            message: text(&challenge["message"]),
            domain: text(&challenge["nep20"]["domain"]),
            network: u32::try_from(challenge["nep20"]["networks"][0].as_u64().unwrap()).unwrap(),
            nonce: text(&challenge["nonce"]),
            timestamp: now_s(),
        }
    }
    /// The signatures by layout, and the address that signed.
    pub fn signed(&self) -> Value {
        sign(&json!({
            "keys": [key(self.key)], "message": self.message, "salt": SALT, "domain": self.domain,
            "network": self.network, "nonce": self.nonce, "timestamp": self.timestamp, "needed": 1,
        }))
    }
}

/// The body of a login with a signature in a layout.
pub fn login_body(address: &str, nonce: &Value, layout: &Value) -> Value {
    let mut body = layout.clone();
    body["address"] = json!(address);
    body["nonce"] = nonce.clone();
    body
}

/// Somebody with a wallet.
pub struct Person {
    pub address: String,
    pub tokens: Value,
    pub http: Http,
}

/// The address of a key.
pub fn address(n: u8) -> String {
    let any = sign(&json!({
        "keys": [key(n)], "message": "m", "salt": SALT, "domain": "d", "network": 1, "nonce": "1",
        "timestamp": 1, "needed": 1,
    }));
    any["address"].as_str().unwrap().to_owned()
}

impl Person {
    /// Signs in.
    pub fn sign_in(node: &NodeProcess, n: u8) -> Self {
        let address = address(n);
        let open = node.anonymous();
        let challenge = open
            .post("/auth/challenge", &json!({"address": address}))
            .expect(200)
            .json();
        let signed = Ask::of(&challenge, n).signed();
        let body = login_body(&address, &challenge["nonce"], &signed["layouts"]["classic"]);
        let tokens = open.post("/auth/login", &body).expect(200).json();
        let access = tokens["access_token"].as_str().unwrap();
        Self {
            http: Http::new(node.url(), Some(access)),
            address,
            tokens,
        }
    }
}
