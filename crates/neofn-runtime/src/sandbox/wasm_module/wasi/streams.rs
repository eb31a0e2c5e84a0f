//! The three streams: the event, the result, the log.

use super::guest::{self, BUFFERS_MAX, address, buffers, put, put_u32, slice};
use super::{Answer, Errno, MODULE, answered, code};
use crate::sandbox::wasm_module::state::{State, Stop, Work, charge, copying, work};
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
    linker.func_wrap(MODULE, "fd_close", |c: Caller<'_, State>, fd: i32| {
        answered(c, |_| stream(fd))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |c: Caller<'_, State>, fd: i32, _: i32| answered(c, |_| stream(fd)),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |c: Caller<'_, State>, fd: i32, _: i64, _: i32, _: i32| {
            answered(c, |_| stream(fd).and(Err(Errno::Spipe)))
        },
    )?;
    linker.func_wrap(MODULE, "fd_tell", |c: Caller<'_, State>, fd: i32, _: i32| {
        answered(c, |_| stream(fd).and(Err(Errno::Spipe)))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |c: Caller<'_, State>, fd: i32, out: i32| answered(c, |c| describe(c, fd, out)),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |c: Caller<'_, State>, fd: i32, out: i32| {
            // type unknown, everything else zero
            answered(c, |c| {
                stream(fd).and_then(|()| put(guest::view(c)?.0, address(out), &[0; 64]))
            })
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

/// Takes the fuel of a call over `count` buffers, and reads where they are.
fn transfer(
    caller: &mut Caller<'_, State>,
    at: i32,
    count: i32,
) -> wasmtime::Result<Result<Vec<(usize, usize)>, Errno>> {
    let count = count.cast_unsigned();
    if count > BUFFERS_MAX {
        return Ok(Err(Errno::Inval));
    }
    work(caller, Work::Buffer, u64::from(count))?;
    Ok(guest::view(caller).and_then(|(memory, _)| buffers(memory, at, count)))
}

fn read(mut caller: Caller<'_, State>, fd: i32, at: i32, count: i32, out: i32) -> Answer {
    work(&mut caller, Work::Call, 1)?;
    if fd != STDIN {
        return Ok(Err(Errno::Badf));
    }
    let buffers = match transfer(&mut caller, at, count)? {
        Ok(buffers) => buffers,
        Err(errno) => return Ok(Err(errno)),
    };
    let room: usize = buffers.iter().map(|(_, len)| len).sum();
    let state = caller.data();
    let ready = state.stdin.len().saturating_sub(state.stdin_at);
    copying(&mut caller, room.min(ready))?;
    let fill = || {
        let (memory, state) = guest::view(&mut caller)?;
        let mut done = 0;
        for (start, len) in buffers {
            let rest = state.stdin.get(state.stdin_at..).unwrap_or_default();
            let len = len.min(rest.len());
            slice(memory, start, len)?.copy_from_slice(rest.get(..len).unwrap_or_default());
            state.stdin_at += len;
            done += len;
        }
        put_u32(memory, address(out), done)
    };
    Ok(fill())
}

fn write(mut caller: Caller<'_, State>, fd: i32, at: i32, count: i32, out: i32) -> Answer {
    work(&mut caller, Work::Call, 1)?;
    if fd != STDOUT && fd != STDERR {
        return Ok(Err(Errno::Badf));
    }
    let buffers = match transfer(&mut caller, at, count)? {
        Ok(buffers) => buffers,
        Err(errno) => return Ok(Err(errno)),
    };
    let bytes = buffers.iter().map(|(_, len)| len).sum();
    let state = caller.data();
    if fd == STDOUT && state.stdout.len().saturating_add(bytes) > state.stdout_max {
        return Err(Stop::ResultTooLarge.into());
    }
    copying(&mut caller, bytes)?;
    let data = match gather(&mut caller, &buffers, out) {
        Ok(data) => data,
        Err(errno) => return Ok(Err(errno)),
    };
    if fd == STDOUT {
        caller.data_mut().stdout.extend_from_slice(&data);
    } else {
        // charged before it is kept: what was not paid for leaves no trace
        let lines = data.iter().filter(|b| **b == b'\n').count();
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        charge(&mut caller, HostCharge::Log, lines, bytes)?;
        caller.data_mut().stderr.write(&data);
    }
    Ok(Ok(()))
}

fn gather(caller: &mut Caller<'_, State>, buffers: &[(usize, usize)], out: i32) -> Result<Vec<u8>, Errno> {
    let (memory, _) = guest::view(caller)?;
    let mut data = Vec::with_capacity(buffers.iter().map(|(_, len)| len).sum());
    for (start, len) in buffers {
        data.extend_from_slice(slice(memory, *start, *len)?);
    }
    put_u32(memory, address(out), data.len())?;
    Ok(data)
}
