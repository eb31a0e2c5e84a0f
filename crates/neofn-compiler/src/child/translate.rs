//! The bundler's findings in our words, at the user's place.

use super::project::{ProjectFs, relative};
use crate::validate::{Finding, diagnostics, placeless};
use neofn_types::{Code, Diagnostic, Severity};
use rolldown_error::{BuildDiagnostic, DiagnosticOptions};
use std::path::PathBuf;

/// Translates errors; at least one comes out.
pub(crate) fn errors(found: Vec<BuildDiagnostic>, fs: &ProjectFs, main: &str) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = found.iter().take(30).map(|one| error(one, fs)).collect();
    if out.is_empty() {
        let message = "the bundler refused the source without saying why".to_owned();
        out.push(placeless(Code::Syntax, Severity::Error, main, message, ""));
    }
    out
}

/// Of the bundler's warnings only what a user can act on and our own rules do not see: a name that a file does not have.
pub(crate) fn warnings(found: &[BuildDiagnostic], fs: &ProjectFs) -> Vec<Diagnostic> {
    let undefined = found
        .iter()
        .filter(|one| one.kind().to_string() == "IMPORT_IS_UNDEFINED");
    let mut out: Vec<Diagnostic> = undefined.take(30).map(|one| error(one, fs)).collect();
    out.retain(|d| !d.file.split('/').any(|part| part == "node_modules"));
    out.iter_mut().for_each(|d| d.severity = Severity::Warning);
    out
}

fn error(found: &BuildDiagnostic, fs: &ProjectFs) -> Diagnostic {
    let options = DiagnosticOptions {
        cwd: PathBuf::from(super::project::ROOT),
    };
    let told = found.to_diagnostic_with(&options);
    let kind = told.kind();
    let code = match kind.as_str() {
        "UNRESOLVED_IMPORT"
        | "UNRESOLVED_ENTRY"
        | "RESOLVE_ERROR"
        | "MISSING_EXPORT"
        | "UNLOADABLE_DEPENDENCY"
        | "FILE_NOT_FOUND"
        | "IMPORT_IS_UNDEFINED"
        | "CIRCULAR_REEXPORT"
        | "AMBIGUOUS_EXTERNAL_NAMESPACE" => Code::ImportOutside,
        _ => Code::Syntax,
    };
    let message = clean(&found.to_message_with(&options));
    let hint = match kind.as_str() {
        "MISSING_EXPORT" => "Check the name, and that the other file exports it; a type needs `import type`.",
        "CIRCULAR_REEXPORT" => {
            "Two files re-export this name from each other: export it where it is defined."
        }
        _ => "",
    };
    let place = told.get_primary_location().and_then(|(file, line, column, _)| {
        let path = relative(&file).unwrap_or(&file).to_owned();
        fs.text(&path).map(|text| (path, text, line, column))
    });
    match place {
        Some((path, text, line, column)) => {
            let line_start: usize = text
                .split_inclusive('\n')
                .take(line.saturating_sub(1))
                .map(str::len)
                .sum();
            let start = line_start.saturating_add(utf16(text.get(line_start..).unwrap_or(""), column));
            let finding = Finding {
                code,
                start,
                end: start.saturating_add(1),
                message,
                hint: hint.to_owned(),
            };
            let mut told = diagnostics(&path, &text, vec![finding]);
            told.pop()
                .unwrap_or_else(|| placeless(code, Severity::Error, &path, String::new(), hint))
        }
        None => {
            let file = found
                .id()
                .and_then(|id| relative(&id).map(str::to_owned))
                .unwrap_or_default();
            placeless(code, Severity::Error, &file, message, hint)
        }
    }
}

/// Bytes of the first `units` UTF-16 units.
fn utf16(text: &str, units: usize) -> usize {
    let mut left = units;
    let mut bytes = 0_usize;
    for c in text.chars() {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(c.len_utf16());
        bytes = bytes.saturating_add(c.len_utf8());
    }
    bytes
}

/// The bundler knows the project by another root.
fn clean(message: &str) -> String {
    message
        .replace("/project/", "")
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(300)
        .collect()
}
