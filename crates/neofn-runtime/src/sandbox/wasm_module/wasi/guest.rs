//! The module's memory, as its host functions see it: every access checked, little-endian.

use super::Errno;
use crate::sandbox::wasm_module::state::State;
use wasmtime::{Caller, Extern, Memory};

/// Most buffers of one read or write: as IOV_MAX.
pub(super) const BUFFERS_MAX: u32 = 1024;
/// Most bytes of one read or write; callers go on after a short one.
const TRANSFER_BYTES_MAX: usize = 1 << 20;

/// A pointer or a length of the module.
pub(super) fn address(value: i32) -> usize {
    usize::try_from(value.cast_unsigned()).unwrap_or(usize::MAX)
}

fn memory(caller: &mut Caller<'_, State>) -> Result<Memory, Errno> {
    if let Some(memory) = caller.data().memory {
        return Ok(memory);
    }
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        return Err(Errno::Fault);
    };
    caller.data_mut().memory = Some(memory);
    Ok(memory)
}

/// The whole memory and the state beside it.
pub(super) fn view<'a>(caller: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State), Errno> {
    let memory = memory(caller)?;
    Ok(memory.data_and_store_mut(caller))
}

/// `len` bytes at `at`.
pub(super) fn slice(memory: &mut [u8], at: usize, len: usize) -> Result<&mut [u8], Errno> {
    let end = at.checked_add(len).ok_or(Errno::Fault)?;
    memory.get_mut(at..end).ok_or(Errno::Fault)
}

pub(super) fn put(memory: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), Errno> {
    slice(memory, at, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

pub(super) fn put_u32(memory: &mut [u8], at: usize, value: usize) -> Result<(), Errno> {
    put(
        memory,
        at,
        &u32::try_from(value).map_err(|_| Errno::Fault)?.to_le_bytes(),
    )
}

pub(super) fn put_u64(memory: &mut [u8], at: usize, value: u64) -> Result<(), Errno> {
    put(memory, at, &value.to_le_bytes())
}

pub(super) fn get<const N: usize>(memory: &[u8], at: usize) -> Result<[u8; N], Errno> {
    memory
        .get(at..)
        .and_then(<[u8]>::first_chunk::<N>)
        .copied()
        .ok_or(Errno::Fault)
}

/// The buffers of a read or a write, at most [`BUFFERS_MAX`], cut to what one call transfers.
pub(super) fn buffers(memory: &[u8], at: i32, count: u32) -> Result<Vec<(usize, usize)>, Errno> {
    let mut left = TRANSFER_BYTES_MAX;
    let mut all = Vec::new();
    for n in 0..address(count.cast_signed()) {
        let record = address(at).checked_add(n * 8).ok_or(Errno::Fault)?;
        let start = address(i32::from_le_bytes(get(memory, record)?));
        let len = address(i32::from_le_bytes(get(memory, record + 4)?));
        if start.checked_add(len).is_none_or(|end| end > memory.len()) {
            return Err(Errno::Fault);
        }
        let len = len.min(left);
        left -= len;
        all.push((start, len));
    }
    Ok(all)
}
