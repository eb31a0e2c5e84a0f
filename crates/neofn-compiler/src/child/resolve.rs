//! Which file an import means. Only uploaded files exist; every refusal says what would have worked.

use super::project::{ProjectFs, ROOT, absolute, relative};
use rolldown_common::{ImportKind, Platform, ResolveOptions, TsConfig};
use rolldown_resolver::{ResolveError, Resolver};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SOURCES: &[&str] = &["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs", "json"];
const NODE_BUILTINS: &[&str] = &[
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];

/// What an import leads to.
pub(crate) enum Target {
    /// A file of the project.
    File(String),
    /// A package says that it has nothing here (`"browser": {"x": false}`).
    Nothing,
}

/// Why an import leads nowhere.
pub(crate) struct Refusal {
    pub message: String,
    pub hint: String,
}

/// The options that the bundler and our own walk share, so that they agree.
pub(crate) fn resolver(fs: &ProjectFs) -> Arc<Resolver<ProjectFs>> {
    Arc::new(Resolver::new(
        fs.clone(),
        PathBuf::from(ROOT),
        Platform::Neutral,
        &TsConfig::Auto(false),
        options(),
    ))
}

pub(crate) fn options() -> ResolveOptions {
    let list = |items: &[&str]| Some(items.iter().map(|s| (*s).to_owned()).collect());
    ResolveOptions {
        main_fields: list(&["module", "main"]),
        condition_names: list(&["module"]),
        extensions: list(&[".ts", ".tsx", ".mts", ".js", ".mjs", ".cjs", ".jsx", ".json"]),
        symlinks: Some(false),
        yarn_pnp: Some(false),
        ..ResolveOptions::default()
    }
}

/// Follows one import of `importer` (a path in the project).
pub(crate) fn resolve(
    resolver: &Resolver<ProjectFs>,
    importer: &str,
    specifier: &str,
    kind: ImportKind,
) -> Result<Target, Refusal> {
    if let Some(refusal) = refused_by_shape(specifier) {
        return Err(refusal);
    }
    match resolver.resolve(Some(&absolute(importer)), specifier, kind, false) {
        Ok(found) => {
            let Some(path) = relative(&found.path) else {
                return Err(not_found(importer, specifier));
            };
            if path.contains(['?', '#']) || !is_source(path) {
                return Err(Refusal {
                    message: format!("{specifier:?} is a file that cannot be imported"),
                    hint: "Imports can be .ts, .tsx, .mts, .js, .mjs, .cjs and .json files.".to_owned(),
                });
            }
            Ok(Target::File(path.to_owned()))
        }
        Err(ResolveError::Ignored(_)) => Ok(Target::Nothing),
        Err(_) => Err(not_found(importer, specifier)),
    }
}

/// Whether the file has an extension that can be imported.
pub(crate) fn is_source(path: &str) -> bool {
    Path::new(path)
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| SOURCES.contains(&e))
}

fn refused_by_shape(specifier: &str) -> Option<Refusal> {
    let refuse = |message: String, hint: &str| {
        Some(Refusal {
            message,
            hint: hint.to_owned(),
        })
    };
    let shown: String = specifier.chars().take(100).collect();
    if specifier.len() > 1024 {
        return refuse(format!("the import {shown:?}... is too long"), "");
    }
    let bare = specifier.strip_prefix("node:").unwrap_or(specifier);
    let top = bare.split('/').next().unwrap_or(bare);
    if specifier.starts_with("node:") {
        return refuse(format!("{shown:?} is a Node built-in"), NODE_HINT);
    }
    if let Some((scheme, _)) = specifier.split_once(':')
        && !scheme.contains(['/', '@'])
    {
        return refuse(
            format!("{shown:?} is a URL"),
            "Code is not fetched at deployment: download the file into the project, or install the package.",
        );
    }
    if specifier.starts_with('/') {
        return refuse(
            format!("{shown:?} is an absolute path"),
            "Import files by a relative path: \"./...\".",
        );
    }
    if specifier.is_empty() || specifier.contains(['\0', '\\']) {
        return refuse(
            format!("{shown:?} is not a path or a package name"),
            "Use \"./...\" with forward slashes.",
        );
    }
    // Without the package's own file the name can only mean the built-in; a polyfill of that name is found as a package.
    let _ = top;
    None
}

const NODE_HINT: &str =
    "Node built-ins do not exist here: use ctx.crypto, TextEncoder, URL, or a package without them.";

fn not_found(importer: &str, specifier: &str) -> Refusal {
    let top = specifier.split('/').next().unwrap_or(specifier);
    let shown: String = specifier.chars().take(100).collect();
    if NODE_BUILTINS.contains(&top) {
        return Refusal {
            message: format!("{shown:?} is a Node built-in"),
            hint: NODE_HINT.to_owned(),
        };
    }
    if specifier == "neofn" {
        return Refusal {
            message: "\"neofn\" has types only".to_owned(),
            hint: "Write `import type { Context } from \"neofn\"`; services are in the handler's second argument.".to_owned(),
        };
    }
    if specifier.starts_with('.') {
        if escapes(importer, specifier) {
            return Refusal {
                message: format!("{shown:?} lies outside the project"),
                hint: "Only uploaded files can be imported: move it into the project.".to_owned(),
            };
        }
        return Refusal {
            message: format!("{shown:?} is not among the uploaded files"),
            hint: "Check the path, from this file's folder, and upper and lower case.".to_owned(),
        };
    }
    Refusal {
        message: format!("the package {shown:?} is not among the uploaded files"),
        hint: format!(
            "Run `npm install {}` in the project; the CLI uploads what is imported.",
            package(specifier)
        ),
    }
}

fn package(specifier: &str) -> String {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    specifier
        .split('/')
        .take(parts)
        .collect::<Vec<_>>()
        .join("/")
        .chars()
        .take(100)
        .collect()
}

fn escapes(importer: &str, specifier: &str) -> bool {
    let mut depth = importer.split('/').count().saturating_sub(1);
    for part in specifier.split('/') {
        match part {
            ".." if depth == 0 => return true,
            ".." => depth = depth.saturating_sub(1),
            "." | "" => {}
            _ => depth = depth.saturating_add(1),
        }
    }
    false
}
