//! What a deployment changes: the request against what was last deployed from this directory.
//!
//! A node does not give sources back, so the CLI keeps digests of what it sent in `.neofn/deployed.json`. When the
//! live version is another one than it remembers, it says so instead of guessing.

use crate::project::Project;
use neofn_types::{Digest, FunctionKey};
use neofn_wire::{DeployRequest, FunctionView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Largest record that is read.
const RECORD_BYTES_MAX: u64 = 8 << 20;
/// Of each function: a rollback goes back to one of these, mostly.
const VERSIONS_KEPT: usize = 10;

/// What was sent for one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The version that it became.
    version: u32,
    /// SHA-256 by path.
    files: BTreeMap<String, String>,
    /// The settings, as flat `limits.time` keys.
    settings: BTreeMap<String, String>,
}

impl Sent {
    /// The digest of a request that became `version`.
    #[must_use]
    pub fn of(request: &DeployRequest, version: u32) -> Self {
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        let mut files: BTreeMap<String, String> = request
            .files
            .iter()
            .flatten()
            .map(|(path, text)| (path.clone(), digest(text)))
            .collect();
        if let Some(module) = &request.module {
            files.insert("module".to_owned(), digest(module));
        }
        let mut settings = BTreeMap::new();
        let bare = DeployRequest {
            files: None,
            module: None,
            source: None,
            ..request.clone()
        };
        flatten("", &serde_json::to_value(bare).unwrap_or_default(), &mut settings);
        Self {
            version,
            files,
            settings,
        }
    }
}

fn flatten(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !path.starts_with("test.") => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, out);
            }
        }
        other => {
            out.insert(path.to_owned(), other.to_string());
        }
    }
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Project and function.
    pub function: String,
    /// The version that is live now; null for a new function.
    pub live: Option<u32>,
    /// Bytes to send.
    pub bytes: usize,
    /// Files to send.
    pub files: usize,
    /// `~ src/a.ts`, `limits.time "30s" -> "10s"`; null when it is not known.
    pub changes: Option<Vec<String>>,
}

impl Plan {
    /// Compares.
    #[must_use]
    pub fn new(
        key: &FunctionKey,
        request: &DeployRequest,
        live: Option<&FunctionView>,
        sent: Option<&Sent>,
    ) -> Self {
        let next = Sent::of(request, 0);
        let known = sent.filter(|sent| live.is_some_and(|live| live.version == sent.version));
        Self {
            function: key.to_string(),
            live: live.map(|f| f.version),
            bytes: request
                .files
                .iter()
                .flatten()
                .map(|(_, text)| text.len())
                .sum::<usize>()
                + request.module.as_ref().map_or(0, |m| m.len() / 4 * 3),
            files: next.files.len(),
            changes: known.map(|known| changes(known, &next)),
        }
    }

    /// What differs between two deployments.
    #[must_use]
    pub fn between(old: &Sent, new: &Sent) -> Vec<String> {
        changes(old, new)
    }

    /// In words.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let size = format!(
            "{} in {} file{}",
            crate::render::bytes(self.bytes),
            self.files,
            if self.files == 1 { "" } else { "s" }
        );
        match (self.live, &self.changes) {
            (None, _) => vec![format!("{}: new, {size}", self.function)],
            (Some(live), None) => {
                vec![format!(
                    "{}: version {live} is live and was not deployed from here, {size}",
                    self.function
                )]
            }
            (Some(live), Some(changes)) if changes.is_empty() => {
                vec![format!("{}: nothing changed since version {live}", self.function)]
            }
            (Some(live), Some(changes)) => std::iter::once(format!(
                "{}: changes against version {live}, {size}",
                self.function
            ))
            .chain(changes.iter().map(|c| format!("  {c}")))
            .collect(),
        }
    }
}

fn changes(old: &Sent, new: &Sent) -> Vec<String> {
    let mut out = Vec::new();
    for path in old.files.keys().filter(|p| !new.files.contains_key(*p)) {
        out.push(format!("- {path}"));
    }
    for (path, digest) in &new.files {
        match old.files.get(path) {
            None => out.push(format!("+ {path}")),
            Some(before) if before != digest => out.push(format!("~ {path}")),
            Some(_) => {}
        }
    }
    let keys: std::collections::BTreeSet<_> = old.settings.keys().chain(new.settings.keys()).collect();
    for key in keys {
        let (before, after) = (old.settings.get(key), new.settings.get(key));
        if before != after {
            let shown = |v: Option<&String>| v.map_or("default", String::as_str).to_owned();
            out.push(format!("{key} {} -> {}", shown(before), shown(after)));
        }
    }
    out
}

/// What this directory sent, by node and function.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    sent: BTreeMap<String, Sent>,
}

impl Record {
    /// Reads the record of a project; one that cannot be read counts as empty, for it only explains.
    #[must_use]
    pub fn load(project: &Project) -> Self {
        let path = project.hidden().join("deployed.json");
        let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= RECORD_BYTES_MAX);
        let text = if small { fs::read(&path).ok() } else { None };
        let sent = text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self { path, sent }
    }

    fn name(url: &str, key: &FunctionKey, version: u32) -> String {
        format!("{url} {key}@{version}")
    }

    /// What became this version.
    #[must_use]
    pub fn get(&self, url: &str, key: &FunctionKey, version: u32) -> Option<&Sent> {
        self.sent.get(&Self::name(url, key, version))
    }

    /// Remembers what was sent. A record that cannot be written costs an explanation next time, no more.
    pub fn put(&mut self, url: &str, key: &FunctionKey, sent: Sent) {
        let of_function = format!("{url} {key}@");
        self.sent.insert(Self::name(url, key, sent.version), sent);
        let mut versions: Vec<(u32, String)> = self
            .sent
            .iter()
            .filter(|(name, _)| name.starts_with(&of_function))
            .map(|(name, sent)| (sent.version, name.clone()))
            .collect();
        versions.sort_unstable();
        for (_, name) in versions.iter().rev().skip(VERSIONS_KEPT) {
            self.sent.remove(name);
        }
        let write = || -> std::io::Result<()> {
            let parent = self.path.parent().unwrap_or(&self.path);
            fs::create_dir_all(parent)?;
            let partial = self.path.with_extension("json.new");
            fs::write(&partial, serde_json::to_vec_pretty(&self.sent)?)?;
            fs::rename(partial, &self.path)
        };
        let _ = write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(files: &[(&str, &str)], time: &str) -> DeployRequest {
        DeployRequest {
            function_name: "a".to_owned(),
            files: Some(
                files
                    .iter()
                    .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()))
                    .collect(),
            ),
            limits: Some(neofn_wire::LimitsRequest {
                time: Some(time.to_owned()),
                ..Default::default()
            }),
            ..DeployRequest::default()
        }
    }

    #[test]
    fn files_and_settings_are_compared() {
        let old = Sent::of(&request(&[("a", "1"), ("b", "1"), ("c", "1")], "30s"), 3);
        let new = Sent::of(&request(&[("a", "1"), ("b", "2"), ("d", "1")], "10s"), 0);
        assert_eq!(
            changes(&old, &new),
            ["- c", "~ b", "+ d", "limits.time \"30s\" -> \"10s\""]
        );
        assert!(changes(&old, &old).is_empty());
    }
}
