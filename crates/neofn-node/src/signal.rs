//! The process around a node: its threads and its signals.

use neofn_types::Error;
use tokio::signal::unix::{SignalKind, signal};

/// The runtime that a node needs. Blocking calls are few: files at the start and at the end.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("neofn")
        .build()
        .map_err(Error::internal)
}

/// Ready when the process is asked to end: SIGTERM, or Ctrl-C. Call again for a second signal.
pub async fn terminated() -> Result<(), Error> {
    let mut term = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
