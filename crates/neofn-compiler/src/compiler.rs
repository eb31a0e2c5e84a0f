//! The handle: takes a child from the rack, asks it, explains how it ended. One child compiles once.

use crate::exit;
use crate::process::ChildProcess;
use crate::request::{CompileError, CompileRequest, Compiled, Stage};
use crate::upload;
use crate::wire::{self, Answer};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// How children are started and how many work at once.
#[derive(Debug, Clone)]
pub struct CompilerOptions {
    /// Our own binary.
    pub exe: PathBuf,
    /// What makes it a compiler child: `__child compiler`.
    pub args: Vec<OsString>,
    /// Children get `--insecure-no-jail` and run with whatever confinement the machine gives.
    pub insecure_no_jail: bool,
    /// Compilations at the same time; more wait their turn.
    pub concurrency: usize,
    /// Wall clock of one compilation, queueing excluded: the backstop behind the child's limit of CPU time.
    pub time_max: Duration,
}

impl CompilerOptions {
    /// `exe __child compiler`, confined, two compilations at a time.
    #[must_use]
    pub fn new(exe: PathBuf) -> Self {
        Self {
            exe,
            args: vec!["__child".into(), "compiler".into()],
            insecure_no_jail: false,
            concurrency: 2,
            time_max: Duration::from_secs(30),
        }
    }
}

/// A handle to the compiler; cheap to clone.
#[derive(Clone)]
pub struct Compiler(Arc<Inner>);

struct Inner {
    options: CompilerOptions,
    /// One confined child that waits for a request, so that a small deployment does not wait for a process to start.
    warm: Mutex<Option<ChildProcess>>,
    permits: Semaphore,
}

impl Compiler {
    /// A compiler; no process starts before `warm_up` or the first compilation.
    #[must_use]
    pub fn new(options: CompilerOptions) -> Self {
        let permits = Semaphore::new(options.concurrency.max(1));
        Self(Arc::new(Inner {
            options,
            warm: Mutex::new(None),
            permits,
        }))
    }

    /// Starts the waiting child. An error here says why no compilation would work: the jail, or the binary.
    pub async fn warm_up(&self) -> Result<(), CompileError> {
        self.0.refill().await.map_err(CompileError::Unavailable)
    }

    /// Compiles one function.
    pub async fn compile(&self, request: CompileRequest) -> Result<Compiled, CompileError> {
        let diagnostics = upload::check(&request);
        if !diagnostics.is_empty() {
            return Err(CompileError::Refused {
                stage: Stage::Validate,
                diagnostics,
            });
        }
        let frame = wire::frame(&request, wire::REQUEST_BYTES_MAX).map_err(CompileError::Failed)?;
        let closed = |_| CompileError::Unavailable("the compiler is shutting down".to_owned());
        let permit = self.0.permits.acquire().await.map_err(closed)?;
        let answer = self.0.ask(&frame, &request).await;
        drop(permit);
        self.refill_later();
        match answer? {
            Answer::Compiled(compiled) => Ok(*compiled),
            Answer::Refused(stage, diagnostics) => Err(CompileError::Refused { stage, diagnostics }),
            Answer::Failed(why) => Err(CompileError::Failed(why)),
            Answer::Ready | Answer::Parsing(_) => {
                Err(CompileError::Failed("the child spoke out of turn".to_owned()))
            }
        }
    }

    /// After the answer, so that the next child's start does not compete with this compilation for a core.
    fn refill_later(&self) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(why) = inner.refill().await {
                tracing::warn!(why, "no compiler child could be started ahead");
            }
        });
    }
}

impl Inner {
    async fn refill(&self) -> Result<(), String> {
        let mut warm = self.warm.lock().await;
        if warm.as_mut().is_some_and(ChildProcess::is_alive) {
            return Ok(());
        }
        *warm = None;
        *warm = Some(ChildProcess::start(&self.options).await?);
        Ok(())
    }

    async fn ask(&self, frame: &[u8], request: &CompileRequest) -> Result<Answer, CompileError> {
        let waiting = self.warm.lock().await.take();
        if let Some(mut child) = waiting
            && child.is_alive()
        {
            match child.ask(frame, self.options.time_max).await {
                Ok(answer) => return Ok(answer),
                // Killed while it waited: nothing of the request was looked at.
                Err(lost) if !lost.took_request => {}
                Err(lost) => return Err(exit::explain(&lost, request)),
            }
        }
        let child = ChildProcess::start(&self.options)
            .await
            .map_err(CompileError::Unavailable)?;
        child
            .ask(frame, self.options.time_max)
            .await
            .map_err(|lost| exit::explain(&lost, request))
    }
}
