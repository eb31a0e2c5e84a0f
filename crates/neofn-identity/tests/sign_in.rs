//! Who gets in with a signature, and who does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use neofn_chain::fee::multisig_script;
use neofn_chain::tx::script_hash;
use neofn_identity::challenge::ChallengeRecord;
use neofn_identity::sign_in::{Asked, Domainless, Looked, Proof, SignInRefusal, Signed, look};
use neofn_types::{Code, ScriptHash, UnixMillis};
use std::sync::Arc;
use support::{BothOf, NOW, World, key, plain, settings, sign};

fn refused(e: &neofn_types::Error, refusal: SignInRefusal) {
    assert_eq!(e.message, refusal.to_string());
}

#[tokio::test]
async fn a_signature_signs_in_once() {
    let world = World::new().await;
    let key = key(1);
    let account = key.public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    let proof = Proof::Key(plain(&key, &challenge));
    let login = || world.identity.login(challenge.nonce, account, &proof, None);
    let tokens = login().await.unwrap();
    assert_eq!(tokens.session.format, "plain");
    let who = world.identity.principal(&tokens.access).await.unwrap();
    assert_eq!(who.account(), Some(account));
    // replayed
    let again = login().await.unwrap_err();
    assert_eq!(again.code, Code::ChallengeGone);
    assert_eq!(world.store.0.lock().unwrap().sessions.len(), 1);
}

#[tokio::test]
async fn of_many_at_once_one_gets_in() {
    let world = World::new().await;
    let key = key(1);
    let account = key.public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    let proof = Proof::Key(plain(&key, &challenge));
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (identity, proof, nonce) = (world.identity.clone(), proof.clone(), challenge.nonce);
        tries.spawn(async move { identity.login(nonce, account, &proof, None).await.is_ok() });
    }
    let inside = tries.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(inside, 1);
}

#[tokio::test]
async fn a_challenge_ends_after_five_minutes() {
    let world = World::new().await;
    let key = key(1);
    let account = key.public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    let proof = Proof::Key(plain(&key, &challenge));
    world.pass(300_000);
    let late = world
        .identity
        .login(challenge.nonce, account, &proof, None)
        .await
        .unwrap_err();
    assert_eq!(late.code, Code::ChallengeGone);
    // it is forgotten when the next one is made
    world.identity.challenge(account).await.unwrap();
    assert_eq!(world.store.0.lock().unwrap().challenges.len(), 1);
    // a clock that goes back does not make it good before its time
    world.pass(-300_001);
    let early = world
        .identity
        .login(challenge.nonce, account, &proof, None)
        .await
        .unwrap_err();
    assert_eq!(early.code, Code::ChallengeGone);
}

#[tokio::test]
async fn what_was_signed_elsewhere_or_by_others_is_refused() {
    let world = World::new().await;
    let (key, stranger) = (key(1), key(2));
    let account = key.public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    let login = async |account: ScriptHash, signed: Signed| {
        world
            .identity
            .login(challenge.nonce, account, &Proof::Key(signed), None)
            .await
            .unwrap_err()
    };
    let other = |change: &dyn Fn(&mut ChallengeRecord)| {
        let mut other = challenge.clone();
        change(&mut other);
        plain(&key, &other)
    };
    let elsewhere = [
        other(&|c| c.domain = "evil.example".parse().unwrap()),
        other(&|c| c.network = 860_833_102),
        other(&|c| c.nonce = neofn_identity::challenge::Nonce::new(1).unwrap()),
        other(&|c| c.expires_at = UnixMillis(NOW + 1_000_000_000)),
        other(&|c| c.account = ScriptHash([3; 20])),
    ];
    for signed in elsewhere {
        refused(&login(account, signed).await, SignInRefusal::Signature);
    }
    // another's key, for this account and for their own
    let theirs = plain(&stranger, &challenge);
    refused(&login(account, theirs.clone()).await, SignInRefusal::Signature);
    refused(
        &login(stranger.public().account(), theirs).await,
        SignInRefusal::OtherAccount,
    );
    // the right key's name under another's signature
    let mut mixed = plain(&stranger, &challenge);
    mixed.public_key = key.public().to_bytes();
    refused(&login(account, mixed).await, SignInRefusal::Signature);
    // the other of the two forms of the same signature
    let mut high = plain(&key, &challenge);
    high.signature = upper_half(&high.signature);
    assert!(
        key.public()
            .verifies(challenge.message().as_bytes(), &high.signature),
        "valid as such"
    );
    refused(&login(account, high).await, SignInRefusal::NotCanonical);
    for bytes in [[0; 64], [0xff; 64]] {
        let mut wrong = plain(&key, &challenge);
        wrong.signature = bytes;
        refused(&login(account, wrong).await, SignInRefusal::NotCanonical);
    }
    // none of them used the challenge up
    let proof = Proof::Key(plain(&key, &challenge));
    assert!(
        world
            .identity
            .login(challenge.nonce, account, &proof, None)
            .await
            .is_ok()
    );
}

/// n - s of P-256.
fn upper_half(signature: &[u8; 64]) -> [u8; 64] {
    let order: [u8; 32] = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .unwrap()
        .try_into()
        .unwrap();
    let mut out = *signature;
    let mut borrow = 0i16;
    for n in (0..32).rev() {
        let mut digit = i16::from(order[n]) - i16::from(signature[32 + n]) - borrow;
        borrow = i16::from(digit < 0);
        if digit < 0 {
            digit += 256;
        }
        out[32 + n] = u8::try_from(digit).unwrap();
    }
    out
}

#[tokio::test]
async fn a_node_that_moved_takes_no_answers_to_its_old_challenges() {
    let world = World::new().await;
    let key = key(1);
    let account = key.public().account();
    let challenge = world.identity.challenge(account).await.unwrap();
    let elsewhere = ChallengeRecord {
        domain: "old.example".parse().unwrap(),
        ..challenge.clone()
    };
    world
        .store
        .0
        .lock()
        .unwrap()
        .challenges
        .insert(challenge.nonce, elsewhere.clone());
    let proof = Proof::Key(plain(&key, &elsewhere));
    let e = world
        .identity
        .login(challenge.nonce, account, &proof, None)
        .await
        .unwrap_err();
    assert_eq!(e.code, Code::ChallengeGone);
}

#[test]
fn nep20_answers_are_of_the_last_minute() {
    let key = key(1);
    let account = key.public().account();
    let entropy = support::Seeded(1.into());
    let domain = "neofn.example".parse().unwrap();
    let ttl = std::time::Duration::from_secs(300);
    let challenge = ChallengeRecord::new(account, (&domain, 42), (UnixMillis(NOW), ttl), &entropy);
    let answer = |timestamp: u32| {
        let mut bytes = 42u32.to_le_bytes().to_vec();
        bytes.extend(challenge.nonce.number().to_le_bytes());
        bytes.extend(timestamp.to_le_bytes());
        let mut neoline = bytes.clone();
        bytes.extend(account.0);
        for text in ["Authentication", "neofn.example"] {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
        let mut reversed = account.0;
        reversed.reverse();
        neoline.extend(reversed);
        [bytes, neoline].map(|bytes| {
            Proof::Key(Signed {
                public_key: key.public().to_bytes(),
                signature: sign(&key, &bytes),
                asked: Asked::Nep20 { timestamp },
            })
        })
    };
    let seconds = u32::try_from(NOW / 1_000).unwrap();
    let at = UnixMillis(NOW);
    for (timestamp, good) in [
        (seconds, true),
        (seconds - 60, true),
        (seconds + 60, true),
        (seconds - 61, false),
        (seconds + 61, false),
    ] {
        let [full, _] = answer(timestamp);
        let looked = look(&challenge, account, &full, at, Domainless::Refuse);
        if good {
            assert!(matches!(looked, Ok(Looked::Proven { .. })), "{timestamp}");
        } else {
            assert_eq!(looked, Err(SignInRefusal::Clock), "{timestamp}");
        }
    }
    // the layout that names no domain is an operator's choice
    let [_, neoline] = answer(seconds);
    assert!(look(&challenge, account, &neoline, at, Domainless::Accept).is_ok());
    let strict = look(&challenge, account, &neoline, at, Domainless::Refuse);
    assert_eq!(strict, Err(SignInRefusal::Domainless));
}

#[tokio::test]
async fn accounts_of_several_keys_need_enough_of_them() {
    let world = World::new().await;
    let keys = [key(1), key(2), key(3)];
    let publics: Vec<_> = keys.iter().map(|k| k.public()).collect();
    let script = multisig_script(2, &publics).unwrap();
    let account = script_hash(&script);
    let challenge = world.identity.challenge(account).await.unwrap();
    let signed = |n: usize| plain(&keys[n], &challenge);
    let login = async |script: &[u8], signed: Vec<Signed>| {
        let proof = Proof::Keys {
            script: script.to_vec(),
            signed,
        };
        world.identity.login(challenge.nonce, account, &proof, None).await
    };
    let too_few = SignInRefusal::TooFew { need: 2, have: 1 };
    refused(&login(&script, vec![signed(0)]).await.unwrap_err(), too_few);
    refused(
        &login(&script, vec![signed(0), signed(0)]).await.unwrap_err(),
        too_few,
    );
    let stranger = plain(&key(9), &challenge);
    refused(
        &login(&script, vec![signed(0), stranger]).await.unwrap_err(),
        SignInRefusal::Signature,
    );
    // one good and one damaged
    let mut damaged = signed(1);
    damaged.signature = plain(
        &keys[1],
        &ChallengeRecord {
            network: 1,
            ..challenge.clone()
        },
    )
    .signature;
    refused(
        &login(&script, vec![signed(0), damaged]).await.unwrap_err(),
        SignInRefusal::Signature,
    );
    // an easier script is another account
    let easy = multisig_script(1, &publics).unwrap();
    refused(
        &login(&easy, vec![signed(0)]).await.unwrap_err(),
        SignInRefusal::Script,
    );
    refused(
        &login(&publics[0].verification_script(), vec![signed(0)])
            .await
            .unwrap_err(),
        SignInRefusal::Script,
    );
    // one of its keys is not the account
    let alone = world
        .identity
        .login(challenge.nonce, account, &Proof::Key(signed(0)), None)
        .await;
    refused(&alone.unwrap_err(), SignInRefusal::Signature);
    let tokens = login(&script, vec![signed(2), signed(0)]).await.unwrap();
    assert_eq!(tokens.session.account, account);
}

#[tokio::test]
async fn a_contract_says_who_may_act_for_it() {
    let (one, two) = (key(1), key(2));
    let contract = ScriptHash([5; 20]);
    let both = BothOf(contract, [one.public().account(), two.public().account()]);
    let world = World::with(settings(), Some(Arc::new(both))).await;
    let challenge = world.identity.challenge(contract).await.unwrap();
    let login = async |signed: Vec<Signed>| {
        world
            .identity
            .login(challenge.nonce, contract, &Proof::Contract { signed }, None)
            .await
    };
    refused(
        &login(vec![]).await.unwrap_err(),
        SignInRefusal::TooFew { need: 1, have: 0 },
    );
    refused(
        &login(vec![plain(&one, &challenge)]).await.unwrap_err(),
        SignInRefusal::Contract,
    );
    // whose signature is not good is not told to the contract
    let mut forged = plain(&one, &challenge);
    forged.public_key = two.public().to_bytes();
    refused(
        &login(vec![plain(&one, &challenge), forged]).await.unwrap_err(),
        SignInRefusal::Signature,
    );
    let tokens = login(vec![plain(&one, &challenge), plain(&two, &challenge)])
        .await
        .unwrap();
    assert_eq!(tokens.session.account, contract);
    // without a chain there is nobody to ask
    let lone = World::new().await;
    let challenge = lone.identity.challenge(contract).await.unwrap();
    let proof = Proof::Contract {
        signed: vec![plain(&one, &challenge)],
    };
    let e = lone
        .identity
        .login(challenge.nonce, contract, &proof, None)
        .await
        .unwrap_err();
    assert_eq!(e.code, Code::SignInRefused);
}
