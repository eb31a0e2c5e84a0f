//! That what was given can be taken: keys of people who lost their role, keys of keys, grants of functions, quotas of
//! projects, and names of calls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Answer, World};
use http::Request;
use neofn_api::{Action, FiredQuery, LogQuery, LogStep, RateLimits};
use neofn_chain::key::PrivateKey;
use neofn_chain::sign_in::canonical;
use neofn_identity::limit::Quota;
use neofn_identity::policy::{Policies, PolicyFile};
use serde_json::{Value, json};

fn wallet(n: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[n; 32]).unwrap()
}
fn address(n: u8) -> String {
    wallet(n).public().account().to_address()
}
async fn post(world: &World, token: &str, path: &str, body: Value) -> Answer {
    world.call(Some(token), "POST", path, body.to_string()).await
}
/// A person who signed in.
async fn person(world: &World, n: u8) -> String {
    let asked = json!({"address": address(n)}).to_string();
    let challenge = world.call(None, "POST", "/auth/challenge", asked).await.json();
    let key = wallet(n);
    let signature = canonical(&key.sign(challenge["message"].as_str().unwrap().as_bytes())).unwrap();
    let body = json!({
        "address": address(n), "nonce": challenge["nonce"], "pubkey": hex::encode(key.public().to_bytes()),
        "signature": hex::encode(signature),
    });
    let tokens = world.call(None, "POST", "/auth/login", body.to_string()).await;
    tokens.json()["access_token"].as_str().unwrap().to_owned()
}
async fn role(world: &World, token: &str, n: u8, body: Value) -> Answer {
    let path = format!("/api/v1/members/shop/{}", address(n));
    world.call(Some(token), "PUT", &path, body.to_string()).await
}
async fn key(world: &World, token: &str, scopes: Value) -> Answer {
    let body = json!({"name": "ci", "scopes": scopes});
    post(world, token, "/api/v1/keys/shop", body).await
}
async fn made(world: &World, token: &str, scopes: Value) -> (String, Value) {
    let made = key(world, token, scopes).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    (made["key"].as_str().unwrap().to_owned(), made)
}
/// `shop`, its owner (1) and an admin (2).
async fn shop(world: &World) -> (String, String) {
    let (owner, admin) = (person(world, 1).await, person(world, 2).await);
    let made = post(world, &owner, "/api/v1/projects", json!({"name": "shop"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(role(world, &owner, 2, json!({"role": "admin"})).await.status, 200);
    (owner, admin)
}
fn hello(more: Value) -> Value {
    let mut body = json!({"function_name": "hello", "source": "hello"});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}
const DEPLOY: &str = "/api/functions/projects/shop";

#[tokio::test]
async fn a_key_may_no_more_than_who_made_it_may_now() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    let (ci, _) = made(&world, &admin, json!(["read", "deploy", "manage"])).await;
    assert_eq!(post(&world, &ci, DEPLOY, hello(json!({}))).await.status, 201);
    let demoted = role(&world, &owner, 2, json!({"role": "viewer"})).await;
    assert_eq!(demoted.status, 200);
    // not even by the key that they have left
    let again = role(&world, &ci, 2, json!({"role": "admin"})).await;
    assert_eq!(again.status, 403, "{}", again.text());
    assert_eq!(post(&world, &ci, DEPLOY, hello(json!({}))).await.status, 403);
    let read = world
        .call(Some(&ci), "GET", "/api/v1/functions/shop/hello", "")
        .await;
    assert_eq!(read.status, 200, "viewers read");
    let _ = role(&world, &owner, 2, json!({"role": "developer"})).await;
    assert_eq!(post(&world, &ci, DEPLOY, hello(json!({}))).await.status, 200);
    assert_eq!(key(&world, &ci, json!(["read"])).await.status, 403);
}

#[tokio::test]
async fn keys_of_a_key_are_of_its_maker_and_end_with_it() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    let (one, view) = made(&world, &admin, json!(["read", "manage"])).await;
    let (two, of_one) = made(&world, &one, json!(["read", "manage"])).await;
    let (three, _) = made(&world, &two, json!(["read"])).await;
    assert_eq!(of_one["created_by"], json!(address(2)));
    assert_eq!(of_one["parent"], view["id"]);
    let reads = async |token: &str| {
        let list = world.call(Some(token), "GET", "/api/v1/projects/shop/functions", "");
        list.await.status.as_u16()
    };
    assert_eq!(reads(&three).await, 200);
    let path = format!("/api/v1/keys/shop/{}", view["id"].as_str().unwrap());
    assert_eq!(world.call(Some(&owner), "DELETE", &path, "").await.status, 200);
    for key in [&one, &two, &three] {
        assert_eq!(reads(key).await, 401);
    }
    // and whoever leaves takes along what their keys made
    let (four, _) = made(&world, &admin, json!(["read", "manage"])).await;
    let (five, _) = made(&world, &four, json!(["read"])).await;
    let path = format!("/api/v1/members/shop/{}", address(2));
    let left = world.call(Some(&owner), "DELETE", &path, "").await.json();
    assert_eq!(left["keys_revoked"], 2, "{left}");
    assert_eq!(reads(&five).await, 401);
}

#[tokio::test]
async fn a_key_makes_none_that_outlasts_it() {
    let world = World::new().await;
    let (_, admin) = shop(&world).await;
    let body = json!({"name": "short", "scopes": ["read", "manage"], "expires_in": 3});
    let short = post(&world, &admin, "/api/v1/keys/shop", body).await.json();
    let token = short["key"].as_str().unwrap();
    for asked in [json!(null), json!(3_600)] {
        let mut body = json!({"name": "long", "scopes": ["read"]});
        if !asked.is_null() {
            body["expires_in"] = asked;
        }
        let long = post(&world, token, "/api/v1/keys/shop", body).await.json();
        assert_eq!(long["expires_at"], short["expires_at"], "{long}");
    }
}

#[tokio::test]
async fn the_right_to_deploy_opens_no_secret() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    let (deploy, _) = made(&world, &admin, json!(["deploy"])).await;
    let secret = json!({"allow": {"secrets": [{"name": "API_KEY", "plaintext": true}]}});
    let refused = async |token: &str, more: &Value, word: &str| {
        let answer = post(&world, token, DEPLOY, hello(more.clone())).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    };
    refused(&deploy, &secret, "API_KEY").await;
    let write = json!({"allow": {"chain": {"write": {"contracts": ["GAS"], "gas": "1"}}}});
    refused(&deploy, &write, "chain.write").await;
    let developer = person(&world, 3).await;
    let _ = role(&world, &owner, 3, json!({"role": "developer"})).await;
    refused(&developer, &write, "chain.write").await;
    assert_eq!(post(&world, &deploy, DEPLOY, hello(json!({}))).await.status, 201);
    // somebody who has the right gives it once; after that new code needs no more than the right to deploy
    let kv = json!({"allow": {"kv": true}});
    assert_eq!(
        post(&world, &developer, DEPLOY, hello(kv.clone())).await.status,
        200
    );
    let mut anew = hello(kv);
    anew["source"] = json!("anew");
    assert_eq!(post(&world, &deploy, DEPLOY, anew).await.status, 200);
    // one function is not the way to what is the project's
    let guest = person(&world, 4).await;
    let given = json!({"role": "developer", "function": "hello"});
    assert_eq!(role(&world, &owner, 4, given).await.status, 200);
    for more in [
        &secret,
        &json!({"allow": {"kv": true, "net": ["https://example.org"]}}),
    ] {
        let path = "/api/functions/shop/hello";
        let answer = world.call(Some(&guest), "PATCH", path, more.to_string()).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let path = "/api/functions/shop/hello";
    let own = world
        .call(Some(&guest), "PATCH", path, r#"{"source":"theirs"}"#)
        .await;
    assert_eq!(own.status, 200, "{}", own.text());
}

#[tokio::test]
async fn what_one_may_not_nobody_is_given_by_them() {
    let text = format!(
        "forbid (principal == Account::\"{}\", action == Action::\"Deploy\", resource);",
        address(2)
    );
    let file = PolicyFile {
        name: "no.cedar".to_owned(),
        text,
    };
    let policies = Policies::with(Action::DECLARED, &[file]).unwrap();
    let world = World::with(policies, RateLimits::default()).await;
    let (_, admin) = shop(&world).await;
    assert_eq!(post(&world, &admin, DEPLOY, hello(json!({}))).await.status, 403);
    let refused = key(&world, &admin, json!(["deploy"])).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let refused = role(&world, &admin, 3, json!({"role": "developer"})).await;
    assert!(refused.status == 403 && refused.text().contains("`deploy`"));
    let _ = made(&world, &admin, json!(["read", "manage"])).await;
}

#[tokio::test]
async fn strangers_use_up_no_projects_quota_and_see_none() {
    let few = |requests| Quota {
        requests,
        ..RateLimits::default().project
    };
    let rates = RateLimits {
        project: few(3),
        ..RateLimits::default()
    };
    let policies = Policies::built_in(Action::DECLARED).unwrap();
    let world = World::with(policies, rates).await;
    let policy = |answer: &Answer| answer.headers["ratelimit-policy"].to_str().unwrap().to_owned();
    let private = "/api/v1/functions/demo/hello";
    for _ in 0..5 {
        let answer = world.call(Some(&world.stranger), "POST", private, "{}").await;
        assert_eq!(answer.status, 404);
        assert!(policy(&answer).contains("key"), "{}", policy(&answer));
    }
    // those of a public function share one of their own
    let anonymous = async || {
        let request = Request::post("/api/v1/functions/demo/open").body(axum::body::Body::from("{}"));
        let peer = Some("192.0.2.7:1".parse().unwrap());
        let answer = world.service.answer(request.unwrap(), peer).await.unwrap();
        let shown = answer.headers()["ratelimit-policy"].to_str().unwrap().to_owned();
        assert!(shown.contains("address"), "{shown}");
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        )
    };
    for _ in 0..3 {
        assert_eq!(anonymous().await, (200, false));
    }
    assert_eq!(anonymous().await, (429, true));
    let answer = world
        .call(Some(&world.stranger), "POST", "/api/v1/functions/demo/open", "{}")
        .await;
    assert_eq!(answer.status, 429);
    assert!(policy(&answer).contains("key"), "{}", policy(&answer));
    // its own people have all of theirs
    for left in [2, 1, 0] {
        let answer = world.call(Some(&world.member), "POST", private, "{}").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let shown = answer.headers["ratelimit"].to_str().unwrap();
        assert!(shown.starts_with(&format!("\"project\";r={left};")), "{shown}");
    }
    let over = world.call(Some(&world.member), "POST", private, "{}").await;
    assert_eq!(over.status, 429);
}

#[tokio::test]
async fn a_name_of_a_call_is_its_callers_own() {
    let world = World::new().await;
    let call = async |key: Option<&str>, body: &str| {
        let mut request = Request::post("/api/v1/functions/demo/open").header("idempotency-key", "order-1");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = world
            .send(request.body(axum::body::Body::from(body.to_owned())).unwrap())
            .await;
        let replayed = answer.headers.contains_key("idempotency-replayed");
        (answer.status.as_u16(), replayed)
    };
    assert_eq!(call(Some(&world.member), "1").await, (200, false));
    assert_eq!(call(Some(&world.member), "1").await, (200, true));
    assert_eq!(call(Some(&world.member), "2").await.0, 409);
    assert_eq!(call(Some(&world.stranger), "1").await, (200, false));
    assert_eq!(call(None, "2").await, (200, false));
}

#[tokio::test]
async fn strangers_see_no_inside_of_a_run() {
    let world = World::new().await;
    let open = "/api/v1/functions/demo/open";
    for (key, sees) in [
        (None, false),
        (Some(&world.stranger), false),
        (Some(&world.member), true),
    ] {
        let key = key.map(String::as_str);
        let good = world.call(key, "POST", open, "{}").await;
        assert_eq!(good.status, 200);
        assert_eq!(good.text().contains("[LOG] hello"), sees, "{}", good.text());
        let failed = world.call(key, "POST", open, r#"{"fail":"NF0203"}"#).await;
        let said = failed.json();
        // what happened and which run it was is for everybody
        assert_eq!(said["code"], "NF0203");
        assert!(said["invocationId"].is_string() && said["message"].is_string());
        assert_eq!(failed.text().contains("[LOG] hello"), sees, "{said}");
    }
}

#[tokio::test]
async fn operators_switch_and_nothing_else_and_managers_read_what_was_done() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    assert_eq!(post(&world, &owner, DEPLOY, hello(json!({}))).await.status, 201);
    assert_eq!(
        role(&world, &owner, 3, json!({"role": "operator"})).await.status,
        200
    );
    let operator = person(&world, 3).await;
    let patch = async |body: &str| {
        let path = "/api/functions/shop/hello";
        let answer = world.call(Some(&operator), "PATCH", path, body.to_owned()).await;
        answer.status.as_u16()
    };
    assert_eq!(patch(r#"{"is_active":false}"#).await, 200);
    assert_eq!(patch(r#"{"is_active":true}"#).await, 200);
    for more in [
        "{}",
        r#"{"public":true}"#,
        r#"{"is_active":true,"source":"theirs"}"#,
    ] {
        assert_eq!(patch(more).await, 403, "{more}");
    }
    let audit = async |token: &str, query: &str| {
        let path = format!("/api/v1/audit{query}");
        world.call(Some(token), "GET", &path, "").await
    };
    let seen = audit(&admin, "?project=shop").await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let entries = seen.json()["entries"].as_array().unwrap().clone();
    assert!(entries.iter().any(|e| e["action"] == "function.change"));
    assert!(entries.iter().all(|e| e["project"] == "shop"), "{entries:?}");
    assert_eq!(audit(&admin, "").await.status, 403);
    assert_eq!(audit(&admin, "?project=demo").await.status, 404);
    assert_eq!(audit(&operator, "?project=shop").await.status, 403);
}

#[tokio::test]
async fn an_older_version_brings_nothing_back_that_was_taken() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    let _ = role(&world, &owner, 3, json!({"role": "operator"})).await;
    let operator = person(&world, 3).await;
    let deploy = async |more: Value| {
        let answer = post(&world, &admin, DEPLOY, hello(more)).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    };
    deploy(json!({"public": true})).await;
    deploy(json!({"source": "two", "allow": {"net": ["https://example.org"]}})).await;
    deploy(json!({"source": "three"})).await;
    deploy(json!({"source": "four"})).await;
    let back = async |token: &str, body: Value| {
        let answer = post(&world, token, "/api/v1/functions/shop/hello/rollback", body).await;
        (answer.status.as_u16(), answer.text())
    };
    for version in [1, 2] {
        let (status, said) = back(&operator, json!({"version": version})).await;
        assert_eq!(status, 403, "{version}: {said}");
    }
    // the one before, which reaches no further
    assert_eq!(back(&operator, json!({})).await.0, 200);
    let (status, said) = back(&operator, json!({})).await;
    assert!(status == 403 && said.contains("newly gives net"), "{said}");
    // one that is not there is that, whatever the newest one reaches
    deploy(json!({"source": "five", "allow": {"net": ["https://example.org"]}})).await;
    assert_eq!(back(&admin, json!({})).await.0, 200);
    for version in [0, 9, u32::MAX] {
        assert_eq!(
            back(&operator, json!({"version": version})).await.0,
            404,
            "{version}"
        );
    }
    assert_eq!(back(&admin, json!({"version": 1})).await.0, 200);
}

#[tokio::test]
async fn streams_end_with_the_right_to_them() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    assert_eq!(post(&world, &owner, DEPLOY, hello(json!({}))).await.status, 201);
    let (key, view) = made(&world, &admin, json!(["read", "invoke"])).await;
    let who = async |token: &str| {
        world
            .api
            .principal(Some(&format!("Bearer {token}")))
            .await
            .unwrap()
    };
    let function = neofn_api::function_key("shop", "hello").unwrap();
    let query = || LogQuery {
        limit: Some(0),
        after: None,
    };
    let follow = async |token: &str| {
        world
            .api
            .follow(&who(token).await, &function, query())
            .await
            .unwrap()
    };
    let run = async || {
        let answer = post(&world, &owner, "/api/v1/functions/shop/hello", json!({})).await;
        assert_eq!(answer.status, 200);
    };
    let mut of_key = follow(&key).await;
    let mut of_admin = follow(&admin).await;
    let mut of_owner = follow(&owner).await;
    let project = function.project.clone();
    let events = async |token: &str| {
        let query = FiredQuery::default();
        world
            .api
            .follow_events(&who(token).await, &project, query)
            .await
            .unwrap()
    };
    let mut events = events(&key).await;
    run().await;
    for stream in [&mut of_key, &mut of_admin, &mut of_owner] {
        assert!(matches!(stream.next().await, Some(LogStep::Entry(_))));
    }
    let path = format!("/api/v1/keys/shop/{}", view["id"].as_str().unwrap());
    assert_eq!(world.call(Some(&owner), "DELETE", &path, "").await.status, 200);
    let path = format!("/api/v1/members/shop/{}", address(2));
    assert_eq!(world.call(Some(&owner), "DELETE", &path, "").await.status, 200);
    world.clock.pass(6);
    run().await;
    assert!(of_key.next().await.is_none());
    assert!(of_admin.next().await.is_none());
    assert!(matches!(of_owner.next().await, Some(LogStep::Entry(_))));
    assert!(events.next().await.is_err());
}

#[tokio::test]
async fn an_answer_is_given_again_to_those_alone_who_may_ask() {
    let world = World::new().await;
    let (owner, admin) = shop(&world).await;
    let send = async |token: &str, path: &str, body: Value| {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", "once");
        world
            .send(request.body(axum::body::Body::from(body.to_string())).unwrap())
            .await
    };
    let deploy = async || send(&admin, DEPLOY, hello(json!({}))).await;
    assert_eq!(deploy().await.status, 201);
    let again = deploy().await;
    assert_eq!(again.status, 201);
    let left = |answer: &Answer| -> u32 {
        let shown = answer.headers["ratelimit"].to_str().unwrap();
        shown.split([';', '=']).nth(2).unwrap().parse().unwrap()
    };
    assert_eq!(left(&deploy().await) + 1, left(&again), "it is counted, too");
    let path = format!("/api/v1/members/shop/{}", address(2));
    assert_eq!(world.call(Some(&owner), "DELETE", &path, "").await.status, 200);
    let refused = deploy().await;
    assert_eq!(refused.status, 404, "{}", refused.text());
}
