//! The top of the document: syntax, `project`, and the functions by name.

use crate::function;
use crate::walk::{Walk, shorten};
use crate::{FunctionConfig, Manifest};
use neofn_types::{Code, Diagnostic, FunctionName, ProjectName};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Most functions of one manifest.
pub const FUNCTIONS_MAX: usize = 1_000;
/// Most findings reported at once.
pub const FINDINGS_MAX: usize = 50;

const TOP: &[&str] = &["project", "function"];

/// What is wrong with a manifest; at least one finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct ManifestError {
    /// In the order of the file.
    pub findings: Vec<Diagnostic>,
}

impl ManifestError {
    fn summary(&self) -> String {
        match self.findings.as_slice() {
            [] => "invalid manifest".to_owned(),
            [one] => format!("{}:{}:{}: {}", one.file, one.line, one.column, one.message),
            [first, rest @ ..] => format!(
                "{}:{}:{}: {} (and {} more)",
                first.file,
                first.line,
                first.column,
                first.message,
                rest.len()
            ),
        }
    }
}

/// Reads `text`, which findings call `file`.
pub fn parse(file: &str, text: &str) -> Result<Manifest, ManifestError> {
    // Editors on Windows put a byte order mark in front; it is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MANIFEST_BYTES_MAX {
        let mut walk = Walk {
            file,
            text: "",
            findings: Vec::new(),
        };
        walk.wrong(
            0..0,
            format!(
                "the file has {} bytes, more than {MANIFEST_BYTES_MAX}",
                text.len()
            ),
            "a manifest holds configuration; data belongs elsewhere",
        );
        return Err(ManifestError {
            findings: walk.findings,
        });
    }
    let mut walk = Walk {
        file,
        text,
        findings: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', ", ");
        walk.wrong(span, message, "see https://toml.io for the syntax");
    }
    let manifest = if walk.findings.is_empty() {
        top(&mut walk, document.get_ref())
    } else {
        None
    };
    walk.findings.sort_by_key(|f| (f.line, f.column));
    match manifest {
        Some(manifest) if walk.findings.is_empty() => Ok(manifest),
        _ => Err(ManifestError {
            findings: walk.findings,
        }),
    }
}

fn top(walk: &mut Walk<'_>, document: &DeTable<'_>) -> Option<Manifest> {
    let mut project = Some(ProjectName::default_project());
    let mut functions = BTreeMap::new();
    for (span, key, value) in Walk::members(document) {
        match key {
            "project" => project = self::project(walk, value),
            "function" => {
                if let Some(table) = walk.table("function", value, "[function.hello]") {
                    functions = self::functions(walk, table);
                }
            }
            "functions" => walk.unknown(span, key, "the manifest", &["function"]),
            other => walk.unknown(span, other, "the manifest", TOP),
        }
    }
    if functions.is_empty() && walk.findings.is_empty() {
        walk.wrong(
            0..0,
            "the manifest has no function",
            "add one: `[function.hello]` with `main = \"src/hello.ts\"`",
        );
    }
    Some(Manifest {
        project: project?,
        functions,
    })
}

fn project(walk: &mut Walk<'_>, value: &Spanned<DeValue<'_>>) -> Option<ProjectName> {
    let text = walk.string("project", value, "project = \"demo\"")?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(reason) => {
            walk.wrong(
                value.span(),
                format!("project = \"{}\": {reason}", shorten(text)),
                "choose another name",
            );
            None
        }
    }
}

fn functions(walk: &mut Walk<'_>, table: &DeTable<'_>) -> BTreeMap<FunctionName, FunctionConfig> {
    let mut functions = BTreeMap::new();
    for (span, key, value) in Walk::members(table) {
        if functions.len() >= FUNCTIONS_MAX {
            walk.wrong(
                span,
                format!("more than {FUNCTIONS_MAX} functions"),
                "split the project over several manifests",
            );
            break;
        }
        let name = match key.parse::<FunctionName>() {
            Ok(name) => name,
            Err(reason) => {
                walk.add(
                    span,
                    Code::ManifestInvalid,
                    format!("[function.\"{}\"]: {reason}", shorten(key)),
                    "choose another name",
                );
                continue;
            }
        };
        if let Some(config) = function::read(walk, &span, &name, value) {
            functions.insert(name, config);
        }
    }
    functions
}
