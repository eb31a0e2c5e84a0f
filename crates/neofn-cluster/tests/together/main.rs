//! A gateway's runtime and workers over the bus of one process, with a runtime that does what its event says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop loudly")]

mod cut_off;

use async_trait::async_trait;
use bytes::Bytes;
use neofn_bus::port::{Incoming, Rpc};
use neofn_bus::{Bus, BusError, Message, memory};
use neofn_cluster::{PROTOCOL, RemoteOptions, RemoteRuntime, Role, Seat, Worker, WorkerOptions, warm_name};
use neofn_runtime::port::{
    Artifact, Completed, Failure, Held, HostCall, HostCalls, HostOp, HostReply, Job, JobContext, JobLimits,
    Layout, Prepare, PrepareError, Runtime, RuntimeStatus,
};
use neofn_types::{Clock, Code, Digest, Entropy, FunctionKey, RuntimeKind, UnitsBill, UnixMillis};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

const SOON: Duration = Duration::from_secs(10);

struct TestClock(tokio::time::Instant);
impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
#[derive(Default)]
struct Counting(AtomicU64);
impl Entropy for Counting {
    fn fill(&self, buf: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (to, from) in buf.iter_mut().zip(n.iter().cycle()) {
            *to = *from;
        }
    }
}

fn engine() -> Digest {
    Digest::of(b"engine")
}

/// Runs by the words of its event: `wait` never ends, `ask` makes a host call, `time` answers the milliseconds that it
/// has, others are echoed.
#[derive(Default)]
struct Echo {
    held: Mutex<HashSet<Digest>>,
    began: Notify,
    abandoned: Arc<Notify>,
    ran: AtomicU64,
}

struct OnDrop(Arc<Notify>);
impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Runtime for Echo {
    fn engine(&self, _: RuntimeKind) -> Digest {
        engine()
    }
    async fn prepare(&self, request: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        let bytes = request.code;
        if &bytes[..] == b"wait" {
            self.began.notify_one();
            std::future::pending::<()>().await;
        }
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            engine: engine(),
            bytes,
        };
        Ok((artifact, vec!["[LOG] top".to_owned()]))
    }
    async fn invoke(&self, job: Job) -> Completed {
        self.ran.fetch_add(1, Ordering::Relaxed);
        self.held.lock().unwrap().insert(job.artifact.digest);
        self.began.notify_one();
        let outcome = match &job.event[..] {
            b"wait" => {
                let _told = OnDrop(self.abandoned.clone());
                std::future::pending::<()>().await;
                unreachable!()
            }
            b"ask" => {
                let call = HostCall {
                    seq: 0,
                    op: HostOp::KvGet,
                    input: Bytes::from_static(b"{}"),
                    units_left: 1,
                    sharing: 1,
                };
                job.host.call(call).await.result.map_err(|e| Failure {
                    code: e.code,
                    message: e.message,
                    stack: Vec::new(),
                })
            }
            b"time" => Ok(Bytes::from(job.time.as_millis().to_string())),
            b"not json" => Ok(Bytes::from_static(b"}{not json")),
            text => Ok(Bytes::from(
                serde_json::to_vec(&String::from_utf8_lossy(text)).unwrap(),
            )),
        };
        Completed {
            outcome,
            logs: vec![job.context.function],
            units: UnitsBill::default(),
            fuel: 1,
            memory_bytes: 2,
            duration: Duration::from_millis(3),
            layout: Layout::R1cow,
        }
    }
    fn hold(&self, artifact: &Digest) -> Option<Held> {
        self.held
            .lock()
            .unwrap()
            .contains(artifact)
            .then(|| Held::new(()))
    }
    fn is_warm(&self, artifact: &Digest) -> bool {
        self.held.lock().unwrap().contains(artifact)
    }
    fn status(&self) -> RuntimeStatus {
        RuntimeStatus {
            children: 1,
            ..RuntimeStatus::default()
        }
    }
}

/// Answers host calls with their names, and counts them.
#[derive(Default)]
struct Answers(AtomicU64);
#[async_trait]
impl HostCalls for Answers {
    async fn call(&self, call: HostCall) -> HostReply {
        self.0.fetch_add(1, Ordering::Relaxed);
        HostReply {
            result: Ok(Bytes::from(format!("\"{:?}\"", call.op))),
            now: UnixMillis(5),
            units: 7,
        }
    }
}

/// What becomes of host calls on their way.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// The gateway does it, and its answer is lost.
    AnswerLost,
    /// It does not get there.
    AskLost,
    /// Nobody listens.
    Nobody,
    /// The gateway has closed the run.
    Over,
}

/// A bus that treats the first host calls badly.
struct Lossy {
    rpc: Arc<dyn Rpc>,
    fates: Mutex<Vec<Fate>>,
}
#[async_trait]
impl Rpc for Lossy {
    async fn request(&self, subject: &str, message: Message, within: Duration) -> Result<Message, BusError> {
        let fate = match subject.starts_with("neofn.host.") {
            true => self.fates.lock().unwrap().pop(),
            false => None,
        };
        match fate {
            None => return self.rpc.request(subject, message, within).await,
            Some(Fate::Nobody) => return Err(BusError::NoResponders(subject.to_owned())),
            Some(Fate::Over) => return Ok(Message::default()),
            Some(Fate::AnswerLost) => drop(self.rpc.request(subject, message, within).await),
            Some(Fate::AskLost) => {}
        }
        tokio::time::sleep(within).await;
        Err(BusError::TimedOut(subject.to_owned()))
    }
    async fn publish(&self, subject: &str, message: Message) -> Result<(), BusError> {
        self.rpc.publish(subject, message).await
    }
    async fn serve(&self, subject: &str, group: Option<&str>) -> Result<Box<dyn Incoming>, BusError> {
        self.rpc.serve(subject, group).await
    }
    fn bytes_max(&self) -> usize {
        self.rpc.bytes_max()
    }
    fn is_connected(&self) -> bool {
        self.rpc.is_connected()
    }
}

/// A run with one host call over such a bus, the last fate first; and how often the host call was done.
async fn lossy(fates: &[Fate]) -> (Completed, u64) {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let rpc = Arc::new(Lossy {
        rpc: bus.rpc.clone(),
        fates: Mutex::new(fates.to_vec()),
    });
    let (_worker, _) = worker(&Bus { rpc, ..bus.clone() }, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let host = Arc::new(Answers::default());
    let asking = Job {
        host: host.clone(),
        ..job("ask")
    };
    (remote.invoke(asking).await, host.0.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_runs_functions_itself_says_so() {
    let bus = memory::bus();
    let (a, b) = (gateway(&bus).await, gateway_as(&bus, "other").await);
    let beat = |of: &RemoteRuntime| {
        let nodes = of.nodes();
        let seen = nodes.iter().find(|m| m.beat.seat.id == "other");
        seen.map(|m| (m.beat.running, m.beat.runs, m.beat.sandboxes.children))
    };
    let until = async |wanted: (u32, u64, u32)| {
        while beat(&a) != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = Duration::from_secs(10);
    tokio::time::timeout(heard, until((0, 0, 0))).await.unwrap();
    let own: Arc<dyn Runtime> = Arc::new(Busy);
    b.runs_itself(&own);
    tokio::time::timeout(heard, until((3, 12, 2))).await.unwrap();
    drop(own);
    tokio::time::timeout(heard, until((0, 0, 0))).await.unwrap();
}

/// A runtime in the middle of its work.
struct Busy;

#[async_trait]
impl Runtime for Busy {
    fn engine(&self, _: RuntimeKind) -> Digest {
        engine()
    }
    async fn prepare(&self, _: Prepare) -> Result<(Artifact, Vec<String>), PrepareError> {
        Err(PrepareError::Unavailable("busy".to_owned()))
    }
    async fn invoke(&self, job: Job) -> Completed {
        Echo::default().invoke(job).await
    }
    fn hold(&self, _: &Digest) -> Option<Held> {
        None
    }
    fn is_warm(&self, _: &Digest) -> bool {
        false
    }
    fn status(&self) -> RuntimeStatus {
        RuntimeStatus {
            children: 2,
            hot_calls: 7,
            cold_calls: 5,
            ..RuntimeStatus::default()
        }
    }
    fn running(&self) -> u32 {
        3
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_call_that_is_lost_is_asked_for_again_and_done_once() {
    for fates in [
        &[Fate::AnswerLost][..],
        &[Fate::AskLost],
        &[Fate::Nobody],
        &[Fate::AnswerLost, Fate::Nobody, Fate::AskLost, Fate::AnswerLost],
    ] {
        let (done, asked) = lossy(fates).await;
        assert_eq!(done.outcome, Ok(Bytes::from_static(b"\"KvGet\"")));
        assert_eq!(asked, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_gateway_is_not_heard_of_is_lost_and_not_failed_by_its_function() {
    let (lost, asked) = lossy(&[Fate::Nobody; 1_000]).await;
    assert_eq!((code(&lost), asked), (Some(Code::SandboxLost), 0));
    assert_eq!(lost.units, UnitsBill::default(), "nobody pays for it");
}

/// Whoever asks for a run that is over hears so, and does not wait until the run's time is over.
#[tokio::test(start_paused = true)]
async fn a_host_call_of_a_closed_run_is_answered() {
    let begun = tokio::time::Instant::now();
    let (lost, asked) = lossy(&[Fate::Over]).await;
    assert_eq!((code(&lost), asked), (Some(Code::SandboxLost), 0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let bus = memory::bus();
    let _remote = gateway(&bus).await;
    let subject = format!("neofn.host.gateway.{}", "0".repeat(32));
    let asked = bus
        .rpc
        .request(&subject, Message::new("call"), Duration::from_secs(1));
    assert_eq!(asked.await.unwrap().payload.len(), 0);
}

fn seat(id: &str, role: Role) -> Seat {
    Seat {
        id: id.to_owned(),
        role,
        host: "test".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        protocol: PROTOCOL,
        started_at: UnixMillis(0),
        jail: "none".to_owned(),
        insecure: true,
        enclave: None,
        engines: vec![(RuntimeKind::Js, engine())],
        cores: 1,
        memory_bytes: 1,
        runs_max: 2,
    }
}

async fn worker(bus: &Bus, id: &str) -> (Worker, Arc<Echo>) {
    worker_as(bus, seat(id, Role::Worker)).await
}

async fn worker_as(bus: &Bus, seat: Seat) -> (Worker, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let worker = Worker::start(WorkerOptions {
        seat,
        rpc: bus.rpc.clone(),
        artifacts: bus.artifacts.clone(),
        runtime: echo.clone(),
        clock: Arc::new(TestClock(tokio::time::Instant::now())),
    });
    (worker.await.unwrap(), echo)
}

async fn gateway(bus: &Bus) -> RemoteRuntime {
    gateway_as(bus, "gateway").await
}

async fn gateway_as(bus: &Bus, id: &str) -> RemoteRuntime {
    let remote = RemoteRuntime::start(RemoteOptions {
        seat: seat(id, Role::Gateway),
        rpc: bus.rpc.clone(),
        artifacts: bus.artifacts.clone(),
        clock: Arc::new(TestClock(tokio::time::Instant::now())),
        entropy: Arc::new(Counting::default()),
        engines: vec![(RuntimeKind::Js, engine())],
    });
    remote.await.unwrap()
}

fn job(event: &'static str) -> Job {
    let bytes = Bytes::from_static(b"artifact");
    Job {
        artifact: Arc::new(Artifact {
            digest: Digest::of(&bytes),
            engine: engine(),
            bytes,
        }),
        event: Bytes::from_static(event.as_bytes()),
        context: JobContext {
            function: "f".to_owned(),
            project: "p".to_owned(),
            invocation: "i".to_owned(),
            version: 1,
            attempt: 1,
            grants: Vec::new(),
        },
        seed: [0; 32],
        started_at: UnixMillis(0),
        time: Duration::from_secs(20),
        units: 1,
        limits: JobLimits::default(),
        host: Arc::new(Answers::default()),
        given_up: tokio_util::sync::CancellationToken::new(),
    }
}

fn code(completed: &Completed) -> Option<Code> {
    completed.outcome.as_ref().err().map(|f| f.code)
}

#[tokio::test(start_paused = true)]
async fn runs_host_calls_and_preparations_cross_the_bus() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (_worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let digest = job("x").artifact.digest;
    assert!(remote.hold(&digest).is_none(), "not in the object store yet");
    let done = remote.invoke(job("echoed")).await;
    assert_eq!(done.outcome, Ok(Bytes::from_static(b"\"echoed\"")));
    assert_eq!(
        (done.logs, done.fuel, done.memory_bytes),
        (vec!["f".to_owned()], 1, 2)
    );
    assert!(remote.hold(&digest).is_some());
    assert_eq!(
        remote.invoke(job("ask")).await.outcome,
        Ok(Bytes::from_static(b"\"KvGet\""))
    );
    assert_eq!(echo.ran.load(Ordering::Relaxed), 2);
    let key = FunctionKey {
        project: "p".parse().unwrap(),
        function: "f".parse().unwrap(),
    };
    let said = || {
        remote
            .nodes()
            .iter()
            .flat_map(|m| m.beat.warm.clone())
            .collect::<Vec<_>>()
    };
    while said().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(said(), [warm_name(&key, 1)], "the worker says what it has");
    let prepared = remote.prepare(Prepare {
        kind: RuntimeKind::Js,
        code: Bytes::from_static(b"code"),
        memory_bytes: 1,
        time: SOON,
        fuel: 1,
    });
    let (artifact, logs) = prepared.await.unwrap();
    assert_eq!(
        (artifact.bytes, logs),
        (Bytes::from_static(b"code"), vec!["[LOG] top".to_owned()])
    );
    assert_eq!(remote.status().children, 1);
}

#[tokio::test(start_paused = true)]
async fn without_workers_a_run_is_given_back() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    assert_eq!(code(&remote.invoke(job("x")).await), Some(Code::NoWorker));
    let (first, _) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    assert!(first.drain(SOON).await);
    // before or after its last word was heard: both may be tried again
    let going = code(&remote.invoke(job("x")).await);
    assert!(
        matches!(going, Some(Code::NoWorker | Code::SandboxLost)),
        "{going:?}"
    );
    let (_second, _) = worker(&bus, "b").await;
    assert_eq!(code(&remote.invoke(job("x")).await), None, "another one came");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_waits_for_a_worker_is_part_of_its_time() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let late = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        worker(&bus, "a").await
    };
    let (_late, ran) = tokio::join!(late, remote.invoke(job("time")));
    let given_ms: u64 = serde_json::from_slice(&ran.outcome.unwrap()).unwrap();
    assert!((15_000..=17_000).contains(&given_ms), "{given_ms} of 20 000 ms");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_ends_the_run() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let running = remote.clone();
    let task = tokio::spawn(async move { running.invoke(job("wait")).await });
    echo.began.notified().await;
    task.abort();
    tokio::time::timeout(SOON, echo.abandoned.notified())
        .await
        .unwrap();
    assert!(worker.drain(SOON).await, "nothing is left running");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_nobody_waits_for_keeps_no_worker_busy() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (_worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let ours = || remote.nodes().iter().map(|m| m.ours).sum::<u32>();
    let preparing = remote.clone();
    let task = tokio::spawn(async move {
        let request = Prepare {
            kind: RuntimeKind::Js,
            code: Bytes::from_static(b"wait"),
            memory_bytes: 1,
            time: SOON,
            fuel: 1,
        };
        preparing.prepare(request).await
    });
    echo.began.notified().await;
    assert_eq!(ours(), 1);
    task.abort();
    assert!(task.await.is_err());
    assert_eq!(ours(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_loses_its_runs_at_once() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let running = remote.clone();
    let task = tokio::spawn(async move { running.invoke(job("wait")).await });
    echo.began.notified().await;
    // no more beats, and nobody listens: as after kill -9
    let begun = tokio::time::Instant::now();
    assert!(!worker.drain(Duration::from_millis(1)).await);
    drop(worker);
    let lost = task.await.unwrap();
    assert_eq!(code(&lost), Some(Code::SandboxLost));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(remote.nodes().iter().all(|m| m.beat.seat.role == Role::Gateway));
}

#[tokio::test(start_paused = true)]
async fn a_full_worker_sends_runs_on() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (_a, first) = worker(&bus, "a").await;
    let (_b, second) = worker(&bus, "b").await;
    while remote.nodes().len() < 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let remote = remote.clone();
        waiting.push(tokio::spawn(async move { remote.invoke(job("wait")).await }));
    }
    let both = || first.ran.load(Ordering::Relaxed) + second.ran.load(Ordering::Relaxed);
    while both() < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(first.ran.load(Ordering::Relaxed), 2);
    // all places are taken: the next one waits for one
    let last = remote.clone();
    let last = tokio::spawn(async move { last.invoke(job("x")).await });
    waiting.remove(0).abort();
    let done = tokio::time::timeout(SOON, last).await.unwrap().unwrap();
    assert_eq!(code(&done), None);
}

#[tokio::test(start_paused = true)]
async fn versions_work_together_as_long_as_they_speak_the_same_protocol() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let mut newer = seat("newer-protocol", Role::Worker);
    (newer.version, newer.protocol) = ("9.0.0".to_owned(), PROTOCOL + 1);
    let (_newer, never) = worker_as(&bus, newer).await;
    while remote.nodes().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !remote.wait_for_worker(SOON).await,
        "it is there, and is none for this gateway"
    );
    assert_eq!(remote.status().children, 0, "the gateway is not ready");
    let refused = remote.invoke(job("x")).await;
    assert_eq!(code(&refused), Some(Code::NoWorker));
    let said = refused.outcome.unwrap_err().message;
    assert!(
        said.contains(&format!(
            "it speaks protocol {} (neofn 9.0.0), this gateway {PROTOCOL}",
            PROTOCOL + 1
        )),
        "{said}"
    );
    let mut older = seat("older-binary", Role::Worker);
    older.version = "0.0.1".to_owned();
    let (_older, ran) = worker_as(&bus, older).await;
    assert!(remote.wait_for_worker(SOON).await);
    assert_eq!(code(&remote.invoke(job("x")).await), None);
    assert_eq!(
        (never.ran.load(Ordering::Relaxed), ran.ran.load(Ordering::Relaxed)),
        (0, 1)
    );
}

/// Whoever sends while a worker goes is answered: a request that nobody reads would wait for the worker's silence.
#[tokio::test(start_paused = true)]
async fn a_worker_that_goes_answers_what_reached_it_last() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    for round in 0..20 {
        let (going, _) = worker(&bus, &format!("a{round}")).await;
        let (staying, _) = worker(&bus, &format!("b{round}")).await;
        let both = || remote.nodes().iter().filter(|m| !m.beat.draining).count();
        while both() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let runs: Vec<_> = (0..3)
            .map(|_| {
                let remote = remote.clone();
                tokio::spawn(async move { remote.invoke(job("x")).await })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        assert!(going.drain(SOON).await);
        for run in runs {
            assert_eq!(code(&run.await.unwrap()), None, "round {round}");
        }
        assert!(staying.drain(SOON).await);
        while remote.nodes().len() > 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_believed_no_further_than_the_bounds_of_a_run() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (_worker, _) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let done = remote.invoke(job("not json")).await;
    assert_eq!((code(&done), done.logs.len()), (Some(Code::SandboxLost), 0));
    let mut small = job("more than ten bytes");
    small.limits.result_bytes = 10;
    assert_eq!(code(&remote.invoke(small).await), Some(Code::SandboxLost));
    assert_eq!(code(&remote.invoke(job("x")).await), None);
}

#[tokio::test(start_paused = true)]
async fn an_artifact_that_was_spoilt_is_put_again() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (first, _) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let digest = job("x").artifact.digest;
    let spoil = || bus.artifacts.put(digest, Bytes::from_static(b"spoilt"));
    spoil().await.unwrap();
    assert_eq!(
        code(&remote.invoke(job("x")).await),
        None,
        "the bytes are at hand"
    );
    // the gateway keeps no bytes of what it knows to be there; another worker finds it spoilt
    spoil().await.unwrap();
    assert!(first.drain(SOON).await);
    let (_other, _) = worker(&bus, "b").await;
    while remote.nodes().iter().all(|m| m.beat.seat.id != "b") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut bare = job("x");
    bare.artifact = Arc::new(Artifact {
        bytes: Bytes::new(),
        ..(*bare.artifact).clone()
    });
    assert_eq!(code(&remote.invoke(bare).await), Some(Code::SandboxLost));
    assert!(remote.hold(&digest).is_none(), "the engine brings the bytes");
    assert_eq!(code(&remote.invoke(job("x")).await), None);
    assert!(bus.artifacts.get(digest).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_speaks_for_another_node() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (worker, _) = worker(&bus, "w1").await;
    assert!(remote.wait_for_worker(SOON).await);
    let said = |id: &str| {
        let mut beat = worker.beat();
        beat.seat.id = id.to_owned();
        Message::new(serde_json::to_vec(&beat).unwrap())
    };
    for id in ["w2", "gateway-evil", "*"] {
        bus.rpc.publish("neofn.beat.worker.w1", said(id)).await.unwrap();
    }
    let mut gateway = worker.beat();
    gateway.seat.role = Role::Gateway;
    let gateway = Message::new(serde_json::to_vec(&gateway).unwrap());
    bus.rpc.publish("neofn.beat.worker.w1", gateway).await.unwrap();
    let w3 = said("w3");
    bus.rpc.publish("neofn.beat.gateway.w3", w3).await.unwrap();
    bus.rpc.publish("neofn.beat.worker.w4", said("w4")).await.unwrap();
    while remote.nodes().iter().all(|m| m.beat.seat.id != "w4") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut ids: Vec<_> = remote.nodes().into_iter().map(|m| m.beat.seat.id).collect();
    ids.sort();
    assert_eq!(ids, ["gateway", "w1", "w4"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_right_behind_its_run_is_heard() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let (_worker, _) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let given_up = job("wait");
    given_up.given_up.cancel();
    let ended = tokio::time::timeout(SOON, remote.invoke(given_up)).await;
    assert_eq!(code(&ended.unwrap()), Some(Code::SandboxLost));
}

#[tokio::test(start_paused = true)]
async fn a_second_worker_of_a_name_does_not_begin() {
    let bus = memory::bus();
    let (first, _) = worker(&bus, "w1").await;
    let second = || {
        Worker::start(WorkerOptions {
            seat: seat("w1", Role::Worker),
            rpc: bus.rpc.clone(),
            artifacts: bus.artifacts.clone(),
            runtime: Arc::new(Echo::default()),
            clock: Arc::new(TestClock(tokio::time::Instant::now())),
        })
    };
    let refused = second().await.err().unwrap();
    assert_eq!(refused.code, Code::ConfigInvalid);
    assert_eq!(refused.message, "a worker called w1 is there already");
    assert!(first.drain(SOON).await);
    assert!(second().await.is_ok(), "the name is free again");
}
