//! The process around a node: its threads and its signals.

use neofn_types::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The runtime that a node needs. Blocking calls are few: files at the start and at the end.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("neofn")
        .build()
        .map_err(Error::internal)
}

/// For a process that holds keys and secrets: no core of it is written, and nobody of its own user reads its memory.
pub fn keep_memory_private() -> Result<(), Error> {
    Ok(neofn_jail::keep_memory_private()?)
}

/// SIGTERM and Ctrl-C, caught from the moment that this is made: make it before anybody is told to send one.
pub struct Termination {
    term: Signal,
    int: Signal,
}

impl Termination {
    /// Catches the signals from here on. Needs the runtime.
    pub fn listen() -> Result<Self, Error> {
        Ok(Self {
            term: signal(SignalKind::terminate()).map_err(Error::internal)?,
            int: signal(SignalKind::interrupt()).map_err(Error::internal)?,
        })
    }
    /// Ready when the process is asked to end. Call again for a second signal.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
