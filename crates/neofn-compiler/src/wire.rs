//! How node and child speak: frames of a little-endian length and postcard, one request, then progress and an answer.
//! Both sides bound what they read.

use crate::request::{Compiled, Stage};
use neofn_types::Diagnostic;
use serde::{Deserialize, Serialize};

/// Largest request frame: the upload limit and room for the rest.
pub(crate) const REQUEST_BYTES_MAX: usize = 17 << 20;
/// Largest frame of an answer: the module, its map and at most a hundred findings.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Confined and waiting for a request.
    Ready,
    /// About to parse a file that is large enough to exhaust the stack. When nothing follows, that file did it.
    Parsing(String),
    /// There is a module.
    Compiled(Box<Compiled>),
    /// The source is at fault.
    Refused(Stage, Vec<Diagnostic>),
    /// The compiler is at fault.
    Failed(String),
}

/// A value as one frame.
pub(crate) fn frame<T: Serialize>(value: &T, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = postcard::to_extend(value, vec![0; 4]).map_err(|e| e.to_string())?;
    let length = bytes.len().saturating_sub(4);
    let header = u32::try_from(length).map_err(|e| e.to_string())?.to_le_bytes();
    if length > bytes_max {
        return Err(format!("a message of {length} bytes is larger than {bytes_max}"));
    }
    if let Some(slot) = bytes.get_mut(..4) {
        slot.copy_from_slice(&header);
    }
    Ok(bytes)
}

/// Checks a header.
pub(crate) fn length(header: [u8; 4], bytes_max: usize) -> Result<usize, String> {
    let length = usize::try_from(u32::from_le_bytes(header)).map_err(|e| e.to_string())?;
    if length > bytes_max {
        Err(format!("a message of {length} bytes is larger than {bytes_max}"))
    } else {
        Ok(length)
    }
}

/// A value from the body of a frame.
pub(crate) fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|e| e.to_string())
}
