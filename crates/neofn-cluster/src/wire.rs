//! What gateways and workers send each other, and where to.

use crate::beat::Role;
use bytes::Bytes;
use neofn_bus::BusError;
use neofn_runtime::port::{Completed, Failure, JobContext, JobLimits, Layout};
use neofn_types::{Digest, RuntimeKind, UnitsBill, UnixMillis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Grows with every change of a message that the other side would not understand.
pub const PROTOCOL: u32 = 2;

/// Names one run between a gateway and a worker. It cannot be guessed: who knows it may make host calls for the run.
pub(crate) type CallId = [u8; 16];

/// Asks every node to say who it is, at once.
pub(crate) const WHO: &str = "neofn.who";
/// Where all of them say it.
pub(crate) const BEATS: &str = "neofn.beat.*.*";

/// NATS permissions bind a node to its role and its name by it.
pub(crate) fn beat(role: Role, node: &str) -> String {
    format!("neofn.beat.{}.{node}", role.as_str())
}
/// The call of a preparation, in hexadecimal, as a header.
pub(crate) const CALL: &str = "Neofn-Call";
/// `what` is one of run, prepare, cancel, answer and ping, or `*` for all of them.
pub(crate) fn worker(node: &str, what: &str) -> String {
    format!("neofn.worker.{node}.{what}")
}
/// Where a run's host calls go.
pub(crate) fn host(gateway: &str, call: &str) -> String {
    format!("neofn.host.{gateway}.{call}")
}

/// Names of runs, one behind the other: as a gateway asks a worker after them, and a worker says which it does not have.
pub(crate) fn calls(bytes: &[u8]) -> impl Iterator<Item = CallId> + '_ {
    let (calls, _) = bytes.as_chunks();
    calls.iter().copied()
}

/// One run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) call: CallId,
    pub(crate) gateway: String,
    pub(crate) artifact: Digest,
    pub(crate) engine: Digest,
    pub(crate) event: Bytes,
    pub(crate) context: JobContext,
    pub(crate) seed: [u8; 32],
    pub(crate) started_at: UnixMillis,
    pub(crate) time_ms: u64,
    pub(crate) units: u64,
    pub(crate) limits: JobLimits,
}

/// Code to be made ready; it lies in the object store.
#[derive(Serialize, Deserialize)]
pub(crate) struct Make {
    pub(crate) kind: RuntimeKind,
    pub(crate) code: Digest,
    pub(crate) memory_bytes: u64,
    pub(crate) time_ms: u64,
    pub(crate) fuel: u64,
}

/// Why a worker does not do what it was asked for. It has done none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Busy {
    /// It goes.
    Draining,
    /// It does as much as it may.
    Full,
    /// The object store has no such artifact, or does not answer.
    NoArtifact,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Ran {
    Ended(Ended),
    Busy(Busy),
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Made {
    /// The artifact lies in the object store.
    Artifact {
        digest: Digest,
        engine: Digest,
        logs: Vec<String>,
    },
    Refused(Failure),
    Unavailable(String),
    Busy(Busy),
}

/// The end of a run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) outcome: Result<Bytes, Failure>,
    pub(crate) logs: Vec<String>,
    pub(crate) units: UnitsBill,
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) duration_us: u64,
    pub(crate) layout: Layout,
}

impl From<Completed> for Ended {
    fn from(c: Completed) -> Self {
        Self {
            outcome: c.outcome,
            logs: c.logs,
            units: c.units,
            fuel: c.fuel,
            memory_bytes: c.memory_bytes,
            duration_us: u64::try_from(c.duration.as_micros()).unwrap_or(u64::MAX),
            layout: c.layout,
        }
    }
}
impl From<Ended> for Completed {
    fn from(e: Ended) -> Self {
        Self {
            outcome: e.outcome,
            logs: e.logs,
            units: e.units,
            fuel: e.fuel,
            memory_bytes: e.memory_bytes,
            duration: Duration::from_micros(e.duration_us),
            layout: e.layout,
        }
    }
}

/// A run that ended without having been.
pub(crate) fn failed(failure: Failure) -> Completed {
    Completed {
        outcome: Err(failure),
        logs: Vec::new(),
        units: UnitsBill::default(),
        fuel: 0,
        memory_bytes: 0,
        duration: Duration::ZERO,
        layout: Layout::D3,
    }
}

pub(crate) fn write<T: Serialize>(value: &T) -> Result<Bytes, BusError> {
    postcard::to_stdvec(value)
        .map(Bytes::from)
        .map_err(|e| BusError::Unavailable(e.to_string()))
}

pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BusError> {
    postcard::from_bytes(bytes)
        .map_err(|e| BusError::Unavailable(format!("a message that cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neofn_types::Code;

    #[test]
    fn messages_survive_the_wire() {
        let failure = Failure {
            code: Code::Uncaught,
            message: "Error: x".to_owned(),
            stack: Vec::new(),
        };
        for outcome in [Ok(Bytes::from_static(b"{}")), Err(failure)] {
            let completed = Completed {
                outcome,
                logs: vec!["[LOG] a".to_owned()],
                duration: Duration::from_micros(1_500),
                ..failed(Failure {
                    code: Code::Internal,
                    message: String::new(),
                    stack: Vec::new(),
                })
            };
            let sent = write(&Ran::Ended(completed.clone().into())).unwrap();
            let Ran::Ended(ended) = read(&sent).unwrap() else {
                panic!("another message");
            };
            assert_eq!(Completed::from(ended), completed);
        }
        assert!(read::<Ran>(&[9, 9]).is_err());
    }
}
