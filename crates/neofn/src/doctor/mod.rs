//! What could be wrong on this machine: one file per check.

mod cache;
mod certificate;
mod data;
mod disk;
mod jail;
mod node;
mod runtime_file;
mod tools;

use crate::cli::Global;
use serde::Serialize;
use std::path::Path;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Good,
    /// Neither good nor bad.
    Info,
    /// Was wrong and was mended.
    Fixed,
    /// Works, but look at it.
    Warn,
    /// Does not work.
    Bad,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do; empty when there is nothing to do.
    pub cure: String,
}

impl Finding {
    fn new(name: &str, state: State, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            detail: detail.into(),
            cure: String::new(),
        }
    }
    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = cure.into();
        self
    }
}

/// What the checks look at.
pub struct Scene<'a> {
    /// Where a node might be.
    pub global: &'a Global,
    /// The data directory.
    pub data: &'a Path,
    /// Whether to mend.
    pub fix: bool,
}

/// A check.
type Check = fn(&Scene<'_>) -> Vec<Finding>;

/// All checks, in the order of showing.
pub fn checks() -> [Check; 8] {
    [
        jail::check,
        node::check,
        runtime_file::check,
        certificate::check,
        data::check,
        disk::check,
        cache::check,
        tools::check,
    ]
}
