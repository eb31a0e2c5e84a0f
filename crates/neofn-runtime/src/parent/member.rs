//! One place in the pool: a child, and its replacement when it dies.

use super::engine_cache::EngineFiles;
use super::link::{Link, LinkError};
use super::pool::Inner;
use crate::child::ROLE_SANDBOX;
use crate::proto::control::Request;
use crate::proto::fds;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A child that lived this long counts as healthy.
const HEALTHY: Duration = Duration::from_secs(10);
const LOAD_WITHIN: Duration = Duration::from_secs(60);
/// Instances of the pooled engine in a child: all that run and a good number that wait.
const SLOTS: u32 = 512;
const LIVE_MAX: u32 = 128;
/// Of one version: as many as threads run at the same time when nothing is stuck, and some.
const LIVE_IDLE_MAX: u32 = 8;

/// A place.
#[derive(Default)]
pub(super) struct Member(RwLock<Option<Arc<Link>>>);

impl Member {
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.0.read().clone()
    }
    pub(super) fn usable(&self) -> Option<Arc<Link>> {
        self.0.read().as_ref().filter(|l| l.is_usable()).map(Arc::clone)
    }
    fn set(&self, link: Option<Arc<Link>>) {
        *self.0.write() = link;
    }
}

/// A child, and the task that reads from it.
pub(super) type Started = (Arc<Link>, tokio::task::JoinHandle<()>);

/// Starts a sandbox child that has the engine, and the task that reads from it.
pub(super) async fn start(inner: &Inner) -> Result<Started, LinkError> {
    let generation = inner.next_generation.fetch_add(1, Ordering::Relaxed);
    let permits = Arc::clone(&inner.permits);
    let link = Link::open(&inner.options, &inner.spawner, ROLE_SANDBOX, generation, permits).await?;
    let reader = Arc::clone(&link);
    let serving = tokio::spawn(async move { reader.serve().await });
    let files = Arc::clone(&inner.engine.read());
    match tokio::time::timeout(
        LOAD_WITHIN,
        load_engine(&link, &files, inner.options.run_bytes_max()),
    )
    .await
    {
        Ok(Ok(())) => Ok((link, serving)),
        Ok(Err(e)) => {
            link.kill();
            Err(e)
        }
        Err(_) => {
            link.kill();
            Err(LinkError::Failed("loading the engine took too long".to_owned()))
        }
    }
}

async fn load_engine(link: &Link, files: &EngineFiles, run_bytes_max: u64) -> Result<(), LinkError> {
    let request = Request::LoadEngine {
        slots: SLOTS,
        live_max: LIVE_MAX,
        live_idle_max: LIVE_IDLE_MAX,
        run_bytes_max,
    };
    let (module, base) = (fds::reopen(&files.module)?, fds::reopen(&files.base)?);
    link.request(request, &[&module, &base]).await.map(drop)
}

/// Keeps the place filled, for as long as the pool lives.
pub(super) async fn supervise(inner: Arc<Inner>, place: usize, mut first: Option<Started>) {
    let Some(member) = inner.members.get(place) else {
        return;
    };
    let mut backoff = BACKOFF_MIN;
    loop {
        let started = match first.take() {
            Some(s) => Ok(s),
            None => start(&inner).await,
        };
        let born = inner.options.clock.monotonic();
        match started {
            Ok((link, serving)) => {
                member.set(Some(link));
                inner.usable.notify_waiters();
                // the reader never panics; if it did the child would be given up all the same
                let _ = serving.await;
                member.set(None);
            }
            Err(e) => tracing::error!(error = %e, "sandbox child could not be started"),
        }
        inner.restarts.fetch_add(1, Ordering::Relaxed);
        if inner.options.clock.monotonic().saturating_sub(born) > HEALTHY {
            backoff = BACKOFF_MIN;
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}
