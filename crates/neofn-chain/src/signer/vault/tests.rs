//! A vault on its own, without a process around it.

use super::*;
use crate::key::PrivateKey;
use crate::signer::wire::SignRequest;
use crate::signer::{Asked, MethodRule, Purpose};
use crate::tx::{Scope, Signer, Transaction, Witness};
use neofn_types::Digest;
use parking_lot::Mutex;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

struct Hands(Mutex<UnixMillis>);
impl Clock for Hands {
    fn now(&self) -> UnixMillis {
        *self.0.lock()
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}
struct Dice;
impl Entropy for Dice {
    fn fill(&self, buf: &mut [u8]) {
        buf.fill(9);
    }
}
fn hands() -> Arc<Hands> {
    Arc::new(Hands(Mutex::new(UnixMillis(1_000_000_000))))
}
fn open(path: &Path, secret: &str, clock: &Arc<Hands>) -> Result<Vault, VaultError> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    Vault::open(file, secret.as_bytes(), None, clock.clone(), Arc::new(Dice))
}
fn key() -> PrivateKey {
    PrivateKey::from_bytes(&[7; 32]).unwrap()
}
fn wif() -> Import {
    Import::Wif(key().to_wif())
}
fn request(nonce: u32, gas: i64) -> SignRequest {
    let account = key().public().account();
    let transaction = Transaction {
        nonce,
        system_fee: Datoshi(gas),
        network_fee: Datoshi(0),
        valid_until: 10,
        signers: vec![Signer {
            account,
            scope: Scope::CalledByEntry,
        }],
        attributes: vec![],
        script: vec![0x40],
        witnesses: vec![],
    };
    SignRequest {
        transaction: transaction.unsigned_bytes(),
        network: 42,
        account,
        asked: Asked {
            scope: Scope::CalledByEntry,
            fee_max: Datoshi(i64::MAX),
        },
        purpose: Purpose {
            project: "default".parse().unwrap(),
            idempotency: Digest::of(b"x"),
        },
    }
}
fn refusal(result: Result<Witness, Trouble>) -> String {
    match result {
        Err(Trouble::Refused(e)) => e.to_string(),
        Err(Trouble::Broken(e)) => panic!("{e}"),
        Ok(_) => panic!("signed"),
    }
}
fn done<T>(result: Result<T, Trouble>) -> T {
    match result {
        Ok(t) => t,
        Err(Trouble::Refused(e)) => panic!("{e}"),
        Err(Trouble::Broken(e)) => panic!("{e}"),
    }
}

#[test]
fn keys_policies_and_what_was_spent_survive_and_the_key_is_nowhere_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let clock = hands();
    let mut vault = open(&path, "correct horse", &clock).unwrap();
    let policy = SigningPolicy {
        per_day: Datoshi(250),
        per_transaction: Datoshi(100),
        ..SigningPolicy::default()
    };
    done(vault.import(wif(), "main\u{1b}[1m".to_owned(), policy));
    let first = done(vault.sign(&request(1, 100)));
    assert_eq!(
        done(vault.sign(&request(1, 100))),
        first,
        "the same bytes count once"
    );
    assert!(refusal(vault.sign(&request(2, 101))).contains("one transaction may cost"));
    done(vault.sign(&request(3, 100)));
    drop(vault);

    let mut vault = open(&path, "correct horse", &clock).unwrap();
    assert_eq!(vault.accounts()[0].spent, Datoshi(200));
    assert_eq!(vault.accounts()[0].label, "main[1m");
    assert!(refusal(vault.sign(&request(4, 100))).contains("within 24 hours"));
    assert_eq!(done(vault.sign(&request(1, 100))), first, "also after a restart");
    assert_eq!(vault.signatures(1, 10).len(), 1);
    clock.0.lock().0 += DAY_MS + 1;
    done(vault.sign(&request(4, 100)));
    drop(vault);

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&hex::encode([7u8; 32])) && !text.contains(key().to_wif().as_str()));
    assert!(open(&path, "wrong horse", &clock).is_err());
    // a cap cannot be raised with an editor
    std::fs::write(&path, text.replace("\"per_day\":\"250\"", "\"per_day\":\"950\"")).unwrap();
    let error = open(&path, "correct horse", &clock).err().unwrap().to_string();
    assert!(error.contains("was changed"), "{error}");
}

#[test]
fn half_a_line_at_the_end_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let clock = hands();
    let mut vault = open(&path, "correct horse", &clock).unwrap();
    done(vault.import(wif(), String::new(), SigningPolicy::default()));
    drop(vault);
    let whole = std::fs::read(&path).unwrap();
    let lines = whole.split_inclusive(|b| *b == b'\n').map(<[u8]>::len);
    let ends: Vec<usize> = lines
        .scan(0, |at, n| {
            *at += n;
            Some(*at)
        })
        .collect();
    for cut in (0..whole.len()).step_by(37).chain([1, whole.len() - 1]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut vault = open(&path, "correct horse", &clock).unwrap();
        // an account is there with its own policy, or not at all
        for held in vault.accounts() {
            assert_eq!(held.policy, SigningPolicy::default(), "cut at {cut} of {ends:?}");
        }
        done(vault.import(wif(), String::new(), SigningPolicy::default()));
        done(vault.sign(&request(1, 5)));
        drop(vault);
        let mut again = open(&path, "correct horse", &clock).unwrap();
        assert_eq!(again.accounts().len(), 1, "cut at {cut} of {ends:?}");
    }
}

#[test]
fn the_default_gives_no_token_away_but_gas() {
    let directory = tempfile::tempdir().unwrap();
    let clock = hands();
    let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
    done(vault.import(wif(), String::new(), SigningPolicy::default()));
    let account = key().public().account();
    let neo: ScriptHash = "0xef4073a0f2b305a38ec4050e4d3d28bc40ea63f5".parse().unwrap();
    let gas: ScriptHash = "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap();
    let token = ScriptHash([5; 20]);
    let call = |contract: ScriptHash, method: &str| {
        let mut script = crate::script::ScriptBuilder::new();
        let arguments = [
            account.into(),
            token.into(),
            5.into(),
            crate::stack::StackItem::Null,
        ];
        let flags = crate::script::CallFlags::All;
        script.call(contract, method, flags, &arguments).unwrap();
        let mut request = request(1, 10);
        let mut transaction = Transaction::read(&request.transaction).unwrap();
        transaction.script = script.into_bytes();
        request.transaction = transaction.unsigned_bytes();
        request
    };
    for (contract, method) in [
        (neo, "transfer"),
        (neo, "vote"),
        (token, "transfer"),
        (token, "approve"),
    ] {
        let said = refusal(vault.sign(&call(contract, method)));
        assert!(said.contains("can give tokens away"), "{method}: {said}");
    }
    let mut other = call(token, "save");
    done(vault.sign(&other));
    done(vault.sign(&call(gas, "transfer")));
    let mut transaction = Transaction::read(&other.transaction).unwrap();
    transaction.script.push(0x4a);
    other.transaction = transaction.unsigned_bytes();
    assert!(refusal(vault.sign(&other)).contains("more than calls"));

    let listed = Calls::Only(vec![MethodRule {
        contract: neo,
        methods: Some(vec!["transfer".to_owned()]),
    }]);
    let policy = SigningPolicy {
        calls: listed,
        ..SigningPolicy::default()
    };
    done(vault.set_policy(account, policy));
    done(vault.sign(&call(neo, "transfer")));
}

#[test]
fn the_payer_comes_first_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let clock = hands();
    let mut vault = open(&path, "correct horse", &clock).unwrap();
    done(vault.import(wif(), "first".to_owned(), SigningPolicy::default()));
    let second = PrivateKey::from_bytes(&[8; 32]).unwrap();
    let import = Import::Wif(second.to_wif());
    done(vault.import(import, "second".to_owned(), SigningPolicy::default()));
    assert_eq!(vault.accounts()[0].label, "first");
    done(vault.set_payer(second.public().account()));
    assert_eq!(vault.accounts()[0].label, "second");
    drop(vault);
    let mut again = open(&path, "correct horse", &clock).unwrap();
    assert_eq!(again.accounts()[0].label, "second");
    assert!(matches!(
        again.set_payer(ScriptHash([1; 20])),
        Err(Trouble::Refused(SignError::NoAccount(_)))
    ));
}

#[test]
fn calls_scopes_networks_and_amounts_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let clock = hands();
    let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
    let gas: ScriptHash = "0xd2a4cff31913016155e38e474a2c06d08be276cf".parse().unwrap();
    let account = key().public().account();
    let policy = SigningPolicy {
        network: Some(42),
        calls: Calls::Only(vec![MethodRule {
            contract: gas,
            methods: Some(vec!["transfer".to_owned()]),
        }]),
        ..SigningPolicy::default()
    };
    done(vault.import(wif(), String::new(), policy));
    let call = |method: &str, amount: i64| {
        let mut script = vec![0x0b, 0x03];
        script.extend(amount.to_le_bytes());
        script.extend([0x0c, 20]);
        script.extend([1; 20]);
        script.extend([0x0c, 20]);
        script.extend(account.0);
        script.extend([0x14, 0xc0, 0x1f, 0x0c, u8::try_from(method.len()).unwrap()]);
        script.extend(method.as_bytes());
        script.extend([0x0c, 20]);
        script.extend(gas.0);
        script.extend([0x41, 0x62, 0x7d, 0x5b, 0x52]);
        script
    };
    let with = |change: &dyn Fn(&mut Transaction)| {
        let mut request = request(1, 10);
        let mut transaction = Transaction::read(&request.transaction).unwrap();
        transaction.script = call("transfer", 5);
        change(&mut transaction);
        request.transaction = transaction.unsigned_bytes();
        request
    };
    done(vault.sign(&with(&|_| ())));
    assert_eq!(
        vault.signatures(0, 1)[0].spend,
        Datoshi(15),
        "fees and what is given away"
    );
    assert_eq!(
        vault.signatures(0, 1)[0].calls.as_deref(),
        Some(&[format!("{gas}::transfer")][..])
    );
    for (why, bad) in [
        (
            "does not list method \"mint\"",
            with(&|t| t.script = call("mint", 5)),
        ),
        ("more than calls", with(&|t| t.script.push(0x4a))),
        (
            "one transaction may cost",
            with(&|t| t.script = call("transfer", 100_000_000)),
        ),
        (
            "wider than CalledByEntry",
            with(&|t| t.signers[0].scope = Scope::Global),
        ),
        ("does not name the account", with(&|t| t.signers[0].account = gas)),
        (
            "network 42, not 7",
            SignRequest {
                network: 7,
                ..with(&|_| ())
            },
        ),
        ("were asked for", {
            let mut r = with(&|t| t.nonce = 77);
            r.asked.fee_max = Datoshi(9);
            r
        }),
        ("which was asked for", {
            let mut r = with(&|t| t.nonce = 78);
            r.asked.scope = Scope::None;
            r
        }),
    ] {
        let said = refusal(vault.sign(&bad));
        assert!(said.contains(why), "{said:?} instead of {why:?}");
    }
}

#[test]
fn several_keys_sign_in_the_order_of_the_script() {
    let directory = tempfile::tempdir().unwrap();
    let clock = hands();
    let mut vault = open(&directory.path().join("journal"), "correct horse", &clock).unwrap();
    let keys: Vec<PrivateKey> = (1..=3)
        .map(|n| PrivateKey::from_bytes(&[n; 32]).unwrap())
        .collect();
    let public: Vec<PublicKey> = keys.iter().map(PrivateKey::public).collect();
    let script = crate::fee::multisig_script(2, &public).unwrap();
    let account = done(vault.import(
        Import::Script(script.clone()),
        String::new(),
        SigningPolicy::default(),
    ))
    .account;
    let mut request = request(1, 1);
    let mut transaction = Transaction::read(&request.transaction).unwrap();
    transaction.signers[0].account = account;
    request.account = account;
    request.transaction = transaction.unsigned_bytes();
    done(vault.import(
        Import::Wif(keys[0].to_wif()),
        String::new(),
        SigningPolicy::default(),
    ));
    assert!(refusal(vault.sign(&request)).contains("only 1 of its keys"));
    done(vault.import(
        Import::Wif(keys[2].to_wif()),
        String::new(),
        SigningPolicy::default(),
    ));
    let witness = done(vault.sign(&request));
    assert_eq!(
        (witness.invocation.len(), &witness.verification),
        (2 * 66, &script)
    );
}
