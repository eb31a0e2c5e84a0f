//! Waiting: streams are always ready, and a sleep moves the run's own clock instead of taking time.

use super::guest::{self, address, get, put_u32, slice};
use super::{Answer, Errno, MODULE, code, system};
use crate::sandbox::wasm_module::state::{State, Work, work};
use wasmtime::{Caller, Linker};

const SUBSCRIPTION_BYTES: usize = 48;
const EVENT_BYTES: usize = 32;
const SUBSCRIPTIONS_MAX: usize = 1024;
const KIND_CLOCK: u8 = 0;
const KIND_READ: u8 = 1;
const KIND_WRITE: u8 = 2;
const FLAG_ABSOLUTE: u16 = 1;

pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |c: Caller<'_, State>, list: i32, events: i32, n: i32, out: i32| {
            poll(c, list, events, n, out).map(code)
        },
    )?;
    Ok(())
}

struct Subscription {
    userdata: [u8; 8],
    kind: u8,
    on: On,
}

enum On {
    /// Nanoseconds from now.
    Clock(u64),
    /// Bytes that are there.
    Stream(u64),
    Failed(Errno),
}

fn poll(mut caller: Caller<'_, State>, list: i32, events: i32, count: i32, out: i32) -> Answer {
    work(&mut caller, Work::Call, 1)?;
    let count = address(count);
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Ok(Err(Errno::Inval));
    }
    work(
        &mut caller,
        Work::Subscription,
        u64::try_from(count).unwrap_or(u64::MAX),
    )?;
    Ok(wait(
        &mut caller,
        address(list),
        address(events),
        count,
        address(out),
    ))
}

fn wait(
    caller: &mut Caller<'_, State>,
    list: usize,
    events: usize,
    count: usize,
    out: usize,
) -> Result<(), Errno> {
    let (memory, state) = guest::view(caller)?;
    let all = (0..count).map(|n| subscription(memory, state, list.saturating_add(n * SUBSCRIPTION_BYTES)));
    let all = all.collect::<Result<Vec<_>, Errno>>()?;
    let is_clock = |s: &&Subscription| matches!(s.on, On::Clock(_));
    let sleep_ns = if all.iter().all(|s| is_clock(&s)) {
        all.iter()
            .filter_map(|s| if let On::Clock(ns) = s.on { Some(ns) } else { None })
            .min()
            .unwrap_or(0)
    } else {
        0
    };
    state.sleep_ns(sleep_ns);
    let due = all
        .iter()
        .filter(|s| !matches!(s.on, On::Clock(ns) if ns > sleep_ns));
    let mut written = 0;
    for subscription in due {
        let at = events.saturating_add(written * EVENT_BYTES);
        slice(memory, at, EVENT_BYTES)?.copy_from_slice(&subscription.event());
        written += 1;
    }
    put_u32(memory, out, written)
}

fn subscription(memory: &[u8], state: &State, at: usize) -> Result<Subscription, Errno> {
    let record: [u8; SUBSCRIPTION_BYTES] = get(memory, at)?;
    let kind = u8::from_le_bytes(get(&record, 8)?);
    let on = match kind {
        KIND_CLOCK => {
            let id = i32::from_le_bytes(get(&record, 16)?);
            let timeout = u64::from_le_bytes(get(&record, 24)?);
            let absolute = u16::from_le_bytes(get(&record, 40)?) & FLAG_ABSOLUTE != 0;
            match system::time(state, id) {
                Ok(now) if absolute => On::Clock(timeout.saturating_sub(now)),
                Ok(_) => On::Clock(timeout),
                Err(errno) => On::Failed(errno),
            }
        }
        KIND_READ | KIND_WRITE => match (kind, i32::from_le_bytes(get(&record, 16)?)) {
            (KIND_READ, 0) => {
                let rest = state.stdin.len().saturating_sub(state.stdin_at);
                On::Stream(u64::try_from(rest).unwrap_or(u64::MAX))
            }
            (KIND_WRITE, 1 | 2) => On::Stream(1 << 16),
            _ => On::Failed(Errno::Badf),
        },
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription {
        userdata: get(&record, 0)?,
        kind,
        on,
    })
}

impl Subscription {
    fn event(&self) -> [u8; EVENT_BYTES] {
        let errno = match self.on {
            On::Failed(errno) => errno as u8,
            _ => 0,
        };
        let ready = match self.on {
            On::Stream(bytes) => bytes,
            _ => 0,
        };
        let mut event = [0; EVENT_BYTES];
        let parts = self
            .userdata
            .iter()
            .copied()
            .chain([errno, 0, self.kind, 0, 0, 0, 0, 0])
            .chain(ready.to_le_bytes());
        for (to, from) in event.iter_mut().zip(parts) {
            *to = from;
        }
        event
    }
}
