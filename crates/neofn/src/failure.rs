//! Why a command stops, and the exit code that says so.

use neofn_manifest::ManifestError;
use neofn_types::{Code, Diagnostic, Severity};
use neofn_wire::{DiagnosticView, Problem};
use std::process::ExitCode;

/// How a command ended.
/// In order: the worse, the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Well.
    Done,
    /// A function failed, or problems were found.
    Failed,
    /// Usage or configuration.
    Usage,
    /// Credentials.
    Auth,
    /// A node or the machine is not available.
    Unavailable,
    /// A limit or the units are exhausted.
    Limit,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Auth => 3,
            Exit::Unavailable => 4,
            Exit::Limit => 5,
        })
    }
}

impl Exit {
    /// The exit code that goes with a code of the catalogue.
    #[must_use]
    pub fn of(code: Code) -> Self {
        match code {
            Code::TimedOut
            | Code::UnitLimit
            | Code::MemoryLimit
            | Code::ResultTooLarge
            | Code::HostCallLimit
            | Code::KvQuota
            | Code::SourceTooLarge
            | Code::CompileLimit => Self::Limit,
            Code::ManifestInvalid | Code::RuntimeUnknown => Self::Usage,
            Code::BusDenied => Self::Auth,
            _ => match (code.as_str().get(..4), code.info().status) {
                (Some("NF04"), _) => Self::Auth,
                (_, 402 | 413 | 429) => Self::Limit,
                (_, 502 | 503) => Self::Unavailable,
                (Some("NF01" | "NF02" | "NF05" | "NF09"), _) => Self::Failed,
                (_, 409) => Self::Failed,
                _ => Self::Usage,
            },
        }
    }
}

/// Why a command stops. Boxed: a problem document is large, and this is every command's error.
#[derive(Debug)]
pub struct Failure {
    /// What to show.
    pub problem: Box<Problem>,
    /// How to end.
    pub exit: Exit,
}

impl Failure {
    /// A failure that was noticed here and not by a node; `hint` empty means the catalogue's cure.
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let info = code.info();
        let (message, hint) = (message.into(), hint.into());
        let problem = Problem {
            type_: format!("/docs/errors/{code}"),
            title: info.title.to_owned(),
            status: info.status,
            detail: message.clone(),
            code: code.to_string(),
            error: info.title.to_owned(),
            message,
            hint: if hint.is_empty() {
                info.cure.to_owned()
            } else {
                hint
            },
            ..Problem::default()
        };
        Self {
            problem: Box::new(problem),
            exit: Exit::of(code),
        }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Code::ConfigInvalid, message, hint)
    }

    /// Something about a file.
    pub fn file(path: &std::path::Path, doing: &str, reason: &std::io::Error) -> Self {
        Self::usage(
            format!("cannot {doing} {}: {reason}", path.display()),
            "check that the path exists and who may use it",
        )
    }
}

impl From<neofn_client::Error> for Failure {
    fn from(error: neofn_client::Error) -> Self {
        let exit = Exit::of(error.code());
        Self {
            problem: Box::new(error.into_problem()),
            exit,
        }
    }
}

impl From<neofn_types::Error> for Failure {
    fn from(error: neofn_types::Error) -> Self {
        let hint = error.cure().to_owned();
        Self::new(error.code, error.message, hint)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let count = error.findings.len();
        let mut failure = Self::new(
            Code::ManifestInvalid,
            if count == 1 {
                "the manifest has a mistake".to_owned()
            } else {
                format!("the manifest has {count} mistakes")
            },
            "",
        );
        failure.problem.diagnostics = Some(error.findings.into_iter().map(view).collect());
        failure
    }
}

fn view(finding: Diagnostic) -> DiagnosticView {
    DiagnosticView {
        code: finding.code.to_string(),
        severity: match finding.severity {
            Severity::Error => "error".to_owned(),
            Severity::Warning => "warning".to_owned(),
        },
        file: finding.file,
        line: finding.line,
        column: finding.column,
        message: finding.message,
        hint: finding.hint,
        frame: finding.frame,
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;
    use neofn_types::Code;

    #[test]
    fn exit_codes_follow_the_kind_of_failure() {
        for (code, exit) in [
            (Code::Uncaught, Exit::Failed),
            (Code::Syntax, Exit::Failed),
            (Code::SmokeTestFailed, Exit::Failed),
            (Code::ConfigInvalid, Exit::Usage),
            (Code::NoProjectHere, Exit::Usage),
            (Code::ManifestInvalid, Exit::Usage),
            (Code::MalformedJson, Exit::Usage),
            (Code::Unauthenticated, Exit::Auth),
            (Code::Forbidden, Exit::Auth),
            (Code::BusDenied, Exit::Auth),
            (Code::NodeUnreachable, Exit::Unavailable),
            (Code::JailTooWeak, Exit::Unavailable),
            (Code::UnitLimit, Exit::Limit),
            (Code::QueueFull, Exit::Limit),
            (Code::BodyTooLarge, Exit::Limit),
        ] {
            assert_eq!(Exit::of(code), exit, "{code}");
        }
    }
}
