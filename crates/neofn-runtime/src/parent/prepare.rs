//! Making code ready: in children of its own, so that a hostile top level meets no other tenant's call.

use super::link::{Answer, Link, LinkError};
use super::member;
use super::pool::Inner;
use crate::child::{CODE_BYTES_MAX, ROLE_WASM_COMPILE};
use crate::port::{Artifact, Failure, Prepare, PrepareError};
use crate::proto::control::{FILE_ARTIFACT, FILE_REPORT, PrepareReport, Request};
use crate::proto::fds;
use neofn_types::{Code, Digest, RuntimeKind};
use parking_lot::Mutex;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Preparations at once.
const AT_ONCE: usize = 2;
/// Beyond its own time limit a preparation may take this for copying and hashing.
const GRACE: Duration = Duration::from_secs(5);
/// The compiling process has a limit on its CPU time; this is for a machine that gives it none.
const COMPILE_WITHIN: Duration = Duration::from_secs(60);

/// Children that wait for work. They are started when first needed.
pub(super) struct Preparers {
    idle: Mutex<Vec<Arc<Link>>>,
    turns: Semaphore,
}

impl Default for Preparers {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl Preparers {
    /// Ends those that wait.
    pub(super) fn kill(&self) {
        for link in self.idle.lock().drain(..) {
            link.kill();
        }
    }
}

fn unavailable(e: impl std::fmt::Display) -> PrepareError {
    PrepareError::Unavailable(e.to_string())
}

pub(super) async fn prepare(
    inner: &Inner,
    request: Prepare,
) -> Result<(Artifact, Vec<String>), PrepareError> {
    if request.code.len() as u64 > CODE_BYTES_MAX {
        return Err(PrepareError::Refused(Failure {
            code: Code::SourceTooLarge,
            message: format!("{} bytes of code", request.code.len()),
            stack: Vec::new(),
        }));
    }
    let code = fds::sealed(c"code", &request.code).map_err(unavailable)?;
    let _turn = inner.preparers.turns.acquire().await.map_err(unavailable)?;
    let answer = match request.kind {
        RuntimeKind::Js => evaluate(inner, &request, &code).await?,
        RuntimeKind::Wasm => compile(inner, &request, &code).await?,
    };
    finish(answer, inner.engine_of(request.kind))
}

async fn evaluate(inner: &Inner, request: &Prepare, code: &OwnedFd) -> Result<Answer, PrepareError> {
    let idle = inner.preparers.idle.lock().pop();
    let link = match idle.filter(|l| l.is_usable()) {
        Some(link) => link,
        None => member::start(inner).await.map_err(unavailable)?.0,
    };
    // a future that is dropped here drops the link, and with it the child: nobody knows its state
    let mut guard = KillOnDrop(Some(Arc::clone(&link)));
    let wanted = Request::Prepare {
        memory_bytes: request.memory_bytes,
        fuel: request.fuel,
        time_us: u64::try_from(request.time.as_micros()).unwrap_or(u64::MAX),
    };
    let given = [code];
    let asked = link.request(wanted, &given);
    match tokio::time::timeout(request.time + GRACE, asked).await {
        Ok(Ok(answer)) => {
            guard.0 = None;
            inner.preparers.idle.lock().push(link);
            Ok(answer)
        }
        Ok(Err(LinkError::Failed(reason))) => {
            guard.0 = None;
            inner.preparers.idle.lock().push(link);
            Err(unavailable(reason))
        }
        Ok(Err(e)) => Err(unavailable(e)),
        Err(_) => Err(PrepareError::Refused(Failure {
            code: Code::EvaluateFailed,
            message: "the top level of the module did not end in time".to_owned(),
            stack: Vec::new(),
        })),
    }
}

/// In a process of its own, which ends afterwards: a module can make the compiler take all the time and memory it gets.
async fn compile(inner: &Inner, request: &Prepare, code: &OwnedFd) -> Result<Answer, PrepareError> {
    let limit = |message: &str| {
        PrepareError::Refused(Failure {
            code: Code::CompileLimit,
            message: message.to_owned(),
            stack: Vec::new(),
        })
    };
    let permits = Arc::new(Semaphore::new(0));
    let link = Link::open(&inner.options, &inner.spawner, ROLE_WASM_COMPILE, 0, permits)
        .await
        .map_err(unavailable)?;
    let wanted = Request::CompileWasm {
        memory_bytes: request.memory_bytes,
    };
    let given = [code];
    match tokio::time::timeout(COMPILE_WITHIN, link.job(wanted, &given)).await {
        Ok(Err(LinkError::Io(_))) => Err(limit(
            "compiling the module took more time or memory than allowed",
        )),
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(limit("compiling the module took too long")),
    }
}

/// Meeting a limit of a run at the top level is a fault of the deployment, not of a run.
fn of_deployment(failure: Failure) -> Failure {
    match failure.code {
        Code::TimedOut
        | Code::UnitLimit
        | Code::MemoryLimit
        | Code::StackOverflow
        | Code::Uncaught
        | Code::NeverSettled => Failure {
            code: Code::EvaluateFailed,
            ..failure
        },
        _ => failure,
    }
}

struct KillOnDrop(Option<Arc<Link>>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.kill();
        }
    }
}

fn finish(mut answer: Answer, engine: Digest) -> Result<(Artifact, Vec<String>), PrepareError> {
    let report: PrepareReport = postcard::from_bytes(&answer.take(FILE_REPORT)).map_err(unavailable)?;
    if let Some(failure) = report.failure {
        return Err(PrepareError::Refused(of_deployment(failure)));
    }
    let bytes = bytes::Bytes::from(answer.take(FILE_ARTIFACT));
    let artifact = Artifact {
        digest: Digest::of(&bytes),
        engine,
        bytes,
    };
    Ok((artifact, report.logs))
}
