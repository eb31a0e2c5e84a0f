//! The rules, over the syntax tree of one file at a time. Runs in the child.
//!
//! Advice to honest users, not a boundary: `globalThis["ev" + "al"]` passes any linter, and the sandbox holds anyway.

mod grants;
mod handler;
mod imports;
mod keys;
mod keys_text;
mod regex;
mod regex_set;
mod visitor;

use crate::frame::code_frame;
use crate::place::Lines;
use crate::rules;
use neofn_types::{Code, Diagnostic, Grants, Severity};
use oxc::allocator::Allocator;
use oxc::diagnostics::{OxcDiagnostic, Severity as OxcSeverity};
use oxc::parser::{ParseOptions, Parser};
use oxc::semantic::SemanticBuilder;
use oxc::span::{SourceType, Span};
use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use grants::{Mentions, unused_grants};
pub(crate) use handler::{EntryExports, judge};
pub(crate) use imports::Import;

/// Findings of one file that are kept; the first error is what matters.
const FINDINGS_MAX: usize = 30;

/// A finding by byte offsets.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub code: Code,
    pub start: usize,
    pub end: usize,
    pub message: String,
    /// More exact than the catalogue's cure; empty for that.
    pub hint: String,
}

impl Finding {
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            start: index(span.start),
            end: index(span.end),
            message: message.into(),
            hint: String::new(),
        }
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// What is to be known of a file.
#[derive(Debug, Default)]
pub(crate) struct FileReport {
    pub findings: Vec<Finding>,
    /// What it imports when it runs; types are not in it.
    pub imports: Vec<Import>,
    /// Export names and the like; filled for every file, read for the entry.
    pub exports: EntryExports,
    /// Services by name.
    pub mentions: Mentions,
    /// Functions that `ctx.invoke` names, as text: some may not be names at all.
    pub calls: BTreeSet<String>,
}

/// How to look at a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub path: &'a str,
    pub depth_max: u32,
    pub grants: &'a Grants,
}

impl Look<'_> {
    fn is_own(&self) -> bool {
        !self.path.split('/').any(|part| part == "node_modules")
    }
}

/// Parses a file and applies every rule. May overflow the stack: the caller has a large one and a parent that watches.
pub(crate) fn check(look: Look<'_>, source: &str) -> FileReport {
    let mut report = FileReport::default();
    if look.path.ends_with(".json") {
        json(source, &mut report);
        return report;
    }
    let allocator = Allocator::default();
    let options = ParseOptions {
        preserve_parens: false,
        ..ParseOptions::default()
    };
    let parsed = Parser::new(&allocator, source, source_type(look.path))
        .with_options(options)
        .parse();
    if let Some(finding) = visitor::too_deep(&parsed.program, look.depth_max) {
        report.findings.push(finding);
        return report;
    }
    let mut syntax: Vec<OxcDiagnostic> = parsed.diagnostics.into_vec();
    if parsed.panicked {
        report.findings.extend(syntax.iter().filter_map(syntax_finding));
        keys_text::scan(source, look.is_own(), &mut report.findings);
        return finish(report);
    }
    let semantic = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .build(&parsed.program);
    syntax.extend(semantic.diagnostics.into_vec());
    let scoping = semantic.semantic.into_scoping();
    visitor::visit(look, source, &parsed.program, &scoping, &mut report);
    report.imports.extend(imports::of_module(
        &parsed.module_record,
        &parsed.program,
        &scoping,
    ));
    report.exports = handler::exports(&parsed.module_record, &parsed.program, &scoping, report.exports);
    // `with` has its own rule; the parser's word on it would be a second finding on one place.
    let with: Vec<(usize, usize)> = report
        .findings
        .iter()
        .filter(|f| f.code == Code::WithStatement)
        .map(|f| (f.start, f.end))
        .collect();
    let repeated = |f: &Finding| with.iter().any(|(start, end)| (*start..*end).contains(&f.start));
    report
        .findings
        .extend(syntax.iter().filter_map(syntax_finding).filter(|f| !repeated(f)));
    keys_text::scan(source, look.is_own(), &mut report.findings);
    finish(report)
}

fn finish(mut report: FileReport) -> FileReport {
    report
        .findings
        .sort_by_key(|f| (rules::severity(f.code), f.start, f.code));
    report
        .findings
        .dedup_by(|a, b| a.code == b.code && a.start == b.start);
    report.findings.truncate(FINDINGS_MAX);
    report
}

/// How the bundler reads the file; both must agree.
fn source_type(path: &str) -> SourceType {
    let extension = Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or("");
    let module = SourceType::default();
    match extension {
        "cjs" => module.with_commonjs(true),
        "cts" => module.with_commonjs(true).with_typescript(true),
        "jsx" => module.with_jsx(true),
        "ts" | "mts" => module.with_typescript(true),
        "tsx" => module.with_typescript(true).with_jsx(true),
        _ => module,
    }
}

fn syntax_finding(diagnostic: &OxcDiagnostic) -> Option<Finding> {
    if diagnostic.severity != OxcSeverity::Error {
        return None;
    }
    let label = diagnostic.labels.first();
    let start = label.map_or(0, |l| index(l.offset()));
    let length = label.map_or(1, |l| index(l.len()));
    let hint = diagnostic.help.as_deref().unwrap_or("").to_owned();
    Some(Finding {
        code: Code::Syntax,
        start,
        end: start.saturating_add(length),
        message: diagnostic.message.to_string(),
        hint,
    })
}

fn json(source: &str, report: &mut FileReport) {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(source) {
        let line_start: usize = source
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let start = line_start.saturating_add(error.column()).saturating_sub(1);
        let deep = error.to_string().contains("recursion limit");
        let code = if deep { Code::NestedTooDeep } else { Code::Syntax };
        let (message, hint) = if deep {
            ("JSON nested deeper than 128", String::new())
        } else {
            ("invalid JSON", format!("The JSON parser says: {error}."))
        };
        report.findings.push(Finding {
            code,
            start,
            end: start.saturating_add(1),
            message: message.to_owned(),
            hint,
        });
    }
    keys_text::scan(source, true, &mut report.findings);
}

/// Findings as the user reads them.
pub(crate) fn diagnostics(file: &str, source: &str, findings: Vec<Finding>) -> Vec<Diagnostic> {
    let lines = Lines::new(source);
    findings
        .into_iter()
        .map(|finding| diagnostic(file, source, &lines, finding))
        .collect()
}

fn diagnostic(file: &str, source: &str, lines: &Lines<'_>, finding: Finding) -> Diagnostic {
    let place = lines.place(finding.start, finding.end);
    let hint = if finding.hint.is_empty() {
        finding.code.info().cure.to_owned()
    } else {
        finding.hint
    };
    let message: String = finding.message.chars().take(300).collect();
    Diagnostic {
        code: finding.code,
        severity: rules::severity(finding.code),
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        length: place.length,
        frame: code_frame(source, place.line, place.column, place.length, &message),
        message,
        hint,
    }
}

/// A finding about no place.
pub(crate) fn placeless(
    code: Code,
    severity: Severity,
    file: &str,
    message: String,
    hint: &str,
) -> Diagnostic {
    let hint = if hint.is_empty() { code.info().cure } else { hint }.to_owned();
    Diagnostic {
        code,
        severity,
        file: file.to_owned(),
        line: 0,
        column: 0,
        length: 1,
        message,
        hint,
        frame: String::new(),
    }
}

pub(crate) fn index(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
