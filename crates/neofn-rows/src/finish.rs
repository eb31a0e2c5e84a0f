//! The end of an attempt as columns.

use crate::codec::{DEAD, DetailRef, FAILED, SUCCEEDED, pack};
use crate::error::RowError;
use neofn_engine::port::{Finish, Outcome, StoredFailure};
use neofn_types::{Code, UnitsBill};

/// The blobs of a [`Finish`], encoded by the caller's thread.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The column `detail`.
    pub detail: Vec<u8>,
    /// The column `recording`.
    pub recording: Vec<u8>,
}

impl Encoded {
    /// Encodes them, or says what the port does not allow.
    pub fn of(finish: &Finish) -> Result<Self, RowError> {
        if !finish.kv.is_empty() && !matches!(finish.outcome, Outcome::Succeeded(_)) {
            return Err(RowError::Misuse("key-value writes of an attempt that failed"));
        }
        if !finish.emitted.is_empty() && !matches!(finish.outcome, Outcome::Succeeded(_)) {
            return Err(RowError::Misuse("events of an attempt that failed"));
        }
        Ok(Self {
            detail: pack(&DetailRef {
                failure: failure(&finish.outcome),
                logs: &finish.logs,
                units: finish.units,
                duration_us: finish.duration_us,
            })?,
            recording: pack(&finish.recording)?,
        })
    }
    /// About what a command with it carries.
    #[must_use]
    pub fn bytes(&self, finish: &Finish) -> usize {
        let emitted: usize = finish.emitted.iter().map(|d| d.event.len()).sum();
        self.detail.len() + self.recording.len() + emitted + result(finish).map_or(0, <[u8]>::len)
    }
}

/// The failure that an outcome carries.
#[must_use]
pub fn failure(outcome: &Outcome) -> Option<&StoredFailure> {
    match outcome {
        Outcome::Succeeded(_) => None,
        Outcome::Failed(f) | Outcome::Dead(f) | Outcome::Lost(f) | Outcome::Retry { failure: f, .. } => {
            Some(f)
        }
    }
}

/// The column `result`.
#[must_use]
pub fn result(finish: &Finish) -> Option<&[u8]> {
    match &finish.outcome {
        Outcome::Succeeded(json) => Some(json),
        _ => None,
    }
}

/// The column `rearm`: whether the same request runs it again.
#[must_use]
pub fn is_rearmed(finish: &Finish) -> bool {
    matches!(finish.outcome, Outcome::Lost(_))
}

/// The column `status`; none for a retry.
#[must_use]
pub fn status_of(finish: &Finish) -> Option<i64> {
    match finish.outcome {
        Outcome::Succeeded(_) => Some(SUCCEEDED),
        Outcome::Failed(_) | Outcome::Lost(_) => Some(FAILED),
        Outcome::Dead(_) => Some(DEAD),
        Outcome::Retry { .. } => None,
    }
}

/// The column `detail` of a synchronous invocation whose process was lost.
pub fn interrupted() -> Result<Vec<u8>, RowError> {
    let code = Code::SandboxLost;
    let failure = StoredFailure {
        code,
        message: code.info().title.to_owned(),
        stack: Vec::new(),
        frame: String::new(),
    };
    pack(&DetailRef {
        failure: Some(&failure),
        logs: &[],
        units: UnitsBill::default(),
        duration_us: 0,
    })
}
