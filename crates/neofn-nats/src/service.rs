//! How other NATS clients find the node and ask how it is: the protocol of NATS micro-services, and the subjects
//! `function.health.NODE` and `function.status.NODE`.
//!
//! <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md>

use crate::answer;
use crate::requests::{NatsEdgeOptions, Shared};
use neofn_bus::port::Incoming;
use neofn_bus::{BusError, Message};
use neofn_types::Code;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const NAME: &str = "neofn";
const DESCRIPTION: &str =
    "serverless functions: request function.LANGUAGE.NAME or function.LANGUAGE.PROJECT.NAME";
/// A lease is renewed so often; it ends after three times as long.
const LEASE: Duration = Duration::from_secs(5);

/// A subject that is served.
pub(crate) struct Endpoint {
    name: String,
    pub(crate) subject: String,
    group: &'static str,
    stats: Mutex<Stats>,
}

#[derive(Default)]
struct Stats {
    requests: u64,
    errors: u64,
    last_error: String,
    time: Duration,
}

impl Endpoint {
    pub(crate) fn new(name: &str, subject: String, group: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            subject,
            group,
            stats: Mutex::default(),
        }
    }
}

/// What is said of the node.
pub(crate) struct Service {
    id: String,
    version: String,
    started: String,
    endpoints: Vec<Endpoint>,
}

impl Service {
    pub(crate) fn new(options: &NatsEdgeOptions, endpoints: Vec<Endpoint>) -> Self {
        Self {
            id: options.node.clone(),
            version: options.version.clone(),
            started: options.clock.now().to_iso8601(),
            endpoints,
        }
    }
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }
    /// A request ended.
    pub(crate) fn count(&self, endpoint: usize, took: Duration, error: Option<Code>) {
        let Some(endpoint) = self.endpoints.get(endpoint) else {
            return;
        };
        let mut stats = endpoint.stats.lock();
        stats.requests += 1;
        stats.time += took;
        if let Some(error) = error {
            stats.errors += 1;
            // no more: everybody may ask for it, and the text is for its caller alone
            stats.last_error = error.to_string();
        }
    }

    /// The answer to one verb of the protocol.
    fn said(&self, verb: &str) -> Option<Value> {
        let head = |kind: &str| {
            json!({"type": format!("io.nats.micro.v1.{kind}_response"), "name": NAME, "id": self.id,
                "version": self.version, "metadata": {}})
        };
        let mut answer = match verb {
            "PING" => head("ping"),
            "INFO" => head("info"),
            "STATS" => head("stats"),
            _ => return None,
        };
        let more = match verb {
            "INFO" => json!({"description": DESCRIPTION, "endpoints": self.endpoints.iter().map(|e| json!({
                "name": e.name, "subject": e.subject, "queue_group": e.group, "metadata": {},
            })).collect::<Vec<_>>()}),
            "STATS" => {
                json!({"started": self.started, "endpoints": self.endpoints.iter().map(stats).collect::<Vec<_>>()})
            }
            _ => json!({}),
        };
        if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
            answer.extend(more);
        }
        Some(answer)
    }
}

fn stats(endpoint: &Endpoint) -> Value {
    let stats = endpoint.stats.lock();
    let nanos = u64::try_from(stats.time.as_nanos()).unwrap_or(u64::MAX);
    json!({"name": endpoint.name, "subject": endpoint.subject, "queue_group": endpoint.group,
        "num_requests": stats.requests, "num_errors": stats.errors, "last_error": stats.last_error,
        "processing_time": nanos, "average_processing_time": nanos.checked_div(stats.requests).unwrap_or(0)})
}

/// Answers those who look for the node, and keeps its lease.
pub(crate) async fn serve(shared: &Arc<Shared>, stop: &CancellationToken) -> Result<(), BusError> {
    let options = &shared.options;
    let id = options.node.as_str();
    let mut subjects = Vec::new();
    for verb in ["PING", "INFO", "STATS"] {
        for place in [
            format!("$SRV.{verb}"),
            format!("$SRV.{verb}.{NAME}"),
            format!("$SRV.{verb}.{NAME}.{id}"),
        ] {
            subjects.push((verb, place));
        }
    }
    subjects.push(("health", format!("function.health.{id}")));
    subjects.push(("status", format!("function.status.{id}")));
    for (verb, subject) in subjects {
        let incoming = options.bus.rpc.serve(&subject, None).await?;
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            let said = || {
                let shared = shared.clone();
                async move { said(&shared, verb).await }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = answer_all(incoming, said) => {}
            }
        });
    }
    let (shared, stop) = (shared.clone(), stop.clone());
    tokio::spawn(async move {
        loop {
            let (bus, node) = (&shared.options.bus, &shared.options.node);
            if let Err(error) = bus.leases.put(node, shared.options.lease.clone()).await {
                tracing::warn!(%error, "the lease of this node is not renewed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LEASE) => {}
            }
        }
    });
    Ok(())
}

async fn answer_all<F>(mut incoming: Box<dyn Incoming>, said: impl Fn() -> F)
where
    F: Future<Output = Message>,
{
    while let Some(received) = incoming.next().await {
        // a message that nobody waits for is no reason to stop
        let Some(reply) = received.reply else { continue };
        if let Err(error) = reply.send(said().await).await {
            tracing::warn!(%error, subject = received.subject, "not answered");
        }
    }
}

async fn said(shared: &Shared, verb: &str) -> Message {
    let api = &shared.options.api;
    match verb {
        "health" => answer::json(&api.health().await),
        "status" => {
            let ready = api.ready().await;
            answer::json(
                &json!({"id": shared.options.node, "role": "gateway", "ready": ready.ready,
                "reasons": ready.reasons, "version": shared.options.version, "started": shared.service.started}),
            )
        }
        verb => shared
            .service
            .said(verb)
            .map_or_else(Message::default, |said| answer::json(&said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_that_nobody_waits_for_ends_nothing() {
        let rpc = neofn_bus::memory::bus().rpc;
        let incoming = rpc.serve("$SRV.PING", None).await.unwrap();
        tokio::spawn(answer_all(incoming, || async { Message::new("here") }));
        rpc.publish("$SRV.PING", Message::new("")).await.unwrap();
        let asked = rpc.request("$SRV.PING", Message::new(""), Duration::from_secs(10));
        assert_eq!(asked.await.unwrap().payload, "here");
    }

    /// Whoever may reach the node may ask for its numbers.
    #[test]
    fn numbers_say_of_an_error_its_code_alone() {
        let service = Service {
            id: "g1".to_owned(),
            version: "1.0.0".to_owned(),
            started: String::new(),
            endpoints: vec![Endpoint::new("js", "function.js.*".to_owned(), "neofn")],
        };
        service.count(0, Duration::from_millis(1), Some(Code::SubjectUnknown));
        let said = service.said("STATS").unwrap();
        assert_eq!(said["endpoints"][0]["num_errors"], 1);
        assert_eq!(said["endpoints"][0]["last_error"], "NF1607");
    }
}
