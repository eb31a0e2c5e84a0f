//! CloudEvents come through as they are, their trace, extensions, content type and data: over REST, gRPC and NATS, in every
//! mode, to a function, and from it to the next one.

use crate::client::Client;
use crate::{SOON, deploy, gateway};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neofn_event::{CloudEvent, Data};
use neofn_testkit::{NatsServer, NodeProcess, eventually};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// One of each kind of content, or of none.
fn events() -> Vec<CloudEvent> {
    let contents = [
        (
            Some("application/json"),
            Data::Json(json!({"a": [1, "ä"], "n": 9_007_199_254_740_991_u64})),
        ),
        (
            Some("application/vnd.neo+json; charset=utf-8"),
            Data::Json(json!(7)),
        ),
        (
            Some("text/plain; charset=utf-8"),
            Data::Json(json!("Käse & \"Brot\"")),
        ),
        (Some("application/octet-stream"), Data::Binary(vec![0, 1, 255])),
        (Some("image/png"), Data::Binary(vec![0x89, b'P', b'N', b'G'])),
        (None, Data::Json(json!(["no", "type"]))),
    ];
    let event = |(n, (content_type, data)): (usize, (Option<&str>, Data))| {
        let text = |text: &str| Value::String(text.to_owned());
        CloudEvent {
            id: format!("ä {n}"),
            source: "/e2e/events".to_owned(),
            ty: "round.trip".to_owned(),
            subject: Some("Käse \"%20\"".to_owned()),
            time: Some("2026-01-02T03:04:05.678Z".to_owned()),
            dataschema: Some("https://example.org/schema".to_owned()),
            datacontenttype: content_type.map(str::to_owned),
            extensions: [
                (
                    "traceparent".to_owned(),
                    text(&format!("00-{TRACE}-b7ad6b7169203331-01")),
                ),
                ("tenant".to_owned(), text("acmé")),
            ]
            .into_iter()
            .collect(),
            data,
        }
    };
    contents.into_iter().enumerate().map(event).collect()
}

/// Ways to call a function with an event; each answers what it returned, and the id of its trace.
struct Ways<'a> {
    node: &'a NodeProcess,
    nats: Client,
    grpc: tokio::runtime::Runtime,
}

impl Ways<'_> {
    fn http(&self, function: &str, headers: &[(String, String)], body: &[u8]) -> (Value, String) {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let path = format!("/api/v1/functions/demo/{function}");
        let answer = self.node.http().send("POST", &path, body, &headers).expect(200);
        let said = answer.header("traceparent").expect("a trace").to_owned();
        (answer.json()["result"].clone(), said)
    }
    fn nats(&mut self, function: &str, headers: &[(String, String)], body: &[u8]) -> (Value, String) {
        let mut all: serde_json::Map<String, Value> =
            headers.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        all.insert(
            "Authorization".to_owned(),
            json!(format!("Bearer {}", self.node.key())),
        );
        let answer = self.nats.send(
            json!({"do": "request", "subject": format!("function.js.demo.{function}"),
            "data64": STANDARD.encode(body), "headers": all}),
        );
        assert_eq!(answer["body"]["success"], true, "{answer}");
        let said = answer["headers"]["traceparent"]
            .as_str()
            .expect("a trace")
            .to_owned();
        (answer["body"]["result"].clone(), said)
    }
    fn grpc(&self, function: &str, event: &CloudEvent) -> (Value, String) {
        let url = format!("http://{}", self.node.ready()["grpc"].as_str().expect("gRPC"));
        let said = async {
            let mut client = neofn_grpc::client::Client::connect(&url, Some(self.node.key()))
                .await
                .unwrap();
            let json = client
                .execute(&format!("demo/{function}"), Some(event), None)
                .await
                .unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        let result = self.grpc.block_on(said);
        // its answer does not name the trace; the newest invocation does
        let path = format!("/api/v1/functions/demo/{function}/invocations?limit=1");
        let all = self.node.http().get(&path).expect(200).json();
        let trace = all["invocations"][0]["traceId"]
            .as_str()
            .expect("a trace")
            .to_owned();
        (result, trace)
    }
    fn all(&mut self, function: &str, event: &CloudEvent) -> Vec<(&'static str, (Value, String))> {
        let (structured, json) = event.to_message();
        let (binary, body) = event.to_headers();
        let protobuf = [(
            "Content-Type".to_owned(),
            "application/cloudevents+protobuf".to_owned(),
        )];
        vec![
            ("REST, structured", self.http(function, &structured, &json)),
            ("REST, binary", self.http(function, &binary, &body)),
            ("NATS, structured", self.nats(function, &structured, &json)),
            ("NATS, binary", self.nats(function, &binary, &body)),
            (
                "NATS, protobuf",
                self.nats(function, &protobuf, &event.to_protobuf()),
            ),
            ("gRPC", self.grpc(function, event)),
        ]
    }
}

#[test]
fn events_come_through_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start();
    let node = gateway(dir.path(), &nats, "embedded");
    let echo = "export const handler = (e) => e";
    deploy(&node, "demo", "echo", echo, json!({}));
    let mut ways = Ways {
        node: &node,
        nats: Client::connect(&nats),
        grpc: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap(),
    };
    for event in events() {
        for (way, (seen, trace)) in ways.all("echo", &event) {
            let mut event = event.clone();
            if way.ends_with("binary") {
                // a body has a type: JSON's where the event names none
                event.datacontenttype.get_or_insert("application/json".to_owned());
            }
            assert_eq!(seen, event.to_json(), "{way}");
            assert!(trace.contains(TRACE), "{way}: {trace}");
            // and back: what the function returned is the same event
            assert_eq!(CloudEvent::from_json(seen).unwrap(), event, "{way}");
        }
    }

    // from a function to the next one, which a trigger calls
    let pass = "export async function handler(e, ctx) { await ctx.emit({ ...e, type: 'passed' }); return e }";
    deploy(&node, "demo", "pass", pass, json!({}));
    let on = json!({"on": {"event": [{"type": "passed"}]}});
    deploy(&node, "demo", "last", echo, on);
    let sent = events();
    for event in &sent {
        let (seen, _) = ways.grpc("pass", event);
        assert_eq!(seen, event.to_json());
    }
    let got = eventually("all of them arrive", SOON, || {
        let path = "/api/v1/functions/demo/last/invocations?status=succeeded";
        let all = node.http().get(path).expect(200).json()["invocations"].clone();
        let all = all.as_array()?.clone();
        (all.len() == sent.len()).then_some(all)
    });
    for event in sent {
        // a function's own event has its own source, and all else of the other one
        let passed = CloudEvent {
            source: "/neofn/demo/pass".to_owned(),
            ty: "passed".to_owned(),
            ..event
        };
        let wanted = passed.to_json();
        let found = got.iter().find(|row| row["result"]["id"] == wanted["id"]);
        let found = found.unwrap_or_else(|| panic!("{} is not among {got:?}", passed.id));
        assert_eq!((&found["result"], &found["traceId"]), (&wanted, &json!(TRACE)));
    }
    assert_eq!(node.terminate(), Some(0));
}
