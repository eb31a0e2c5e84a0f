//! Why a call to a node gave no answer of the kind asked for.

use neofn_types::Code;
use neofn_wire::Problem;
use std::time::Duration;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The node answered with a problem document.
    #[error("{}: {}", .0.code, .0.message)]
    Problem(Box<Problem>),
    /// Nobody answers there.
    #[error("no node answers at {url}: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// One side does not believe the other's certificate.
    #[error("no secure connection to {url}: {reason}")]
    Untrusted {
        /// The address.
        url: String,
        /// What the handshake said.
        reason: String,
    },
    /// No node was found on this machine.
    #[error("no node was found on this machine")]
    NotFound,
    /// The node took too long; whether it did the work is not known.
    #[error("{url} did not answer within {seconds} s")]
    TimedOut {
        /// The address.
        url: String,
        /// How long it had.
        seconds: u64,
    },
    /// Something answered that is no node, or of another version.
    #[error("{url} answered something unexpected: {reason}")]
    BadAnswer {
        /// The address.
        url: String,
        /// What was wrong with it.
        reason: String,
    },
    /// The address or the key cannot be used.
    #[error("{0}")]
    Config(String),
}

impl Error {
    pub(crate) fn timed_out(url: &str, limit: Duration) -> Self {
        Self::TimedOut {
            url: url.to_owned(),
            seconds: limit.as_secs(),
        }
    }

    /// The code of the catalogue; an unknown one of a newer node counts as internal.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Problem(problem) => problem.code.parse().unwrap_or(Code::Internal),
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NotFound
            | Self::TimedOut { .. }
            | Self::BadAnswer { .. } => Code::NodeUnreachable,
            Self::Config(_) => Code::ConfigInvalid,
        }
    }

    /// The same as a problem document, so that a caller shows all failures alike.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        let code = self.code();
        let hint = match &self {
            Self::Problem(_) => String::new(),
            Self::Unreachable { .. } => {
                "start a node there with `neofn up`, or set NEOFN_URL to where one runs".to_owned()
            }
            Self::Untrusted { .. } => {
                "name the authority of its certificate with NEOFN_CA, and what to show to it with NEOFN_CLIENT_CERT and \
                 NEOFN_CLIENT_KEY; the address must be one that the certificate names"
                    .to_owned()
            }
            Self::TimedOut { .. } => "look whether it is overloaded; the work may have been done".to_owned(),
            Self::BadAnswer { .. } => "check that NEOFN_URL is the address of a neofn node".to_owned(),
            Self::NotFound | Self::Config(_) => code.info().cure.to_owned(),
        };
        let message = self.to_string();
        match self {
            Self::Problem(problem) => *problem,
            _ => problem(code, message, hint),
        }
    }
}

/// A problem document that was made here and not by a node.
fn problem(code: Code, message: String, hint: String) -> Problem {
    let info = code.info();
    Problem {
        type_: format!("/docs/errors/{code}"),
        title: info.title.to_owned(),
        status: info.status,
        detail: message.clone(),
        code: code.to_string(),
        error: info.title.to_owned(),
        message,
        hint,
        ..Problem::default()
    }
}
