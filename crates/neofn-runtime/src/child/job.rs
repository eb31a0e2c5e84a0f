//! Roles that do one thing and end: compiling the engine, compiling a user's WebAssembly.

use crate::proto::control::{
    Envelope, FILE_ARTIFACT, FILE_BASE, FILE_MODULE, FILE_REPORT, Numbered, PrepareReport, Reply, Request,
};
use crate::proto::fds;
use crate::proto::frame::PACKET_BYTES_MAX;
use crate::sandbox::{artefact, wasm_module};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

/// Largest artifact that a child reads or makes.
pub(crate) const ARTIFACT_BYTES_MAX: u64 = 96 << 20;
/// Largest code that it takes.
pub(crate) const CODE_BYTES_MAX: u64 = 16 << 20;
/// A piece of a file with its envelope fits into a packet.
const PIECE_BYTES: usize = PACKET_BYTES_MAX - 64;

/// Takes one request, answers it, ends.
pub(crate) fn run(control: &OwnedFd) -> ExitCode {
    let mut packet = vec![0u8; PACKET_BYTES_MAX];
    let (n, fds) = match fds::receive(control.as_raw_fd(), &mut packet) {
        Ok((n, fds)) if n > 0 => (n, fds),
        _ => return ExitCode::SUCCESS,
    };
    let Ok(request) = postcard::from_bytes::<Numbered<Request>>(packet.get(..n).unwrap_or_default()) else {
        return ExitCode::FAILURE;
    };
    let out = Out {
        control,
        number: request.number,
    };
    let reply = handle(request.body, fds, &out).unwrap_or_else(|reason| Reply::Failed { reason });
    match out.reply(reply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn handle(request: Request, fds: Vec<OwnedFd>, out: &Out<'_>) -> Result<Reply, String> {
    match request {
        Request::BuildEngine => {
            let built = artefact::build().map_err(|e| e.to_string())?;
            out.file(FILE_MODULE, &built.module)?;
            out.file(FILE_BASE, &built.base)?;
            Ok(Reply::Built {
                identity: built.identity,
            })
        }
        Request::CompileWasm { memory_bytes } => {
            let module = take(&mut fds.into_iter(), "module", CODE_BYTES_MAX)?;
            let made = wasm_module::compile(&module, memory_bytes);
            let (artifact, failure) = made.map_or_else(|f| (None, Some(f)), |a| (Some(a), None));
            let logs = Vec::new();
            out.prepared(artifact.as_deref(), &PrepareReport { failure, logs })?;
            Ok(Reply::Done)
        }
        _ => Err("not this role's work".to_owned()),
    }
}

/// Answers to one request.
pub(crate) struct Out<'a> {
    pub(crate) control: &'a OwnedFd,
    pub(crate) number: u32,
}

impl Out<'_> {
    /// Sends a file in pieces. The jail lets no process write files, so bytes go back over the socket.
    pub(crate) fn file(&self, file: u8, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.send(&Envelope::Piece { file, bytes: piece })?;
        }
        Ok(())
    }
    /// What became of a preparation.
    pub(crate) fn prepared(&self, artifact: Option<&[u8]>, report: &PrepareReport) -> Result<(), String> {
        if let Some(bytes) = artifact {
            self.file(FILE_ARTIFACT, bytes)?;
        }
        let report = postcard::to_stdvec(report).map_err(|e| e.to_string())?;
        self.file(FILE_REPORT, &report)
    }
    /// The last packet of an answer.
    pub(crate) fn reply(&self, reply: Reply) -> Result<(), String> {
        self.send(&Envelope::End(reply))
    }
    fn send(&self, body: &Envelope<'_>) -> Result<(), String> {
        let numbered = Numbered {
            number: self.number,
            body,
        };
        let bytes = postcard::to_stdvec(&numbered).map_err(|e| e.to_string())?;
        fds::send(self.control.as_raw_fd(), &bytes, &[]).map_err(|e| e.to_string())
    }
}

/// Reads a memory file that the node gave.
pub(crate) fn take(
    fds: &mut impl Iterator<Item = OwnedFd>,
    what: &str,
    most: u64,
) -> Result<Vec<u8>, String> {
    let file = File::from(fds.next().ok_or_else(|| format!("no descriptor for {what}"))?);
    fds::read_all(&file, most).map_err(|e| format!("read {what}: {e}"))
}
