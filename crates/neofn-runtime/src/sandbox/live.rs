//! Layout r1cow: an instance whose memory is a private mapping of the function's image, put back after each call.
//!
//! Pages that were written are found by the kernel and copied back from a shared view of the same image; they stay
//! private and writable, so that the next call does not fault on them again.

use super::pagemap::{PAGE, Region, written};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

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
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
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

/// Maps `image` over the memory of an instance that was just made; beyond it memory starts as zeros, as it was.
///
/// The mapping that wasmtime reserved stays one reservation: it unmaps the whole of it in the end, whatever lies in it.
pub fn map_over(memory: &mut [u8], image: &Image) -> io::Result<()> {
    if image.len > memory.len() || !(memory.as_ptr() as usize).is_multiple_of(PAGE) {
        return Err(io::Error::other("the image does not fit the memory"));
    }
    let base: *mut libc::c_void = memory.as_mut_ptr().cast();
    let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: replaces whole pages of memory that we hold mutably and whose contents nobody has seen yet.
    unsafe {
        // a huge page would make one written byte a dirty 2 MiB; no harm where the kernel has none
        libc::madvise(base, memory.len(), libc::MADV_NOHUGEPAGE);
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        if libc::mmap(base, image.len, rw, flags, image.fd.as_raw_fd(), 0) == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
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
    /// Restores `memory`, which [`map_over`] has put over `image`. Answers how many pages were written.
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
                let dirty = memory
                    .get_mut(from..to)
                    .ok_or_else(|| io::Error::other("region outside the memory"))?;
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
fn drop_pages(memory: &mut [u8]) -> io::Result<()> {
    // SAFETY: whole pages of a private mapping that is ours; dropping them is a write to memory that we hold mutably.
    if unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_DONTNEED) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
