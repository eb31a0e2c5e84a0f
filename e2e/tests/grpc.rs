//! The gRPC edge from outside: where it listens, TLS, the typed client, statuses, and a node that goes.

mod support;

use neofn_event::{CloudEvent, Data};
use neofn_grpc::client::{CallError, Client, StatusCode};
use neofn_grpc::pb;
use neofn_testkit::NodeProcess;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use support::people::Person;

const ECHO: &str = "export const handler = (event) => event";

fn event(data: Value) -> CloudEvent {
    CloudEvent {
        id: "1".to_owned(),
        source: "/e2e".to_owned(),
        ty: "test".to_owned(),
        data: Data::Json(data),
        ..CloudEvent::default()
    }
}

fn grpc(node: &NodeProcess) -> Option<String> {
    Some(format!("http://{}", node.ready()["grpc"].as_str()?))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(60), future)
                .await
                .unwrap()
        })
}

/// A node with a configuration file.
fn configured(dir: &Path, config: &str) -> Result<NodeProcess, String> {
    std::fs::write(dir.join("node.toml"), config).unwrap();
    let file = dir.join("node.toml").display().to_string();
    NodeProcess::try_start_in(&dir.join("data"), &["--config", &file])
}

#[test]
fn the_typed_client_tells_results_failures_and_refusals_apart() {
    let node = NodeProcess::start();
    let _ = node.http().deploy("demo", "echo", ECHO).expect(201);
    let fail = "export const handler = () => { throw new Error('no') }";
    let _ = node.http().deploy("demo", "fail", fail).expect(201);
    wait(async {
        let url = grpc(&node).unwrap();
        let mut client = Client::connect(&url, Some(node.key())).await.unwrap();
        let sent = event(json!({"n": 1}));
        let json = client.execute("demo/echo", Some(&sent), None).await.unwrap();
        assert_eq!(serde_json::from_slice::<CloudEvent>(&json).unwrap(), sent);
        let failed = client.execute("demo/fail", None, None).await.unwrap_err();
        assert!(matches!(&failed, CallError::Failed(text) if text == "NF0201: Error: no"));
        assert_eq!(failed.code().as_deref(), Some("NF0201"));
        let refused = client.execute("demo/none", None, None).await.unwrap_err();
        assert!(matches!(&refused, CallError::Refused(status) if status.code() == StatusCode::NotFound));
        assert_eq!(refused.code().as_deref(), Some("NF0301"));
        let mut stranger = Client::connect(&url, None).await.unwrap();
        let refused = stranger.execute("demo/echo", None, None).await.unwrap_err();
        assert_eq!(refused.code().as_deref(), Some("NF0401"));
        // what an event holds is looked at for those who may send it
        let bad = pb::ExecuteFunctionRequest {
            name: "demo/echo".to_owned(),
            event: Some(CloudEvent::default().to_proto()),
        };
        for (client, code) in [(&mut stranger, "NF0401"), (&mut client, "NF0707")] {
            let refused = client.calls().execute_function(bad.clone()).await.unwrap_err();
            assert_eq!(CallError::from(refused).code().as_deref(), Some(code));
        }
        let many = pb::PublishEventsRequest {
            project: "demo".to_owned(),
            events: vec![CloudEvent::default().to_proto()],
        };
        let refused = stranger.calls().publish_events(many).await.unwrap_err();
        assert_eq!(CallError::from(refused).code().as_deref(), Some("NF0401"));
        let wrong = Client::connect(&url, Some("nfk_wrong"))
            .await
            .unwrap()
            .execute("demo/echo", None, None)
            .await;
        assert_eq!(wrong.unwrap_err().code().as_deref(), Some("NF0401"));
        let page = client
            .calls()
            .list_functions(pb::ListFunctionsRequest {
                project: "demo".to_owned(),
                ..pb::ListFunctionsRequest::default()
            })
            .await
            .unwrap();
        assert_eq!(page.into_inner().functions.len(), 2);
    });
}

/// An address that says https is spoken to over TLS or not at all: whoever listens there in the clear sees no key.
#[test]
fn what_is_https_shows_its_key_to_nobody_without_a_certificate() {
    for scheme in ["https", "HTTPS"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let listens = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut heard = vec![0; 4096];
            let first = stream.read(&mut heard).unwrap();
            heard.truncate(first);
            // as a server in the clear answers, with its settings
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0");
            let _ = stream.read_to_end(&mut heard);
            heard
        });
        let outcome = wait(async {
            let mut client = Client::connect(&url, Some("nfk_secret")).await?;
            client
                .execute("demo/echo", None, Some(Duration::from_secs(5)))
                .await
        });
        let heard = listens.join().unwrap();
        assert_eq!(heard.first(), Some(&0x16), "a handshake of TLS: {heard:?}");
        assert!(
            !heard.windows(10).any(|part| part == b"nfk_secret"),
            "{}",
            heard.escape_ascii()
        );
        assert!(matches!(&outcome, Err(CallError::Connect(_))), "{outcome:?}");
    }
    // whose authority is named is not spoken to in the clear either
    let refused = wait(Client::connect_trusting(
        "http://127.0.0.1:9",
        Some("nfk_secret"),
        "",
    ));
    assert!(matches!(&refused, Err(CallError::Connect(why)) if why.contains("https://")));
}

#[test]
fn nodes_of_one_machine_do_not_clash_and_it_can_be_off() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let plain: Vec<NodeProcess> = dirs[..2]
        .iter()
        .map(|dir| NodeProcess::start_in(&dir.path().join("data"), &[]))
        .collect();
    let addresses: Vec<_> = plain.iter().map(|node| grpc(node).unwrap()).collect();
    assert_ne!(addresses[0], addresses[1]);
    let taken = addresses[0].trim_start_matches("http://");
    let refused = configured(dirs[2].path(), &format!("[grpc]\nlisten = \"{taken}\"\n"));
    assert!(
        refused.err().unwrap().contains("NF0605"),
        "an address that was asked for is not replaced"
    );
    let off = configured(dirs[2].path(), "[grpc]\nlisten = \"off\"\n").unwrap();
    assert_eq!(grpc(&off), None);
    drop(off);
    // a flag wins over the file
    let flag = [
        "--config",
        &dirs[2].path().join("node.toml").display().to_string(),
        "--grpc-listen",
        "127.0.0.1:0",
    ];
    let on = NodeProcess::start_in(&dirs[2].path().join("data"), &flag);
    assert!(grpc(&on).is_some());
}

#[test]
fn what_this_build_cannot_serve_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (config, said) in [
        ("[tls]\ncert_file = \"a.pem\"\nkey_file = \"b.pem\"\n", "a.pem"),
        ("[grpc]\nport = 1\n", "node.toml:2:1"),
    ] {
        let stderr = configured(dir.path(), config).err().unwrap();
        assert!(stderr.contains("NF0601") && stderr.contains(said), "{stderr}");
    }
}

#[test]
fn requests_are_counted_here_as_over_http_and_through_proxies() {
    let dir = tempfile::tempdir().unwrap();
    let config = "trusted_proxy = [\"127.0.0.0/8\"]\n[grpc]\nlisten = \"127.0.0.1:0\"\n\
                  [rates]\nkey = 3\naddress = 2\nsign_in = 2\n";
    let node = configured(dir.path(), config).unwrap();
    let request = json!({"function_name": "echo", "source": ECHO, "public": true});
    let _ = node.http().deploy_with("shop", request).expect(201);
    let made = node
        .http()
        .post("/api/v1/keys/shop", &json!({"name": "k", "scopes": ["invoke"]}));
    let key = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    let refusal = |error: CallError| {
        let CallError::Refused(status) = error else {
            panic!("{error:?}")
        };
        assert_eq!(status.code(), StatusCode::ResourceExhausted, "{status:?}");
        // google.rpc.RetryInfo, and nothing else, says when to come back
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(details.contains("google.rpc.RetryInfo"), "{details:?}");
        assert!(status.message().starts_with("NF0407"), "{status:?}");
    };
    wait(async {
        let url = grpc(&node).unwrap();
        let mut client = Client::connect(&url, Some(&key)).await.unwrap();
        for _ in 0..3 {
            let _ = client.execute("shop/echo", None, None).await.unwrap();
        }
        refusal(client.execute("shop/echo", None, None).await.unwrap_err());
        // who runs the node is not counted
        let mut operator = Client::connect(&url, Some(node.key())).await.unwrap();
        for _ in 0..5 {
            let _ = operator.execute("shop/echo", None, None).await.unwrap();
        }
    });

    // the same over HTTP: a proxy on this machine is believed, and what it forwards is not of this machine
    let open = node.anonymous();
    let from = |path: &str, who: &str| open.send("GET", path, b"", &[("x-forwarded-for", who)]).status;
    assert_eq!(open.get("/metrics").status, 200);
    assert_eq!(from("/metrics", "198.51.100.7"), 401);
    assert_eq!(from("/metrics", "127.0.0.1"), 401);
    assert_eq!(from("/metrics", "198.51.100.7"), 401);
    assert_eq!(from("/metrics", "198.51.100.7"), 429);
    // the caller's own inventions stand further left
    assert_eq!(from("/metrics", "203.0.113.1, 198.51.100.7"), 429);
    assert_eq!(from("/metrics", "198.51.100.8"), 401);
    let ask = |who: &str| {
        let body = json!({"address": "NdkZLF1zQBPt7qoWanSqMh4nGfyAzv8DGe"}).to_string();
        let headers = [("x-forwarded-for", who), ("content-type", "application/json")];
        open.send("POST", "/auth/challenge", body.as_bytes(), &headers)
            .status
    };
    assert_eq!([1, 2, 3].map(|_| ask("198.51.100.9")), [200, 200, 429]);
    assert_eq!(ask("198.51.100.10"), 200);
}

/// Every call of the service, with what is answered: `Ok`, or the code of the refusal and its words.
async fn every_call(
    client: &mut Client,
    project: &str,
    run: &str,
) -> Vec<(&'static str, StatusCode, String)> {
    let name = || format!("{project}/hello");
    let mut answers = Vec::new();
    let mut add = |call, answer: Result<(), CallError>| {
        let (code, words) = match answer {
            Ok(()) => (StatusCode::Ok, String::new()),
            Err(CallError::Refused(status)) => (status.code(), status.message().to_owned()),
            Err(other) => panic!("{call}: {other:?}"),
        };
        answers.push((call, code, words));
    };
    add("execute", client.execute(&name(), None, None).await.map(drop));
    let calls = client.calls();
    let request = pb::GetFunctionRequest { name: name() };
    add(
        "get",
        calls.get_function(request).await.map(drop).map_err(Into::into),
    );
    let request = pb::ListFunctionsRequest {
        project: project.to_owned(),
        ..pb::ListFunctionsRequest::default()
    };
    add(
        "list",
        calls.list_functions(request).await.map(drop).map_err(Into::into),
    );
    let request = pb::LogsRequest {
        name: name(),
        ..pb::LogsRequest::default()
    };
    add("logs", calls.logs(request).await.map(drop).map_err(Into::into));
    let request = pb::GetInvocationRequest { id: run.to_owned() };
    add(
        "run",
        calls.get_invocation(request).await.map(drop).map_err(Into::into),
    );
    let request = pb::ListInvocationsRequest {
        name: name(),
        ..pb::ListInvocationsRequest::default()
    };
    add(
        "runs",
        calls
            .list_invocations(request)
            .await
            .map(drop)
            .map_err(Into::into),
    );
    let request = pb::PublishEventsRequest {
        project: project.to_owned(),
        events: vec![event(json!(1)).to_proto()],
    };
    add(
        "publish",
        calls.publish_events(request).await.map(drop).map_err(Into::into),
    );
    let request = pb::DeployRequest {
        name: name(),
        code: Some(pb::deploy_request::Code::Source(ECHO.to_owned())),
        ..pb::DeployRequest::default()
    };
    add(
        "deploy",
        calls.deploy(request).await.map(drop).map_err(Into::into),
    );
    answers
}

#[test]
fn strangers_viewers_and_guests_may_here_what_they_may_over_http() {
    let node = NodeProcess::start();
    let (owner, other) = (Person::sign_in(&node, 15), Person::sign_in(&node, 21));
    let (viewer, guest) = (Person::sign_in(&node, 11), Person::sign_in(&node, 16));
    for (person, project) in [(&owner, "shop"), (&other, "bank")] {
        let made = person.http.post("/api/v1/projects", &json!({"name": project}));
        let _ = made.expect(201);
        let _ = person.http.deploy(project, "hello", ECHO).expect(201);
    }
    for (person, body) in [
        (&viewer, json!({"role": "viewer"})),
        (&guest, json!({"role": "operator", "function": "hello"})),
    ] {
        let path = format!("/api/v1/members/shop/{}", person.address);
        let body = body.to_string();
        let _ = owner.http.send("PUT", &path, body.as_bytes(), &[]).expect(200);
    }
    let scopes = [
        "read", "invoke", "operate", "deploy", "secrets", "money", "manage",
    ];
    let made = other
        .http
        .post("/api/v1/keys/bank", &json!({"name": "k", "scopes": scopes}));
    let strange = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    let run = owner
        .http
        .invoke("shop", "hello", &Value::Null)
        .expect(200)
        .json();
    let run = run["invocationId"].as_str().unwrap().to_owned();
    let absent = "01890000-0000-7000-8000-000000000000";
    let token = |person: &Person| Some(person.tokens["access_token"].as_str().unwrap().to_owned());
    use StatusCode::{NotFound, Ok as Done, PermissionDenied, Unauthenticated};
    let table = [
        ("nobody", None, [Unauthenticated; 8]),
        ("strange key", Some(strange), [NotFound; 8]),
        ("stranger", token(&other), [NotFound; 8]),
        (
            "viewer",
            token(&viewer),
            [
                PermissionDenied,
                Done,
                Done,
                Done,
                Done,
                Done,
                PermissionDenied,
                PermissionDenied,
            ],
        ),
        (
            "guest",
            token(&guest),
            [Done, Done, NotFound, Done, Done, Done, NotFound, NotFound],
        ),
        ("owner", token(&owner), [Done; 8]),
    ];
    wait(async {
        let url = grpc(&node).unwrap();
        for (who, key, expected) in table {
            let mut client = Client::connect(&url, key.as_deref()).await.unwrap();
            let seen = every_call(&mut client, "shop", &run).await;
            let codes: Vec<_> = seen.iter().map(|(_, code, _)| *code).collect();
            assert_eq!(codes, expected, "{who}: {seen:?}");
            // what one may not know of reads as what is not there
            let none = every_call(&mut client, "nowhere", absent).await;
            for ((call, code, words), (_, there, said)) in seen.iter().zip(&none) {
                if *code == NotFound {
                    let blot = |text: &str| {
                        text.replace("nowhere", "X")
                            .replace("shop", "X")
                            .replace(absent, &run)
                    };
                    assert_eq!((code, blot(words)), (there, blot(said)), "{who}: {call}");
                }
            }
        }
    });
}
