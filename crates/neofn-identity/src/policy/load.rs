//! Reads policies and holds them against the schema; what is wrong is told with the place in the file.

use crate::policy::{ActionDecl, names};
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use std::fmt::Write as _;
use std::path::Path;

/// Most files of an operator, and their greatest size.
const FILES_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 256 * 1024;

const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");
const BUILT_IN: &[(&str, &str)] = &[
    ("roles.cedar", include_str!("../../policies/roles.cedar")),
    ("keys.cedar", include_str!("../../policies/keys.cedar")),
];

/// A file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, as errors tell it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Policies that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {message}", place = place(*.line, *.column))]
pub struct PolicyError {
    /// In which file.
    pub file: String,
    /// From 1; 0 when it is the file as a whole.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

fn place(line: usize, column: usize) -> String {
    match line {
        0 => String::new(),
        _ => format!(":{line}:{column}"),
    }
}

impl PolicyError {
    fn file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            hint: String::new(),
        }
    }
    fn pointed(file: &str, text: &str, diagnostic: &dyn Diagnostic) -> Self {
        let (line, column) = offset(diagnostic).map_or((0, 0), |at| line_column(text, at));
        Self {
            file: file.to_owned(),
            line,
            column,
            message: diagnostic.to_string(),
            hint: diagnostic.help().map(|h| h.to_string()).unwrap_or_default(),
        }
    }
}
impl From<PolicyError> for neofn_types::Error {
    fn from(e: PolicyError) -> Self {
        let hint = e.hint.clone();
        let error = Self::new(neofn_types::Code::ConfigInvalid, format!("policies: {e}"));
        if hint.is_empty() { error } else { error.hint(hint) }
    }
}

fn offset(diagnostic: &dyn Diagnostic) -> Option<usize> {
    let own = diagnostic.labels().and_then(|mut labels| labels.next());
    own.map(|label| label.offset())
        .or_else(|| diagnostic.related()?.find_map(offset))
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The `.cedar` files of a directory, by name.
pub(super) fn read(dir: &Path) -> Result<Vec<PolicyFile>, PolicyError> {
    let wrong = |path: &Path, e: std::io::Error| PolicyError::file(path.display().to_string(), e.to_string());
    let entries = std::fs::read_dir(dir).map_err(|e| wrong(dir, e))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| wrong(dir, e))?.path();
        let Some(extension) = path.extension() else {
            continue;
        };
        if extension == "cedar" {
            paths.push(path);
        } else if extension.eq_ignore_ascii_case("cedar") {
            // a wall that somebody believes to be there must not be missing without a word
            return Err(PolicyError::file(
                path.display().to_string(),
                "files of policies end in `.cedar`, in small letters: this one would not be read",
            ));
        }
    }
    paths.sort();
    if paths.len() > FILES_MAX {
        return Err(PolicyError::file(
            dir.display().to_string(),
            format!("{} files; at most {FILES_MAX} are read", paths.len()),
        ));
    }
    let mut files = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let bytes = std::fs::metadata(&path).map_err(|e| wrong(&path, e))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(PolicyError::file(
                name,
                format!("{bytes} bytes; at most {FILE_BYTES_MAX} are read"),
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(&path, e))?;
        files.push(PolicyFile { name, text });
    }
    Ok(files)
}

/// The schema with the actions appended.
pub(super) fn schema_text(actions: &[ActionDecl]) -> String {
    let mut text = SCHEMA.to_owned();
    text.push_str("\n// the actions\n");
    for action in actions {
        let groups: Vec<String> = action.group.words().iter().map(|w| format!("{w:?}")).collect();
        let resource = if action.group.on_node() {
            "Node"
        } else {
            "Project, Function"
        };
        // writing to a string does not fail
        let _ = writeln!(
            text,
            "action {:?} in [{}]\n  appliesTo {{ principal: [Visitor, Account, Key], resource: [{resource}] }};",
            action.name,
            groups.join(", ")
        );
    }
    text
}

pub(super) fn schema(text: &str) -> Result<Schema, PolicyError> {
    Schema::from_cedarschema_str(text)
        .map(|(schema, _)| schema)
        .map_err(|e| PolicyError::pointed("schema.cedarschema", text, &e))
}

/// All policies, each named after its file and its `@id`.
pub(super) fn policies(schema: &Schema, files: &[PolicyFile]) -> Result<PolicySet, PolicyError> {
    let built_in = BUILT_IN
        .iter()
        .map(|(name, text)| (format!("built-in {name}"), *text));
    let theirs = files.iter().map(|f| (f.name.clone(), f.text.as_str()));
    let mut all = PolicySet::new();
    for (name, text) in built_in.chain(theirs) {
        let own = one_file(schema, &name, text)?;
        for policy in own {
            let id = policy.id().to_string();
            all.add(policy)
                .map_err(|_| PolicyError::file(&name, format!("there are two policies {id}")))?;
        }
    }
    Ok(all)
}

fn one_file(schema: &Schema, name: &str, text: &str) -> Result<Vec<Policy>, PolicyError> {
    let parsed: PolicySet = text
        .parse()
        .map_err(|e: cedar_policy::ParseErrors| PolicyError::pointed(name, text, &e))?;
    if parsed.templates().next().is_some() {
        return Err(PolicyError::file(
            name,
            "templates (`?principal`, `?resource`) are not linked to anything here",
        ));
    }
    let result = Validator::new(schema.clone()).validate(&parsed, ValidationMode::Strict);
    if let Some(error) = result.validation_errors().next() {
        return Err(PolicyError::pointed(name, text, error));
    }
    // what can never be true is not what its writer meant
    if let Some(warning) = result.validation_warnings().next() {
        return Err(PolicyError::pointed(name, text, warning));
    }
    if let Some((named, form)) = parsed.policies().find_map(names::impossible) {
        let (line, column) = text.find(&named).map_or((0, 0), |at| line_column(text, at));
        return Err(PolicyError {
            file: name.to_owned(),
            line,
            column,
            message: format!("nobody can be named {named}"),
            hint: format!("Write it as {form}."),
        });
    }
    let policies = parsed.policies().map(|policy| {
        let own = policy
            .annotation("id")
            .map_or_else(|| policy.id().to_string(), str::to_owned);
        policy.new_id(PolicyId::new(format!("{name}#{own}")))
    });
    Ok(policies.collect())
}
