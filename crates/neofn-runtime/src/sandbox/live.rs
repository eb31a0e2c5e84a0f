//! Layout r1cow: an instance whose memory is a private mapping of the function's image, put back after each call.
//!
//! Pages that were written are found by the kernel and copied back from a shared view of the same image; they stay
//! private and writable, so that the next call does not fault on them again.

use super::pagemap::{PAGE, Region, written};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// Above this many written pages it is cheaper to let the kernel drop them than to copy them back.
const STICKY_PAGES: usize = 96;

/// A function's image, mapped read-only.
pub struct Image {
    fd: OwnedFd,
    view: *const u8,
    len: usize,
}

// SAFETY: the view is read-only memory that is unmapped on drop alone.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Maps an image. It must be sealed against writing and shrinking: a page that vanished would be a bus error.
    pub fn map(fd: OwnedFd, len: usize) -> io::Result<Self> {
        let needed = libc::F_SEAL_SHRINK | libc::F_SEAL_WRITE;
        // SAFETY: plain system calls on a descriptor that is ours; `stat` is written by the kernel before it is read.
        let view = unsafe {
            let seals = libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS);
            let mut stat: libc::stat = std::mem::zeroed();
            if seals < 0 || libc::fstat(fd.as_raw_fd(), &raw mut stat) != 0 {
                return Err(io::Error::last_os_error());
            }
            if seals & needed != needed || usize::try_from(stat.st_size).ok() != Some(len) {
                return Err(io::Error::other("the image is not sealed or has another size"));
            }
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if view == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            fd,
            view: view.cast_const().cast(),
            len,
        })
    }
    /// The image.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `view` maps `len` readable bytes of a sealed file for as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.view, self.len) }
    }
}
impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, with this length, and not handed out beyond `self`.
        unsafe { libc::munmap(self.view.cast_mut().cast(), self.len) };
    }
}

thread_local! {
    /// The image for the memory that this thread is about to create. wasmtime passes nothing along.
    static NEXT: RefCell<Option<Arc<Image>>> = const { RefCell::new(None) };
}

/// Runs `make` so that the memory it creates maps `image`.
pub fn with_image<T>(image: &Arc<Image>, make: impl FnOnce() -> T) -> T {
    NEXT.set(Some(image.clone()));
    let made = make();
    NEXT.set(None);
    made
}

/// Makes the memories of this layout.
pub struct Creator;

struct Mapping {
    base: usize,
    total: usize,
    size: usize,
    // what is mapped from it stays valid without this; it keeps the count of users honest
    _image: Option<Arc<Image>>,
}

// SAFETY: `new_memory` reserves what it is asked to, guard included, and only the first `size` bytes are accessible.
unsafe impl LinearMemory for Mapping {
    fn byte_size(&self) -> usize {
        self.size
    }
    fn byte_capacity(&self) -> usize {
        self.size
    }
    fn grow_to(&mut self, _size: usize) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("this memory has a fixed size"))
    }
    fn as_ptr(&self) -> *mut u8 {
        self.base as *mut u8
    }
}
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: reserved in `new_memory`, with this length; wasmtime drops the memory after its last use.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.total) };
    }
}

// SAFETY: see `Mapping`.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let image = NEXT.take();
        let capacity = reserved.unwrap_or(minimum).max(minimum);
        let total = capacity.checked_add(guard).ok_or("memory too large")?;
        let failed = |what: &str| format!("{what}: {}", io::Error::last_os_error());
        // SAFETY: a fresh reservation; the fixed mappings stay within it.
        unsafe {
            let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let base = libc::mmap(std::ptr::null_mut(), total, libc::PROT_NONE, none, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(failed("reserve"));
            }
            let mapping = Mapping {
                base: base as usize,
                total,
                size: minimum,
                _image: image.clone(),
            };
            let rw = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mprotect(base, minimum, rw) != 0 {
                return Err(failed("commit"));
            }
            // a huge page would make one written byte a dirty 2 MiB
            libc::madvise(base, minimum, libc::MADV_NOHUGEPAGE);
            if let Some(image) = image {
                if image.len > minimum {
                    return Err("the image is larger than the memory".to_owned());
                }
                let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
                if libc::mmap(base, image.len, rw, flags, image.fd.as_raw_fd(), 0) == libc::MAP_FAILED {
                    return Err(failed("map image"));
                }
            }
            Ok(Box::new(mapping))
        }
    }
}

/// Puts memories back to their image.
pub struct Resetter {
    regions: Vec<Region>,
}

impl Resetter {
    /// With room for the regions of one scan.
    pub fn new() -> Self {
        Self {
            regions: vec![Region::default(); 256],
        }
    }
    /// Restores `memory`, a mapping made by [`Creator`] with `image`. Answers how many pages were written.
    pub fn reset(&mut self, pagemap: BorrowedFd<'_>, memory: &mut [u8], image: &Image) -> io::Result<usize> {
        let base = memory.as_ptr() as usize;
        let end = base + memory.len();
        let mut at = base;
        let mut pages = 0;
        while at < end {
            let (found, walked) = written(pagemap, at, end, &mut self.regions)?;
            for region in self.regions.iter().take(found) {
                let (from, to) = (offset(region.start, base)?, offset(region.end, base)?);
                pages += (to - from) / PAGE;
                let dirty = memory.get_mut(from..to).ok_or_else(|| io::Error::other("region outside the memory"))?;
                if pages > STICKY_PAGES {
                    drop_pages(dirty)?;
                } else {
                    restore(dirty, from, image.bytes());
                }
            }
            if walked <= at {
                return Err(io::Error::other("the page scan does not advance"));
            }
            at = walked;
        }
        Ok(pages)
    }
}

fn offset(address: u64, base: usize) -> io::Result<usize> {
    usize::try_from(address)
        .ok()
        .and_then(|a| a.checked_sub(base))
        .ok_or_else(|| io::Error::other("region outside the memory"))
}

/// Copies the image's bytes back; beyond its end memory starts as zeros.
fn restore(dirty: &mut [u8], from: usize, image: &[u8]) {
    let of_image = image.get(from..).unwrap_or_default();
    let n = of_image.len().min(dirty.len());
    let (inside, beyond) = dirty.split_at_mut(n);
    inside.copy_from_slice(of_image.get(..n).unwrap_or_default());
    beyond.fill(0);
}

/// Gives the pages back to the kernel: the next access sees the image, or zeros, again.
pub fn drop_pages(memory: &mut [u8]) -> io::Result<()> {
    // SAFETY: whole pages of a private mapping that is ours; dropping them is a write to memory that we hold mutably.
    if unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_DONTNEED) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
