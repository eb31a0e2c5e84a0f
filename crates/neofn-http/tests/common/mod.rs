//! The edge over the real engine and the real store. Only what runs and compiles code is scripted, by the event and
//! by the source, so that every answer of the edge can be brought about.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop loudly"
)]

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use neofn_api::{Action, Api, ApiOptions, NodeFacts, Proxies, RateLimits};
use neofn_engine::port::{Compile, CompileRefusal, CompiledSource, Positions, Source};
use neofn_engine::{Engine, EngineOptions, Ports};
use neofn_http::{Edge, EdgeService};
use neofn_identity::auditlog::{AuditLog, AuditLogOptions, LogKey};
use neofn_identity::policy::Policies;
use neofn_identity::port::IdentityStore as _;
use neofn_identity::token::FileSeal;
use neofn_identity::{ApiKey, Identity, IdentityOptions, KeyRecord, Scope, SignInSettings};
use neofn_runtime::port::{
    Artifact, Completed, Failure, Held, Job, Layout, Prepare, PrepareError, Runtime, RuntimeStatus,
};
use neofn_store_sqlite::{Store, StoreOptions};
use neofn_types::{
    Clock, Code, Diagnostic, Digest, Entropy, Limits, RuntimeKind, Severity, UnitsBill, UnixMillis,
};
use neofn_wire::JailView;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub struct TestClock(AtomicI64, AtomicU64);
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        // each look is a millisecond later, so that ids are ordered
        UnixMillis(self.0.fetch_add(1, Ordering::Relaxed))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.1.load(Ordering::Relaxed))
    }
}
impl TestClock {
    pub fn pass(&self, seconds: u64) {
        self.1.fetch_add(seconds, Ordering::Relaxed);
    }
    pub fn forward(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

pub struct Counting(AtomicU64);
impl Entropy for Counting {
    fn fill(&self, buf: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buf.iter_mut().rev().zip(n.iter().rev()) {
            *to = *from;
        }
    }
}

/// Answers the event; `{"fail": "NF0203"}` fails so, `{"http": …}` answers what is in it.
pub struct Scripted;
#[async_trait]
impl Runtime for Scripted {
    fn engine(&self, _: RuntimeKind) -> Digest {
        Digest([1; 32])
    }
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        let artifact = Artifact {
            digest: Digest::of(&request.code),
            engine: Digest([1; 32]),
            bytes: request.code,
        };
        Ok((artifact, Vec::new()))
    }
    fn hold(&self, _: &Digest) -> Option<Held> {
        None
    }
    async fn invoke(&self, job: Job) -> Completed {
        let event: Value = serde_json::from_slice(&job.event).unwrap();
        let outcome = match (event["fail"].as_str(), event["body"].as_str()) {
            (Some(code), _) => Err(Failure {
                code: code.parse().unwrap(),
                message: "Error: as asked".to_owned(),
                stack: Vec::new(),
            }),
            (None, Some(body)) if event["method"].is_string() => {
                let echo = serde_json::json!({"statusCode": 200, "headers": {"content-type": "application/json"}, "body": job.event});
                Ok(if body == "raw" {
                    job.event.clone()
                } else {
                    Bytes::from(with_text(echo, &job.event))
                })
            }
            _ => Ok(job.event.clone()),
        };
        Completed {
            outcome,
            logs: vec!["[LOG] hello".to_owned()],
            units: UnitsBill {
                total: 10_010,
                base: 10_000,
                compute: 0,
                memory: 0,
                host: 10,
                schedule: 1,
            },
            fuel: 1,
            memory_bytes: 0,
            duration: Duration::from_micros(20),
            layout: Layout::D3,
        }
    }
    fn is_warm(&self, artifact: &Digest) -> bool {
        self.hold(artifact).is_some()
    }
    fn status(&self) -> RuntimeStatus {
        RuntimeStatus {
            children: 1,
            ..RuntimeStatus::default()
        }
    }
}

fn with_text(mut echo: Value, event: &Bytes) -> Vec<u8> {
    echo["body"] = Value::String(String::from_utf8_lossy(event).into_owned());
    serde_json::to_vec(&echo).unwrap()
}

/// Takes every source but those that hold `refuse me`.
pub struct Lenient;
#[async_trait]
impl Compile for Lenient {
    async fn compile(&self, source: Source<'_>) -> Result<CompiledSource, CompileRefusal> {
        let text = &source.files[source.main];
        if text.contains("refuse me") {
            return Err(CompileRefusal::Rejected {
                bundling: false,
                diagnostics: vec![Diagnostic {
                    code: Code::Syntax,
                    severity: Severity::Error,
                    file: source.main.to_owned(),
                    line: 1,
                    column: 2,
                    length: 1,
                    message: "unexpected `!`".to_owned(),
                    hint: "Remove it.".to_owned(),
                    frame: "1 | x!\n  |  ^".to_owned(),
                }],
            });
        }
        Ok(CompiledSource {
            code: Bytes::from(text.clone()),
            source_map: Bytes::from_static(b"{}"),
            warnings: Vec::new(),
            calls: Vec::new(),
            validate: Duration::ZERO,
            compile: Duration::ZERO,
        })
    }
    fn positions(&self, _: &[u8]) -> Option<Box<dyn Positions>> {
        None
    }
    fn code_frame(&self, _: &str, _: u32, _: u32) -> String {
        String::new()
    }
}

/// An edge, its keys, and a function `demo/hello` (private) and `demo/open` (public).
pub struct World {
    pub service: EdgeService,
    pub api: Api,
    pub going: CancellationToken,
    pub operator: String,
    pub member: String,
    pub stranger: String,
    pub clock: Arc<TestClock>,
    pub store: Arc<Store>,
    loops: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(
            Policies::built_in(Action::DECLARED).unwrap(),
            RateLimits::default(),
        )
        .await
    }

    pub async fn with(policies: Policies, rates: RateLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000_000), AtomicU64::new(0)));
        let entropy = Arc::new(Counting(AtomicU64::new(1)));
        let store = Arc::new(Store::open(StoreOptions::new(dir.path(), clock.clone())).unwrap());
        let scopes = [
            Scope::Operator,
            Scope::Project("demo".parse().unwrap()),
            Scope::Project("other".parse().unwrap()),
        ];
        let mut keys = Vec::new();
        for (n, scope) in (1u8..).zip(scopes) {
            let key = ApiKey::new([n; 8], [n; 24]);
            keys.push(key.reveal().to_string());
            let record = KeyRecord::new(&key, scope, UnixMillis(0));
            store.add_key(record).await.unwrap();
        }
        let runtime = Arc::new(Scripted);
        let ports = Ports {
            registry: store.clone(),
            invocations: store.clone(),
            kv: store.clone(),
            triggers: store.clone(),
            leases: store.clone(),
            neighbours: None,
            runtime: runtime.clone(),
            compiler: Arc::new(Lenient),
            chain: None,
            writer: None,
            purses: None,
            vault: None,
            broker: None,
            acts: None,
        };
        let (engine, engine_service) =
            Engine::build(EngineOptions::new(clock.clone(), entropy.clone()), ports);
        let (going, stop) = (CancellationToken::new(), CancellationToken::new());
        let loops = tokio::spawn(engine_service.run(stop.clone().cancelled_owned()));
        let accounts = Identity::open(IdentityOptions {
            settings: SignInSettings::new("neofn.example".parse().unwrap(), 42),
            store: store.clone(),
            seal: Arc::new(FileSeal::new(&[1; 32], entropy.clone())),
            contracts: None,
            clock: clock.clone(),
            entropy: entropy.clone(),
        })
        .await
        .unwrap();
        let audit = AuditLog::new(AuditLogOptions {
            store: store.clone(),
            key: LogKey::from_seed("neofn/audit/test", &[1; 32]).unwrap(),
            clock: clock.clone(),
            chain: None,
            anchor_every: Duration::ZERO,
        });
        let api = Api::new(ApiOptions {
            engine,
            replies: store.clone(),
            fingerprint_key: [7; 32],
            promises: store.clone(),
            runtime,
            identity: store.clone(),
            accounts,
            members: store.clone(),
            policies,
            rates,
            proxies: Proxies::default(),
            vault: None,
            clock: clock.clone(),
            entropy,
            limits_max: Limits::default(),
            payments: None,
            bank: None,
            audit,
            backups: None,
            facts: NodeFacts {
                version: "0.0.0".to_owned(),
                jail: JailView {
                    tier: "none".to_owned(),
                    insecure: true,
                },
            },
        });
        let mut keys = keys.into_iter();
        let mut key = || keys.next().unwrap();
        let world = Self {
            service: Edge::new(api.clone(), going.clone()).service(),
            api,
            going,
            operator: key(),
            member: key(),
            stranger: key(),
            clock,
            store,
            loops: std::sync::Mutex::new(Some(loops)),
            stop,
            _dir: dir,
        };
        for (name, public) in [("hello", false), ("open", true)] {
            let body = serde_json::json!({"function_name": name, "source": name, "public": public});
            let made = world
                .as_operator("POST", "/api/functions/projects/demo", body.to_string())
                .await;
            assert_eq!(made.status, 201, "{}", made.text());
        }
        world
    }

    /// Ends what the engine does by itself, so that only requests read the store.
    pub async fn quiet(&self) {
        self.stop.cancel();
        let loops = self.loops.lock().unwrap().take();
        if let Some(loops) = loops {
            loops.await.unwrap();
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.service.answer(request, None).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        // hyper ends the connection when a length is not true
        if let Some(length) = parts.headers.get("content-length") {
            assert_eq!(length.to_str().unwrap(), body.len().to_string());
        }
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub async fn call(&self, key: Option<&str>, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn as_operator(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.call(Some(&self.operator), method, path, body).await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// Status, the headers that say something, and the body; ids and times blotted out.
    pub fn show(&self) -> String {
        let mut out = format!("{}\n", self.status);
        for name in ["content-type", "retry-after", "allow", "www-authenticate"] {
            if let Some(value) = self.headers.get(name) {
                out.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
        }
        let mut json = self.json();
        for (member, blot) in [("traceId", "[trace]"), ("invocationId", "[id]")] {
            if let Some(value) = json.get_mut(member) {
                *value = blot.into();
            }
        }
        out + &serde_json::to_string_pretty(&json).unwrap()
    }
}
