//! Signing in over HTTP, and what people may do with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Answer, World};
use neofn_chain::key::PrivateKey;
use neofn_chain::sign_in::canonical;
use neofn_identity::{ApiKey, Principal};
use serde_json::{Value, json};

fn wallet(n: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[n; 32]).unwrap()
}
fn address(n: u8) -> String {
    wallet(n).public().account().to_address()
}

async fn post(world: &World, token: Option<&str>, path: &str, body: Value) -> Answer {
    world.call(token, "POST", path, body.to_string()).await
}
async fn sign_in(world: &World, n: u8) -> Value {
    let key = wallet(n);
    let challenge = post(world, None, "/auth/challenge", json!({"address": address(n)})).await;
    assert_eq!(challenge.status, 200, "{}", challenge.text());
    let challenge = challenge.json();
    let message = challenge["message"].as_str().unwrap();
    let body = json!({
        "address": address(n), "nonce": challenge["nonce"], "pubkey": hex::encode(key.public().to_bytes()),
        "signature": hex::encode(canonical(&key.sign(message.as_bytes())).unwrap()), "format": "plain",
    });
    let tokens = post(world, None, "/auth/login", body.clone()).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let again = post(world, None, "/auth/login", body).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["code"]),
        (401, &json!("NF0405"))
    );
    tokens.json()
}
async fn token(world: &World, n: u8) -> String {
    sign_in(world, n).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_session_from_its_begin_to_its_end() {
    let world = World::new().await;
    let tokens = sign_in(&world, 1).await;
    let access = tokens["access_token"].as_str().unwrap();
    let who = world.call(Some(access), "GET", "/auth/whoami", "").await.json();
    assert_eq!(
        (&who["kind"], &who["id"]),
        (&json!("account"), &json!(address(1)))
    );
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let next = post(&world, None, "/auth/refresh", refresh.clone()).await;
    assert_eq!(next.status, 200, "{}", next.text());
    let next = next.json();
    let access = next["access_token"].as_str().unwrap();
    assert_eq!(
        post(&world, Some(access), "/auth/logout", json!({})).await.json(),
        json!({"success": true})
    );
    assert_eq!(
        world.call(Some(access), "GET", "/auth/whoami", "").await.status,
        401
    );
    let over = post(&world, None, "/auth/refresh", refresh).await;
    assert_eq!(over.json()["code"], "NF0406");
    let jwks = world.call(None, "GET", "/.well-known/jwks.json", "").await.json();
    assert_eq!(jwks["keys"][0]["crv"], "Ed25519");
}

#[tokio::test]
async fn a_challenge_is_good_for_five_minutes_and_a_token_for_ten() {
    const MINUTE: i64 = 60_000;
    let world = World::new().await;
    let key = wallet(1);
    let challenge = || async {
        let made = post(&world, None, "/auth/challenge", json!({"address": address(1)})).await;
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()
    };
    let answer = |challenge: &Value| {
        let message = challenge["message"].as_str().unwrap();
        let signature = canonical(&key.sign(message.as_bytes())).unwrap();
        json!({
            "address": address(1), "nonce": challenge["nonce"], "pubkey": hex::encode(key.public().to_bytes()),
            "signature": hex::encode(signature), "format": "plain",
        })
    };
    // a little late is too late, however good the signature
    let late = answer(&challenge().await);
    world.clock.forward(5 * MINUTE + 1);
    let refused = post(&world, None, "/auth/login", late.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (401, &json!("NF0405"))
    );
    // as if there never had been one
    let mut never = late.clone();
    never["nonce"] = json!("4503599627370496");
    let unknown = post(&world, None, "/auth/login", never).await;
    assert_eq!(
        (unknown.status, unknown.json()["message"].clone()),
        (refused.status, refused.json()["message"].clone())
    );
    // in time it is good
    let good = answer(&challenge().await);
    world.clock.forward(5 * MINUTE - 2_000);
    let tokens = post(&world, None, "/auth/login", good).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let tokens = tokens.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(
        world.call(Some(access), "GET", "/auth/whoami", "").await.status,
        200
    );
    world
        .clock
        .forward(i64::try_from(tokens["expires_in"].as_u64().unwrap()).unwrap() * 1_000 + MINUTE + 1);
    let over = world.call(Some(access), "GET", "/auth/whoami", "").await;
    assert_eq!(over.status, 401, "{}", over.text());
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    assert_eq!(post(&world, None, "/auth/refresh", refresh).await.status, 200);
}

#[tokio::test]
async fn malformed_answers_are_told_what_is_wrong() {
    let world = World::new().await;
    let good =
        json!({"address": address(1), "nonce": "1", "pubkey": "02".repeat(33), "signature": "00".repeat(64)});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for (body, status, word) in [
        (with("address", json!("nobody")), 400, "address"),
        (with("pubkey", json!("zz")), 422, "pubkey"),
        (with("signature", json!("00".repeat(63))), 422, "signature"),
        (with("signature", json!("0".repeat(5_000))), 422, "signature"),
        (with("salt", json!("0".repeat(5_000))), 422, "salt"),
        // a text of another site's, which only ends in ours
        (
            with("salt", json!("Sign in to evil.example, please: ")),
            422,
            "salt",
        ),
        (with("salt", json!("a".repeat(31))), 422, "salt"),
        (with("salt", json!("0a".repeat(16))), 401, "challenge"),
        (
            with("signers", json!([{"pubkey": "00", "signature": "00"}])),
            422,
            "signers",
        ),
        (with("colour", json!(1)), 422, "colour"),
        (good.clone(), 401, "challenge"),
    ] {
        let answer = post(&world, None, "/auth/login", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(word), "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_project_with_its_members_and_keys() {
    let world = World::new().await;
    let (owner, other) = (token(&world, 1).await, token(&world, 2).await);
    let made = post(&world, Some(&owner), "/api/v1/projects", json!({"name": "shop"})).await;
    assert_eq!(
        (made.status.as_u16(), &made.json()["role"]),
        (201, &json!("owner"))
    );
    assert_eq!(
        post(&world, Some(&other), "/api/v1/projects", json!({"name": "shop"}))
            .await
            .status,
        409
    );
    let deploy = json!({"function_name": "hello", "source": "hello"});
    let path = "/api/functions/projects/shop";
    assert_eq!(post(&world, Some(&owner), path, deploy.clone()).await.status, 201);
    // a stranger learns nothing
    for (method, path) in [
        ("GET", "/api/v1/projects/shop/functions"),
        ("GET", "/api/v1/members/shop"),
        ("GET", "/api/v1/keys/shop"),
        ("POST", "/api/v1/functions/shop/hello"),
    ] {
        assert_eq!(
            world.call(Some(&other), method, path, "{}").await.status,
            404,
            "{method} {path}"
        );
    }
    let member = format!("/api/v1/members/shop/{}", address(2));
    let set = async |token: &str, path: &str, role: &str| {
        let body = json!({"role": role}).to_string();
        world.call(Some(token), "PUT", path, body).await.status.as_u16()
    };
    assert_eq!(set(&owner, &member, "boss").await, 422);
    assert_eq!(set(&owner, &member, "viewer").await, 200);
    assert_eq!(
        world
            .call(Some(&other), "GET", "/api/v1/projects/shop/functions", "")
            .await
            .status,
        200
    );
    assert_eq!(post(&world, Some(&other), path, deploy.clone()).await.status, 403);
    assert_eq!(set(&other, &member, "owner").await, 403);
    assert_eq!(set(&owner, &member, "admin").await, 200);
    // an admin makes keys with what an admin has, and no owners
    assert_eq!(set(&other, &member, "owner").await, 403);
    assert_eq!(
        set(&other, &format!("/api/v1/members/shop/{}", address(1)), "viewer").await,
        403
    );
    let key = |scopes: Value| json!({"name": "ci", "scopes": scopes, "expires_in": 3600});
    assert_eq!(
        post(&world, Some(&other), "/api/v1/keys/shop", key(json!(["own"])))
            .await
            .status,
        422
    );
    assert_eq!(
        post(&world, Some(&other), "/api/v1/keys/shop", key(json!([])))
            .await
            .status,
        422
    );
    let made = post(
        &world,
        Some(&other),
        "/api/v1/keys/shop",
        key(json!(["deploy", "manage"])),
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let ci = made["key"].as_str().unwrap();
    let patch = world
        .call(
            Some(ci),
            "PATCH",
            "/api/functions/shop/hello",
            r#"{"public":true}"#,
        )
        .await;
    assert_eq!(patch.status, 200, "{}", patch.text());
    assert_eq!(
        world
            .call(Some(ci), "GET", "/api/v1/functions/shop/hello", "")
            .await
            .status,
        403,
        "no read"
    );
    // nor does a key give away what it has not
    assert_eq!(
        post(&world, Some(ci), "/api/v1/keys/shop", key(json!(["money"])))
            .await
            .status,
        403
    );
    assert_eq!(
        set(ci, &format!("/api/v1/members/shop/{}", address(3)), "admin").await,
        403
    );
    let list = world.call(Some(&owner), "GET", "/api/v1/keys/shop", "").await;
    assert!(!list.text().contains(ci) && list.json()["keys"][0]["created_by"] == json!(address(2)));
    // whoever leaves takes their keys along, at once
    let left = world.call(Some(&owner), "DELETE", &member, "").await.json();
    assert_eq!(left["keys_revoked"], 1);
    assert_eq!(
        world
            .call(Some(ci), "PATCH", "/api/functions/shop/hello", "{}")
            .await
            .status,
        401
    );
    assert_eq!(
        world
            .call(Some(&other), "GET", "/api/v1/members/shop", "")
            .await
            .status,
        404
    );
    let own = format!("/api/v1/members/shop/{}", address(1));
    assert_eq!(
        world.call(Some(&owner), "DELETE", &own, "").await.json()["code"],
        "NF0410"
    );
}

#[tokio::test]
async fn a_role_for_one_function_is_for_that_one() {
    let world = World::new().await;
    let (owner, guest) = (token(&world, 1).await, token(&world, 2).await);
    post(&world, Some(&owner), "/api/v1/projects", json!({"name": "shop"})).await;
    for name in ["one", "two"] {
        let body = json!({"function_name": name, "source": name});
        post(&world, Some(&owner), "/api/functions/projects/shop", body).await;
    }
    let body = json!({"role": "operator", "function": "one"}).to_string();
    let path = format!("/api/v1/members/shop/{}", address(2));
    assert_eq!(world.call(Some(&owner), "PUT", &path, body).await.status, 200);
    let ask =
        async |method: &str, path: &str| world.call(Some(&guest), method, path, "{}").await.status.as_u16();
    assert_eq!(ask("POST", "/api/v1/functions/shop/one").await, 200);
    assert_eq!(ask("PATCH", "/api/functions/shop/one").await, 403);
    assert_eq!(ask("POST", "/api/v1/functions/shop/two").await, 404);
    assert_eq!(ask("GET", "/api/v1/projects/shop/functions").await, 404);
}

#[tokio::test]
async fn requests_are_counted_and_pages_of_other_sites_kept_out() {
    let world = World::new().await;
    let answer = world
        .call(Some(&world.member), "GET", "/api/v1/functions/demo/hello", "")
        .await;
    assert_eq!(answer.headers["ratelimit-policy"], "\"key\";q=12000;w=60");
    assert!(
        answer.headers["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"key\";r=11999;t=")
    );
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    // signing in is counted by address
    let attempt = async || {
        let request = http::Request::post("/auth/challenge")
            .body(axum::body::Body::from(json!({"address": address(1)}).to_string()))
            .unwrap();
        let peer = "192.0.2.7:1".parse().unwrap();
        world.service.answer(request, Some(peer)).await.unwrap()
    };
    for _ in 0..30 {
        assert_eq!(attempt().await.status(), 200);
    }
    let refused = attempt().await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let preflight = http::Request::options("/api/v1/projects")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = world.send(preflight).await;
    assert_eq!(answer.status, 204);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

/// The next number of a sequence that looks like none.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((z ^ (z >> 31)) >> 1).unwrap()
}

#[tokio::test]
async fn no_changed_key_is_anybody() {
    const LETTERS: &[u8] = b"0123456789abcdefABCDEF_nfkxyz-.=+/";
    let world = World::new().await;
    let mut seed = 0x006e_656f_666e;
    let who = async |key: &str| world.api.principal(Some(&format!("Bearer {key}"))).await.unwrap();
    for key in [&world.member, &world.operator] {
        for _ in 0..2_500 {
            let mut bytes = key.as_bytes().to_vec();
            for _ in 0..=next(&mut seed) % 3 {
                let at = next(&mut seed) % bytes.len();
                let letter = LETTERS[next(&mut seed) % LETTERS.len()];
                match next(&mut seed) % 4 {
                    0 => bytes[at] = letter,
                    1 => bytes.insert(at, letter),
                    2 => {
                        bytes.remove(at);
                    }
                    _ => {
                        let other = next(&mut seed) % bytes.len();
                        bytes.swap(at, other);
                    }
                }
            }
            let changed = String::from_utf8(bytes).unwrap();
            if changed != **key {
                assert_eq!(who(&changed).await, Principal::Anonymous, "{changed}");
            }
        }
        // its own name, another secret, and a checksum that is right
        let id = key.parse::<ApiKey>().unwrap().id;
        for _ in 0..200 {
            let mut secret = [0; 24];
            secret
                .iter_mut()
                .for_each(|b| *b = next(&mut seed).to_le_bytes()[0]);
            let guessed = ApiKey::new(id.0, secret).reveal();
            assert_eq!(who(&guessed).await, Principal::Anonymous, "{}", *guessed);
        }
        assert!(who(key).await != Principal::Anonymous, "it is still good itself");
    }
}
