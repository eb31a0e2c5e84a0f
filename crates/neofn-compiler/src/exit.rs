//! What it means when a child ends without an answer. Looks at the source as text only.

use crate::frame::code_frame;
use crate::place::Lines;
use crate::process::Lost;
use crate::request::{CompileError, CompileRequest, Stage};
use neofn_types::{Code, Diagnostic, Severity};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// CPU seconds that a child may use.
pub(crate) const CPU_SECONDS_MAX: u64 = 5;
/// A child that was killed this late was killed by the CPU limit: in its own namespace that shows as SIGKILL.
const CPU_LIMIT_FROM: Duration = Duration::from_millis(4_500);

const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;

/// Turns the end of a child into what the user, or the operator, should read.
pub(crate) fn explain(lost: &Lost, request: &CompileRequest) -> CompileError {
    let signal = lost.status.and_then(|s| s.signal());
    if lost.stderr.contains("memory allocation of") {
        return limit("more memory than a compilation may use", lost);
    }
    if lost.stderr.contains("overflowed its stack") {
        return too_deep(lost, request);
    }
    match signal {
        Some(SIGXCPU) => limit("more CPU time than a compilation may use", lost),
        Some(SIGKILL) if !lost.timed_out && lost.elapsed >= CPU_LIMIT_FROM => {
            limit("more CPU time than a compilation may use", lost)
        }
        _ if lost.timed_out => limit("longer than a compilation may take", lost),
        Some(SIGSEGV | SIGBUS | SIGILL | SIGABRT) if lost.parsing.is_some() => too_deep(lost, request),
        _ => {
            let ended = lost
                .status
                .map_or_else(|| "ended".to_owned(), |s| format!("ended with {s}"));
            let said = lost
                .stderr
                .lines()
                .next()
                .unwrap_or("")
                .chars()
                .take(200)
                .collect::<String>();
            CompileError::Unavailable(format!("the compiler process {ended} before it answered; {said}"))
        }
    }
}

fn limit(what: &str, lost: &Lost) -> CompileError {
    let file = lost.parsing.clone().unwrap_or_default();
    refused(
        Stage::Compile,
        Code::CompileLimit,
        file,
        format!("the source took {what}"),
    )
}

fn refused(stage: Stage, code: Code, file: String, message: String) -> CompileError {
    let hint = code.info().cure.to_owned();
    let diagnostic = Diagnostic {
        code,
        severity: Severity::Error,
        file,
        line: 0,
        column: 0,
        length: 1,
        message,
        hint,
        frame: String::new(),
    };
    CompileError::Refused {
        stage,
        diagnostics: vec![diagnostic],
    }
}

fn too_deep(lost: &Lost, request: &CompileRequest) -> CompileError {
    let message = "the source is nested deeper than the parser can follow";
    let file = lost.parsing.clone().unwrap_or_else(|| request.main.clone());
    let mut error = refused(
        Stage::Validate,
        Code::NestedTooDeep,
        file.clone(),
        message.to_owned(),
    );
    if let (Some(text), CompileError::Refused { diagnostics, .. }) = (request.files.get(&file), &mut error)
        && let Some(at) = deepest_bracket(text)
    {
        let place = Lines::new(text).place(at, at.saturating_add(1));
        for diagnostic in diagnostics {
            (diagnostic.line, diagnostic.column) = (place.line, place.column);
            diagnostic.frame = code_frame(text, place.line, place.column, 1, "about here");
        }
    }
    error
}

/// Where brackets are nested deepest, counted blindly: strings and comments are not told apart, so this is a hint.
fn deepest_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut deepest) = (0_i64, (64_i64, None));
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > deepest.0 {
                    deepest = (depth, Some(at));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest.1
}
