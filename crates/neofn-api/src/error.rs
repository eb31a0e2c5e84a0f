//! Why a use case was not done, and the problem document that says so.
//!
//! The internal chain of an error stays here for the log; a problem carries the public text alone.

use crate::rate::TooMany;
use crate::view;
use neofn_engine::request::{DeployError, Invoked, RunFailure, Stage};
use neofn_types::{Code, Error, Retry};
use neofn_wire::Problem;

/// Why a use case was not done.
#[derive(Debug)]
pub enum ApiError {
    /// It was not taken, or broke.
    Plain(Error),
    /// A stage of a deployment refused it.
    Refused(Box<DeployError>),
    /// The run ended without a result.
    Failed(Box<FailedRun>),
    /// Too many requests.
    TooMany(Box<TooMany>),
}

/// A run without a result.
#[derive(Debug)]
pub struct FailedRun {
    /// The run, its outcome taken out.
    pub run: Invoked,
    /// The outcome.
    pub failure: RunFailure,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Plain(error)
    }
}
impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self::Plain(code.into())
    }
}
impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        Self::Refused(Box::new(error))
    }
}

impl From<TooMany> for ApiError {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany(Box::new(too_many))
    }
}

impl ApiError {
    /// Its code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Plain(error) => error.code,
            Self::Refused(refused) => refused.error.code,
            Self::Failed(failed) => failed.failure.code,
            Self::TooMany(too_many) => too_many.error.code,
        }
    }

    /// For the log: the public text and the internal chain.
    #[must_use]
    pub fn chain(&self) -> String {
        let error = match self {
            Self::Plain(error) => error,
            Self::Refused(refused) => &refused.error,
            Self::TooMany(too_many) => &too_many.error,
            Self::Failed(failed) => return failed.failure.message.clone(),
        };
        let mut text = error.message.clone();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }

    /// Seconds after which trying again makes sense, for answers that carry Retry-After.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        if let Self::TooMany(too_many) = self {
            return Some(u32::try_from(too_many.limited.retry_after_s).unwrap_or(u32::MAX));
        }
        let info = self.code().info();
        match (info.status, info.retry) {
            (429 | 409, Retry::Later) => Some(1),
            (503, _) => Some(2),
            _ => None,
        }
    }

    /// The document for the caller.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Plain(error) => plain(error),
            Self::TooMany(too_many) => plain(&too_many.error),
            Self::Refused(refused) => Problem {
                diagnostics: Some(refused.diagnostics.iter().map(view::diagnostic).collect()),
                stage: Some(stage(refused.stage).to_owned()),
                logs: (!refused.logs.is_empty()).then(|| refused.logs.clone()),
                ..plain(&refused.error)
            },
            Self::Failed(failed) => failed_run(failed),
        }
    }
}

fn plain(error: &Error) -> Problem {
    let title = error.code.info().title;
    let short = match error.code {
        // the words that clients of the first API version look for
        Code::FunctionNotFound => "Function not found",
        _ => title,
    };
    document(error.code, short, error.message.clone(), error.cure().to_owned())
}

fn document(code: Code, short: &str, message: String, hint: String) -> Problem {
    Problem {
        type_: format!("/docs/errors/{code}"),
        title: code.info().title.to_owned(),
        status: code.info().status,
        detail: message.clone(),
        code: code.to_string(),
        error: short.to_owned(),
        message,
        hint,
        ..Problem::default()
    }
}

fn failed_run(failed: &FailedRun) -> Problem {
    let FailedRun { run, failure } = failed;
    let hint = if failure.hint.is_empty() {
        failure.code.info().cure
    } else {
        &failure.hint
    };
    Problem {
        logs: Some(run.logs.clone()),
        invocation_id: Some(run.id.to_string()),
        units: Some(view::units(&run.units)),
        stack: Some(failure.stack.clone()),
        frame: (!failure.frame.is_empty()).then(|| failure.frame.clone()),
        duration: Some(view::millis(run.duration)),
        version: Some(run.version.0),
        ..document(
            failure.code,
            "Function execution failed",
            failure.message.clone(),
            hint.to_owned(),
        )
    }
}

/// As answers name a stage.
pub(crate) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Validate => "validate",
        Stage::Compile => "compile",
        Stage::Snapshot => "snapshot",
        Stage::Test => "test",
        Stage::Publish => "publish",
    }
}
