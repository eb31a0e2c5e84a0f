//! Turning source into code. Knows no parser and no bundler.

use async_trait::async_trait;
use bytes::Bytes;
use neofn_types::{Diagnostic, Grants};
use std::collections::BTreeMap;
use std::time::Duration;

/// JavaScript or TypeScript to be compiled.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// Files by path, the closure of `main`'s imports.
    pub files: &'a BTreeMap<String, String>,
    /// The file with the handler.
    pub main: &'a str,
    /// What it may reach: some rules depend on it.
    pub grants: &'a Grants,
}

/// What compiling gave.
#[derive(Debug, Clone)]
pub struct CompiledSource {
    /// One ES module.
    pub code: Bytes,
    /// Its source map, JSON of revision 3.
    pub source_map: Bytes,
    /// Findings that did not stop it.
    pub warnings: Vec<Diagnostic>,
    /// Functions of the project that it names in `ctx.invoke`, as text, sorted.
    pub calls: Vec<String>,
    /// How much of the time went into parsing and rules; the rest is bundling.
    pub validate: Duration,
    /// Transforming, bundling, minifying.
    pub compile: Duration,
}

/// Why there is no code.
#[derive(Debug)]
pub enum CompileRefusal {
    /// The rules: the user's to mend.
    Rejected {
        /// Whether the bundler stopped it; otherwise parser or rules did.
        bundling: bool,
        /// Errors first; never empty.
        diagnostics: Vec<Diagnostic>,
    },
    /// Ours: the compiler process could not be had, or died. Trying again can help.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// Ours: the compiler cannot do this source, though nothing is wrong with it.
    Defect(Box<dyn std::error::Error + Send + Sync>),
}

/// A place in a user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Relative to the project.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The name that the minifier took away, if the map has it.
    pub name: Option<String>,
}

/// A parsed source map.
pub trait Positions: Send + Sync {
    /// Where a place of the generated code came from; line and column from 1.
    fn lookup(&self, line: u32, column: u32) -> Option<Position>;
}

/// Turns source into code, and places in code back into places in source.
#[async_trait]
pub trait Compile: Send + Sync + 'static {
    /// Parses, checks, transforms, bundles, minifies.
    async fn compile(&self, source: Source<'_>) -> Result<CompiledSource, CompileRefusal>;
    /// Reads a source map that `compile` made; `None` when it is not one.
    fn positions(&self, source_map: &[u8]) -> Option<Box<dyn Positions>>;
    /// The lines around a place with a marker, plain text.
    fn code_frame(&self, text: &str, line: u32, column: u32) -> String;
}
