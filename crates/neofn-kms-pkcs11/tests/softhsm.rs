//! The port against SoftHSM: what is wrapped opens again for the same key and context and for nothing else, what is not set up
//! right is refused with the cure, and a token that goes away is used again when it is back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use neofn_kms_pkcs11::Pkcs11Root;
use neofn_secrets::Key;
use neofn_secrets::port::{KeyWrap as _, WrapError};
use neofn_testkit::{TOKEN_PIN, pin_file, softhsm, with_tokens};
use neofn_types::{Code, Entropy, Error};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nonces that are never the same.
struct Count(AtomicU64);
impl Entropy for Count {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            byte.copy_from_slice(&n[..byte.len()]);
        }
    }
}

/// Runs `test` in a process that has tokens of its own.
fn on_tokens(name: &str, test: impl AsyncFnOnce(&Path)) {
    with_tokens(name, |dir| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test(dir));
    });
}

/// Makes an AES key on the token `vault`.
fn make_key(label: &str, id: u8, extractable: bool) {
    let context = Pkcs11::new(softhsm()).unwrap();
    context.initialize(CInitializeArgs::OsThreads).unwrap();
    let slots = context.get_slots_with_initialized_token().unwrap();
    let is_vault = |slot: &cryptoki::slot::Slot| context.get_token_info(*slot).unwrap().label() == "vault";
    let session = context
        .open_rw_session(slots.into_iter().find(is_vault).unwrap())
        .unwrap();
    session
        .login(UserType::User, Some(&AuthPin::new(TOKEN_PIN.to_owned())))
        .unwrap();
    let like = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(!extractable),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(vec![id]),
    ];
    let _ = session.generate_key(&Mechanism::AesKeyGen, &like).unwrap();
}

fn root(key: &str, module: &Path, pin: &Path) -> Pkcs11Root {
    let uri = format!(
        "pkcs11:{key}?module-path={}&pin-source=file:{}",
        module.display(),
        pin.display()
    );
    Pkcs11Root::new(uri.parse().unwrap(), Arc::new(Count(AtomicU64::new(1)))).unwrap()
}
fn wrong<T: std::fmt::Debug>(result: Result<T, WrapError>) {
    assert!(matches!(result, Err(WrapError::Wrong)), "{result:?}");
}
fn refused<T: std::fmt::Debug>(result: Result<T, WrapError>) -> Error {
    match result {
        Err(WrapError::Refused(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_wrapped_opens_for_the_same_key_and_context_alone() {
    on_tokens(
        "what_is_wrapped_opens_for_the_same_key_and_context_alone",
        async |dir| {
            make_key("root", 1, false);
            make_key("other", 2, false);
            let pin = pin_file(dir, "pin", TOKEN_PIN, 0o600);
            let on = |key: &str| root(key, &softhsm(), &pin);
            let (first, again, other) = (
                on("token=vault;object=root"),
                on("token=vault;id=%01;type=secret-key"),
                on("token=vault;object=other"),
            );
            let key = Key::new([7; 32]);
            let wrapped = first.wrap(&key, b"context").await.unwrap();
            assert_eq!(wrapped.len(), 12 + 32 + 16);
            assert_ne!(first.wrap(&key, b"context").await.unwrap(), wrapped);
            // several roots use one library, and one login
            for root in [&first, &again] {
                assert_eq!(root.unwrap(&wrapped, b"context").await.unwrap(), key);
            }
            wrong(other.unwrap(&wrapped, b"context").await);
            wrong(first.unwrap(&wrapped, b"Context").await);
            for at in [0, 11, 12, 43, 44, 59] {
                let mut bent = wrapped.clone();
                bent[at] ^= 1;
                wrong(first.unwrap(&bent, b"context").await);
            }
            for length in [0, 11, 12, 27, 59] {
                wrong(first.unwrap(&wrapped[..length], b"context").await);
            }
            // one goes, the others stay
            drop((first, other));
            assert_eq!(again.unwrap(&wrapped, b"context").await.unwrap(), key);
            // many at once, each its own answer
            let again = Arc::new(again);
            let all = (0..100u8).map(|n| {
                let root = Arc::clone(&again);
                tokio::spawn(async move {
                    let key = Key::new([n; 32]);
                    let wrapped = root.wrap(&key, &[n]).await.unwrap();
                    assert_eq!(root.unwrap(&wrapped, &[n]).await.unwrap(), key);
                })
            });
            for one in all.collect::<Vec<_>>() {
                one.await.unwrap();
            }
        },
    );
}

#[test]
fn what_is_not_set_up_right_is_refused_with_the_cure() {
    on_tokens("what_is_not_set_up_right_is_refused_with_the_cure", async |dir| {
        make_key("root", 1, false);
        make_key("loose", 2, true);
        make_key("twin", 3, false);
        make_key("twin", 4, false);
        let pin = pin_file(dir, "pin", TOKEN_PIN, 0o600);
        let (module, key) = (softhsm(), Key::new([7; 32]));
        let no_module = dir.join("none.so");
        let no_library = pin.clone();
        let readable = pin_file(dir, "readable", TOKEN_PIN, 0o644);
        let empty = pin_file(dir, "empty", "", 0o600);
        let right = "token=vault;object=root";
        for (uri, module, pin, says) in [
            (right, &no_module, &pin, "none.so is no PKCS #11 library"),
            (right, &no_library, &pin, "is no PKCS #11 library"),
            (
                "token=cellar;object=root",
                &module,
                &pin,
                "there is no token pkcs11:token=cellar",
            ),
            (
                "token=vault;serial=0;object=root",
                &module,
                &pin,
                "there is no token",
            ),
            ("token=vault;object=rooot", &module, &pin, "there is no AES key"),
            ("token=vault;object=loose", &module, &pin, "could leave its token"),
            (
                "token=vault;object=twin",
                &module,
                &pin,
                "2 AES keys on the token",
            ),
            (right, &module, &readable, "others may use it (mode 644)"),
            (right, &module, &empty, "holds no PIN"),
            (right, &module, &dir.join("none"), "No such file"),
        ] {
            let error = refused(root(uri, module, pin).wrap(&key, b"context").await);
            assert_eq!(error.code, Code::SecretRootService, "{error:?}");
            assert!(error.message.contains(says), "{says}: {error:?}");
            assert!(error.hint.len() > 20, "{error:?}");
            assert!(!format!("{error:?}").contains(TOKEN_PIN), "{error:?}");
        }

        // a wrong PIN is tried once, whatever is asked: also when the right one lies there by now
        let path = pin_file(dir, "guess", "000000", 0o600);
        let guessing = root(right, &module, &path);
        assert!(
            refused(guessing.wrap(&key, b"context").await)
                .message
                .contains("does not take the PIN")
        );
        std::fs::write(&path, TOKEN_PIN).unwrap();
        assert!(
            refused(guessing.wrap(&key, b"context").await)
                .message
                .contains("does not take the PIN")
        );
        // a new one, as a new start makes it, is told the right one
        let _ = root(right, &module, &path).wrap(&key, b"context").await.unwrap();
        // last, since a process is logged in to a token and not a key: until this one is let go, no PIN is asked for
        let one = root("token=vault;object=twin;id=%04", &module, &pin);
        let _ = one.wrap(&key, b"context").await.unwrap();
    });
}

#[test]
fn a_token_that_goes_away_is_used_again_when_it_is_back() {
    on_tokens(
        "a_token_that_goes_away_is_used_again_when_it_is_back",
        async |dir| {
            make_key("root", 1, false);
            let pin = pin_file(dir, "pin", TOKEN_PIN, 0o600);
            let root = root("token=vault;object=root", &softhsm(), &pin);
            let key = Key::new([7; 32]);
            let wrapped = root.wrap(&key, b"context").await.unwrap();
            let (tokens, away) = (dir.join("tokens"), dir.join("away"));
            std::fs::rename(&tokens, &away).unwrap();
            std::fs::create_dir(&tokens).unwrap();
            // SoftHSM notices with the key's next use
            let gone = root.unwrap(&wrapped, b"context").await;
            assert!(
                matches!(gone, Err(WrapError::Unavailable(_) | WrapError::Refused(_))),
                "{gone:?}"
            );
            std::fs::remove_dir_all(&tokens).unwrap();
            std::fs::rename(&away, &tokens).unwrap();
            assert_eq!(root.unwrap(&wrapped, b"context").await.unwrap(), key);
        },
    );
}
