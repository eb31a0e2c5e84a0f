//! Arguments, environment, clock, chance and exit.

use super::guest::{self, address, put, put_u32, put_u64, slice};
use super::{Answer, Errno, MODULE, answered, code};
use crate::sandbox::wasm_module::state::{State, Stop, Work, charge, work};
use neofn_gas::HostCharge;
use rand_chacha::rand_core::RngCore;
use wasmtime::{Caller, Linker};

/// What the clock resolves: milliseconds, as in JavaScript.
const RESOLUTION_NS: u64 = 1_000_000;
const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCKS: i32 = 4;
/// Most random bytes of one call; more is asked for by programs that mean harm.
const RANDOM_BYTES_MAX: usize = 1 << 20;

pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |c: Caller<'_, State>, count: i32, bytes: i32| answered(c, |c| args_sizes(c, count, bytes)),
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |c: Caller<'_, State>, list: i32, text: i32| answered(c, |c| args(c, list, text)),
    )?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |c: Caller<'_, State>, count: i32, bytes: i32| {
            answered(c, |c| {
                let (memory, _) = guest::view(c)?;
                put_u32(memory, address(count), 0)?;
                put_u32(memory, address(bytes), 0)
            })
        },
    )?;
    linker.func_wrap(MODULE, "environ_get", |c: Caller<'_, State>, _: i32, _: i32| {
        answered(c, |_| Ok(()))
    })?;
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |c: Caller<'_, State>, id: i32, out: i32| answered(c, |c| resolution(c, id, out)),
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |c: Caller<'_, State>, id: i32, _: i64, out: i32| answered(c, |c| clock(c, id, out)),
    )?;
    linker.func_wrap(MODULE, "random_get", |c: Caller<'_, State>, at: i32, len: i32| {
        random(c, at, len).map(code)
    })?;
    linker.func_wrap(MODULE, "sched_yield", |c: Caller<'_, State>| {
        answered(c, |_| Ok(()))
    })?;
    linker.func_wrap(
        MODULE,
        "proc_exit",
        |mut c: Caller<'_, State>, status: i32| -> wasmtime::Result<()> {
            work(&mut c, Work::Call, 1)?;
            Err(Stop::Exit(status.cast_unsigned()).into())
        },
    )?;
    Ok(())
}

/// One argument: the program's name is the function's.
fn args_sizes(caller: &mut Caller<'_, State>, count: i32, bytes: i32) -> Result<(), Errno> {
    let (memory, state) = guest::view(caller)?;
    put_u32(memory, address(count), 1)?;
    put_u32(memory, address(bytes), state.name.len() + 1)
}

fn args(caller: &mut Caller<'_, State>, list: i32, text: i32) -> Result<(), Errno> {
    let (memory, state) = guest::view(caller)?;
    let text = address(text);
    put_u32(memory, address(list), text)?;
    put(memory, text, state.name.as_bytes())?;
    put(memory, text.saturating_add(state.name.len()), &[0])
}

/// Nanoseconds of a clock.
pub(super) fn time(state: &State, id: i32) -> Result<u64, Errno> {
    match id {
        CLOCK_REALTIME => Ok(state.realtime_ns()),
        CLOCK_MONOTONIC => Ok(state.monotonic_ns()),
        // the two processor clocks
        2 | 3 => Ok(0),
        _ => Err(Errno::Inval),
    }
}

fn resolution(caller: &mut Caller<'_, State>, id: i32, out: i32) -> Result<(), Errno> {
    if !(0..CLOCKS).contains(&id) {
        return Err(Errno::Inval);
    }
    put_u64(guest::view(caller)?.0, address(out), RESOLUTION_NS)
}

fn clock(caller: &mut Caller<'_, State>, id: i32, out: i32) -> Result<(), Errno> {
    let (memory, state) = guest::view(caller)?;
    put_u64(memory, address(out), time(state, id)?)
}

fn random(mut caller: Caller<'_, State>, at: i32, len: i32) -> Answer {
    work(&mut caller, Work::Call, 1)?;
    let len = address(len);
    if len > RANDOM_BYTES_MAX {
        return Ok(Err(Errno::Inval));
    }
    charge(
        &mut caller,
        HostCharge::Random,
        1,
        u64::try_from(len).unwrap_or(u64::MAX),
    )?;
    let kib = u64::try_from(len.div_ceil(1024)).unwrap_or(u64::MAX);
    work(&mut caller, Work::RandomKib, kib)?;
    let mut fill = || {
        let (memory, state) = guest::view(&mut caller)?;
        state.rng.fill_bytes(slice(memory, address(at), len)?);
        Ok(())
    };
    Ok(fill())
}
