//! One call, from the job to its answer.

use super::host_loop;
use super::link::{Link, LinkError};
use super::pool::Inner;
use super::slot::{Event, Raw, Slot};
use super::versions::{Entry, Use};
use crate::port::{Completed, Failure, Job, Layout};
use crate::proto::control::Request;
use crate::proto::message::{CallHeadRef, DoneHeadOwned};
use neofn_types::{Code, RuntimeKind, UnitsBill};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What an unloaded version costs in choosing a child, in calls that run there.
const LOADING_COST: u32 = 3;
/// A child that takes longer to load a version does nothing else any more either.
const LOAD_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn invoke(inner: &Arc<Inner>, job: Job) -> Completed {
    let begun = inner.options.clock.monotonic();
    let result = run(inner, &job, begun).await;
    let duration = inner.options.clock.monotonic().saturating_sub(begun);
    match result {
        Ok(c) => {
            let served = match c.layout {
                Layout::R1cow => &inner.hot_calls,
                Layout::D3 | Layout::Wasm => &inner.cold_calls,
            };
            served.fetch_add(1, Ordering::Relaxed);
            Completed { duration, ..c }
        }
        // nothing is charged for a run that we lost
        Err(failure) => Completed {
            outcome: Err(failure),
            logs: Vec::new(),
            units: UnitsBill::default(),
            fuel: 0,
            memory_bytes: 0,
            duration,
            layout: Layout::D3,
        },
    }
}

fn failure(code: Code, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
        stack: Vec::new(),
    }
}
fn lost() -> Failure {
    failure(Code::SandboxLost, "the process that ran the function died")
}

async fn run(inner: &Arc<Inner>, job: &Job, begun: Duration) -> Result<Completed, Failure> {
    let kind = inner.kind_of(&job.artifact.engine).ok_or_else(|| {
        failure(
            Code::EngineMismatch,
            "this version was made for another engine; deploy it again",
        )
    })?;
    let entry = inner
        .versions
        .get(&job.artifact, kind, inner.now_ms())
        .map_err(|e| no_memory(&e))?;
    let deadline = begun.saturating_add(job.time);
    let left = || deadline.saturating_sub(inner.options.clock.monotonic());
    let permit = match inner.permits.try_acquire() {
        Ok(p) => p,
        Err(_) => match tokio::time::timeout(left(), inner.permits.acquire()).await {
            Ok(Ok(p)) => p,
            _ => return Err(failure(Code::Overloaded, "no sandbox became free in time")),
        },
    };
    let (place, link) = choose(inner, &entry, left()).await?;
    load(inner, &entry, place, &link, left()).await?;
    heat(inner, &entry);

    let id = inner.next_call.fetch_add(1, Ordering::Relaxed);
    let slot = Arc::new(Slot::new(deadline));
    permit.forget();
    if !link.register(id, &slot) {
        return Err(lost());
    }
    let mut under_way = UnderWay {
        link: &link,
        id,
        ended: false,
    };
    let left = left();
    let head = postcard::to_stdvec(&CallHeadRef {
        version: entry.0.id,
        context: &job.context,
        seed: job.seed,
        now: job.started_at,
        deadline_us: u64::try_from(left.as_micros()).unwrap_or(u64::MAX),
        units: job.units,
        limits: job.limits,
    })
    .map_err(|e| failure(Code::Internal, e.to_string()))?;
    if let Err(e) = link.send_call(id, &slot, &head, &job.event).await
        && e.kind() == io::ErrorKind::InvalidInput
    {
        link.withdraw(id);
        under_way.ended = true;
        return Err(failure(Code::BodyTooLarge, e.to_string()));
    }
    // any other error of the socket means that the child is gone: its reader says so to the slot
    let first = tokio::select! {
        biased;
        event = slot.next() => event,
        () = job.given_up.cancelled() => {
            link.give_up(id, &slot);
            slot.next().await
        }
    };
    let (event, told) = match first {
        Event::HostCalls(first) => host_loop::serve(&link, id, &slot, job, first, left).await,
        event => (event, Vec::new()),
    };
    under_way.ended = true;
    match event {
        Event::Done(raw) => decode(&raw, &told).inspect_err(|_| link.kill()),
        Event::Stuck => Err(failure(
            Code::TimedOut,
            "the run did not end at its time limit and was killed",
        )),
        Event::Lost | Event::HostCalls(_) => Err(lost()),
    }
}

/// Cancels a call whose future is dropped: its caller has gone away.
struct UnderWay<'a> {
    link: &'a Link,
    id: u64,
    ended: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.link.abandon(self.id);
        }
    }
}

/// `told`: what each reply cost beyond the schedule.
fn decode(raw: &Raw, told: &[u64]) -> Result<Completed, Failure> {
    let mut head: DoneHeadOwned = postcard::from_bytes(raw.head()).map_err(|_| lost())?;
    // what was done for a run that did not wait for it is its own all the same
    let charged = usize::try_from(head.replies).unwrap_or(usize::MAX);
    let late = told
        .iter()
        .skip(charged)
        .fold(0, |sum: u64, units| sum.saturating_add(*units));
    head.units.host = head.units.host.saturating_add(late);
    head.units.total = head.units.total.saturating_add(late);
    Ok(Completed {
        outcome: match head.failure {
            None => Ok(raw.body()),
            Some(f) => Err(f),
        },
        logs: head.logs,
        units: head.units,
        fuel: head.fuel,
        memory_bytes: head.memory_bytes,
        duration: Duration::ZERO,
        layout: head.layout,
    })
}

/// The child with the least to do, those that have the version first.
async fn choose(inner: &Inner, entry: &Use, within: Duration) -> Result<(usize, Arc<Link>), Failure> {
    let look = || {
        inner
            .members
            .iter()
            .enumerate()
            .filter_map(|(i, m)| m.usable().map(|l| (i, l)))
            .min_by_key(|(i, link)| {
                let places = entry.0.places.get(*i);
                let there = places.is_some_and(|p| p.loaded.load(Ordering::Relaxed) == link.generation);
                link.running.load(Ordering::Relaxed) + if there { 0 } else { LOADING_COST }
            })
    };
    if let Some(found) = look() {
        return Ok(found);
    }
    let wait = async {
        loop {
            let changed = inner.usable.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    };
    tokio::time::timeout(within, wait)
        .await
        .map_err(|_| failure(Code::SandboxLost, "no sandbox process could be started"))
}

/// Makes sure that a child has a version. Who cannot wait that long leaves, and the loading goes on for the next.
async fn load(
    inner: &Arc<Inner>,
    entry: &Use,
    place: usize,
    link: &Arc<Link>,
    within: Duration,
) -> Result<(), Failure> {
    let Some(here) = entry.0.places.get(place) else {
        return Err(lost());
    };
    if here.loaded.load(Ordering::Acquire) == link.generation {
        return Ok(());
    }
    let loading = {
        let (inner, entry, link) = (Arc::clone(inner), entry.clone(), Arc::clone(link));
        tokio::spawn(async move {
            let loaded = tokio::time::timeout(LOAD_WITHIN, load_now(&inner, &entry.0, place, &link)).await;
            loaded.unwrap_or_else(|_| {
                tracing::error!(pid = link.process.pid, "a sandbox child loads nothing any more");
                link.kill();
                Err(lost())
            })
        })
    };
    match tokio::time::timeout(within, loading).await {
        Ok(loaded) => loaded.unwrap_or_else(|_| Err(lost())),
        Err(_) => Err(failure(
            Code::Overloaded,
            "the version was not loaded within the time limit",
        )),
    }
}

async fn load_now(
    inner: &Arc<Inner>,
    entry: &Arc<Entry>,
    place: usize,
    link: &Arc<Link>,
) -> Result<(), Failure> {
    let Some(here) = entry.places.get(place) else {
        return Err(lost());
    };
    let gate = here.gate.lock().await;
    if here.loaded.load(Ordering::Acquire) == link.generation {
        return Ok(());
    }
    let request = Request::Load {
        version: entry.id,
        kind: entry.kind,
    };
    link.request(request, &[&entry.file]).await.map_err(|e| match e {
        LinkError::Failed(reason) => failure(
            Code::EngineMismatch,
            format!("the version does not load: {reason}"),
        ),
        _ => lost(),
    })?;
    here.loaded.store(link.generation, Ordering::Release);
    drop(gate);
    if entry.image.lock().is_some() {
        let (inner, entry, link) = (Arc::clone(inner), Arc::clone(entry), Arc::clone(link));
        tokio::spawn(async move { super::watch::promote_in(&inner, &entry, place, &link).await });
    }
    Ok(())
}

fn heat(inner: &Arc<Inner>, entry: &Use) {
    if entry.0.kind != RuntimeKind::Js {
        return;
    }
    let now = inner.now_ms();
    if !entry.0.heat.lock().call(entry.0.bytes, now) {
        return;
    }
    let decision = inner.hot.lock().call(entry.0.id, entry.0.bytes, now);
    if let super::promotion::Decision::Promote { demote } = decision {
        let (inner, entry) = (Arc::clone(inner), Arc::clone(&entry.0));
        tokio::spawn(async move { super::watch::promote(&inner, &entry, demote).await });
    }
}

fn no_memory(e: &io::Error) -> Failure {
    tracing::error!(error = %e, "no memory file for an artifact");
    failure(Code::Overloaded, "the node has no memory left for this version")
}
