//! What happens beside calls: promotion, overdue calls, memory, eviction.

use super::link::{Answer, Link, LinkError};
use super::pool::Inner;
use super::slot::Event;
use super::versions::Entry;
use crate::proto::control::Request;
use crate::proto::fds;
use crate::sandbox::image;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(250);
const MEMORY_PERIODS: u32 = 4;
const EVICT_PERIODS: u32 = 40;
/// After its deadline a call's child has this long to answer.
const GRACE: Duration = Duration::from_secs(2);
/// A child that takes longer over a version is used for nothing else any more either.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const IDLE_MS: u64 = 10 * 60 * 1_000;
/// Memory checks above the bound before a child is replaced: demotion has to have its effect first.
const STRIKES: u32 = 3;
const DRAIN: Duration = Duration::from_secs(30);

/// Runs for as long as the pool lives.
pub(super) async fn watch(inner: Arc<Inner>) {
    let mut strikes = vec![0u32; inner.members.len()];
    let mut every = tokio::time::interval(PERIOD);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut n = 0u32;
    loop {
        every.tick().await;
        n = n.wrapping_add(1);
        sweep(&inner);
        if n.is_multiple_of(MEMORY_PERIODS) {
            memory(&inner, &mut strikes).await;
        }
        if n.is_multiple_of(EVICT_PERIODS) || inner.versions.is_over(inner.options.artifact_bytes_max) {
            evict(&inner, IDLE_MS).await;
        }
    }
}

fn sweep(inner: &Inner) {
    let now = inner.options.clock.monotonic();
    for link in inner.members.iter().filter_map(|m| m.link()) {
        let mut stuck = false;
        for (id, slot) in link.slots() {
            if now > slot.deadline + GRACE {
                slot.end(Event::Stuck);
                stuck = true;
            } else if now > slot.deadline || slot.given_up.load(Ordering::Relaxed) {
                // again and again: the socket may have been full
                link.cancel(id);
            }
        }
        if stuck {
            tracing::error!(
                pid = link.process.pid,
                "a call outlived its deadline, killing its sandbox child"
            );
            link.kill();
        }
    }
}

async fn memory(inner: &Arc<Inner>, strikes: &mut [u32]) {
    let mut total = 0;
    for (member, strikes) in inner.members.iter().zip(strikes) {
        let Some(link) = member.link() else {
            *strikes = 0;
            continue;
        };
        let resident = neofn_jail::resident_bytes(link.process.pid).unwrap_or(0);
        total += resident;
        if resident <= inner.options.child_bytes_max {
            *strikes = 0;
            continue;
        }
        *strikes += 1;
        tracing::warn!(
            pid = link.process.pid,
            resident,
            "sandbox child above its memory bound"
        );
        if *strikes < STRIKES {
            evict(inner, 1_000).await;
        } else if link.is_usable() {
            link.retiring.store(true, Ordering::Release);
            let drained = Arc::clone(&link);
            tokio::spawn(async move {
                let until = async {
                    while drained.in_flight() > 0 {
                        tokio::time::sleep(PERIOD).await;
                    }
                };
                // whatever still runs then fails as retryable
                let _ = tokio::time::timeout(DRAIN, until).await;
                drained.kill();
            });
        }
    }
    inner.resident.store(total, Ordering::Relaxed);
}

/// Asks a child; one that does not answer is given up, for whoever asks here watches over all of them.
async fn ask(link: &Link, request: Request, fds: &[&OwnedFd]) -> Result<Answer, LinkError> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, link.request(request, fds));
    asked.await.unwrap_or_else(|_| {
        tracing::error!(
            pid = link.process.pid,
            "a sandbox child does not answer, killing it"
        );
        link.kill();
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    })
}

async fn evict(inner: &Arc<Inner>, idle_ms: u64) {
    let gone = inner
        .versions
        .evict(inner.now_ms(), idle_ms, inner.options.artifact_bytes_max);
    for entry in gone {
        inner.hot.lock().forget(entry.id);
        for (place, member) in entry.places.iter().zip(&inner.members) {
            let Some(link) = member.usable() else { continue };
            if place.loaded.load(Ordering::Acquire) == link.generation {
                // a child that cannot forget is replaced when its memory runs over
                let _ = ask(&link, Request::Unload { version: entry.id }, &[]).await;
            }
        }
    }
}

/// Gives a version live instances in every child that has it.
pub(super) async fn promote(inner: &Arc<Inner>, entry: &Arc<Entry>, demote: Vec<u32>) {
    for id in demote {
        if let Some(other) = inner.versions.by_id(id) {
            demote_everywhere(inner, &other).await;
        }
    }
    let files = Arc::clone(&inner.engine.read());
    let artifact = Arc::clone(entry);
    let made = tokio::task::spawn_blocking(move || {
        let file = File::from(artifact.file.try_clone()?);
        let bytes = fds::read_all(&file, artifact.bytes)?;
        image::write_memfd(&files.base_bytes, &bytes)
    })
    .await;
    match made {
        Ok(Ok(fd)) => *entry.image.lock() = Some(Arc::new(fd)),
        failed => {
            inner.hot.lock().forget(entry.id);
            let why = failed.map(|r| r.map(drop).map_err(|e| e.to_string()));
            tracing::warn!(version = entry.id, error = ?why, "no memory image for a version");
            return;
        }
    }
    for (place, member) in inner.members.iter().enumerate() {
        if let Some(link) = member.usable() {
            promote_in(inner, entry, place, &link).await;
        }
    }
}

/// Gives a version live instances in one child, when the child has it.
pub(super) async fn promote_in(inner: &Inner, entry: &Arc<Entry>, place: usize, link: &Arc<Link>) {
    let Some(here) = entry.places.get(place) else {
        return;
    };
    if here.loaded.load(Ordering::Acquire) != link.generation
        || here.hot.load(Ordering::Acquire) == link.generation
    {
        return;
    }
    let image = entry.image.lock().clone();
    let Some(image) = image else { return };
    match ask(link, Request::Promote { version: entry.id }, &[&*image]).await {
        Ok(_) => {
            here.hot.store(link.generation, Ordering::Release);
            // demoted while the request was under way
            if entry.image.lock().is_none() {
                demote_everywhere(inner, entry).await;
            }
        }
        Err(e) => tracing::warn!(version = entry.id, error = %e, "version not promoted"),
    }
}

async fn demote_everywhere(inner: &Inner, entry: &Entry) {
    *entry.image.lock() = None;
    for (place, member) in entry.places.iter().zip(&inner.members) {
        let Some(link) = member.usable() else { continue };
        let generation = link.generation;
        let was_hot = place
            .hot
            .compare_exchange(generation, 0, Ordering::AcqRel, Ordering::Acquire);
        if was_hot.is_ok() {
            // a child that does not do it keeps memory, which the watchdog sees
            let _ = ask(&link, Request::Demote { version: entry.id }, &[]).await;
        }
    }
}
