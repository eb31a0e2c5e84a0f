//! Why a process could not be confined.

use crate::Tier;
use neofn_types::{Code, Error};
use std::io;

/// Why a process could not be confined. It must end then: parts of the jail may already hold.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// Landlock and seccomp bind one thread and what it starts later.
    #[error("confine while {0} threads run: it has to come first in main")]
    Threads(usize),
    /// A step that works everywhere did not.
    #[error("{step}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The machine does not give what the role requires.
    #[error("the jail reaches tier {have}, {need} is required ({why})")]
    TooWeak {
        /// What holds.
        have: Tier,
        /// What was required.
        need: Tier,
        /// The first thing that did not work.
        why: String,
    },
}

impl JailError {
    pub(crate) fn last(step: &'static str) -> Self {
        Self::Step {
            step,
            source: io::Error::last_os_error(),
        }
    }
}

impl From<JailError> for Error {
    fn from(error: JailError) -> Self {
        Self::new(Code::JailTooWeak, error.to_string()).because(error)
    }
}
