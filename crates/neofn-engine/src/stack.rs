//! Places in generated code turned back into places in the user's own files. Loaded only when something failed.

use crate::engine::Inner;
use crate::port::{Compile, Position, Positions};
use crate::request::RunFailure;
use neofn_registry::ArtifactRef;
use neofn_runtime::port::{Failure, Frame};
use neofn_types::{Code, Diagnostic, Digest, Severity};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Lines of a stack that are kept.
const STACK_LINES_MAX: usize = 32;
/// Bytes of files and maps kept in memory for the next failure.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// What places are looked up in.
pub(crate) struct DebugInfo {
    positions: Option<Box<dyn Positions>>,
    files: BTreeMap<String, String>,
    bytes: usize,
}

/// The sources of versions that failed lately.
#[derive(Default)]
pub(crate) struct DebugCache(Mutex<VecDeque<(Digest, Arc<DebugInfo>)>>);

impl DebugCache {
    fn get(&self, name: Digest) -> Option<Arc<DebugInfo>> {
        let kept = self.0.lock();
        kept.iter().find(|(d, _)| *d == name).map(|(_, i)| i.clone())
    }
    fn put(&self, name: Digest, info: Arc<DebugInfo>) {
        let mut kept = self.0.lock();
        kept.push_back((name, info));
        while kept.len() > 1 && kept.iter().map(|(_, i)| i.bytes).sum::<usize>() > KEPT_BYTES_MAX {
            kept.pop_front();
        }
    }
}

impl DebugInfo {
    pub(crate) fn new(
        compiler: &dyn Compile,
        source_map: Option<&[u8]>,
        files: BTreeMap<String, String>,
    ) -> Self {
        let bytes = files.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>()
            + source_map.map_or(0, |m| m.len().saturating_mul(4));
        Self {
            positions: source_map.and_then(|map| compiler.positions(map)),
            files,
            bytes,
        }
    }
    fn place(&self, frame: &Frame) -> Option<Position> {
        // the engine's own scripts have names in angle brackets; positions in them mean nothing to the map
        if frame.file.starts_with('<') || frame.line == 0 {
            return None;
        }
        self.positions.as_ref()?.lookup(frame.line, frame.column)
    }
    /// What the user calls the function. The bundler gives default exports without a name one of its own.
    fn function<'a>(&self, frame: &'a Frame, at: &Position) -> &'a str {
        let name = frame.function.as_str();
        let invented =
            name.ends_with("_default") && self.files.get(&at.file).is_some_and(|text| !text.contains(name));
        if invented { "default" } else { name }
    }
    fn frame(&self, compiler: &dyn Compile, at: &Position) -> String {
        self.files
            .get(&at.file)
            .map(|text| compiler.code_frame(text, at.line, at.column))
            .unwrap_or_default()
    }
    /// A failure in the user's terms.
    pub(crate) fn explain(&self, compiler: &dyn Compile, failure: Failure) -> RunFailure {
        let mut first = None;
        let mut stack = Vec::new();
        for frame in failure.stack.iter().take(256) {
            let Some(at) = self.place(frame) else {
                continue;
            };
            if stack.len() < STACK_LINES_MAX {
                let place = format!("{}:{}:{}", at.file, at.line, at.column);
                stack.push(match self.function(frame, &at) {
                    "" | "<anonymous>" => format!("at {place}"),
                    name => format!("at {name} ({place})"),
                });
            }
            first.get_or_insert(at);
        }
        RunFailure {
            code: failure.code,
            message: failure.message,
            hint: String::new(),
            stack,
            frame: first.map(|at| self.frame(compiler, &at)).unwrap_or_default(),
        }
    }
    /// An explained failure as a finding about a file.
    pub(crate) fn finding(&self, code: Code, failure: &RunFailure) -> Diagnostic {
        let at = failure.stack.first().and_then(|line| parse_place(line));
        let (file, line, column) = at.unwrap_or_default();
        Diagnostic {
            code,
            severity: Severity::Error,
            file,
            line,
            column,
            length: 1,
            message: failure.message.clone(),
            hint: code.info().cure.to_owned(),
            frame: failure.frame.clone(),
        }
    }
    /// A failure of the top level as a finding about a file.
    pub(crate) fn diagnose(&self, compiler: &dyn Compile, code: Code, failure: &Failure) -> Diagnostic {
        let at = failure.stack.iter().find_map(|f| self.place(f));
        Diagnostic {
            code,
            severity: Severity::Error,
            frame: at.as_ref().map(|at| self.frame(compiler, at)).unwrap_or_default(),
            line: at.as_ref().map_or(0, |at| at.line),
            column: at.as_ref().map_or(0, |at| at.column),
            file: at.map(|at| at.file).unwrap_or_default(),
            length: 1,
            message: failure.message.clone(),
            hint: code.info().cure.to_owned(),
        }
    }
}

/// File, line and column of a stack line that this module wrote.
fn parse_place(line: &str) -> Option<(String, u32, u32)> {
    let place = line.rsplit([' ', '(']).next()?.trim_end_matches(')');
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?.to_owned(), line, column))
}

/// Stack lines of a module that has no source map.
fn plain(failure: Failure) -> RunFailure {
    let stack = failure.stack.iter().take(STACK_LINES_MAX).map(|f| {
        if f.function.is_empty() {
            format!("at {}:{}:{}", f.file, f.line, f.column)
        } else {
            format!("at {}", f.function)
        }
    });
    RunFailure {
        code: failure.code,
        stack: stack.collect(),
        message: failure.message,
        hint: String::new(),
        frame: String::new(),
    }
}

impl Inner {
    /// Puts a failure into the user's terms; without its sources, which costs the stack, if they cannot be read.
    pub(crate) async fn explain(&self, artifact: &ArtifactRef, failure: Failure) -> RunFailure {
        if artifact.source_map.is_none() || failure.stack.is_empty() {
            return plain(failure);
        }
        let compiler = &*self.ports.compiler;
        let bytes = |d: Option<Digest>| d.map_or([0; 32], |d| d.0);
        let name = Digest::of_parts(&[&bytes(artifact.source_map), &bytes(artifact.files)]);
        if let Some(info) = self.debug.get(name) {
            return info.explain(compiler, failure);
        }
        let map = self.optional_blob(artifact.source_map).await;
        let files = self.optional_blob(artifact.files).await;
        let files = files
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        let info = Arc::new(DebugInfo::new(compiler, map.as_deref(), files));
        self.debug.put(name, info.clone());
        info.explain(compiler, failure)
    }

    async fn optional_blob(&self, digest: Option<Digest>) -> Option<bytes::Bytes> {
        match self.ports.registry.blob(digest?).await {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(%error, "sources of a failed version not readable");
                None
            }
        }
    }
}
