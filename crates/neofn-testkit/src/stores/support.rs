//! What the tests of stores share: a clock that tests move, functions to publish, invocations to admit.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests; each binary uses a part of it"
)]

use bytes::Bytes;
pub use neofn_engine::port::Rooms;
use neofn_engine::port::{
    Finish, Idempotency, KvExpect, KvQuota, KvWrite, NewInvocation, Origin, Outcome, Record, Recording,
    Start, StoredFailure,
};
use neofn_registry::port::{Publish, RegistryStore, Upon};
use neofn_registry::{ArtifactRef, VersionSpec};
use neofn_types::{
    Caller, Clock, Code, Digest, Entropy, Fence, FunctionKey, Grants, InvocationId, Limits, RuntimeKind,
    UnitsBill, UnixMillis, Version,
};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct TestClock(pub AtomicI64);
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }
}

/// Ids that never repeat within a process: a counter through a mixer, no real randomness.
pub struct Counter(pub AtomicU64);
impl Entropy for Counter {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
static IDS: Counter = Counter(AtomicU64::new(0));
/// Moves the ids of this process apart from those of another.
pub static IDS_SEED: &AtomicU64 = &IDS.0;

pub fn key(project: &str, function: &str) -> FunctionKey {
    FunctionKey::new(project.parse().unwrap(), function.parse().unwrap())
}
pub fn id_at(at: i64) -> InvocationId {
    InvocationId::generate(UnixMillis(at), &IDS)
}

pub fn publish_of(key: &FunctionKey, content: &str, at: i64) -> Publish {
    let spec = VersionSpec {
        runtime: RuntimeKind::Js,
        main: "index.ts".to_owned(),
        source: Digest::of(content.as_bytes()),
        public: false,
        limits: Limits::default(),
        grants: Grants {
            kv: true,
            ..Grants::default()
        },
        on: Default::default(),
        test: None,
        calls: Vec::new(),
    };
    let engine = Digest::of(b"engine");
    Publish {
        key: key.clone(),
        new_id: id_at(at),
        digest: spec.digest(engine),
        spec,
        artifact: ArtifactRef {
            artifact: Digest::of(content.as_bytes()),
            engine,
            code: Digest::of(b"code"),
            source_map: None,
            files: None,
        },
        upon: Upon::Anything,
        at: UnixMillis(at),
    }
}
/// Makes a function with one version.
pub async fn deploy(store: &impl RegistryStore, key: &FunctionKey) {
    store.publish(publish_of(key, "one", 1)).await.unwrap();
}

pub fn queued(key: &FunctionKey, at: i64) -> NewInvocation {
    NewInvocation {
        id: id_at(at),
        key: key.clone(),
        version: Version(1),
        origin: Origin::Async,
        caller: Some(Caller::new("key:01 test")),
        event: Bytes::from_static(b"{\"n\":1}"),
        idempotency: None,
        trace_id: [7; 16],
        at: UnixMillis(at),
        start: Start::Queued,
        queue_max: 1_000_000,
        hold: None,
    }
}
pub fn keyed(key: &FunctionKey, at: i64, idem: &str, body: &str, start: Start) -> NewInvocation {
    NewInvocation {
        idempotency: Some(Idempotency {
            key: idem.to_owned(),
            request: Digest::of(body.as_bytes()),
        }),
        origin: if start == Start::Queued {
            Origin::Async
        } else {
            Origin::Sync
        },
        start,
        ..queued(key, at)
    }
}
pub const LEASE: Duration = Duration::from_secs(30);
pub fn claimed() -> Start {
    Start::Claimed { lease: LEASE }
}
pub fn quota() -> KvQuota {
    KvQuota {
        keys_max: 1_000_000,
        bytes_max: 1 << 40,
    }
}
pub fn recording() -> Recording {
    Recording {
        seed: [3; 32],
        started_at: UnixMillis(5),
        attempt: 1,
        units_max: 10_000_000,
        time_max_ms: 30_000,
        callees_units: 0,
        replies: Vec::new(),
    }
}
pub fn finish(id: InvocationId, fence: Fence, outcome: Outcome, at: i64) -> Finish {
    Finish {
        id,
        fence,
        outcome,
        units: UnitsBill {
            total: 30,
            base: 10,
            compute: 20,
            schedule: 1,
            ..UnitsBill::default()
        },
        logs: vec!["[LOG] hello".to_owned()],
        duration_us: 1234,
        recording: recording(),
        kv: Vec::new(),
        emitted: Vec::new(),
        kv_quota: quota(),
        queue_max: 10_000,
        charge: None,
        at: UnixMillis(at),
    }
}
pub fn ok() -> Outcome {
    Outcome::Succeeded(Bytes::from_static(b"{\"ok\":true}"))
}
pub fn failure() -> StoredFailure {
    StoredFailure {
        code: Code::SandboxLost,
        message: "lost".to_owned(),
        stack: vec!["at handler (index.ts:3:10)".to_owned()],
        frame: "3 | throw new Error()".to_owned(),
    }
}
pub fn record(key: &FunctionKey, at: i64) -> Record {
    let new = NewInvocation {
        origin: Origin::Sync,
        ..queued(key, at)
    };
    let finish = finish(new.id, Fence(0), ok(), at);
    Record { new, finish }
}
pub fn put(key: &str, value: &str, expect: KvExpect, expires_at: Option<i64>) -> KvWrite {
    KvWrite::Put {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        expect,
        expires_at: expires_at.map(UnixMillis),
    }
}
pub fn delete(key: &str, expect: KvExpect) -> KvWrite {
    KvWrite::Delete {
        key: key.to_owned(),
        expect,
    }
}
pub fn add(key: &str, by: i64) -> KvWrite {
    KvWrite::Add {
        key: key.to_owned(),
        by,
    }
}
