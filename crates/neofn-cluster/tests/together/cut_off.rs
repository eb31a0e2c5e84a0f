//! Connections that break for a while, on either side.

use super::*;
use neofn_bus::port::Received;
use std::sync::atomic::AtomicBool;

/// A connection to the bus of which parts can be taken away.
#[derive(Clone)]
struct Cut {
    rpc: Arc<dyn Rpc>,
    /// Nothing is heard, and it is known.
    away: Arc<AtomicBool>,
    /// Nobody listens to what workers are sent.
    unheeded: Arc<AtomicBool>,
    /// Answers to runs and preparations do not come.
    lossy: Arc<AtomicBool>,
    /// Nor do they themselves get there.
    swallows: Arc<AtomicBool>,
}

impl Cut {
    fn of(bus: &Bus) -> (Self, Bus) {
        let cut = Self {
            rpc: bus.rpc.clone(),
            away: Arc::default(),
            unheeded: Arc::default(),
            lossy: Arc::default(),
            swallows: Arc::default(),
        };
        let rpc = Arc::new(cut.clone());
        (cut, Bus { rpc, ..bus.clone() })
    }
}

struct CutIncoming {
    inner: Box<dyn Incoming>,
    away: Arc<AtomicBool>,
}

#[async_trait]
impl Incoming for CutIncoming {
    async fn next(&mut self) -> Option<Received> {
        loop {
            let received = self.inner.next().await?;
            if !self.away.load(Ordering::Relaxed) {
                return Some(received);
            }
        }
    }
    async fn stop(&mut self) {
        self.inner.stop().await;
    }
}

#[async_trait]
impl Rpc for Cut {
    async fn request(&self, subject: &str, message: Message, within: Duration) -> Result<Message, BusError> {
        if self.unheeded.load(Ordering::Relaxed) && subject.starts_with("neofn.worker.") {
            return Err(BusError::NoResponders(subject.to_owned()));
        }
        let work = subject.ends_with(".run") || subject.ends_with(".prepare");
        if work && self.swallows.load(Ordering::Relaxed) {
            tokio::time::sleep(within).await;
            return Err(BusError::TimedOut(subject.to_owned()));
        }
        let answer = self.rpc.request(subject, message, within).await;
        if work && self.lossy.load(Ordering::Relaxed) {
            tokio::time::sleep(within).await;
            return Err(BusError::TimedOut(subject.to_owned()));
        }
        answer
    }
    async fn publish(&self, subject: &str, message: Message) -> Result<(), BusError> {
        self.rpc.publish(subject, message).await
    }
    async fn serve(&self, subject: &str, group: Option<&str>) -> Result<Box<dyn Incoming>, BusError> {
        let inner = self.rpc.serve(subject, group).await?;
        let away = self.away.clone();
        Ok(Box::new(CutIncoming { inner, away }))
    }
    fn bytes_max(&self) -> usize {
        self.rpc.bytes_max()
    }
    fn is_connected(&self) -> bool {
        !self.away.load(Ordering::Relaxed) && self.rpc.is_connected()
    }
}

/// A gateway with such a connection, and a worker without, where a run waits.
async fn running() -> (
    Cut,
    RemoteRuntime,
    Worker,
    Arc<Echo>,
    tokio::task::JoinHandle<Completed>,
) {
    let bus = memory::bus();
    let (cut, through) = Cut::of(&bus);
    let remote = gateway(&through).await;
    let (worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    let running = remote.clone();
    let task = tokio::spawn(async move { running.invoke(job("wait")).await });
    echo.began.notified().await;
    (cut, remote, worker, echo, task)
}

fn knows(remote: &RemoteRuntime, worker: &str) -> bool {
    remote.nodes().iter().any(|m| m.beat.seat.id == worker)
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_cut_off_loses_no_workers() {
    let (cut, remote, worker, _echo, task) = running().await;
    cut.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(knows(&remote, "a") && !task.is_finished());
    cut.away.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(knows(&remote, "a") && !task.is_finished());
    // who went meanwhile is found to be silent then
    cut.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    worker.drain(Duration::from_millis(1)).await;
    drop(worker);
    cut.away.store(false, Ordering::Relaxed);
    let lost = tokio::time::timeout(Duration::from_secs(5), task).await;
    assert_eq!(code(&lost.unwrap().unwrap()), Some(Code::SandboxLost));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_heard_of_for_a_moment_keeps_its_runs_and_gets_no_more() {
    let (cut, remote, worker, echo, task) = running().await;
    cut.unheeded.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    cut.unheeded.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(knows(&remote, "a") && !task.is_finished());
    let done = remote.invoke(job("x")).await;
    assert_eq!(code(&done), None, "{done:?}");
    assert_eq!(echo.ran.load(Ordering::Relaxed), 2);
    drop((worker, task));
}

/// A gateway with such a connection, and a worker without.
async fn lossy(set: impl FnOnce(&Cut)) -> (RemoteRuntime, Arc<Echo>, Worker) {
    let bus = memory::bus();
    let (cut, through) = Cut::of(&bus);
    let remote = gateway(&through).await;
    let (worker, echo) = worker(&bus, "a").await;
    assert!(remote.wait_for_worker(SOON).await);
    set(&cut);
    (remote, echo, worker)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let (remote, echo, _worker) = lossy(|cut| cut.lossy.store(true, Ordering::Relaxed)).await;
    let begun = tokio::time::Instant::now();
    let done = remote.invoke(job("x")).await;
    assert_eq!(done.outcome.unwrap(), "\"x\"");
    let request = Prepare {
        kind: RuntimeKind::Js,
        code: Bytes::from_static(b"code"),
        memory_bytes: 1 << 20,
        time: SOON,
        fuel: 1,
    };
    assert_eq!(remote.prepare(request).await.unwrap().0.bytes, "code");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(echo.ran.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_did_not_get_there_does_not_wait_for_its_time_to_be_over() {
    let (remote, echo, _worker) = lossy(|cut| cut.swallows.store(true, Ordering::Relaxed)).await;
    let begun = tokio::time::Instant::now();
    let lost = remote.invoke(job("x")).await;
    assert_eq!(code(&lost), Some(Code::SandboxLost));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(echo.ran.load(Ordering::Relaxed), 0);
    assert!(knows(&remote, "a"), "the worker is well");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_started_again_does_not_rest_for_the_runs_of_the_one_before() {
    let bus = memory::bus();
    let remote = gateway(&bus).await;
    let one = Seat {
        runs_max: 16,
        ..seat("a", Role::Worker)
    };
    let later = Seat {
        started_at: UnixMillis(one.started_at.0 + 1),
        ..one.clone()
    };
    let (first, echo) = worker_as(&bus, one).await;
    assert!(remote.wait_for_worker(SOON).await);
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let running = remote.clone();
        waiting.push(tokio::spawn(async move { running.invoke(job("wait")).await }));
    }
    while echo.ran.load(Ordering::Relaxed) < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.drain(Duration::from_millis(1)).await;
    drop(first);
    // it listens no more, and is not taken for gone yet
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_second, _) = worker_as(&bus, later).await;
    for lost in waiting {
        assert_eq!(code(&lost.await.unwrap()), Some(Code::SandboxLost));
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(code(&remote.invoke(job("x")).await), None);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
