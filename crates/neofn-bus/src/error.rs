//! Why the bus did not do what it was asked for. Each kind has an outcome of its own for the caller.

use neofn_types::{Code, Error};

/// Why the bus did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Nobody listens to the subject: nothing was done anywhere.
    #[error("nobody listens to {0}")]
    NoResponders(String),
    /// Somebody may have done it; no answer came in time.
    #[error("no answer from {0} in time")]
    TimedOut(String),
    /// Larger than the server takes.
    #[error("a message of {bytes} bytes is larger than the {bytes_max} that the NATS server takes")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        bytes_max: usize,
    },
    /// The queue holds as much as it may.
    #[error("the queue {0} is full")]
    Full(String),
    /// The key has another revision by now, or exists already.
    #[error("{0} changed meanwhile")]
    Conflict(String),
    /// The server does not let these credentials do it.
    #[error("the NATS server refuses: {0}")]
    Denied(String),
    /// What is stored is not what its name says.
    #[error("{0} is damaged")]
    Damaged(String),
    /// A stream or a bucket is there with other settings than ours.
    #[error("{0}")]
    Mismatch(String),
    /// No connection, an election, a full disk.
    #[error("the message bus does not answer: {0}")]
    Unavailable(String),
}

impl BusError {
    /// The code of the catalogue.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoResponders(_) | Self::TimedOut(_) | Self::Unavailable(_) | Self::Conflict(_) => {
                Code::BusUnavailable
            }
            Self::TooLarge { .. } => Code::BusMessageTooLarge,
            Self::Full(_) => Code::BusFull,
            Self::Denied(_) => Code::BusDenied,
            Self::Damaged(_) => Code::StoreFailed,
            Self::Mismatch(_) => Code::BusMismatch,
        }
    }
}
impl From<BusError> for Error {
    fn from(error: BusError) -> Self {
        Error::new(error.code(), error.to_string())
    }
}
