//! What tokens are good for, and for how long.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use neofn_identity::token::{FileSeal, SeedSeal as _};
use neofn_identity::{Identity, IdentityOptions, Principal, SessionId};
use neofn_types::Code;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{NOW, Seeded, World, key, settings};

const DAY: i64 = 86_400_000;

fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|p| BASE64.decode(p).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

#[tokio::test]
async fn an_access_token_says_what_it_should_and_ends() {
    let world = World::new().await;
    let tokens = world.sign_in(&key(1)).await;
    let (header, claims) = parts(&tokens.access);
    let jwks = serde_json::to_value(world.identity.jwks()).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        header,
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": jwks["keys"][0]["kid"]})
    );
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["sub"]),
        (
            &json!("neofn.example"),
            &json!("neofn"),
            &json!(key(1).public().account().to_address())
        )
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        600
    );
    let member = async || {
        let who = world.identity.principal(&tokens.access).await.unwrap();
        who != Principal::Anonymous
    };
    world.pass(599_999);
    assert!(member().await);
    world.pass(1);
    assert!(!member().await, "to the second");
    world.pass(-700_000);
    assert!(!member().await, "made in the future");
}

#[tokio::test]
async fn only_our_own_access_tokens_are_taken() {
    let world = World::new().await;
    let tokens = world.sign_in(&key(1)).await;
    let (header, claims) = parts(&tokens.access);
    // the seed itself, to make what only we can make
    let record = world.store.0.lock().unwrap().keys[0].clone();
    let seal = FileSeal::new(&[9; 32], Arc::new(Seeded(1.into())));
    let seed = SigningKey::from_bytes(&seal.open(&record.kid, &record.sealed).unwrap());
    let forge = |header: &Value, claims: &Value, seed: &SigningKey| {
        let encode = |v: &Value| BASE64.encode(serde_json::to_vec(v).unwrap());
        let text = format!("{}.{}", encode(header), encode(claims));
        let signature = BASE64.encode(seed.sign(text.as_bytes()).to_bytes());
        format!("{text}.{signature}")
    };
    assert!(
        world.identity.claims(&forge(&header, &claims, &seed)).is_ok(),
        "the same again"
    );
    let with = |of: &Value, name: &str, value: Value| {
        let mut changed = of.clone();
        changed[name] = value;
        changed
    };
    let without = |of: &Value, name: &str| {
        let mut changed = of.clone();
        changed.as_object_mut().unwrap().remove(name);
        changed
    };
    let mut bad = vec![
        forge(&with(&header, "alg", json!("none")), &claims, &seed),
        forge(&with(&header, "alg", json!("HS256")), &claims, &seed),
        forge(&with(&header, "typ", json!("JWT")), &claims, &seed),
        forge(&with(&header, "typ", json!("rt+jwt")), &claims, &seed),
        forge(&without(&header, "typ"), &claims, &seed),
        forge(&without(&header, "kid"), &claims, &seed),
        forge(&with(&header, "kid", json!("other")), &claims, &seed),
        forge(&with(&header, "crit", json!(["exp"])), &claims, &seed),
        forge(&with(&header, "jwk", json!({})), &claims, &seed),
        forge(&with(&claims, "iss", json!("evil.example")), &claims, &seed),
        forge(&header, &with(&claims, "iss", json!("evil.example")), &seed),
        forge(&header, &with(&claims, "aud", json!("other")), &seed),
        forge(&header, &with(&claims, "aud", json!(["neofn"])), &seed),
        forge(&header, &with(&claims, "exp", json!(NOW / 1_000)), &seed),
        forge(&header, &with(&claims, "exp", json!("9999999999")), &seed),
        forge(&header, &with(&claims, "iat", json!(NOW / 1_000 + 61)), &seed),
        forge(
            &header,
            &with(
                &claims,
                "sub",
                json!("0x0000000000000000000000000000000000000000"),
            ),
            &seed,
        ),
        forge(&header, &with(&claims, "extra", json!(1)), &seed),
        forge(&header, &claims, &SigningKey::from_bytes(&[1; 32])),
        format!("{}.", *tokens.access),
        format!("{}=", *tokens.access),
        tokens.access.replace('.', ".."),
        tokens.refresh.to_string(),
        "..".to_owned(),
        String::new(),
        "a".repeat(100_000),
    ];
    for name in ["iss", "aud", "sub", "sid", "jti", "iat", "exp"] {
        bad.push(forge(&header, &without(&claims, name), &seed));
    }
    let unsigned = tokens.access.rsplit_once('.').unwrap().0;
    bad.push(format!("{unsigned}."));
    for token in &bad {
        assert!(world.identity.claims(token).is_err(), "{token}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_once_and_a_copy_ends_the_session() {
    let world = World::new().await;
    let first = world.sign_in(&key(1)).await;
    let second = world.identity.refresh(&first.refresh).await.unwrap();
    let third = world.identity.refresh(&second.refresh).await.unwrap();
    assert!(world.identity.principal(&third.access).await.unwrap() != Principal::Anonymous);
    // somebody has a copy of an old one
    let copied = world.identity.refresh(&first.refresh).await.unwrap_err();
    assert_eq!(copied.code, Code::SessionEnded);
    for token in [&third.refresh, &second.refresh, &first.refresh] {
        assert_eq!(
            world.identity.refresh(token).await.unwrap_err().code,
            Code::SessionEnded
        );
    }
    // access tokens of the session, too
    assert_eq!(
        world.identity.principal(&third.access).await.unwrap(),
        Principal::Anonymous
    );
    let actions: Vec<String> = world
        .store
        .0
        .lock()
        .unwrap()
        .audit
        .iter()
        .map(|a| a.action.clone())
        .collect();
    assert_eq!(actions, ["session.begin", "session.reused"]);
    // another session of the same person is not concerned
    let other = world.sign_in(&key(1)).await;
    assert!(world.identity.refresh(&other.refresh).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_by_logout_and_by_time() {
    let world = World::new().await;
    let tokens = world.sign_in(&key(1)).await;
    let Principal::Account(who) = world.identity.principal(&tokens.access).await.unwrap() else {
        panic!("not signed in")
    };
    assert!(world.identity.logout(&who).await.unwrap());
    assert!(!world.identity.logout(&who).await.unwrap());
    assert_eq!(
        world.identity.principal(&tokens.access).await.unwrap(),
        Principal::Anonymous
    );
    assert!(world.identity.refresh(&tokens.refresh).await.is_err());

    let mut tokens = world.sign_in(&key(1)).await;
    for _ in 0..29 {
        world.pass(DAY);
        tokens = world.identity.refresh(&tokens.refresh).await.unwrap();
    }
    world.pass(DAY);
    assert!(
        world.identity.refresh(&tokens.refresh).await.is_err(),
        "whatever was done in it"
    );
}

#[tokio::test]
async fn signing_keys_follow_one_another_without_a_gap() {
    let world = World::new().await;
    let mut tokens = world.sign_in(&key(1)).await;
    let kids = || -> Vec<String> { world.identity.jwks().keys.into_iter().map(|k| k.kid).collect() };
    let first = kids();
    world.pass(29 * DAY);
    world.identity.activate().await.unwrap();
    let both = kids();
    assert!(both.len() == 2 && both[0] == first[0], "published a day early");
    tokens = world.identity.refresh(&tokens.refresh).await.unwrap();
    assert_eq!(parts(&tokens.access).0["kid"], json!(both[0]));
    world.pass(DAY - 300_000);
    tokens = world.identity.refresh(&tokens.refresh).await.unwrap();
    world.pass(300_000);
    world.identity.activate().await.unwrap();
    let later = world.sign_in(&key(1)).await;
    assert_eq!(parts(&later.access).0["kid"], json!(both[1]));
    assert!(
        world.identity.claims(&tokens.access).is_ok(),
        "made by the key before"
    );
    world.pass(600_001);
    world.identity.activate().await.unwrap();
    assert_eq!(kids(), [both[1].clone()], "its last token has ended");

    // the same keys after a restart; none with another file
    let open = async |secret: u8| {
        Identity::open(IdentityOptions {
            settings: settings(),
            store: world.store.clone(),
            seal: Arc::new(FileSeal::new(&[secret; 32], world.entropy.clone())),
            contracts: None,
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
        })
        .await
    };
    assert_eq!(open(9).await.unwrap().jwks(), world.identity.jwks());
    assert_eq!(open(8).await.err().unwrap().code, Code::ConfigInvalid);
}

#[tokio::test]
async fn a_token_of_one_session_is_not_that_of_another_account() {
    let world = World::new().await;
    let (one, two) = (world.sign_in(&key(1)).await, world.sign_in(&key(2)).await);
    // as if ids had been mixed up in the store: the token's account must be the session's
    {
        let mut rows = world.store.0.lock().unwrap();
        let other = rows.sessions[&two.session.id].clone();
        rows.sessions.insert(one.session.id, other);
    }
    assert_eq!(
        world.identity.principal(&one.access).await.unwrap(),
        Principal::Anonymous
    );
    assert_ne!(SessionId([0; 16]), two.session.id);
}
