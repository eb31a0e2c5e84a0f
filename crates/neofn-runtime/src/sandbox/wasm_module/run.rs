//! One call: a fresh instance from the pool, run to its end, thrown away.

use super::config::{MAGIC, WasmEngine, WasmLoadError};
use super::output;
use super::state::{State, Stop};
use crate::port::{Failure, Layout};
use crate::sandbox::{CallInput, CompletedCore, Finished, Interrupt, Step};
use neofn_gas::{Meter, SCHEDULE_V1, Stopped};
use neofn_types::{Code, Digest, Units, UnitsBill};
use std::sync::Arc;
use wasmtime::{InstancePre, Module, Store, Trap, UpdateDeadline};

/// A compiled module, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct WasmVersion(Arc<Inner>);

struct Inner {
    engine: WasmEngine,
    instance: InstancePre<State>,
    memory_bytes: u64,
}

impl WasmVersion {
    /// Loads an artifact that `compile` made and that came back unchanged: machine code is not checked again.
    pub fn load(engine: &WasmEngine, artifact: &[u8]) -> Result<Self, WasmLoadError> {
        let short = WasmLoadError::Damaged("cut short");
        let (magic, rest) = artifact.split_first_chunk::<8>().ok_or(short)?;
        if magic != MAGIC {
            return Err(WasmLoadError::Damaged(
                "not a WebAssembly artifact of this version",
            ));
        }
        let short = WasmLoadError::Damaged("cut short");
        let (made_by, rest) = rest.split_first_chunk::<32>().ok_or(short)?;
        if *made_by != engine.identity.0 {
            return Err(WasmLoadError::OtherEngine {
                made_by: Digest(*made_by),
                this: engine.identity,
            });
        }
        let short = WasmLoadError::Damaged("cut short");
        let (memory_bytes, code) = rest.split_first_chunk::<8>().ok_or(short)?;
        // SAFETY: the code was made by `compile` in a process of ours, for this very engine; the node keeps artifacts
        // by their SHA-256 and hands them in by that. Tenants have no way to give an artifact, only modules.
        let module = unsafe { Module::deserialize(&engine.engine, code) }.map_err(WasmLoadError::Engine)?;
        let instance = engine
            .linker
            .instantiate_pre(&module)
            .map_err(WasmLoadError::Engine)?;
        Ok(Self(Arc::new(Inner {
            engine: engine.clone(),
            instance,
            memory_bytes: u64::from_le_bytes(*memory_bytes),
        })))
    }
}

#[cfg(test)]
impl WasmVersion {
    pub(super) fn engine(&self) -> WasmEngine {
        self.0.engine.clone()
    }
}

/// Runs a call to its end on this thread. The caller arms the interrupt.
#[must_use]
pub fn start(version: &WasmVersion, input: CallInput, interrupt: &Interrupt) -> Step {
    Step::Done(Finished::new(call(&version.0, input, interrupt), None))
}

fn call(version: &Inner, input: CallInput, interrupt: &Interrupt) -> CompletedCore {
    let limit = Units(input.units);
    let Ok(meter) = Meter::new(&SCHEDULE_V1, limit) else {
        return below_base(limit);
    };
    let state = State::new(input, meter, version.memory_bytes, interrupt.clone());
    let mut store = Store::new(&version.engine.engine, state);
    store.limiter(|state| &mut state.gauge);
    let begun = interrupt.begin(0).map_err(|_| Stop::Memory.into());
    let ticking = interrupt.clone();
    store.epoch_deadline_callback(move |_| {
        if ticking.is_evicted() {
            Err(Stop::Memory.into())
        } else if ticking.is_due() {
            Err(Stop::Interrupted.into())
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    store.set_epoch_deadline(1);
    let ended = begun.and_then(|()| store.set_fuel(meter.fuel())).and_then(|()| {
        // A start function runs here, under the same meter.
        let instance = version.instance.instantiate(&mut store)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call(&mut store, ())
    });
    let completed = finish(store, meter, ended, limit);
    interrupt.release();
    completed
}

fn finish(mut store: Store<State>, meter: Meter, ended: wasmtime::Result<()>, limit: Units) -> CompletedCore {
    let left = store.get_fuel().unwrap_or(0);
    let settled = store.data_mut().settle(left, 0);
    let state = store.into_data();
    let paid = meter.fuel_of(state.host_units.saturating_add(state.memory_units));
    let compute = meter
        .fuel()
        .saturating_sub(settled.unwrap_or(left))
        .saturating_sub(paid);
    let ended = match (settled, ended) {
        (None, _) => Err(Stop::Units.into()),
        (Some(_), ended) => ended,
    };
    let memory_bytes = state.gauge.grown_bytes();
    let denied = state.gauge.denied();
    let outcome = match ended {
        Ok(()) => Ok(()),
        Err(error) if error.downcast_ref() == Some(&Stop::Exit(0)) => Ok(()),
        Err(error) => Err(failure(&error, limit, denied.then_some(()))),
    };
    let outcome = outcome.and_then(|()| {
        output::result(state.stdout).map_err(|message| Failure {
            code: Code::WasmOutput,
            message,
            stack: Vec::new(),
        })
    });
    let stopped = match &outcome {
        Err(failure) if failure.code == Code::UnitLimit => Stopped::ByLimit,
        _ => Stopped::No,
    };
    CompletedCore {
        outcome,
        logs: state.stderr.finish(),
        units: meter.bill(compute, state.memory_units, state.host_units, stopped),
        fuel: compute,
        memory_bytes,
        layout: Layout::Wasm,
    }
}

/// `denied`: the memory limit refused a growth before, which explains what followed.
fn failure(error: &wasmtime::Error, limit: Units, denied: Option<()>) -> Failure {
    let (code, message) = match (error.downcast_ref::<Stop>(), error.downcast_ref::<Trap>()) {
        (Some(Stop::Units), _) | (_, Some(Trap::OutOfFuel)) => {
            (Code::UnitLimit, format!("used all of its {limit} units"))
        }
        (Some(Stop::Memory), _) => return crate::sandbox::failure::evicted(),
        (Some(Stop::Interrupted), _) => (Code::TimedOut, "ran longer than its time limit".to_owned()),
        (Some(Stop::ResultTooLarge), _) => (
            Code::ResultTooLarge,
            "standard output is larger than a result may be".to_owned(),
        ),
        (_, Some(Trap::StackOverflow)) => (Code::StackOverflow, "stack overflow".to_owned()),
        _ if denied.is_some() => (
            Code::MemoryLimit,
            "asked for more memory than its limit and stopped".to_owned(),
        ),
        (Some(Stop::Exit(status)), _) => (Code::WasmTrap, format!("exit status {status}")),
        (_, Some(trap)) => (Code::WasmTrap, trap_message(*trap, error)),
        _ if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
            (Code::SandboxLost, "no free slot in the sandbox".to_owned())
        }
        _ => (Code::Internal, "the sandbox could not run the module".to_owned()),
    };
    Failure {
        code,
        message,
        stack: Vec::new(),
    }
}

fn trap_message(trap: Trap, error: &wasmtime::Error) -> String {
    let frames = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .map(wasmtime::WasmBacktrace::frames);
    let innermost = frames
        .and_then(|f| f.first())
        .and_then(wasmtime::FrameInfo::func_name);
    match innermost {
        Some(name) => format!("{trap} in {}", name.chars().take(120).collect::<String>()),
        None => trap.to_string(),
    }
}

fn below_base(limit: Units) -> CompletedCore {
    CompletedCore {
        outcome: Err(Failure {
            code: Code::UnitLimit,
            message: format!(
                "{limit} units do not cover the base charge of {}",
                SCHEDULE_V1.base
            ),
            stack: Vec::new(),
        }),
        logs: Vec::new(),
        units: UnitsBill {
            total: limit.0,
            base: limit.0,
            schedule: SCHEDULE_V1.version,
            ..UnitsBill::default()
        },
        fuel: 0,
        memory_bytes: 0,
        layout: Layout::Wasm,
    }
}
