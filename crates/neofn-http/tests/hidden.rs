//! What belongs to others and what is not there at all cannot be told apart: not by the answer, and not by how long it takes. A
//! test of time would measure the machine; this one holds both to the same path: as many queries of the store, which is all
//! that takes time here, and the same bytes.

mod common;

use common::World;
use neofn_http::{ENDPOINTS, Endpoint};
use serde_json::Value;

const NOBODYS: &str = "01890000-0000-7000-8000-000000000000";

/// Status, body without what differs from call to call, and how often the store was asked.
async fn ask(world: &World, key: Option<&str>, endpoint: &Endpoint, names: [&str; 3]) -> (u16, String, u64) {
    let [project, function, id] = names;
    let method = match endpoint.method {
        "any" => "POST".to_owned(),
        other => other.to_uppercase(),
    };
    let mut path = endpoint
        .path
        .replace("{project}", project)
        .replace("{function}", function)
        .replace("{trigger}", function)
        .replace("{name}", function)
        .replace("{id}", id)
        .replace("{address}", "NTHc8AGjjUGL8Bi5yxnL4WAa3zUpvrc5rd")
        .replace("{height}", "1")
        .replace("{*rest}", "a");
    if endpoint.path.starts_with("/api/v1/events") || endpoint.path.starts_with("/api/v1/deadletters") {
        path = format!("{path}?project={project}");
    }
    let before = world.store.reads();
    let answer = world.call(key, &method, &path, "{}").await;
    let reads = world.store.reads() - before;
    let mut body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("traceId");
        members.remove("instance");
    }
    let said = names
        .iter()
        .fold(body.to_string(), |text, name| text.replace(name, "NAME"));
    (answer.status.as_u16(), said, reads)
}

#[tokio::test]
async fn others_things_and_missing_things_cost_the_same() {
    let world = World::new().await;
    let run = world
        .as_operator("POST", "/api/v1/functions/demo/hello", "1")
        .await
        .json();
    let run = run["invocationId"].as_str().unwrap();
    // on disk, and with nobody else at the store
    let seen = format!("/api/v1/invocations/{run}");
    assert_eq!(world.as_operator("GET", &seen, "").await.status, 200);
    world.quiet().await;
    let mut compared = 0;
    for key in [None, Some(world.stranger.as_str())] {
        // who it is, is remembered from here on
        let _ = world.call(key, "GET", "/auth/whoami", "").await;
        for endpoint in ENDPOINTS
            .iter()
            .filter(|e| e.path.contains('{') || e.path.contains("deadletters"))
        {
            let there = ask(&world, key, endpoint, ["demo", "hello", run]).await;
            for absent in [
                ["demo", "nothing", NOBODYS],
                ["nowhere", "hello", NOBODYS],
                ["nowhere", "nothing", NOBODYS],
            ] {
                let missing = ask(&world, key, endpoint, absent).await;
                assert_eq!(there, missing, "{endpoint:?} {absent:?} {}", key.is_some());
            }
            compared += 1;
        }
    }
    assert!(compared > 80, "{compared}");
    // the measure measures: who may see it has the store asked
    let own = ENDPOINTS
        .iter()
        .find(|e| e.path == "/api/v1/projects/{project}/functions")
        .unwrap();
    let (status, _, reads) = ask(&world, Some(&world.member), own, ["demo", "hello", run]).await;
    assert!(status == 200 && reads > 0, "{status} {reads}");
}
