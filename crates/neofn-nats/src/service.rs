//! How other NATS clients find the node and ask how it is: the protocol of NATS micro-services, and the subjects
//! `function.health.NODE` and `function.status.NODE`.
//!
//! <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md>

use crate::answer;
use crate::requests::{NatsEdgeOptions, Shared};
use neofn_bus::{BusError, Message};
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
    pub(crate) fn count(&self, endpoint: usize, took: Duration, error: Option<String>) {
        let Some(endpoint) = self.endpoints.get(endpoint) else {
            return;
        };
        let mut stats = endpoint.stats.lock();
        stats.requests += 1;
        stats.time += took;
        if let Some(error) = error {
            stats.errors += 1;
            stats.last_error = error;
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
        let mut incoming = options.bus.rpc.serve(&subject, None).await?;
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    () = stop.cancelled() => return,
                    received = incoming.next() => received,
                };
                let Some(reply) = received.and_then(|r| r.reply) else {
                    return;
                };
                if let Err(error) = reply.send(said(&shared, verb).await).await {
                    tracing::debug!(%error, verb, "not answered");
                }
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

async fn said(shared: &Shared, verb: &str) -> Message {
    let api = &shared.options.api;
    match verb {
        "health" => match api.health().await {
            Ok(health) => answer::json(&health),
            Err(error) => answer::problem(&error, None),
        },
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
