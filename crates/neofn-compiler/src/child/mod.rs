//! The child process: confines itself, reads one request from its standard input, compiles, answers on its standard
//! output and exits. Nothing of one tenant is left for the next.

mod bundle;
mod pipeline;
mod project;
mod resolve;
mod sources;
mod translate;

use crate::exit::CPU_SECONDS_MAX;
use crate::request::CompileRequest;
use crate::wire::{self, Answer};
use neofn_jail::{Class, JailError, Policy};
use neofn_types::Clock;
use std::any::Any;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

/// Stack of the one thread that compiles. The parser recurses without a guard, up to 4 KiB for each nested function.
pub const STACK_BYTES: usize = 256 << 20;

/// Private writable memory: the stack above, which counts in full, and what parsing and bundling need.
const DATA_BYTES_MAX: u64 = (256 + 512) << 20;

/// Whether the child may run where the jail does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// Not below the tier that tenants' code needs.
    Required,
    /// `--insecure-no-jail`: with whatever holds.
    Insecure,
}
impl From<bool> for Confinement {
    fn from(insecure: bool) -> Self {
        if insecure { Self::Insecure } else { Self::Required }
    }
}

/// Serves one request. To be called first in `main`: confining needs a process with one thread.
pub fn main(clock: Arc<dyn Clock>, confinement: Confinement) -> ExitCode {
    if let Err(why) = confine(confinement) {
        return say(&Answer::Failed(format!("not confined: {why}")), ExitCode::FAILURE);
    }
    if say(&Answer::Ready, ExitCode::SUCCESS) != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    let request = match read_request() {
        Ok(Some(request)) => request,
        // The node has no use for this child any more.
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => return say(&Answer::Failed(why), ExitCode::FAILURE),
    };
    say(&on_large_stack(request, clock), ExitCode::SUCCESS)
}

fn confine(confinement: Confinement) -> Result<(), JailError> {
    let policy = Policy {
        keep_fds: vec![0, 1, 2],
        data_bytes_max: Some(DATA_BYTES_MAX),
        cpu_seconds_max: Some(CPU_SECONDS_MAX),
        insecure: confinement == Confinement::Insecure,
        ..Policy::strict(Class::Compiler)
    };
    neofn_jail::confine(&policy).map(|_| ())
}

fn on_large_stack(request: CompileRequest, clock: Arc<dyn Clock>) -> Answer {
    let work = move || catch_unwind(AssertUnwindSafe(|| pipeline::run(request, clock.as_ref())));
    let thread = match thread::Builder::new()
        .name("compile".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
    {
        Ok(thread) => thread,
        Err(e) => return Answer::Failed(format!("no thread to compile on: {e}")),
    };
    match thread.join() {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) | Err(panic) => Answer::Failed(panic_text(panic.as_ref())),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("unknown panic").chars().take(300).collect()
}

fn read_request() -> Result<Option<CompileRequest>, String> {
    let mut input = io::stdin().lock();
    let mut header = [0u8; 4];
    match input.read_exact(&mut header) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(format!("read the request: {e}")),
    }
    let mut body = vec![0; wire::length(header, wire::REQUEST_BYTES_MAX)?];
    input
        .read_exact(&mut body)
        .map_err(|e| format!("read the request: {e}"))?;
    wire::decode(&body).map(Some)
}

/// Writes an answer, `done` when that worked.
fn say(answer: &Answer, done: ExitCode) -> ExitCode {
    let sent = wire::frame(answer, wire::ANSWER_BYTES_MAX).and_then(|bytes| {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)
            .and_then(|()| out.flush())
            .map_err(|e| e.to_string())
    });
    match sent {
        Ok(()) => done,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells the node which file is about to be parsed, before the parser can take the process down.
fn parsing(path: &str) {
    let _ = say(&Answer::Parsing(path.to_owned()), ExitCode::SUCCESS);
}
