//! What a role does all day: threads, memory, descriptors over its socket, the engine's code and signals.

use crate::role::{Orders, Role, say, socket};
use neofn_jail::{Confined, Tier};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

const PAGE: usize = 4096;
const IMAGE_PAGES: usize = 16;

/// Sends one byte with a descriptor.
fn send_fd(socket: &UnixStream, fd: RawFd) {
    let mut byte = *b"f";
    let mut data = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = [0u64; 4];
    // SAFETY: the buffers live through the calls and are as long as they say; 24 bytes hold one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut data, 1);
        (message.msg_control, message.msg_controllen) =
            (control.as_mut_ptr().cast(), libc::CMSG_SPACE(4) as _);
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        assert_eq!(libc::sendmsg(socket.as_raw_fd(), &raw const message, 0), 1);
    }
}

fn receive_fd() -> OwnedFd {
    let socket = std::mem::ManuallyDrop::new(socket());
    let mut byte = [0u8];
    let mut data = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = [0u64; 4];
    // SAFETY: as in `send_fd`; the received descriptor has no other owner.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut data, 1);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), 32 as _);
        assert_eq!(
            libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC),
            1
        );
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        assert!(!header.is_null(), "no descriptor came");
        OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
    }
}

/// The node's part: an image, sealed against writing.
fn image() -> OwnedFd {
    // SAFETY: plain calls; the descriptor has no other owner.
    unsafe {
        let fd = libc::memfd_create(c"image".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        assert!(fd >= 0);
        let fd = OwnedFd::from_raw_fd(fd);
        let pages = [7u8; PAGE * IMAGE_PAGES];
        assert_eq!(
            libc::write(fd.as_raw_fd(), pages.as_ptr().cast(), pages.len()),
            pages.len() as isize
        );
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        assert_eq!(libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals), 0);
        fd
    }
}

fn map(fd: Option<&OwnedFd>, pages: usize, protection: i32, sharing: i32) -> io::Result<*mut u8> {
    let (fd, flags) = fd.map_or((-1, libc::MAP_ANONYMOUS), |fd| (fd.as_raw_fd(), 0));
    // SAFETY: a new mapping wherever the kernel likes.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            pages * PAGE,
            protection,
            sharing | flags,
            fd,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(at.cast())
    }
}

fn protect(at: *mut u8, protection: i32) -> io::Result<()> {
    // SAFETY: `at` is a page of a mapping that this test made.
    if unsafe { libc::mprotect(at.cast(), PAGE, protection) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
const RX: i32 = libc::PROT_READ | libc::PROT_EXEC;

#[cfg(target_arch = "x86_64")]
const RETURN_42: &[u8] = &[0xb8, 42, 0, 0, 0, 0xc3];
#[cfg(target_arch = "aarch64")]
const RETURN_42: &[u8] = &[0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6];

/// The pages of a private mapping that were written: the scan that resets a live instance.
fn dirty_pages(pagemap: &OwnedFd, at: *mut u8) -> io::Result<Vec<usize>> {
    #[repr(C)]
    #[derive(Default)]
    struct Scan {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        vec: u64,
        vec_len: u64,
        max_pages: u64,
        category_inverted: u64,
        category_mask: u64,
        category_anyof_mask: u64,
        return_mask: u64,
    }
    const FILE: u64 = 1 << 2;
    const PRESENT: u64 = 1 << 3;
    const SWAPPED: u64 = 1 << 4;
    const PFNZERO: u64 = 1 << 5;
    let mut regions = [[0u64; 3]; IMAGE_PAGES];
    let start = at as u64;
    let mut scan = Scan {
        size: 96,
        start,
        end: start + (IMAGE_PAGES * PAGE) as u64,
        vec: regions.as_mut_ptr() as u64,
        vec_len: IMAGE_PAGES as u64,
        category_inverted: FILE | PFNZERO,
        category_mask: FILE | PFNZERO,
        category_anyof_mask: PRESENT | SWAPPED,
        return_mask: PRESENT,
        ..Scan::default()
    };
    // SAFETY: the record and its vector live through the call and are as long as they say.
    let found = unsafe { libc::ioctl(pagemap.as_raw_fd(), 0xC060_6610, &raw mut scan) };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    let regions = regions.iter().take(found as usize);
    Ok(regions
        .flat_map(|[from, to, _]| (*from..*to).step_by(PAGE))
        .map(|a| (a - start) as usize / PAGE)
        .collect())
}

static SIGNALLED: AtomicBool = AtomicBool::new(false);
extern "C" fn on_signal(_: i32) {
    SIGNALLED.store(true, Ordering::SeqCst);
}

/// Inside: everything here must work, or this panics and the report ends early.
pub(crate) fn work(confined: Confined) {
    say(confined.tier.as_str());
    let sum: u64 = (0..8u64)
        .map(|n| {
            std::thread::Builder::new()
                .stack_size(8 << 20)
                .spawn(move || n)
                .unwrap()
        })
        .map(|t| t.join().unwrap())
        .sum();
    assert_eq!(sum, 28);

    let image = receive_fd();
    let private = map(Some(&image), IMAGE_PAGES, RW, libc::MAP_PRIVATE).unwrap();
    let view = map(Some(&image), IMAGE_PAGES, libc::PROT_READ, libc::MAP_SHARED).unwrap();
    // SAFETY: both mappings are IMAGE_PAGES long; the code page holds a whole function that clobbers nothing but its result.
    unsafe {
        private.add(3 * PAGE).write(1);
        private.add(9 * PAGE).write(1);
        assert_eq!(view.add(3 * PAGE).read(), 7);
        let dirty = dirty_pages(confined.pagemap.as_ref().unwrap(), private).unwrap();
        assert_eq!(dirty, [3, 9]);
        std::ptr::copy_nonoverlapping(view.add(3 * PAGE), private.add(3 * PAGE), PAGE);
        assert_eq!(
            libc::madvise(private.add(9 * PAGE).cast(), PAGE, libc::MADV_DONTNEED),
            0
        );
        assert_eq!(
            (private.add(3 * PAGE).read(), private.add(9 * PAGE).read()),
            (7, 7)
        );

        let code = map(None, 1, RW, libc::MAP_PRIVATE).unwrap();
        std::ptr::copy_nonoverlapping(RETURN_42.as_ptr(), code, RETURN_42.len());
        protect(code, RX).unwrap();
        let function: extern "C" fn() -> i32 = std::mem::transmute(code);
        assert_eq!(function(), 42);

        let handler = on_signal as extern "C" fn(i32);
        libc::signal(libc::SIGUSR1, handler as libc::sighandler_t);
        assert_eq!(libc::raise(libc::SIGUSR1), 0);
        assert!(SIGNALLED.load(Ordering::SeqCst));
        assert_eq!(libc::setpriority(libc::PRIO_PROCESS, 0, 10), 0);
        let own = libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as u32, 11) == 0;
        assert_eq!(own, confined.tier == Tier::Namespaces);

        let poll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        let event = libc::eventfd(1, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        assert!(poll >= 0 && event >= 0);
        let mut wanted = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 5,
        };
        assert_eq!(
            libc::epoll_ctl(poll, libc::EPOLL_CTL_ADD, event, &raw mut wanted),
            0
        );
        let mut got = libc::epoll_event { events: 0, u64: 0 };
        assert_eq!(libc::epoll_wait(poll, &raw mut got, 1, 1000), 1);
    }
    let (one, two) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    drop((one.try_clone().unwrap(), two));
    let big = vec![1u8; 64 << 20];
    assert_eq!(
        big.iter().step_by(PAGE).map(|b| usize::from(*b)).sum::<usize>(),
        big.len() / PAGE
    );
    let mut chance = [0u8; 16];
    // SAFETY: the buffer is 16 bytes.
    assert_eq!(unsafe { libc::getrandom(chance.as_mut_ptr().cast(), 16, 0) }, 16);
    assert!(std::env::current_dir().is_ok_and(|d| d == std::path::Path::new("/")));
    assert!(std::thread::available_parallelism().is_ok());
    say("worked");
}

fn works(orders: &Orders, tier: Tier) {
    let mut role = Role::start(orders);
    assert_eq!(role.line().as_deref(), Some(tier.as_str()));
    send_fd(&role.socket, image().as_raw_fd());
    assert_eq!(role.line().as_deref(), Some("worked"));
    assert!(role.wait().success());
}

pub(crate) fn all_layers() {
    works(&Orders::new("work"), neofn_jail::probe().tier);
}
pub(crate) fn without_namespaces() {
    works(&Orders::new("work").layers(false, true, true), Tier::Landlock);
}

/// Inside: what a policy may withhold.
pub(crate) fn try_permissions(confined: Confined) {
    let image = receive_fd();
    let show = |result: io::Result<()>| match result {
        Ok(()) => "yes".to_owned(),
        Err(error) => error.raw_os_error().unwrap_or(-1).to_string(),
    };
    let anonymous = map(None, 1, RW, libc::MAP_PRIVATE).unwrap();
    say(&format!("mprotect {}", show(protect(anonymous, RX))));
    say(&format!(
        "mmap {}",
        show(map(None, 1, RX, libc::MAP_PRIVATE).map(|_| ()))
    ));
    say(&format!(
        "shared writable {}",
        show(map(Some(&image), 1, RW, libc::MAP_SHARED).map(|_| ()))
    ));
    say(&format!(
        "shared executable {}",
        show(map(Some(&image), 1, RX, libc::MAP_SHARED).map(|_| ()))
    ));
    say(&format!("pagemap {}", confined.pagemap.is_some()));
    let scan = confined.pagemap.as_ref().unwrap_or(&image);
    // Without the permission the filter answers before the kernel sees that this is no pagemap.
    say(&format!(
        "scan {}",
        show(dirty_pages(scan, anonymous).map(|_| ()))
    ));
}

pub(crate) fn permissions() {
    for (allowed, code, scan) in [(true, "yes", "yes"), (false, "1", "1")] {
        let mut orders = Orders::new("permissions");
        (orders.exec_memory, orders.pagemap) = (allowed, allowed);
        let role = Role::start(&orders);
        send_fd(&role.socket, image().as_raw_fd());
        let expected = [
            format!("mprotect {code}"),
            format!("mmap {code}"),
            "shared writable 1".to_owned(),
            "shared executable 1".to_owned(),
            format!("pagemap {allowed}"),
            format!("scan {scan}"),
        ];
        assert_eq!(role.report(), expected);
    }
}
