//! The control thread of a sandbox child: loads the engine and versions, prepares code. Ends when the node is gone.

use super::calls::Calls;
use super::clock::MonotonicClock;
use super::crew::{Crew, THREADS_BASE, THREADS_MAX};
use super::job::{self, Out};
use super::ticker;
use super::worker::{self, Loaded, Shared};
use crate::proto::control::{Numbered, PrepareReport, Reply, Request};
use crate::proto::fds;
use crate::proto::frame::PACKET_BYTES_MAX;
use crate::sandbox::wasm_module::{WasmEngine, WasmVersion};
use crate::sandbox::{Budget, Engine, EngineOptions, Interrupt, Version};
use neofn_types::{Clock, RuntimeKind};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Serves requests until the node closes the socket.
pub(crate) fn serve(control: &OwnedFd, data: OwnedFd, pagemap: Option<OwnedFd>) -> ExitCode {
    let mut state = State {
        unstarted: Some((data, pagemap)),
        shared: None,
    };
    let mut packet = vec![0u8; PACKET_BYTES_MAX];
    loop {
        let (n, fds) = match fds::receive(control.as_raw_fd(), &mut packet) {
            Ok((n, fds)) if n > 0 => (n, fds),
            _ => return ExitCode::SUCCESS,
        };
        let Ok(request) = postcard::from_bytes::<Numbered<Request>>(packet.get(..n).unwrap_or_default())
        else {
            return ExitCode::FAILURE;
        };
        let out = Out {
            control,
            number: request.number,
        };
        let ended = state.handle(request.body, fds, &out);
        let reply = ended.map_or_else(|reason| Reply::Failed { reason }, |()| Reply::Done);
        if out.reply(reply).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

struct State {
    unstarted: Option<(OwnedFd, Option<OwnedFd>)>,
    shared: Option<Arc<Shared>>,
}

impl State {
    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>, out: &Out<'_>) -> Result<(), String> {
        let mut fds = fds.into_iter();
        match request {
            Request::LoadEngine {
                slots,
                live_max,
                live_idle_max,
                run_bytes_max,
            } => {
                let (data, pagemap) = self.unstarted.take().ok_or("the engine is loaded already")?;
                let engine = Engine::load(EngineOptions {
                    module: File::from(fds.next().ok_or("no descriptor for the module")?),
                    base: File::from(fds.next().ok_or("no descriptor for the base image")?),
                    pagemap,
                    slots,
                    live_max,
                    live_idle_max,
                })
                .map_err(|e| e.to_string())?;
                self.shared = Some(start(engine, Budget::new(run_bytes_max), data)?);
            }
            Request::Load { version, kind } => {
                let bytes = job::take(&mut fds, "artifact", job::ARTIFACT_BYTES_MAX)?;
                let shared = self.shared()?;
                let loaded = match kind {
                    RuntimeKind::Js => Loaded::Js(shared.engine.version(&bytes).map_err(|e| e.to_string())?),
                    RuntimeKind::Wasm => Loaded::Wasm(
                        WasmVersion::load(wasm_engine(shared)?, &bytes).map_err(|e| e.to_string())?,
                    ),
                };
                shared.versions.write().insert(version, loaded);
            }
            Request::Promote { version } => {
                let shared = self.shared()?;
                let v = js_version(shared, version)?;
                let image = fds.next().ok_or("no descriptor for the image")?;
                shared.engine.promote(&v, image).map_err(|e| e.to_string())?;
            }
            Request::Demote { version } => {
                let shared = self.shared()?;
                let v = js_version(shared, version)?;
                shared.engine.demote(&v);
            }
            Request::Unload { version } => {
                let shared = self.shared()?;
                let gone = shared.versions.write().remove(&version);
                if let Some(Loaded::Js(v)) = gone {
                    shared.engine.demote(&v);
                }
            }
            Request::Prepare {
                memory_bytes,
                fuel,
                time_us,
            } => {
                let shared = self.shared()?;
                let code = job::take(&mut fds, "code", job::CODE_BYTES_MAX)?;
                let time = Duration::from_micros(time_us);
                let interrupt = Interrupt::new(Arc::clone(&shared.crew.clock));
                interrupt.arm(time);
                let hold = shared.crew.hold();
                let (made, logs) = shared.engine.prepare(&code, memory_bytes, fuel, time, &interrupt);
                drop(hold);
                let (artifact, failure) = made.map_or_else(|f| (None, Some(f)), |a| (Some(a), None));
                out.prepared(artifact.as_deref(), &PrepareReport { failure, logs })?;
            }
            Request::BuildEngine | Request::CompileWasm { .. } => {
                return Err("not this role's work".to_owned());
            }
        }
        Ok(())
    }
    fn shared(&self) -> Result<&Arc<Shared>, String> {
        self.shared.as_ref().ok_or_else(|| "no engine loaded".to_owned())
    }
}

fn js_version(shared: &Shared, version: u32) -> Result<Version, String> {
    match shared.versions.read().get(&version) {
        Some(Loaded::Js(v)) => Ok(v.clone()),
        Some(Loaded::Wasm(_)) => Err(format!("version {version} has no memory image")),
        None => Err(format!("version {version} is not loaded")),
    }
}

/// Only the control thread comes here.
fn wasm_engine(shared: &Shared) -> Result<&WasmEngine, String> {
    if let Some(engine) = shared.wasm.get() {
        return Ok(engine);
    }
    // a module keeps its instance only while a thread runs it
    let engine = WasmEngine::new(THREADS_MAX).map_err(|e| e.to_string())?;
    Ok(shared.wasm.get_or_init(|| engine))
}

fn start(engine: Engine, budget: Budget, data: OwnedFd) -> Result<Arc<Shared>, String> {
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let shared = Arc::new(Shared {
        engine,
        budget,
        wasm: OnceLock::new(),
        crew: Arc::new(Crew::new(clock)),
        versions: RwLock::new(HashMap::new()),
        data,
        reassembly: Mutex::default(),
        calls: Mutex::new(Calls::default()),
    });
    ticker::start(&shared).map_err(|e| e.to_string())?;
    for _ in 0..THREADS_BASE {
        worker::spawn(&shared).map_err(|e| e.to_string())?;
    }
    Ok(shared)
}
