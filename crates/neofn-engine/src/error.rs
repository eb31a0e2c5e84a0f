//! Translates what storage and gates say into coded errors. The public text never holds a vendor's message.

use crate::port::{StoreError, StoredFailure};
use crate::request::RunFailure;
use neofn_registry::port::RegistryStoreError;
use neofn_sched::Refused;
use neofn_types::{Code, Error, FunctionKey};

pub(crate) fn of_store(error: StoreError) -> Error {
    match error {
        StoreError::NotFound => Code::InvocationNotFound.into(),
        StoreError::IdempotencyMismatch => Code::IdempotencyMismatch.into(),
        StoreError::QueueFull => Code::QueueFull.into(),
        StoreError::Unpaid(refused) => refused.into(),
        StoreError::Fenced => Error::new(Code::IdempotencyBusy, "another attempt owns this invocation"),
        StoreError::KvConflict(_) | StoreError::KvNotCounter(_) | StoreError::KvQuota => {
            match of_commit(&error) {
                Some(failure) => Error::new(failure.code, failure.message),
                None => Error::internal(error),
            }
        }
        StoreError::Backend(source) => {
            Error::new(Code::StoreFailed, Code::StoreFailed.info().title).because(source)
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        of_store(error)
    }
}

/// What a refused commit means to the function that made the writes; `None` when it is not its doing.
pub(crate) fn of_commit(error: &StoreError) -> Option<RunFailure> {
    let (code, message) = match error {
        StoreError::KvConflict(key) => (
            Code::KvConflict,
            format!("key {key:?} changed before the commit; nothing was written"),
        ),
        StoreError::KvNotCounter(key) => (
            Code::KvCounter,
            format!("key {key:?} is not a counter; nothing was written"),
        ),
        StoreError::KvQuota => (
            Code::KvQuota,
            "the project's key-value quota is used up; nothing was written".to_owned(),
        ),
        StoreError::QueueFull => (
            Code::QueueFull,
            "the queue of a function that an event of this run reaches is full; nothing was written"
                .to_owned(),
        ),
        _ => return None,
    };
    Some(failure(code, message))
}

/// A failure that has no place in the user's source.
pub(crate) fn failure(code: Code, message: impl Into<String>) -> RunFailure {
    RunFailure {
        code,
        message: message.into(),
        hint: String::new(),
        stack: Vec::new(),
        frame: String::new(),
    }
}

pub(crate) fn stored(failure: &RunFailure) -> StoredFailure {
    StoredFailure {
        code: failure.code,
        message: failure.message.clone(),
        stack: failure.stack.clone(),
        frame: failure.frame.clone(),
    }
}

pub(crate) fn unstored(stored: StoredFailure) -> RunFailure {
    RunFailure {
        stack: stored.stack,
        frame: stored.frame,
        ..failure(stored.code, stored.message)
    }
}

pub(crate) fn of_registry(error: RegistryStoreError) -> Error {
    match error {
        RegistryStoreError::FunctionNotFound => Code::FunctionNotFound.into(),
        RegistryStoreError::ProjectEnded => Code::ProjectEnded.into(),
        RegistryStoreError::LiveMoved => Code::LiveMoved.into(),
        RegistryStoreError::VersionNotFound => Code::VersionNotFound.into(),
        RegistryStoreError::ArtifactDamaged(_) => Error::new(
            Code::StoreFailed,
            "stored code of this version is missing or damaged",
        )
        .hint("Deploy the function again; see the log for the digest.")
        .because(error),
        RegistryStoreError::Backend(source) => {
            Error::new(Code::StoreFailed, Code::StoreFailed.info().title).because(source)
        }
    }
}

pub(crate) fn of_gate(refused: Refused, key: &FunctionKey) -> Error {
    match refused {
        Refused::Function => Error::new(
            Code::ConcurrencyLimit,
            format!("{key} already runs as often as its limit allows"),
        ),
        Refused::Project => Error::new(
            Code::ConcurrencyLimit,
            format!("project {} already runs as much as it may", key.project),
        ),
        Refused::Node | Refused::Queue => Code::Overloaded.into(),
    }
}

pub(crate) fn draining() -> Error {
    Error::new(Code::Overloaded, "the node is shutting down")
}
