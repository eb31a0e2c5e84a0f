//! Module to artifact: checked, compiled, and loaded once to see that it fits.

use super::config::{MAGIC, WasmEngine};
use super::{check, run::WasmVersion, segments};
use crate::port::Failure;
use neofn_types::Code;

/// Validates and compiles a module for a sandbox of `memory_bytes`. Takes seconds for a large one: to be called in a
/// child whose time and memory are bounded.
pub fn compile(module: &[u8], memory_bytes: u64) -> Result<Vec<u8>, Failure> {
    check::module(module, memory_bytes)?;
    let module = segments::merged(module).or_else(|e| check::refuse(Code::WasmInvalid, e.to_string()))?;
    let engine = WasmEngine::new(1).or_else(|e| check::refuse(Code::Internal, e.to_string()))?;
    let code = engine
        .engine
        .precompile_module(&module)
        .or_else(|e| check::refuse(Code::WasmInvalid, format!("the module cannot be compiled: {e:#}")))?;
    let mut artifact = Vec::with_capacity(code.len() + 64);
    artifact.extend_from_slice(MAGIC);
    artifact.extend_from_slice(&engine.identity.0);
    artifact.extend_from_slice(&memory_bytes.to_le_bytes());
    artifact.extend_from_slice(&code);
    // The pool has its own bounds; better met here than at the first call.
    match WasmVersion::load(&engine, &artifact) {
        Ok(_) => Ok(artifact),
        Err(e) => check::refuse(
            Code::WasmInvalid,
            format!("the module does not fit into the sandbox: {e}"),
        ),
    }
}
