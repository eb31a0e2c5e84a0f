//! What the guest can ask for, and the state of the run that asks. Trusts nothing that the guest passes:
//! every pointer is checked, every size bounded, everything charged before it is done.

use super::failure::{self, Stop};
use super::logs::Logs;
use super::{CallInput, Interrupt, nesting, services, surrogates};
use crate::port::{Failure, HostCall, HostOp, JobContext, JobLimits};
use bytes::Bytes;
use neofn_gas::{FUEL_PER_UNIT, HostCharge, MEMORY_PAGE_BYTES, SCHEDULE_V1};
use neofn_types::{Code, UnixMillis};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use wasmtime::{AsContextMut, Caller, Error, Linker, Memory, Result, StoreContextMut, bail};

/// Most bytes of input of one synchronous service: what the host does in one go cannot be interrupted.
const SERVICE_INPUT_MAX: usize = 16 << 20;
/// Most random bytes at once.
const RANDOM_MAX: usize = 64 << 10;
/// Most of a name, a message or a stack that is kept.
const TEXT_MAX: usize = 16 << 10;

/// Lives in the store. Everything of a run is in `run`, so that resetting it is one assignment.
pub struct HostState {
    /// The guest's memory.
    pub memory: Option<Memory>,
    /// Of the run, or of loading.
    pub run: Run,
}

/// One run's state.
pub struct Run {
    /// `None` while code is loaded: then there is no context, no host call and no randomness.
    pub call: Option<Call>,
    /// What `input` copies.
    pub input: Bytes,
    /// Console lines.
    pub logs: Logs,
    /// Host calls since the last park.
    pub requested: Vec<HostCall>,
    /// Every host call by number; `None` once answered.
    pub waiting: Vec<Option<HostOp>>,
    /// Heap pages above the snapshot's.
    pub memory_pages: u64,
    /// Units charged for memory.
    pub memory_units: u64,
    /// Units charged for host calls.
    pub host_units: u64,
    /// What the guest said of its end.
    pub outcome: Option<Result<Bytes, Failure>>,
    /// Why the host stopped it.
    pub stop: Option<Stop>,
    /// What Date.now answers.
    pub now: UnixMillis,
    /// Stops it from outside.
    pub interrupt: Option<Interrupt>,
}

/// What a run was started with.
pub struct Call {
    context: JobContext,
    started: UnixMillis,
    deadline: UnixMillis,
    limits: JobLimits,
    seed: [u8; 32],
    rng: Option<ChaCha20Rng>,
}

impl HostState {
    /// For loading code.
    pub fn loading() -> Self {
        Self {
            memory: None,
            run: Run::new(
                None,
                Bytes::new(),
                UnixMillis(0),
                JobLimits::default().logs_bytes,
                None,
            ),
        }
    }
}

impl Run {
    /// A fresh one.
    pub fn new(
        call: Option<Call>,
        input: Bytes,
        now: UnixMillis,
        logs_bytes: u32,
        interrupt: Option<Interrupt>,
    ) -> Self {
        Self {
            call,
            input,
            logs: Logs::new(logs_bytes),
            requested: Vec::new(),
            waiting: Vec::new(),
            memory_pages: 0,
            memory_units: 0,
            host_units: 0,
            outcome: None,
            stop: None,
            now,
            interrupt,
        }
    }
    /// Of a call, with its event as input.
    pub fn of_call(input: CallInput, interrupt: &Interrupt) -> Self {
        let call = Call {
            context: input.context,
            started: input.now,
            deadline: input.now.plus(input.deadline),
            limits: input.limits,
            seed: input.seed,
            rng: None,
        };
        Self::new(
            Some(call),
            input.event,
            input.now,
            input.limits.logs_bytes,
            Some(interrupt.clone()),
        )
    }
}

/// What a run is charged under.
#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Host,
}

/// Takes `units` from the fuel, or stops the run.
fn charge(cx: &mut Caller<'_, HostState>, kind: Kind, units: u64) -> Result<()> {
    charge_store(cx.as_context_mut(), kind, units)
}

fn charge_store(mut cx: StoreContextMut<'_, HostState>, kind: Kind, units: u64) -> Result<()> {
    let left = cx.get_fuel()?.checked_sub(units.saturating_mul(FUEL_PER_UNIT));
    let Some(left) = left else {
        cx.data_mut().run.stop = Some(Stop::Units);
        bail!("unit limit");
    };
    cx.set_fuel(left)?;
    let run = &mut cx.data_mut().run;
    match kind {
        Kind::Memory => run.memory_units += units,
        Kind::Host => run.host_units += units,
    }
    Ok(())
}

/// Charges what a reply costs: a callee's own units, and its size where that is priced.
pub fn charge_reply(cx: StoreContextMut<'_, HostState>, op: HostOp, bytes: usize, units: u64) -> Result<()> {
    let read = match op {
        HostOp::KvList => SCHEDULE_V1
            .price(op.charge())
            .per_kib
            .saturating_mul((bytes as u64).div_ceil(1024)),
        _ => 0,
    };
    charge_store(cx, Kind::Host, units.saturating_add(read))
}

fn memory_of(cx: &Caller<'_, HostState>) -> Result<Memory> {
    cx.data().memory.ok_or_else(|| Error::msg("no memory"))
}

/// The guest's bytes, and the state beside them.
fn view<'a>(cx: &'a mut Caller<'_, HostState>) -> Result<(&'a mut [u8], &'a mut Run)> {
    let (bytes, state) = memory_of(cx)?.data_and_store_mut(cx);
    Ok((bytes, &mut state.run))
}

fn slice(memory: &[u8], at: u32, len: u32) -> Result<&[u8]> {
    let at = at as usize;
    memory
        .get(at..at.saturating_add(len as usize))
        .ok_or_else(|| Error::msg("the guest passed a range outside its memory"))
}

fn text(memory: &[u8], at: u32, len: u32) -> Result<String> {
    let bytes = slice(memory, at, len)?;
    let kept = bytes.get(..bytes.len().min(TEXT_MAX)).unwrap_or(bytes);
    Ok(String::from_utf8_lossy(kept).into_owned())
}

/// Defines every import of the guest.
pub fn link(linker: &mut Linker<HostState>) -> Result<()> {
    linker.func_wrap("neofn", "grow", grow)?;
    linker.func_wrap("neofn", "input", input)?;
    linker.func_wrap("neofn", "context", context)?;
    linker.func_wrap("neofn", "result", result)?;
    linker.func_wrap("neofn", "fail", fail)?;
    linker.func_wrap("neofn", "log", log)?;
    linker.func_wrap("neofn", "request", request)?;
    linker.func_wrap("neofn", "service", service)?;
    let wasi = "wasi_snapshot_preview1";
    linker.func_wrap(wasi, "clock_time_get", clock)?;
    // the C library's streams; nothing is open
    const BADF: i32 = 8;
    linker.func_wrap(wasi, "fd_close", |_: i32| BADF)?;
    linker.func_wrap(wasi, "fd_fdstat_get", |_: i32, _: i32| BADF)?;
    linker.func_wrap(wasi, "fd_seek", |_: i32, _: i64, _: i32, _: i32| BADF)?;
    linker.func_wrap(wasi, "fd_write", |_: i32, _: i32, _: i32, _: i32| BADF)?;
    Ok(())
}

fn grow(mut cx: Caller<'_, HostState>, pages: u32) -> Result<()> {
    let bytes = u64::from(pages) * MEMORY_PAGE_BYTES;
    charge(&mut cx, Kind::Memory, SCHEDULE_V1.memory_units(bytes))?;
    let interrupt = cx.data().run.interrupt.as_ref();
    if interrupt.is_some_and(|i| i.grow(bytes).is_err()) {
        cx.data_mut().run.stop = Some(Stop::Memory);
        bail!("no memory left");
    }
    cx.data_mut().run.memory_pages += u64::from(pages);
    Ok(())
}

fn input(mut cx: Caller<'_, HostState>, out: u32) -> Result<()> {
    let (memory, run) = view(&mut cx)?;
    let bytes = std::mem::take(&mut run.input);
    let out = out as usize;
    memory
        .get_mut(out..out.saturating_add(bytes.len()))
        .ok_or_else(|| Error::msg("the guest passed a range outside its memory"))?
        .copy_from_slice(&bytes);
    Ok(())
}

fn context(mut cx: Caller<'_, HostState>) -> Result<u32> {
    let run = &mut cx.data_mut().run;
    let Some(call) = &run.call else { return Ok(0) };
    let json = serde_json::json!({
        "functionName": call.context.function,
        "projectId": call.context.project,
        "invocationId": call.context.invocation,
        "timestamp": call.started.to_iso8601(),
        "version": call.context.version,
        "attempt": call.context.attempt,
        "deadline": call.deadline.to_iso8601(),
    });
    run.input = Bytes::from(json.to_string());
    Ok(u32::try_from(run.input.len())?)
}

fn result(mut cx: Caller<'_, HostState>, at: u32, len: u32) -> Result<()> {
    let (memory, run) = view(&mut cx)?;
    let json = slice(memory, at, len)?;
    let most = run.call.as_ref().map_or(0, |c| c.limits.result_bytes);
    run.outcome = Some(if len > most {
        Err(failure::plain(
            Code::ResultTooLarge,
            format!("the result is {len} bytes of JSON, more than the {most} allowed"),
        ))
    } else if std::str::from_utf8(json).is_err() {
        Err(failure::plain(
            Code::NotSerialisable,
            "the result is not valid UTF-8",
        ))
    } else if nesting::depth(json) > nesting::DEPTH_MAX {
        Err(failure::plain(
            Code::NotSerialisable,
            format!("the result is nested deeper than {}", nesting::DEPTH_MAX),
        ))
    } else {
        Ok(surrogates::mended(json))
    });
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "three texts cross the boundary, each as address and size"
)]
fn fail(
    mut cx: Caller<'_, HostState>,
    code: u32,
    name_at: u32,
    name_len: u32,
    message_at: u32,
    message_len: u32,
    stack_at: u32,
    stack_len: u32,
) -> Result<()> {
    let (memory, run) = view(&mut cx)?;
    let name = text(memory, name_at, name_len)?;
    let message = text(memory, message_at, message_len)?;
    let stack = text(memory, stack_at, stack_len)?;
    run.outcome = Some(Err(failure::thrown(code, &name, &message, &stack)));
    Ok(())
}

fn log(mut cx: Caller<'_, HostState>, level: u32, at: u32, len: u32) -> Result<()> {
    charge(
        &mut cx,
        Kind::Host,
        SCHEDULE_V1.host_units(HostCharge::Log, u64::from(len)),
    )?;
    let (memory, run) = view(&mut cx)?;
    run.logs.push(level, slice(memory, at, len)?);
    Ok(())
}

fn request(mut cx: Caller<'_, HostState>, op: u32, at: u32, len: u32) -> Result<i32> {
    const NOT_GRANTED: i32 = -1;
    const TOO_MANY: i32 = -2;
    const TOO_LARGE: i32 = -3;
    const NOT_IN_A_CALL: i32 = -4;
    let Some(op) = HostOp::from_number(op) else {
        bail!("the guest asked for a host call that does not exist")
    };
    let run = &cx.data().run;
    let Some(call) = &run.call else {
        return Ok(NOT_IN_A_CALL);
    };
    if op
        .grant()
        .is_some_and(|g| !call.context.grants.iter().any(|have| have == g))
    {
        return Ok(NOT_GRANTED);
    }
    if run.waiting.len() >= call.limits.host_calls as usize {
        return Ok(TOO_MANY);
    }
    if len > call.limits.host_input_bytes {
        return Ok(TOO_LARGE);
    }
    let priced = if op == HostOp::KvList { 0 } else { u64::from(len) };
    charge(&mut cx, Kind::Host, SCHEDULE_V1.host_units(op.charge(), priced))?;
    let units_left = cx.get_fuel()? / FUEL_PER_UNIT;
    let (memory, run) = view(&mut cx)?;
    let seq = u32::try_from(run.waiting.len())?;
    run.requested.push(HostCall {
        seq,
        op,
        input: surrogates::mended(slice(memory, at, len)?),
        units_left,
        // the node counts
        sharing: 1,
    });
    run.waiting.push(Some(op));
    Ok(i32::try_from(seq)?)
}

fn service(
    mut cx: Caller<'_, HostState>,
    op: u32,
    spans: u32,
    count: u32,
    out: u32,
    out_len: u32,
) -> Result<i32> {
    const BAD_INPUT: i32 = -1;
    const TOO_LARGE: i32 = -2;
    const NOT_IN_A_CALL: i32 = -4;
    let Some(op) = services::Op::from_number(op) else {
        bail!("the guest asked for a service that does not exist")
    };
    if cx.data().run.call.is_none() && op == services::Op::Random {
        return Ok(NOT_IN_A_CALL);
    }
    let (memory, _) = view(&mut cx)?;
    let mut ranges = [(0u32, 0u32); 3];
    let mut total = 0usize;
    for (i, range) in ranges.iter_mut().take(count as usize).enumerate() {
        let at = spans.saturating_add(u32::try_from(i * 8)?);
        let [a, b, c, d, e, f, g, h] = *slice(memory, at, 8)?.first_chunk().unwrap_or(&[0; 8]);
        *range = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        total = total.saturating_add(range.1 as usize);
    }
    if total > SERVICE_INPUT_MAX || (op == services::Op::Random && out_len as usize > RANDOM_MAX) {
        return Ok(TOO_LARGE);
    }
    let priced = if op == services::Op::Random {
        out_len as usize
    } else {
        total
    };
    charge(&mut cx, Kind::Host, op.units(priced as u64))?;

    let (memory, run) = view(&mut cx)?;
    let answer = if op == services::Op::Random {
        let mut bytes = vec![0u8; out_len as usize];
        if let Some(call) = &mut run.call {
            let rng = call.rng.get_or_insert_with(|| ChaCha20Rng::from_seed(call.seed));
            rng.fill_bytes(&mut bytes);
        }
        Ok(bytes)
    } else {
        let mut inputs: [&[u8]; 3] = [&[]; 3];
        for (input, (at, len)) in inputs.iter_mut().zip(ranges) {
            *input = slice(memory, at, len)?;
        }
        op.run(inputs, count)
    };
    Ok(match answer {
        Err(services::Refused::BadInput) => BAD_INPUT,
        Err(services::Refused::TooLarge) => TOO_LARGE,
        Ok(bytes) if bytes.len() > out_len as usize => TOO_LARGE,
        Ok(bytes) => {
            let at = out as usize;
            memory
                .get_mut(at..at.saturating_add(bytes.len()))
                .ok_or_else(|| Error::msg("the guest passed a range outside its memory"))?
                .copy_from_slice(&bytes);
            i32::try_from(bytes.len())?
        }
    })
}

/// Time stands still while code runs: it is a recorded input, and no stopwatch for side channels.
fn clock(mut cx: Caller<'_, HostState>, _id: i32, _precision: i64, out: u32) -> Result<i32> {
    let (memory, run) = view(&mut cx)?;
    let nanos = u64::try_from(run.now.0).unwrap_or(0).saturating_mul(1_000_000);
    let out = out as usize;
    memory
        .get_mut(out..out.saturating_add(8))
        .ok_or_else(|| Error::msg("the guest passed a range outside its memory"))?
        .copy_from_slice(&nanos.to_le_bytes());
    Ok(0)
}
