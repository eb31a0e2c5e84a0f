//! Memory images: that of the initialised engine, and what a function's differs in.
//!
//! Both are our own output, read back from disk or from a socket: everything in them is checked. No wasmtime here.

use super::config::{LINEAR_BYTES, MEMORY_MAX, MEMORY_MIN, WASM_PAGE};
use super::pagemap::PAGE;
use neofn_types::Digest;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

const BASE_MAGIC: &[u8; 8] = b"NFBASE1\n";
const DELTA_MAGIC: &[u8; 8] = b"NFJS001\n";
const BASE_HEADER: usize = 8 + 4;
const DELTA_HEADER: usize = 8 + 32 + 8 + 4 + 4;

/// An image that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Cut short, or with other bytes than ours.
    #[error("the {0} is damaged: {1}")]
    Damaged(&'static str, &'static str),
    /// Made by another engine than the one that is to run it.
    #[error("the artifact was made by engine {artifact}, this is {engine}")]
    OtherEngine {
        /// Of the artifact.
        artifact: Digest,
        /// Of this process.
        engine: Digest,
    },
    /// The kernel refused.
    #[error("memory image: {0}")]
    Io(#[from] std::io::Error),
}

/// Memory of the initialised engine, from address 0 to its last page.
#[derive(Debug, Clone)]
pub struct Base {
    /// `__stack_pointer` outside any call.
    pub stack_pointer: u32,
    /// Whole pages.
    pub memory: Vec<u8>,
}

impl Base {
    /// From memory, cut after the last page that is not zero.
    pub fn of_memory(memory: &[u8], stack_pointer: u32) -> Self {
        Self {
            stack_pointer,
            memory: up_to_last_page(memory).to_vec(),
        }
    }
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BASE_HEADER + self.memory.len());
        out.extend_from_slice(BASE_MAGIC);
        out.extend_from_slice(&self.stack_pointer.to_le_bytes());
        out.extend_from_slice(&self.memory);
        out
    }
    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let damaged = |why| ImageError::Damaged("engine image", why);
        let mut r = Reader(bytes);
        if r.take(8) != Some(BASE_MAGIC) {
            return Err(damaged("wrong magic"));
        }
        let stack_pointer = r.u32().ok_or_else(|| damaged("cut short"))?;
        let memory = r.0;
        if memory.is_empty() || !memory.len().is_multiple_of(PAGE) || memory.len() > LINEAR_BYTES {
            return Err(damaged("size"));
        }
        Ok(Self {
            stack_pointer,
            memory: memory.to_vec(),
        })
    }
}

/// What a loaded function's memory differs from [`Base`] in.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The engine that made it.
    pub engine: Digest,
    /// Heap limit that is baked in.
    pub memory_bytes: u64,
    /// Address and bytes of each run of changed pages, ascending.
    pub runs: Vec<(usize, Vec<u8>)>,
    /// One past the last byte that is not zero, whole pages.
    pub image_bytes: usize,
}

impl Delta {
    /// Serialises the pages of `memory` that differ from `base`.
    pub fn encode(engine: Digest, base: &Base, memory: &[u8], memory_bytes: u64) -> Option<Vec<u8>> {
        let zero = [0u8; PAGE];
        let of_base = |i: usize| base.memory.get(i * PAGE..(i + 1) * PAGE).unwrap_or(&zero);
        let changed: Vec<(u32, &[u8])> = memory
            .chunks_exact(PAGE)
            .enumerate()
            .filter(|(i, page)| *page != of_base(*i))
            .filter_map(|(i, page)| Some((u32::try_from(i).ok()?, page)))
            .collect();
        let image = up_to_last_page(memory).len().max(base.memory.len());
        let mut out = Vec::with_capacity(DELTA_HEADER + changed.len() * (PAGE + 4));
        out.extend_from_slice(DELTA_MAGIC);
        out.extend_from_slice(&engine.0);
        out.extend_from_slice(&memory_bytes.to_le_bytes());
        out.extend_from_slice(&u32::try_from(image / PAGE).ok()?.to_le_bytes());
        out.extend_from_slice(&u32::try_from(changed.len()).ok()?.to_le_bytes());
        for (index, _) in &changed {
            out.extend_from_slice(&index.to_le_bytes());
        }
        for (_, page) in &changed {
            out.extend_from_slice(page);
        }
        Some(out)
    }
    /// Reads an artifact; `engine` is the one that would run it.
    pub fn parse(bytes: &[u8], engine: Digest, base: &Base) -> Result<Self, ImageError> {
        let damaged = |why| ImageError::Damaged("artifact", why);
        let mut r = Reader(bytes);
        if r.take(8) != Some(DELTA_MAGIC) {
            return Err(damaged("wrong magic"));
        }
        let short = || damaged("cut short");
        let made_by: [u8; 32] = r.array().ok_or_else(short)?;
        let artifact = Digest(made_by);
        if artifact != engine {
            return Err(ImageError::OtherEngine { artifact, engine });
        }
        let memory_bytes = u64::from_le_bytes(r.array().ok_or_else(short)?);
        if !is_memory_size(memory_bytes) {
            return Err(damaged("memory size"));
        }
        let pages_max = LINEAR_BYTES / PAGE;
        let image_pages = r.u32().ok_or_else(short)? as usize;
        let count = r.u32().ok_or_else(short)? as usize;
        if image_pages > pages_max || count > image_pages || image_pages * PAGE < base.memory.len() {
            return Err(damaged("page count"));
        }
        let mut indices = Vec::with_capacity(count);
        for _ in 0..count {
            let index = r.u32().ok_or_else(short)? as usize;
            if index >= image_pages || indices.last().is_some_and(|last| *last >= index) {
                return Err(damaged("page numbers"));
            }
            indices.push(index);
        }
        if r.0.len() != count * PAGE {
            return Err(damaged("length"));
        }
        let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, page) in indices.into_iter().zip(r.0.chunks_exact(PAGE)) {
            match runs.last_mut() {
                Some((at, run)) if *at + run.len() == index * PAGE => run.extend_from_slice(page),
                _ => runs.push((index * PAGE, page.to_vec())),
            }
        }
        Ok(Self {
            engine,
            memory_bytes,
            runs,
            image_bytes: image_pages * PAGE,
        })
    }
}

/// Whether a version may ask for this much memory.
#[must_use]
pub fn is_memory_size(bytes: u64) -> bool {
    (MEMORY_MIN..=MEMORY_MAX).contains(&bytes) && bytes.is_multiple_of(WASM_PAGE as u64)
}

/// Puts the whole image of a function into a sealed memory file, to be mapped by a sandbox child.
/// For the parent: the child's jail forbids making one. `base` is the engine's image file, `artifact` a function's.
pub fn write_memfd(base: &[u8], artifact: &[u8]) -> Result<OwnedFd, ImageError> {
    let base = Base::parse(base)?;
    let delta = Delta::parse(artifact, super::artefact::identity(), &base)?;
    // SAFETY: the name is a C string; the descriptor, if there is one, is new and nobody else's.
    let fd = unsafe {
        let fd = libc::memfd_create(
            c"neofn-image".as_ptr(),
            libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING,
        );
        if fd < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let file = File::from(fd);
    file.set_len(delta.image_bytes as u64)?;
    for (i, page) in base.memory.chunks_exact(PAGE).enumerate() {
        if page.iter().any(|b| *b != 0) {
            file.write_all_at(page, (i * PAGE) as u64)?;
        }
    }
    for (at, run) in &delta.runs {
        file.write_all_at(run, *at as u64)?;
    }
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    let fd = OwnedFd::from(file);
    // SAFETY: plain fcntl on a descriptor that is ours.
    if unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&fd), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(fd)
}

fn up_to_last_page(memory: &[u8]) -> &[u8] {
    let pages = memory
        .chunks_exact(PAGE)
        .rposition(|p| p.iter().any(|b| *b != 0))
        .map_or(0, |last| last + 1);
    memory.get(..pages * PAGE).unwrap_or(memory)
}

/// Takes from the front, never past the end.
struct Reader<'a>(&'a [u8]);
impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}
