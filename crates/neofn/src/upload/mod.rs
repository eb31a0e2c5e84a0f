//! What a deployment sends: the import closure of `main`, npm packages included, or a WebAssembly module.

mod closure;
mod package;
mod resolve;
mod scan;

use crate::failure::Failure;
use base64::Engine as _;
use neofn_manifest::{FunctionConfig, Source};
use neofn_types::{Code, RuntimeKind};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Largest upload, in bytes.
pub const UPLOAD_BYTES_MAX: usize = 16 << 20;
/// Largest module: an upload after base64 has made it a third longer.
const MODULE_BYTES_MAX: usize = 11 << 20;

/// Reads what `config` needs from the project in `root`.
pub fn collect(root: &Path, config: &FunctionConfig) -> Result<Source, Failure> {
    match config.runtime {
        RuntimeKind::Js => closure::collect(root, &config.main).map(Source::Files),
        RuntimeKind::Wasm => module(root, &config.main).map(Source::Module),
    }
}

/// Reads a file that must not be larger than `most`.
fn read_at_most(path: &Path, most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

fn missing(main: &str, reason: &std::io::Error) -> Failure {
    let hint = if main.ends_with(".wasm") {
        "build the module first: the README of the project says how"
    } else {
        "correct `main` in neofn.toml"
    };
    Failure::new(
        Code::ManifestInvalid,
        format!("main = \"{main}\" cannot be read: {reason}"),
        hint,
    )
}

fn module(root: &Path, main: &str) -> Result<String, Failure> {
    match read_at_most(&root.join(main), MODULE_BYTES_MAX) {
        Ok(Some(bytes)) => Ok(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Ok(None) => Err(Failure::new(
            Code::BodyTooLarge,
            format!("{main} is larger than {}", crate::render::bytes(MODULE_BYTES_MAX)),
            "strip the module: `wasm-opt -Oz --strip-debug`",
        )),
        Err(reason) => Err(missing(main, &reason)),
    }
}
