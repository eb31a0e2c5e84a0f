//! The three streams: the event, the result, the log.

use super::guest::{self, address, buffers, put, put_u32, slice};
use super::{Answer, Errno, MODULE, code};
use crate::sandbox::wasm_module::state::{State, Stop, charge, settle};
use neofn_gas::HostCharge;
use wasmtime::{Caller, Linker};

const STDIN: i32 = 0;
const STDOUT: i32 = 1;
const STDERR: i32 = 2;

pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |c: Caller<'_, State>, fd: i32, at: i32, n: i32, out: i32| read(c, fd, at, n, out).map(code),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |c: Caller<'_, State>, fd: i32, at: i32, n: i32, out: i32| write(c, fd, at, n, out).map(code),
    )?;
    linker.func_wrap(MODULE, "fd_close", |fd: i32| code(stream(fd)))?;
    linker.func_wrap(MODULE, "fd_fdstat_set_flags", |fd: i32, _: i32| code(stream(fd)))?;
    linker.func_wrap(MODULE, "fd_seek", |fd: i32, _: i64, _: i32, _: i32| {
        code(stream(fd).and(Err(Errno::Spipe)))
    })?;
    linker.func_wrap(MODULE, "fd_tell", |fd: i32, _: i32| {
        code(stream(fd).and(Err(Errno::Spipe)))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |mut c: Caller<'_, State>, fd: i32, out: i32| code(describe(&mut c, fd, out)),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |mut c: Caller<'_, State>, fd: i32, out: i32| {
            // type unknown, everything else zero
            code(stream(fd).and_then(|()| put(guest::view(&mut c)?.0, address(out), &[0; 64])))
        },
    )?;
    Ok(())
}

fn stream(fd: i32) -> Result<(), Errno> {
    if (STDIN..=STDERR).contains(&fd) {
        Ok(())
    } else {
        Err(Errno::Badf)
    }
}

fn describe(caller: &mut Caller<'_, State>, fd: i32, out: i32) -> Result<(), Errno> {
    const RIGHT_READ: u64 = 1 << 1;
    const RIGHT_WRITE: u64 = 1 << 6;
    stream(fd)?;
    let right = if fd == STDIN { RIGHT_READ } else { RIGHT_WRITE };
    // type unknown: neither a terminal, which would be flushed at each line, nor a file
    let mut record = [0; 24];
    for (to, from) in record.iter_mut().skip(8).zip(right.to_le_bytes()) {
        *to = from;
    }
    put(guest::view(caller)?.0, address(out), &record)
}

fn read(mut caller: Caller<'_, State>, fd: i32, at: i32, count: i32, out: i32) -> Answer {
    settle(&mut caller, 0)?;
    if fd != STDIN {
        return Ok(Err(Errno::Badf));
    }
    let mut transfer = || {
        let (memory, state) = guest::view(&mut caller)?;
        let mut done = 0;
        for (start, len) in buffers(memory, at, count)? {
            let rest = state.stdin.get(state.stdin_at..).unwrap_or_default();
            let len = len.min(rest.len());
            slice(memory, start, len)?.copy_from_slice(rest.get(..len).unwrap_or_default());
            state.stdin_at += len;
            done += len;
        }
        put_u32(memory, address(out), done)
    };
    Ok(transfer())
}

fn write(mut caller: Caller<'_, State>, fd: i32, at: i32, count: i32, out: i32) -> Answer {
    settle(&mut caller, 0)?;
    let data = match gather(&mut caller, at, count, out) {
        Ok(data) => data,
        Err(errno) => return Ok(Err(errno)),
    };
    match fd {
        STDOUT => {
            let state = caller.data_mut();
            if state.stdout.len().saturating_add(data.len()) > state.stdout_max {
                return Err(Stop::ResultTooLarge.into());
            }
            state.stdout.extend_from_slice(&data);
        }
        STDERR => {
            // charged before it is kept: what was not paid for leaves no trace
            let lines = data.iter().filter(|b| **b == b'\n').count();
            let lines = u64::try_from(lines).unwrap_or(u64::MAX);
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            charge(&mut caller, HostCharge::Log, lines, bytes)?;
            caller.data_mut().stderr.write(&data);
        }
        _ => return Ok(Err(Errno::Badf)),
    }
    Ok(Ok(()))
}

fn gather(caller: &mut Caller<'_, State>, at: i32, count: i32, out: i32) -> Result<Vec<u8>, Errno> {
    let (memory, _) = guest::view(caller)?;
    let mut data = Vec::new();
    for (start, len) in buffers(memory, at, count)? {
        data.extend_from_slice(slice(memory, start, len)?);
    }
    put_u32(memory, address(out), data.len())?;
    Ok(data)
}
