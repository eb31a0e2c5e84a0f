//! A serving thread: receives a packet, does all of it, answers, cleans up, receives the next.

use super::calls::{Calls, Next};
use super::crew::{After, Crew, Seat};
use crate::port::{Failure, HostCall, HostError, HostReply, Layout};
use crate::proto::frame::PACKET_BYTES_MAX;
use crate::proto::message::{CallHeadOwned, DoneHeadRef, HostCallHead, HostResultHead};
use crate::proto::socket::{self, Outgoing};
use crate::proto::{Frame, Kind, Message, Reassembly};
use crate::sandbox::evicted;
use crate::sandbox::wasm_module::{self, WasmEngine, WasmVersion};
use crate::sandbox::{Budget, CallInput, CompletedCore, Engine, Finished, Interrupt, Parked, Step};
use neofn_types::{Code, UnitsBill};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Inputs of host calls go out in messages of about this size.
const HOST_CALLS_BYTES: usize = 256 << 10;

/// Something that can be called.
#[derive(Clone)]
pub(crate) enum Loaded {
    Js(crate::sandbox::Version),
    Wasm(WasmVersion),
}

/// What all threads of a child share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    /// Of the memory of all runs.
    pub(crate) budget: Budget,
    /// Made when the first module is loaded: most children never need it.
    pub(crate) wasm: OnceLock<WasmEngine>,
    pub(crate) crew: Arc<Crew>,
    pub(crate) versions: RwLock<HashMap<u32, Loaded>>,
    pub(crate) data: OwnedFd,
    pub(crate) reassembly: Mutex<Reassembly>,
    pub(crate) calls: Mutex<Calls<Waiting>>,
}

/// Adds a serving thread.
pub(crate) fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let own = Arc::clone(shared);
    shared.crew.spawn(move |seat| run(&own, seat))
}

fn run(shared: &Arc<Shared>, seat: &Seat) {
    let mut packet = vec![0u8; PACKET_BYTES_MAX];
    let mut head = Vec::new();
    loop {
        let n = match socket::receive(shared.data.as_raw_fd(), &mut packet) {
            Ok(n) if n > 0 => n,
            // the node is gone; the control thread sees it too and ends the process
            _ => return,
        };
        shared.crew.enter(seat);
        let served = Worker {
            shared,
            seat,
            head: &mut head,
        }
        .serve(packet.get(..n).unwrap_or_default());
        if served.is_err() {
            // the node is gone, or speaks another protocol: nothing here can go on
            std::process::abort();
        }
        match shared.crew.leave(seat) {
            After::Stay => {}
            After::Leave => return,
            After::Replace => {
                // without a replacement the ticker adds a thread when one is missed
                let _ = spawn(shared);
                return;
            }
        }
    }
}

/// Ends runs that wait and hold memory that others need. Those that run end by themselves.
pub(crate) fn evict(shared: &Arc<Shared>, ids: &[u64]) {
    let (seat, mut head) = (Seat::new(), Vec::new());
    for id in ids {
        let waiting = shared.calls.lock().cancel(*id);
        let Some(w) = waiting else { continue };
        let mut worker = Worker {
            shared,
            seat: &seat,
            head: &mut head,
        };
        // an error means that the node is gone, which the other threads see too
        let _ = worker.finish(*id, w.run.fail(evicted()));
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    seat: &'a Seat,
    head: &'a mut Vec<u8>,
}

impl Worker<'_> {
    fn serve(&mut self, packet: &[u8]) -> io::Result<()> {
        let frame = Frame::parse(packet).map_err(io::Error::other)?;
        if frame.is_whole() {
            return self.handle(&frame.message().map_err(io::Error::other)?);
        }
        let whole = self
            .shared
            .reassembly
            .lock()
            .add(&frame)
            .map_err(io::Error::other)?;
        match whole {
            Some(whole) => self.handle(&whole.message().map_err(io::Error::other)?),
            None => Ok(()),
        }
    }
    fn handle(&mut self, m: &Message<'_>) -> io::Result<()> {
        match m.kind {
            Kind::Call => self.call(m),
            Kind::HostResult => self.host_result(m),
            Kind::Cancel => self.cancel(m.id),
            Kind::Done | Kind::HostCalls => Err(io::Error::other("message of a child sent to a child")),
        }
    }
    fn call(&mut self, m: &Message<'_>) -> io::Result<()> {
        let head: CallHeadOwned = postcard::from_bytes(m.head).map_err(io::Error::other)?;
        let version = self.shared.versions.read().get(&head.version).cloned();
        let Some(version) = version else {
            return self.done(m.id, 0, &lost("version not loaded in this sandbox process"));
        };
        let input = CallInput {
            event: m.body_bytes(),
            context: head.context,
            seed: head.seed,
            now: head.now,
            deadline: Duration::from_micros(head.deadline_us),
            units: head.units,
            limits: head.limits,
        };
        let clock = Arc::clone(&self.shared.crew.clock);
        let interrupt = Interrupt::within(clock, &self.shared.budget, m.id);
        interrupt.arm(input.deadline);
        self.seat.set_call(m.id, &interrupt);
        let step = match version {
            Loaded::Js(v) => self.shared.engine.start(&v, input, &interrupt),
            Loaded::Wasm(v) => wasm_module::start(&v, input, &interrupt),
        };
        self.drive(m.id, step, &interrupt)
    }
    fn host_result(&mut self, m: &Message<'_>) -> io::Result<()> {
        let head: HostResultHead = postcard::from_bytes(m.head).map_err(io::Error::other)?;
        let reply = HostReply {
            result: match head.error {
                None => Ok(m.body_bytes()),
                Some((code, message)) => Err(HostError { code, message }),
            },
            now: head.now,
            units: head.units,
        };
        let ready = self.shared.calls.lock().deliver(m.id, m.index, head.seq, reply);
        let Some((waiting, seq, reply)) = ready else {
            return Ok(());
        };
        self.seat.set_call(m.id, &waiting.interrupt);
        let Waiting { run, interrupt } = waiting;
        self.drive(m.id, run.resume(seq, reply), &interrupt)
    }
    fn cancel(&mut self, id: u64) -> io::Result<()> {
        // its sender has gone away in the middle of it: nothing was begun, and nothing of it may stay
        if self.shared.reassembly.lock().forget(id) {
            return self.done(id, 0, &lost("the call was given up before it had come whole"));
        }
        let waiting = self.shared.calls.lock().cancel(id);
        match waiting {
            Some(w) => self.finish(id, w.run.fail(ended(&w.interrupt))),
            None => {
                self.shared.crew.cancel(id);
                Ok(())
            }
        }
    }
    /// Goes on with a call until it ends or waits.
    fn drive(&mut self, id: u64, mut step: Step, interrupt: &Interrupt) -> io::Result<()> {
        loop {
            let mut run = match step {
                Step::Done(finished) => return self.finish(id, finished),
                Step::Parked(run) => run,
            };
            let asked = run.take_calls();
            let interrupt = interrupt.clone();
            let next = self.shared.calls.lock().park(id, Waiting { run, interrupt });
            // after it was put down: another thread may hold the reply before this one returns
            let next = match self.host_calls(id, &asked) {
                Err(e) if is_too_large(&e) => match self.take_back(id, next) {
                    Some(w) => return self.finish(id, w.run.fail(too_large(Code::HostCallLimit))),
                    None => return Ok(()),
                },
                sent => sent.map(|()| next)?,
            };
            match next {
                Next::Waits => return Ok(()),
                Next::Resume(w, seq, reply) => step = w.run.resume(seq, reply),
                Next::Cancelled(w) => return self.finish(id, w.run.fail(ended(&w.interrupt))),
            }
        }
    }
    fn finish(&mut self, id: u64, finished: Finished) -> io::Result<()> {
        let replies = self.shared.calls.lock().end(id);
        let (completed, recycle) = finished.split();
        let sent = self.done(id, replies, &completed);
        recycle.run();
        sent
    }
    /// A run that was just put down.
    fn take_back(&self, id: u64, next: Next<Waiting>) -> Option<Waiting> {
        match next {
            Next::Waits => self.shared.calls.lock().cancel(id),
            Next::Resume(w, _, _) | Next::Cancelled(w) => Some(w),
        }
    }
    /// An answer that does not fit into a message is that call's own failure.
    fn done(&mut self, id: u64, replies: u32, c: &CompletedCore) -> io::Result<()> {
        match self.answer(id, replies, c) {
            Err(e) if is_too_large(&e) => self.answer(
                id,
                replies,
                &CompletedCore {
                    outcome: Err(too_large(Code::ResultTooLarge)),
                    logs: vec!["[WARN] the log was cut: it does not fit into the answer".to_owned()],
                    ..c.clone()
                },
            ),
            answered => answered,
        }
    }
    fn answer(&mut self, id: u64, replies: u32, c: &CompletedCore) -> io::Result<()> {
        let head = DoneHeadRef {
            failure: c.outcome.as_ref().err(),
            logs: &c.logs,
            units: c.units,
            fuel: c.fuel,
            memory_bytes: c.memory_bytes,
            layout: c.layout,
            replies,
        };
        let body = c.outcome.as_ref().map_or(&[][..], |b| b);
        self.send(id, Kind::Done, 0, &head, body)
    }
    fn host_calls(&mut self, id: u64, asked: &[HostCall]) -> io::Result<()> {
        let mut rest = asked;
        while let Some(first) = rest.first() {
            let (mut heads, mut body) = (Vec::new(), Vec::new());
            for call in rest {
                if !body.is_empty() && body.len() + call.input.len() > HOST_CALLS_BYTES {
                    break;
                }
                heads.push(HostCallHead {
                    seq: call.seq,
                    op: call.op,
                    input_len: u32::try_from(call.input.len()).map_err(io::Error::other)?,
                    units_left: call.units_left,
                });
                body.extend_from_slice(&call.input);
            }
            rest = rest.get(heads.len()..).unwrap_or_default();
            self.send(id, Kind::HostCalls, first.seq, &heads, &body)?;
        }
        Ok(())
    }
    fn send<T: serde::Serialize>(
        &mut self,
        id: u64,
        kind: Kind,
        index: u32,
        head: &T,
        body: &[u8],
    ) -> io::Result<()> {
        let mut bytes = std::mem::take(self.head);
        bytes.clear();
        let bytes = postcard::to_extend(head, bytes).map_err(io::Error::other)?;
        let sent = Outgoing::new(id, kind, index, &bytes, body)
            .and_then(|mut o| o.send(self.shared.data.as_raw_fd()));
        *self.head = bytes;
        sent
    }
}

/// A run that waits, and what stops it.
pub(crate) struct Waiting {
    run: Parked,
    interrupt: Interrupt,
}

fn is_too_large(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::InvalidInput
}

fn too_large(code: Code) -> Failure {
    Failure {
        code,
        message: "what the run said is more than a sandbox may send at once".to_owned(),
        stack: Vec::new(),
    }
}

/// Why a run ended while it waited.
fn ended(interrupt: &Interrupt) -> Failure {
    if interrupt.is_evicted() {
        evicted()
    } else {
        timed_out()
    }
}

fn timed_out() -> Failure {
    Failure {
        code: Code::TimedOut,
        message: "the time limit passed while the function waited".to_owned(),
        stack: Vec::new(),
    }
}

fn lost(message: &str) -> CompletedCore {
    CompletedCore {
        outcome: Err(Failure {
            code: Code::SandboxLost,
            message: message.to_owned(),
            stack: Vec::new(),
        }),
        logs: Vec::new(),
        units: UnitsBill::default(),
        fuel: 0,
        memory_bytes: 0,
        layout: Layout::D3,
    }
}
