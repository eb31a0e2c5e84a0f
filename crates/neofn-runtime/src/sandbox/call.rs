//! One run in one instance: start, resume, and what it comes to in the end.

use super::engine::LiveSeat;
use super::failure;
use super::host::{self, Run};
use super::instance::Instance;
use super::{CallInput, CompletedCore, Finished, Interrupt, Parked, Step, Suspended};
use crate::port::{Failure, HostCall, HostReply, Layout};
use bytes::Bytes;
use neofn_gas::{MEMORY_PAGE_BYTES, Meter, Stopped};
use neofn_types::{Code, UnitsBill};
use wasmtime::AsContextMut;

/// What the guest answers when it waits.
const PARKED: u32 = 1;

/// Where the instance belongs.
pub enum Seat {
    /// It goes back to its version's idle ones.
    Live(LiveSeat),
    /// It goes back to the pool, which cleans it.
    Pooled,
}

/// A run under way.
pub struct Running {
    instance: Instance,
    seat: Seat,
    meter: Meter,
}

impl Running {
    /// In a clean instance.
    pub fn new(instance: Instance, seat: Seat, meter: Meter) -> Self {
        Self {
            instance,
            seat,
            meter,
        }
    }

    /// Runs the first slice.
    pub fn start(mut self, input: CallInput, interrupt: &Interrupt) -> Step {
        let random = fold(&input.seed);
        let size = u32::try_from(input.event.len());
        let store = &mut self.instance.store;
        store.data_mut().run = Run::of_call(input, interrupt);
        store.set_epoch_deadline(1);
        let ran = match (size, store.set_fuel(self.meter.fuel())) {
            (Ok(size), Ok(())) => self.instance.start.call(store, (size, random)),
            (Err(e), _) => Err(e.into()),
            (_, Err(e)) => Err(e),
        };
        self.after(ran)
    }

    fn after(mut self, ran: wasmtime::Result<u32>) -> Step {
        let outcome = match ran {
            Ok(PARKED) => return Step::Parked(Parked::new(Box::new(self))),
            Ok(_) => self
                .instance
                .store
                .data_mut()
                .run
                .outcome
                .take()
                .unwrap_or_else(|| {
                    Err(failure::plain(
                        Code::Internal,
                        "the JavaScript engine ended without an answer",
                    ))
                }),
            Err(_) if self.is_evicted() => Err(failure::evicted()),
            Err(error) => {
                let sp = self.instance.stack_pointer();
                let failure = failure::trapped(&error, self.instance.store.data().run.stop, sp);
                if failure.code == Code::Internal {
                    tracing::error!(error = format!("{error:#}"), "the JavaScript engine failed");
                }
                Err(failure)
            }
        };
        Step::Done(self.finish(outcome))
    }

    fn finish(mut self, outcome: Result<Bytes, Failure>) -> Finished {
        let left = self.instance.store.get_fuel().unwrap_or(0);
        let run = &mut self.instance.store.data_mut().run;
        if let Some(interrupt) = &run.interrupt {
            interrupt.release();
        }
        let charged = self.meter.fuel_of(run.memory_units + run.host_units);
        let fuel = self.meter.fuel().saturating_sub(left).saturating_sub(charged);
        let stopped = match &outcome {
            Err(failure) if failure.code == Code::UnitLimit => Stopped::ByLimit,
            _ => Stopped::No,
        };
        let units: UnitsBill = self.meter.bill(fuel, run.memory_units, run.host_units, stopped);
        let logs = run.logs.finish();
        let memory_bytes = run.memory_pages * MEMORY_PAGE_BYTES;
        let (layout, cleanup) = match self.seat {
            Seat::Live(seat) => (Layout::R1cow, Some(seat.cleanup(self.instance))),
            Seat::Pooled => (Layout::D3, None),
        };
        let completed = CompletedCore {
            outcome,
            logs,
            units,
            fuel,
            memory_bytes,
            layout,
        };
        Finished::new(completed, cleanup)
    }

    fn is_evicted(&self) -> bool {
        let interrupt = self.instance.store.data().run.interrupt.as_ref();
        interrupt.is_some_and(Interrupt::is_evicted)
    }

    fn deliver(&mut self, seq: u32, reply: HostReply) -> wasmtime::Result<u32> {
        let store = &mut self.instance.store;
        let run = &mut store.data_mut().run;
        let op = usize::try_from(seq)
            .ok()
            .and_then(|i| run.waiting.get_mut(i))
            .and_then(Option::take);
        let Some(op) = op else { return Ok(PARKED) };
        run.now = reply.now;
        let (failed, json) = match reply.result {
            Ok(json) => (0, json),
            Err(e) => {
                let json = serde_json::json!({ "code": e.code.as_str(), "message": e.message });
                (1, Bytes::from(json.to_string()))
            }
        };
        let size = u32::try_from(json.len())?;
        host::charge_reply(store.as_context_mut(), op, json.len(), reply.units)?;
        store.data_mut().run.input = json;
        store.set_epoch_deadline(1);
        self.instance.resume.call(store, (seq, failed, size))
    }
}

impl Suspended for Running {
    fn take_calls(&mut self) -> Vec<HostCall> {
        std::mem::take(&mut self.instance.store.data_mut().run.requested)
    }
    fn resume(mut self: Box<Self>, seq: u32, reply: HostReply) -> Step {
        let due = self
            .instance
            .store
            .data()
            .run
            .interrupt
            .as_ref()
            .is_some_and(Interrupt::is_due);
        if due {
            let failure = if self.is_evicted() {
                failure::evicted()
            } else {
                failure::time_out()
            };
            return Step::Done(self.finish(Err(failure)));
        }
        let ran = self.deliver(seq, reply);
        self.after(ran)
    }
    fn fail(self: Box<Self>, failure: Failure) -> Finished {
        self.finish(Err(failure))
    }
}

/// Seeds Math.random. Its state can be told from its numbers, so most of the seed must not be told from its state.
fn fold(seed: &[u8; 32]) -> u64 {
    let (words, _) = seed.as_chunks::<8>();
    words.iter().fold(0, |sum, word| {
        (sum ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
    })
}
